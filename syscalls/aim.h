/* What a call about a file is aimed at, and asking for a change of that. All want the state lock held. */
#ifndef SYSCALLS_AIM_H
#define SYSCALLS_AIM_H

#include <stddef.h>
#include <stdint.h>

#include "place.h"

/* What the call means to do, among AT_ flags: AIM_CHANGE what it aims at, AIM_MAKE the name. None: it only looks. */
#define AIM_CHANGE (1 << 30)
#define AIM_MAKE (1 << 29)

/*
 * The path at address PATH, relative to DIRFD, with AT_ and AIM_ FLAGS: 0 with P filled in, a local place that only we
 * find (P->behalf) or a remote one, or a negative errno. CALL_CONTINUE: it is the kernel's.
 */
long aim_path(struct call *c, int dirfd, uint64_t path, int flags, struct place *p);

/* Descriptor FD itself, with AIM_ FLAGS: 0 with P filled in, -EBADF for an O_PATH descriptor. CALL_CONTINUE: it is the kernel's. */
long aim_fd(struct call *c, int fd, int flags, struct place *p);

/* aim_path, for calls that take AT_EMPTY_PATH, and NULL with it, for a descriptor's own file and no O_PATH descriptor then. */
long aim_path_or_fd(struct call *c, int dirfd, uint64_t path, int flags, struct place *p);

/*
 * Asks for a change of P's file, LEN bytes of PAYLOAD with it, and forgets what was known of it. 0 or a negative
 * errno.
 */
long aim_change(struct call *c, const struct place *p, const rfs_Request *req, const void *payload, size_t len);

/*
 * Whether P, a remote place, is there: 0, or the errno of looking it up. NOFOLLOW: a link in its last component counts.
 * *NLINK gets the number of its names, unless it is NULL.
 */
long aim_look(struct call *c, const struct place *p, bool nofollow, uint64_t *nlink);

/* What R, the result of a call of our own on behalf of the task, is for the task: R, or -errno. */
long aim_done(long r);

/* Whether M's agent reaches what is in a directory of ATTR. */
bool aim_reaches(const struct mount *m, const rfs_Attr *attr);

#endif
