/*
 * Channels: handles whose bytes flow, of FIFOs, devices and sockets. No request waits for one; the client is told
 * (Ready) when poll(2) says something new of it.
 */
#ifndef AGENT_CHANNEL_H
#define AGENT_CHANNEL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "remotefs.pb.h"

struct channels;
struct handle;
struct handles;

/* The channels of HANDLES; NULL for want of memory. */
struct channels *channels_new(struct handles *handles);

/*
 * Starts the thread that hands Ready pushes to SEND. SEND may be called on any thread that runs a handler, too,
 * and never twice at once. 0 or a negative errno.
 */
int channels_start(struct channels *cs, void (*send)(void *arg, const rfs_Ready *r), void *arg);

/* Makes H, whose fd, flags and type are set, a channel. PENDING: its other end is to be waited for. 0 or -ENOMEM. */
int channel_make(struct handle *h, bool pending);

/*
 * Opens the FIFO or character device that PATH_FD (O_PATH) is with FLAGS: for writing too under a read-only root,
 * as on a read-only mount, for nothing of the file system changes by that. A descriptor; -ENXIO for what is no channel.
 */
int channel_open(int path_fd, int flags);

/* Whether a device of this number is served: null, zero, full, random, urandom. */
bool channel_serves(mode_t type, dev_t rdev);

/* What the journal (keep.h) tells of H as a channel: bits. */
unsigned int channel_kept(const struct handle *h);

/* Frees what channel_make made: H is closed. */
void channel_free(struct handle *h);

/* Ends the wait for H's other end, if it is not over. 0, or -EINTR: it was ended. */
int channel_give_up(struct channels *cs, struct handle *h);

/* H is being closed: an open that still waits is given up, and nobody is told of it any more. */
void channel_cancel(struct channels *cs, struct handle *h);

/*
 * Pushes what has changed so far, so that a client that reads in order knows it before the reply that follows; also of
 * those who share the FIFO that H is, if H is not NULL. With REPLY, puts into it what poll(2) says of H now.
 */
void channel_settle(struct channels *cs, struct handle *h, rfs_ChannelReply *reply);

/* Other ends that have come, of which the journal does not know: for who took over, before what is not in it is closed. */
void channels_find_ends(struct handles *t);

/*
 * Goes on with what the journal says was begun, waits for an other end among it; the client is told what is ready there now, as
 * it may have missed what it was told last. For who took over, after channels_start.
 */
void channels_restore(struct channels *cs);

/* Begins to watch H, or to wait for the other end of it, which with AGAIN may have been begun already. 0 or a negative errno. */
int channel_start(struct channels *cs, struct handle *h, rfs_ChannelReply *reply, bool again);

#endif
