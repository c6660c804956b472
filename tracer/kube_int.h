/* Between kube.c, which finds pods and runs agents in them, and kube_beside.c, which runs them beside. */
#ifndef TRACER_KUBE_INT_H
#define TRACER_KUBE_INT_H

#include "reach.h"

struct kube {
	const struct reach *reach;
	const struct target *target;
	char pod[256];	     /* "" until it had to be found */
	char container[256]; /* "" for kubectl's choice */
};

/* Whether a container called NAME (LEN bytes) is beside an application and never meant. */
bool kube_is_sidecar(const char *name, size_t len);

/* kubectl and what every command of it gets. */
void kube_command(const struct kube *k, struct words *w);

/* kubectl ended with RC and SAID that: a negative errno with a clause. */
int kube_fail(const struct kube *k, int rc, const char *said, char *err, size_t err_len);

/* Runs kubectl with the words of W, INPUT (or NULL) as its input, for at most MS. 0, or a negative errno with a clause. */
int kube_run(const struct kube *k, const struct words *w, const char *input, struct output *o, unsigned ms, char *err, size_t err_len);

/* A file with TEXT in it, to be read from its start; -1 for none. */
int kube_memfd(const char *text);

/* Finds K's pod, if it is not known. 0, or a negative errno with a clause. */
int kube_find_pod(struct kube *k, char *err, size_t err_len);

/* An agent in an ephemeral container of K's pod, or in a job on its node. As reach_start. */
int kube_start_beside(struct kube *k, struct target_stream *s, char *err, size_t err_len);

#endif
