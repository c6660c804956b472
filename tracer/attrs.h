/* Extended attributes of open files: those that belong to their contents. */
#ifndef TRACER_ATTRS_H
#define TRACER_ATTRS_H

#include <stddef.h>

struct attrs {
	struct attr *list; /* sorted by name */
	size_t count;
};

/* Reads those of FD; attrs_free frees them. 0, also where the file system has none, or a negative errno; then there is nothing to free. */
int attrs_read(int fd, struct attrs *a);

void attrs_free(struct attrs *a);

/* Whether A and B differ; the names of those that do, with spaces between, go into NAMES (at most LEN bytes). */
int attrs_compare(const struct attrs *a, const struct attrs *b, char *names, size_t len);

/* Gives the file TO those that FROM has, and no others. 0 or a negative errno. */
int attrs_copy(int from, int to);

#endif
