/*
 * Changes of open files that are sent behind: the program's call returns when its request is on its way, and the agent does
 * such requests in their order, before anything that was sent later. What goes wrong with one is kept for the open file, and
 * told by its next write, fsync or close; or, when nobody asks any more, by a line on standard error. All functions want the
 * state lock held.
 */
#ifndef TRACER_BEHIND_H
#define TRACER_BEHIND_H

#include <stdbool.h>
#include <stddef.h>

#include "call.h"
#include "remotefs.pb.h"

struct call;
struct mount;
struct ofd;

enum behind_mode {
	BEHIND_CLOSE, /* changes are sent behind; close waits for them */
	BEHIND_FSYNC, /* … and close does not */
	BEHIND_NEVER, /* every call waits for its reply */
};

/* Without it: BEHIND_CLOSE. To be called before there are threads. */
void behind_set_mode(enum behind_mode mode);

/*
 * Whether changes of O may be sent behind at all: O is emulated and open for writing, the agent knows how and will tell of
 * others' changes of the file, and nobody here has its bytes in another way (an image) or is to be told of it at once (a watch).
 */
bool behind_may(const struct ofd *o);

/*
 * Sends REQ, a change of O with LEN bytes of DATA, in the mode that behind_may allowed. MOVES: a write at O's position, which its
 * reply tells. Waits when too much is on its way. 0; or a negative errno, then nothing is: -EAGAIN when behind_may does not allow it
 * any more.
 */
int behind_send(struct call *c, struct ofd *o, const rfs_Request *req, const void *data, size_t len, bool moves);

/* What the agent said of an Open that was sent behind: R, or RC, a negative errno. O->node is NULL if nobody has O open any more. */
typedef void behind_made(struct ofd *o, const rfs_OpenReply *r, int rc);

/* Sends REQ, the Open of O, whose file is made so, behind as its first change; MADE is called with the reply. Does not wait. As behind_send. */
int behind_open(struct call *c, struct ofd *o, const rfs_Request *req, behind_made *made);

/* Whether changes of names of M may be sent behind, if the mode is LEAST or waits for less. */
bool behind_may_names(const struct mount *m, enum behind_mode least);

/* Waits until there is room for one more on M. */
void behind_room(struct call *c, const struct mount *m);

/* Sends REQ, an ordered one of which THEN is told, behind; the rest as call_start. LEN is at most LINK_SMALL. */
int behind_ask(struct call *c, const struct mount *m, const rfs_Request *req, const void *data, size_t len, call_then *then, void *arg);

/* Sends what is held on M, before anything else that is to be sent there. */
void behind_release(const struct mount *m);

/* Waits until O's position is known. */
void behind_settle_pos(struct call *c, struct ofd *o);

/*
 * What went wrong with a change of O, as a negative errno, 0 if nothing is known to have; it counts as told then, and so does
 * what was sent since, which is waited for.
 */
int behind_error(struct call *c, struct ofd *o);

/* As behind_error, for a close: waits first for all that was sent, if the mode says so. */
int behind_close(struct call *c, struct ofd *o);

/* O is being freed: what nobody asked for is told on standard error. */
void behind_gone(struct ofd *o);

/* The end of the run: waits for all replies, and tells what is left to be told. */
void behind_finish(void);

#endif
