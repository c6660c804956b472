/*
 * What must be known of the open files, locks, waits and inotify instances for another process that has the same descriptors to
 * go on with them: a journal in memory that is shared with the keeper (keeper.h). Every slot is filled in first and then
 * published, and taken back before what it tells of ends: whenever the agent is killed, what is published is so, and a descriptor
 * that no slot names is nobody's. Without a keeper nothing is kept, and every call does nothing.
 */
#ifndef AGENT_KEEP_H
#define AGENT_KEEP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KEEP_OWNER_HANDLES 64

enum keep_kind { KEEP_HANDLE, KEEP_OWNER, KEEP_WAIT, KEEP_INSTANCE, KEEP_KINDS };

struct keep_slot {
	atomic_bool live;
	uint32_t next; /* of the free ones, guarded by the journal's lock */
};

/* Bits of a handle. */
#define KEEP_LOCKED 1u     /* a lock was asked for through it */
#define KEEP_OWN_LOCKS 2u  /* … for its own description */
#define KEEP_CHANNEL 4u
#define KEEP_PENDING 8u    /* its other end is to be waited for */
#define KEEP_STARTED 16u   /* … or is, or the client is told what is ready there */
#define KEEP_PROMISED 32u  /* the client is told of changes of the file */

struct keep_handle {
	struct keep_slot slot;
	uint64_t number, dev, ino;
	uint64_t path; /* a digest of it, for directories; 0: none */
	int32_t fd, flags;
	uint32_t type;
	atomic_uint bits;
};

struct keep_owner {
	struct keep_slot slot;
	uint64_t owner, dev, ino;
	uint64_t lender; /* the handle whose descriptor it is, or 0 */
	int32_t fd, mode;
	atomic_uint handles;
	atomic_uint_fast64_t handle[KEEP_OWNER_HANDLES];
};

struct keep_wait {
	struct keep_slot slot;
	uint64_t ticket, handle, owner; /* owner 0: the handle's own */
	bool whole;
	int32_t type, operation;
	uint64_t start, length;
	atomic_bool over; /* ERROR says how; all that is left to do is to tell */
	int32_t error;
};

struct keep_instance {
	struct keep_slot slot;
	uint64_t number;
	int32_t fd;
	atomic_bool taking; /* events were taken from the kernel that may not have been told */
};

/* What there is only one of. */
struct keep_one {
	atomic_int inotify;             /* that of the watcher, plus 1 */
	atomic_uint_fast64_t ready;     /* the last Ready's serial */
};

/* Makes the journal. 0 or -ENOMEM. */
int keep_begin(void);

/* There is no keeper: nothing is kept from here on. Before anything is. */
void keep_give_up(void);

/* Whether there is one. */
bool keep_on(void);

/* What there is only one of: of the journal, or of nobody's if there is none. Never NULL. */
struct keep_one *keep_one(void);

/* Publishes WHAT, a struct keep_KIND whose slot is ignored, and returns its slot. NULL: no journal, or no room. */
void *keep_put(enum keep_kind kind, const void *what);

/* What SLOT tells is so no longer; it stays the caller's until keep_drop. NULL is nothing. */
void keep_end(void *slot);

/* Gives SLOT back, ended or not. NULL is nothing. */
void keep_drop(enum keep_kind kind, void *slot);

/* The published slot behind AFTER (NULL: the first one), or NULL. Slots that are given back meanwhile do no harm. */
void *keep_next(enum keep_kind kind, void *after);

/* For who goes on after a death: slots that were not finished, or had ended, are free again. */
void keep_mend(void);

/* Sets or clears BIT of H, which may be NULL. */
void keep_bit(struct keep_handle *h, unsigned int bit, bool on);

/* A digest of PATH, never 0; 0 for NULL. */
uint64_t keep_digest(const char *path);

#endif
