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

/* Puts the N bytes of NAME behind DIR (normalised, or ""), in place. 0 or -ENAMETOOLONG. */
int path_append(char dir[PATH_MAX], const char *name, size_t n);

/*
 * OUT is DIR (normalised, or "") plus the names in the LEN bytes at NAMES, however many slashes are between them. 0, or
 * -ENAMETOOLONG, also for a name that no file system takes.
 */
int path_add_names(const char *dir, const char *names, size_t len, char out[PATH_MAX]);

/* How many of the LEN bytes at NAMES are left without the last name, and the slashes before that. */
size_t path_but_last(const char *names, size_t len);

/* How many bytes of NAMES come before one that is "." or "..", or the end; slashes at the end not among them. */
size_t path_plain_names(const char *names);

/* True when PATH is DIR or lies below it; both normalised. */
bool path_within(const char *path, const char *dir);

/*
 * Translates between the program's and the target's view of one mount. 0, -ENAMETOOLONG, or -ENOENT when
 * PATH does not lie within AT (SUB).
 */
int path_to_target(const struct mount *m, const char *path, char *out, size_t len);
int path_to_program(const struct mount *m, const char *path, char *out, size_t len);

#endif
