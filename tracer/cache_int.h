/* What cache.c and cache_own.c share. All functions want the state lock. */
#ifndef TRACER_CACHE_INT_H
#define TRACER_CACHE_INT_H

#include <sys/queue.h>

#include "cache.h"

struct entry {
	struct entry *next;
	TAILQ_ENTRY(entry) used;
	TAILQ_ENTRY(entry) bytes_used; /* while there are bytes */
	const struct mount *mount;
	uint32_t hash;
	bool absent;
	bool vague; /* it is there, but has other attributes than ATTR: of a directory the names may be known still */
	uint8_t marks;
	uint64_t until; /* now_ns(): for how long it holds without a promise; 0: promised */
	uint64_t seq;	/* … and the change_seq that it holds in: none of ours may go unnoticed */
	rfs_Attr attr;
	uint8_t *bytes;
	size_t len;
	char path[];
};

/* The latest changes, so that an answer which was on its way meanwhile is not believed. */
struct change {
	const struct mount *mount;
	bool subtree;
	uint32_t dev_major, dev_minor;
	uint64_t ino; /* with no path */
	char *path;
};

/* What is known of PATH, or NULL. It holds until the next change of the cache. */
struct entry *cache_entry(const struct mount *m, const char *path);

/* Makes PATH's entry one with ATTR (NULL: absent) that holds until UNTIL (0: it is promised). */
void cache_set(const struct mount *m, const char *path, const rfs_Attr *attr, uint64_t until);

/* E is known no longer. */
void cache_discard(struct entry *e);

/* Takes E's bytes, which are the caller's to free then, or frees them; what its marks say of them goes with them. */
uint8_t *cache_take_bytes(struct entry *e);
void cache_drop_bytes(struct entry *e);

/* E, which has none, gets BYTES (malloc'ed), LEN of them; there may be no room for them. */
void cache_keep_bytes(struct entry *e, uint8_t *bytes, size_t len);

/* E's attributes have changed. True: it is a directory whose names are known still: these have words of their own. */
bool cache_blur(struct entry *e);

/* A new change in M, to be filled in. */
struct change *cache_record(const struct mount *m);

/* Whether PATH, which is what ATTR (NULL: not known) describes, has changed since the moment SINCE. */
bool cache_changed_since(const struct mount *m, const char *path, const rfs_Attr *attr, uint64_t since);

#endif
