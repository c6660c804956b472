/*
 * The supervisor's side of an agent's channel: a FIFO, a device or a socket at the target. All functions want the state
 * lock held; those that ask the agent release it while they wait.
 */
#ifndef TRACER_CHANNEL_H
#define TRACER_CHANNEL_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "remotefs.pb.h"

struct call;
struct mount;
struct link_reply;
struct ofd;

struct channel {
	struct channel *next;
	const struct mount *mount;
	uint64_t handle;
	int refs;
	bool pending;    /* a FIFO's other end is not open yet */
	int error;       /* with which the wait for it ended, negative */
	uint32_t ready;  /* poll(2)'s bits at the target … */
	uint64_t serial; /* … which are as new as this */
	pthread_cond_t news[2]; /* for those who want to read, and to write */
	/* Called when READY has changed. */
	void (*changed)(struct channel *ch, void *arg);
	void *arg;
};

/* The channel of HANDLE on M, known to channel_push from now on; with one reference. */
struct channel *channel_new(const struct mount *m, uint64_t handle);

/* Whether there are any: what is done to one shows in others. */
bool channel_any(void);

/* The last reference frees it; the handle is the caller's to close. */
void channel_unref(struct channel *ch);

/* The agent tells of a channel of M. */
void channel_push(const struct mount *m, const rfs_Ready *r);

/* Another agent has M's channels from here on: what it says of HANDLE is newer than all before. LOST: that there is none any more. */
void channel_renew(const struct mount *m, uint64_t handle, int lost);

/*
 * Has the agent tell of CH, and waits until a FIFO's other end is open. 0, the target's errno, or -ERESTARTSYS when a
 * signal came first.
 */
int channel_start(struct call *c, struct channel *ch);

/*
 * Takes up to SIZE bytes, or one message, that are there now: how many, 0 at the end, or a negative errno (-EAGAIN:
 * nothing now). The bytes are REP's payload, which the caller frees after success. OFFSET of a device, or -1.
 */
long channel_receive(struct call *c, struct channel *ch, size_t size, int64_t offset, struct link_reply *rep);

/*
 * The same of the FIFO O, where what was put back comes first. OFFSET is a device's.
 */
long ofd_take(struct call *c, struct ofd *o, size_t size, int64_t offset, struct link_reply *rep);

/* LEN bytes that were taken from the FIFO O and that its reader has left are for the next one. */
void ofd_put_back(struct ofd *o, const void *data, size_t len);

/* Hands over what there is room for of LEN bytes: how many, or a negative errno. */
long channel_send(struct call *c, struct channel *ch, const void *data, size_t len, int64_t offset);

/* The same for a FIFO, as splice(2) does it with the pages of a file that has DATA at OFFSET. */
long channel_splice(struct call *c, struct channel *ch, const void *data, size_t len, int64_t offset);

/* Does WHAT (rfs_Controls) with VALUE: its result or a negative errno. */
long channel_control(struct call *c, struct channel *ch, uint32_t what, int64_t value);

/* accept(2) of the listener CH: the connection is HANDLE from now on. 0 or a negative errno. */
int channel_accept(struct channel *ch, uint64_t handle);

/*
 * Waits until one of EVENTS is ready, for MS milliseconds at most (-1: for ever). 0; -ETIMEDOUT; -ERESTARTSYS when C (if
 * there is one) is interrupted; -EIO when the target is being left.
 */
int channel_wait(struct call *c, struct channel *ch, uint32_t events, int ms);

#endif
