/* What could be a target: of a cluster, or of a container engine. */
#ifndef TRACER_LIST_H
#define TRACER_LIST_H

#include <stddef.h>

#include "reach.h"

/* Targets as they are written: "pod/NAME". Starts zeroed. */
struct list {
	char **v; /* each allocated */
	size_t count;
};

/*
 * Adds what R's namespace has: running pods, or of those with several containers each but sidecars, and what makes pods or selects some.
 * A kind that cannot be listed is left out, with a line on standard error. 0, or a negative errno with one clause in ERR when
 * there is no other.
 */
int list_cluster(const struct reach *r, struct list *l, char *err, size_t err_len);

/* Adds the running containers of ENGINE, "docker" or "podman", as R runs it. 0, or a negative errno with one clause in ERR. */
int list_engine(const struct reach *r, const char *engine, struct list *l, char *err, size_t err_len);

/* Orders L by kind, then by name. */
void list_sort(struct list *l);

void list_free(struct list *l);

#endif
