/* From a Where of the wire to a descriptor, never leaving the root. */
#ifndef AGENT_RESOLVE_H
#define AGENT_RESOLVE_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "agent.h"

struct handle;

/* <fcntl.h>'s __O_TMPFILE: O_TMPFILE has O_DIRECTORY in it. */
#define OPEN_UNNAMED (O_TMPFILE & ~O_DIRECTORY)

/* A Where, checked and held. Initialise with {0}; give back with place_put. */
struct place {
	struct agent *agent;
	struct handle *dir;         /* NULL: the root */
	char path[PATH_MAX];
};

/*
 * Takes OP's WHERE (PRESENT: the message had one) apart. 0, -EINVAL when it is missing, -ENOENT for an embedded
 * NUL, -ENAMETOOLONG, -EBADF for an unknown handle. After a failure place_put is harmless.
 */
int place_get(struct op *op, bool present, const rfs_Where *where, struct place *p);
void place_put(struct place *p);

/* The descriptor that an empty path names. */
int place_fd(const struct place *p);

/*
 * Opens P as openat2(2) does with FLAGS, MODE and RESOLVE (the client's bits; confinement is added). An
 * empty path reopens the handle. A descriptor with O_CLOEXEC, owned by the caller, or a negative errno;
 * -EROFS when FLAGS would change something under a read-only root; -EACCES for a process's memory (/proc/PID/mem).
 */
int resolve_open(const struct place *p, int flags, mode_t mode, uint64_t resolve);

/*
 * Opens the directory that holds the last component of P and points NAME at that component inside P,
 * with the slashes behind it: what mkdirat(2), unlinkat(2) and renameat2(2) look at. A descriptor or a
 * negative errno.
 */
int resolve_parent(struct place *p, const char **name);

/*
 * Where P is below the root, by its text: OUT (PATH_MAX bytes) is "/" or "/a/b". False when the text
 * does not tell: it has `..`, or its directory has been moved since the client was told its path.
 */
bool resolve_canonical(const struct place *p, char *out);

/*
 * The present path of FD below the root into OUT (PATH_MAX bytes). 0; -ENOENT when it is deleted or no longer
 * below the root; -ENAMETOOLONG.
 */
int resolve_path_of(const struct root *root, int fd, char *out);

/* The same, but what is deleted has its last path and " (deleted)" behind it, as the kernel writes it. */
int resolve_text_of(const struct root *root, int fd, char *out);

/*
 * The path below the root of what FD is into OUT (PATH_MAX bytes). FD may stand for anything on its file system, as what
 * a file handle opens does: it is only believed to be below the root when that path, walked there, ends at the same
 * file. 0, -ESTALE, or a negative errno.
 */
int resolve_below(const struct root *root, int fd, char *out);

/* Opens PATH below the root, following no symbolic link, as O_PATH. A descriptor or a negative errno. */
int resolve_exact(const struct root *root, const char *path, int flags);

/*
 * Where the program sees the tree (AT) and what that is below the root (SUB): links that it made with absolute texts
 * are followed in its view. False when one is no absolute path, or the memory for it is missing.
 */
bool resolve_set_view(struct root *root, const rfs_Hello_at_t *at, const rfs_Hello_sub_t *sub);

/* Whether openat2(2) works here; WANTED false forces the walk. */
void resolve_probe(struct root *root, bool wanted);

#endif
