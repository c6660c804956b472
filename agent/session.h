/*
 * What outlives a connection: which requests were read, which of them are in work, and the replies that the client may not
 * have read. All of it is one structure in shared memory, written so that it is true, or can be told to be unfinished, whenever the
 * process is killed: who takes over reads it.
 */
#ifndef AGENT_SESSION_H
#define AGENT_SESSION_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "doubt.h"
#include "remotefs.pb.h"

#define SESSION_NAME 16
#define SESSION_SECRET 32
#define SESSION_WORK 80	     /* requests in work: one for each thread that serves, and some to spare */
/*
 * Bytes of kept replies; a power of two. There is room for what is in work (SERVE_BUDGET) and nearly as much again that a transport has
 * under way; in memory are some MiB more than what is kept.
 */
#define SESSION_RING (64u << 20)

#define SESSION_LOST (2 * SESSION_WORK)

/* A request that was in work when its process was killed, until the client has sent it again and it is done. */
struct session_lost {
	atomic_uint_fast64_t number; /* that it had; 0: none is here */
	uint32_t id, op;
	struct doubt_note note;
};

/* A request in work. */
struct session_work {
	atomic_bool taken;	     /* by a thread */
	atomic_uint_fast64_t number; /* of the request, from 1; 0: none */
	uint32_t id;
	uint32_t op; /* rfs_Request.which_op */
	struct doubt_note note;
	struct session_lost *lost; /* what it was, if it was sent again; NULL: it was not */
};

struct session {
	atomic_bool begun; /* the client wants one; what is above `got` does not change any more */
	uint8_t name[SESSION_NAME], secret[SESSION_SECRET];
	uint32_t linger_ms;
	bool read_only;
	uint32_t at_len, sub_len;
	char at[4096], sub[4096]; /* of Hello */
	int listening;		  /* the socket where the client comes again */

	atomic_uint_fast64_t got; /* requests read */
	struct session_work work[SESSION_WORK];
	bool any_lost; /* perhaps; the reading thread's */
	struct session_lost lost[SESSION_LOST];

	/* Kept frames, oldest first: guarded by the stream's write lock. */
	uint32_t attempt;	   /* the client's number for this connection, guarded by who takes what comes */
	uint32_t stream;	   /* counts connections */
	uint64_t sent;		   /* frames written onto this one … */
	atomic_uint_fast64_t seen; /* … and of these read by the client */
	atomic_uint_fast64_t head; /* bytes ever put into the ring … */
	uint64_t tail;		   /* … and of these no longer kept */
	atomic_uint_fast64_t unkept; /* the last frame for which there was no room: who has not read it cannot go on with the session */
	_Alignas(4096) uint8_t ring[SESSION_RING];
};

/* A session that nobody has asked for, in shared memory; NULL: there is none to be had. */
struct session *session_new(void);

/* The client's Hello asked for one. */
void session_begin(struct session *s, const rfs_Hello *hello);

/* … and cannot have it. */
void session_end(struct session *s);

/* Whether NAME and SECRET are those of S; takes as long whatever they are. */
bool session_is(const struct session *s, const uint8_t *name, const uint8_t *secret);

/* A place for the calling thread's requests; NULL: all are taken. */
struct session_work *session_enter(struct session *s);
void session_leave(struct session_work *w);

/* Request ID, OP was read, wholly, which says SEEN; the reading thread only. W is the thread's that will work on it. */
void session_read(struct session *s, struct session_work *w, uint32_t id, uint32_t op, uint64_t seen);

/* What was noted of the request that W is, by a process that was killed doing it, or NULL. The reading thread only. */
const struct doubt_note *session_doubt(struct session *s, struct session_work *w);

/* For who takes over, before anything else: what was in work, and is not answered, is lost. */
void session_recover(struct session *s);

/* Calls FN with the descriptor of each lost request that opened one. */
void session_descriptors(const struct session *s, void (*fn)(void *arg, int fd), void *arg);

/* What W was is answered: it needs no place any more. Under the write lock. */
void session_done(struct session_work *w);

/*
 * Keeps a frame of COUNT parts, which is about to be written, until the client has seen it; nothing without a session. Under the
 * write lock, as all that follows.
 */
void session_keep(struct session *s, const struct iovec *iov, int count);

/* FRAMES are written that need not be kept. */
void session_count(struct session *s, unsigned int frames);

/* Whether frames that the client has not read are kept no more, if it has read SEEN of number STREAM. Any thread. */
bool session_lacks(const struct session *s, uint32_t stream, uint64_t seen);

/*
 * A new connection, on which nothing is written yet but, next, all that is kept: SEEN frames of number STREAM were read. What was
 * read of an older one than the last was said before. False: some that were not read are lost (session_lacks, for ever).
 */
bool session_renew(struct session *s, uint32_t stream, uint64_t seen);

/*
 * The kept frame at *AT (from s->tail on), at most LEN bytes of it, into BUF, and *AT behind it. Its length, 0 at the end of them.
 */
size_t session_next(const struct session *s, uint64_t *at, uint8_t *buf, size_t len);

/* What Resume is answered with. */
void session_report(const struct session *s, rfs_ResumeReply *reply);

#endif
