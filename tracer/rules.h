/* Which paths are remote: the mounts of this run and what stays local in spite of them. */
#ifndef TRACER_RULES_H
#define TRACER_RULES_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct link;

/* One remote tree: everything at and below AT is the target's tree at and below SUB. */
struct mount {
	char *at;  /* absolute, normalised path in the program's eyes; "/" for --target */
	char *sub; /* absolute, normalised path in the target's eyes */
	char *tag; /* "dir:/srv" */
	struct link *link;
	bool writable;
	bool closing; /* the goodbye is being said: nothing is sent any more; under the state lock */
	/* Requests on their way, and when the last of them was answered or the first one sent (now_ns). */
	atomic_uint waiting;
	atomic_uint_fast64_t progress;
};

/* The name of M in the log; "local" for NULL. */
const char *mount_tag(const struct mount *m);

/* A request to M is on its way (BY 1) or was answered (BY -1). Any thread. */
void mount_waits(const struct mount *m, int by);

/* For how long, in ns, M's agent has answered nothing though it was asked; 0 when nothing is awaited. */
uint64_t mount_silence(const struct mount *m);

/* Adds a remote tree. AT and SUB are normalised copies; TAG is copied. The mount lives until the end. */
struct mount *rules_add_mount(const char *at, const char *sub, const char *tag);

/* All mounts, and their number in *COUNT. */
struct mount *const *rules_mounts(size_t *count);

/* For which programs a path is kept local. */
enum rules_for {
	FOR_ALL,
	FOR_LOCAL, /* those that are here: a loader and its libraries; a remote program has its own there */
};

/* Makes PATH (absolute, normalised) and everything below it local FOR some programs, whatever mount covers it. */
void rules_keep_local(const char *path, enum rules_for programs);

/* The remote tree that PATH (absolute, normalised) lies in for a program that is here, or REMOTE; NULL: it is local. */
const struct mount *rules_find(const char *path, bool remote);

/*
 * Normalises PATH lexically into OUT (LEN bytes): one slash between names, no ".", each ".." takes the
 * name before it along, no slash at the end. PATH must be absolute. 0 or -ENAMETOOLONG.
 */
int path_normalise(const char *path, char *out, size_t len);

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
