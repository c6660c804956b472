/* Names in directories and below them. */
#ifndef TRACER_ENTRIES_H
#define TRACER_ENTRIES_H

#include <stdbool.h>
#include <stddef.h>

struct entries {
	char **list; /* sorted by byte */
	size_t count;
};

/* Reads what is in the directory FD, without ".", ".." and what an overlay keeps there for itself. 0 or a negative errno, then N is empty. */
int entries_read(int fd, struct entries *n);

bool entries_contain(const struct entries *n, const char *name);

void entries_free(struct entries *n);

/* DIR, "/" and NAME in memory that the caller frees; NAME alone where DIR is "". */
char *entries_join(const char *dir, const char *name);

/* The directory PATH below TOP, opened for reading or with FLAGS (O_PATH); it follows no link. A descriptor or a negative errno. */
int entries_open(int top, const char *path, int flags);

#endif
