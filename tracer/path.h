/* Paths as text: nothing here looks at a file. */
#ifndef TRACER_PATH_H
#define TRACER_PATH_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

struct mount;

/*
 * Normalises PATH lexically into OUT (LEN bytes): one slash between names, no ".", each ".." takes the
 * name before it along, no slash at the end. PATH must be absolute. 0 or -ENAMETOOLONG.
 */
int path_normalise(const char *path, char *out, size_t len);

/* The directory that PATH (absolute, normalised) is in; false for the root. */
bool path_parent(const char *path, char parent[PATH_MAX]);

/* Joins DIR (absolute) and REL with one slash. 0 or -ENAMETOOLONG. */
int path_join(const char *dir, const char *rel, char *out, size_t len);

/* True when PATH is DIR or lies below it; both normalised. */
bool path_within(const char *path, const char *dir);

/*
 * Translates between the program's and the target's view of one mount. 0, -ENAMETOOLONG, or -ENOENT when
 * PATH does not lie within AT (SUB).
 */
int path_to_target(const struct mount *m, const char *path, char *out, size_t len);
int path_to_program(const struct mount *m, const char *path, char *out, size_t len);

#endif
