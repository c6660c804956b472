/*
 * inotify instances of tracees that watch remote places. The instance is the kernel's and stays in the tracee; what
 * it watches is a carrier, and the agent tells what to do to it. All functions want the state lock held.
 */
#ifndef TRACER_WATCH_H
#define TRACER_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "remotefs.pb.h"

struct call;
struct mount;
struct place;

/*
 * Adds a watch for MASK (inotify_add_watch(2)) on the remote place P to the inotify instance that FD is in C's
 * task. The watch's number, or a negative errno.
 */
long watch_add(struct call *c, int fd, const struct place *p, uint32_t mask);

/* Removes watch WD from the instance FD. 0; CALL_CONTINUE when it is no watch of a remote place; a negative errno. */
long watch_remove(struct call *c, int fd, int wd);

/* Gives up the instances that no task has open any more. */
void watch_collect(void);

/* Whether any remote place is watched. */
bool watch_any(void);

/*
 * Whether a watch in M asks for IN_ACCESS or IN_CLOSE: then every read and every last close in M is to happen at the
 * agent, when it happens and as it is.
 */
bool watch_sees_use(const struct mount *m);

/*
 * Whether the last close of a file or DIRECTORY in M can be an event: IN_CLOSE, or the end of what was watched and
 * removed while it was open.
 */
bool watch_sees_close(const struct mount *m, bool directory);

/* M's agent has ended, and another one watches the same: nobody knows what happened meanwhile. */
void watch_missed(const struct mount *m);

/* What M's agent says has happened. */
void watch_receive(const struct mount *m, const rfs_Event *e);

#endif
