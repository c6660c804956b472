/* Between reopen.c, which keeps what is open and held, and reopen_again.c, which has it restored. */
#ifndef TRACER_REOPEN_INT_H
#define TRACER_REOPEN_INT_H

#include <pthread.h>

#include "ranges.h"
#include "reopen.h"

/* One handle. A program may have tens of thousands: some 150 bytes each. */
struct opened {
	struct opened *next;
	uint64_t handle;
	uint64_t ino;
	uint32_t dev_major, dev_minor;
	uint32_t flags;
	int flock;           /* LOCK_SH, LOCK_EX; 0: none */
	int lost;            /* a positive errno; 0: it is there */
	bool told;           /* … reopen_lost has said so … */
	bool fresh;          /* … now */
	uint32_t coherent;   /* what the latest Reopen promised */
	bool started;        /* a channel of which the agent tells */
	bool closing;        /* its Close is on its way, or lost */
	bool pending;        /* a FIFO whose other end is waited for */
	uint16_t ticket_len; /* 0: nobody can open it again */
	uint8_t ticket[];
};

/* The record locks of one owner on one file; of owner 0, an open file, on one handle. */
struct held {
	struct held *next;
	uint64_t owner;
	uint64_t ino;
	uint32_t dev_major, dev_minor;
	struct ranges ranges;
	size_t count;
	uint64_t *handle; /* those by which they were asked for: they end with the last one */
};

/* A LockWait that goes on. */
struct waiting {
	struct waiting *next;
	struct reopen_note note;
};

/* A watch of a program's inotify instance. */
struct watched {
	uint64_t instance;
	int wd;
	uint32_t mask;
	uint16_t ticket_len;
	uint8_t ticket[];
};

struct reopen {
	pthread_mutex_t lock;
	size_t count, buckets;
	struct opened **bucket;
	struct held *held;
	struct waiting *waiting;
	struct watched **watched; /* by instance and number */
	size_t watches, watches_room;
	size_t watches_ended; /* at the latest agent */
};

/* All of these with the lock held. */

/* Where the pointer to HANDLE's is, or would be. */
struct opened **opened_at(struct reopen *r, uint64_t handle);

/* What *AT points to has the ticket BYTES from here on; it may be elsewhere afterwards. */
struct opened *opened_ticket(struct opened **at, const uint8_t *bytes, size_t size);

/* Where the pointer to OWNER's locks on the file that O is of is, or would be. */
struct held **held_at(struct reopen *r, const struct opened *o, uint64_t owner);

/* HANDLE is none of those any more by which locks are held; without any, locks end. */
void held_forget(struct reopen *r, uint64_t handle);

/* The wait TICKET is over: the lock is HAD, or not. */
void waiting_end(struct reopen *r, uint64_t ticket, bool had);

/* A Watch that NOTE is of was answered with REP; an Unwatch with NOTE was; the agent says that WD of INSTANCE has ended. */
void watched_set(struct reopen *r, const struct reopen_note *note, const rfs_WatchReply *rep);
void watched_end(struct reopen *r, uint64_t instance, int wd);

/* INSTANCE's WD, or NULL. */
const struct watched *watched_get(struct reopen *r, uint64_t instance, int wd);

#endif
