/* Between sync.c, which knows who writes natively and when to look, and bring.c, which knows the pages. */
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
	bool anywhere;    /* not all writers have only appended: what is before the end may have changed */
	bool whole;       /* look at all of it, not only at what was added */
	bool stored;      /* tasks have stored into it since it was brought, whatever that was: see bring_stamp */
	bool brought;     /* the flush under way has sent something */
	struct timespec stamp; /* … and no task has while this is the image's mtime */
	unsigned bringing; /* threads that bring what was told */
	int error;        /* of an earlier flush, not yet returned by a call */
	uint64_t due_ns;  /* when to look for stores next */
};

/* Takes I, which begins to be written natively, for what the agent has. 0 or a negative errno. */
int bring_snapshot(struct image *i);

/*
 * Brings what differs in LEN bytes from OFF (LEN UINT64_MAX: to the end) of O's image, which is locked, to the
 * agent through O. Without ALL a file that has grown is looked at from its former end only. 0 or a negative errno.
 */
int bring_changes(struct call *c, struct ofd *o, uint64_t off, uint64_t len, bool all);

/* Whether anybody waits for the end of a flush. */
bool sync_is_awaited(void);

#endif
