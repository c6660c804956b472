/* What several families of handlers need of a remote object. All want the state lock held. */
#ifndef SYSCALLS_REMOTE_H
#define SYSCALLS_REMOTE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "ofd.h"

struct call;
struct place;

/* Small files come whole with the open: this much at once, this much at most. */
#define PREFETCH_SIZE (128u << 10)
#define NATIVE_MAX (1u << 20)

/* Opens the place P at the agent and installs it in C's task. The descriptor, or a negative errno. */
long remote_open(struct call *c, struct place *p, int flags, unsigned mode, uint64_t resolve);

/* What an open(2) with FLAGS and an openat2(2)'s RESOLVE means to do with its path: PLACE_ flags. */
int remote_open_intent(int flags, uint64_t resolve);

/* What P is, by the cache or the agent; NOFOLLOW: its last name may be a link. 0 or a negative errno. */
int remote_place_attr(struct call *c, const struct place *p, bool nofollow, rfs_Attr *attr);

/*
 * Opens the place P for us: *OUT is its ofd (no reference is taken: its placeholder has one) and the
 * result a descriptor of the placeholder, to be installed or closed. A negative errno.
 */
int remote_open_own(struct call *c, struct place *p, int flags, struct ofd **out);

/* Closes O at the agent now, and waits for that: its last descriptor is being closed. */
void remote_release(struct call *c, struct ofd *o);

/* O's attributes as the target has them now. 0 or a negative errno. */
int remote_attr(struct call *c, struct ofd *o, rfs_Attr *attr);

/* The same of its size, which may be known where not all of them are. */
int remote_size(struct call *c, struct ofd *o, uint64_t *size);

/*
 * Points *DATA at up to *LEN bytes of O's file from OFF and sets *LEN to how many there are: 0 at its
 * end. The bytes are good until the next remote call. 0 or a negative errno.
 */
int remote_data(struct call *c, struct ofd *o, uint64_t off, const uint8_t **data, size_t *len);

/* Whether a read of O at OFF needs to ask nobody. */
bool remote_has_data(struct ofd *o, uint64_t off);

/*
 * Writes LEN (up to FRAME_MAX_PAYLOAD) bytes at OFF, or at the end with APPEND, to the agent alone. How many
 * were written; *END is the offset behind them. Negative errno.
 */
long remote_store(struct call *c, struct ofd *o, const void *data, size_t len, uint64_t off, bool append,
		  uint32_t flags, uint64_t *end);

/*
 * Writes LEN (up to FRAME_MAX_PAYLOAD) bytes at OFF, or at the end with APPEND, and brings the
 * file's image up to date. The rest as remote_store.
 */
long remote_write(struct call *c, struct ofd *o, const void *data, size_t len, uint64_t off, bool append,
		  uint32_t flags, uint64_t *end);

/*
 * LEN bytes at OFF of O's file were changed at the target by a call of ours; ATTR is what it was then, NULL when
 * unknown, and SINCE the node's version when it was asked for. An image with the file's bytes follows: the caller has its sync_lock. For one
 * without, sync_follow_size comes after.
 */
void remote_changed(struct call *c, struct ofd *o, uint64_t since, uint64_t off, uint64_t len,
		    const rfs_Attr *attr);

/* The path of O in the target's eyes, now. 0 or a negative errno (-ENOENT: removed). */
int remote_path(struct call *c, struct ofd *o, char *out, size_t len);

/* What the link to O in /proc/PID/fd reads: its path in the program's eyes, perhaps " (deleted)". 0 or a negative errno. */
int remote_link_text(struct call *c, struct ofd *o, char *out, size_t len);
/* Whether the limits of C's task let it make O's file SIZE bytes long. 0, or -EFBIG and a SIGXFSZ for the task. */
int remote_check_size(struct call *c, struct ofd *o, uint64_t size);

/* ATTR's file was truncated on M, by a call that still has sync_hold and was made at SINCE, node_clock(): its image follows. */
void remote_resized(const struct mount *m, const rfs_Attr *attr, uint64_t since);

#endif
