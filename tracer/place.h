/* Where a path argument leads: local, or which place in which remote tree. Wants the state lock held. */
#ifndef TRACER_PLACE_H
#define TRACER_PLACE_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "remotefs.pb.h"

struct call;
struct mount;
struct ofd;

struct place {
	const struct mount *mount; /* NULL: local */
	struct ofd *dir;           /* the open remote directory that PATH is relative to (a reference), or NULL */
	bool self;                 /* PATH is empty and stands for DIR itself */
	bool link;                 /* not DIR or PATH is meant, but a link in /proc that leads to it */
	bool behalf;               /* local, but the kernel would not find it: LOCAL must be used instead; see behalf.h */
	char path[PATH_MAX];       /* to ask the agent for: relative to DIR, or absolute in the target's eyes */
	char key[PATH_MAX];        /* the same, absolute and normalised, for the cache; "" when it has no such name */
	/*
	 * With behalf: an absolute local path. In the lower layer of an overlay: where it is in the merged tree, if that is
	 * not what PATH says.
	 */
	char local[PATH_MAX];
};

/* How empty paths are taken. */
#define PLACE_EMPTY_OK 1 /* AT_EMPTY_PATH: they name DIRFD itself */
#define PLACE_NULL_OK 2  /* so does NULL (stat, statx) */
#define PLACE_SCOPED 4   /* openat2's RESOLVE_BENEATH, RESOLVE_IN_ROOT: nothing leads out of DIRFD */
#define PLACE_FOLLOW 8   /* a link in the last component is followed: /proc/self/fd/3 is descriptor 3 */
#define PLACE_LINK 16    /* readlink: such a link itself is wanted, if it leads to a remote file */
#define PLACE_NO_MAGIC 32 /* openat2 with RESOLVE_*: what it does to links in /proc, the kernel does by itself */
#define PLACE_BENEATH 64 /* openat2's RESOLVE_BENEATH: with PLACE_SCOPED */
#define PLACE_NO_LINKS 128 /* openat2's RESOLVE_NO_SYMLINKS */

#define PLACE_LAST 8192 /* as PLACE_FOLLOW, but for links in /proc that are more than their text */

/* What the call means to do there; none of these: it only looks. */
#define PLACE_CHANGE 256 /* what the path leads to is changed: its bytes, its attributes, another name for it */
#define PLACE_MAKE 512 /* the name is made */
#define PLACE_TAKE 1024 /* the name is taken away, or given to another file: unlink, rename */
#define PLACE_OPEN 2048 /* it is opened; with PLACE_MAKE (O_CREAT) it may be there … */
#define PLACE_EXCL 4096 /* … or not (O_EXCL) */

/*
 * Resolves the path at address ADDR of C's task relative to DIRFD (AT_FDCWD for the cwd). 0 with P filled
 * in (place_release it); a negative errno that the call must answer; CALL_CONTINUE when the kernel
 * should find the error itself (a bad dirfd).
 */
long place_resolve(struct call *c, int dirfd, uint64_t addr, int flags, struct place *p);

/* The same for PATH, a string of ours that C's task would give as an interpreter's or a socket's. */
long place_resolve_text(struct call *c, const char *path, int flags, struct place *p);

void place_release(struct place *p);
/* Declares P, released at the end of the block. Not an initialiser: that would clear three path buffers each time. */
#define PLACE_ON_STACK(p)                                              \
	struct place p __attribute__((cleanup(place_release))); \
	p.dir = NULL

/* The PLACE_ flags for a call's AT_ flags. */
int place_flags(int at_flags);

/* Makes LOCAL, an absolute path in PATH_MAX bytes, name task TID where the task means itself (/proc/self). */
void place_name_task(pid_t tid, char *local);

/* P as a message's Where. */
void place_where(const struct place *p, rfs_Where *where);

/* Whether a change of ours at P can be asked for as our own: its name is known, and no overlay makes one of two that are told of apart. */
bool place_owns(const struct place *p);

#endif
