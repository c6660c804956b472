/* Between sync.c, which knows who writes natively and when to look, synced.c, which knows the pages, and bring.c, which sends them. */
#ifndef TRACER_SYNC_INT_H
#define TRACER_SYNC_INT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "sync.h"

struct sync {
	uint64_t *pages;  /* digest of each page that the agent has */
	size_t page_count;
	uint64_t size;    /* the file's size, as the agent has it */
	int writers;      /* ofds that write natively or are mapped … */
	int mapped;       /* … and those of them whose stores nobody tells of */
	bool dirty, closed;
	uint64_t ahead;   /* from here to the end of the file the flush under way has not looked yet and will; UINT64_MAX: nowhere */
	uint64_t unseen;  /* up to here nobody has looked since the last close, or UINT64_MAX */
	bool anywhere;    /* not all writers have only appended: what is before the end may have changed */
	bool whole;       /* look at all of it, not only at what was added */
	bool stored;      /* tasks have stored into it since it was brought, whatever that was: see bring_stamp */
	bool brought;     /* the flush under way has sent something */
	struct timespec stamp; /* … and no task has while this is the image's mtime */
	unsigned bringing; /* threads that bring what was told */
	bool told;        /* that bytes were lost, since sync_part */
	int error;        /* of an earlier flush, not yet returned by a call */
	uint64_t due_ns;  /* when to look for stores next */
};

/* Takes I, which begins to be written natively, for what the agent has. 0 or a negative errno. */
int synced_begin(struct image *i);

#define NO_DIGEST 2 /* no page has this one */

/* The digest of the page at OFF as the agent has it; it has one of DIGEST from now on. */
uint64_t synced_digest(const struct sync *s, uint64_t off);
void synced_set(struct sync *s, uint64_t off, uint64_t digest);

/* The page at OFF of I as it is, padded with zeros. */
void synced_read(const struct image *i, uint8_t *page, uint64_t off);

/* True when tasks have stored into I since this was asked last. */
bool synced_take_stored(struct image *i);

/* Where a flush looks for what has changed: */
enum bring_where {
	BRING_GROWN,  /* where the file has grown, if it has */
	BRING_CLOSED, /* everywhere but where was looked since the last close */
	BRING_ALL,
};

/*
 * Brings what differs in LEN bytes from OFF (LEN UINT64_MAX: to the end) of O's image, which is locked, to the
 * agent through O. 0 or a negative errno.
 */
int bring_changes(struct call *c, struct ofd *o, uint64_t off, uint64_t len, enum bring_where where);

/* Whether sync_part was called; and waits for the answers to what was only sent since. */
bool bring_parts(void);
void bring_land(void);

/* A flush of I that was not waited for has failed with ERROR, or not (0). */
void sync_failed(struct image *i, int error);

/* Whether anybody waits for the end of a flush; and that somebody does from now on. */
bool sync_is_awaited(void);
void bring_hurry(void);

#endif
