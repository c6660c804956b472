/*
 * What is known of a remote file's content: chunks of it, those that are on their way among them, and where it ends. All
 * files' chunks together keep to one size; those that were not used for longest go first. All functions want the state
 * lock held, and none waits.
 */
#ifndef TRACER_PAGES_H
#define TRACER_PAGES_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

struct pages;

/* How many bytes of all files are kept, unless said otherwise. */
#define PAGES_LIMIT (256u << 20)

/* Some of a file's bytes. Whoever has a reference (pages_expect, chunk_ref) may look at it, known still or not. */
struct chunk {
	TAILQ_ENTRY(chunk) by_use;
	struct pages *of; /* NULL: it is not among the known ones any more */
	unsigned refs;
	uint64_t off;
	size_t size;	  /* how many bytes there are, or are to come */
	size_t asked;	  /* how many were asked for; SIZE of them are kept */
	uint8_t *data;	  /* NULL before they are there, or when there are none */
	bool pending;	  /* they are not there yet … */
	bool stale;	  /* the file has changed since it was asked for */
	int rc;		  /* why they did not come */
	uint64_t handle;  /* through which it was asked for */
	uint64_t asked_ns, took_ns; /* when, and until they came */
	pthread_cond_t arrived; /* … until this */
};

struct pages {
	struct chunk **at; /* by offset, none overlaps another */
	size_t count, room;
	size_t hint; /* what was looked for last */
	size_t coming; /* bytes of those pending */
	struct chunk *held;
	uint64_t end;
	bool end_known; /* the file ends at END */
	unsigned drops; /* pages_drop_all */
};

/* How many bytes all files' chunks may have. */
void pages_set_limit(size_t bytes);
size_t pages_limit(void);

/* BYTES of them are in use by others. */
void pages_count_elsewhere(size_t bytes);

/* Up to *LEN bytes from OFF, *LEN set to how many; NULL when none are there. Good until the lock is released. */
const uint8_t *pages_find(struct pages *p, uint64_t off, size_t *len);

/* Whether the file is known to end at or before OFF. */
bool pages_at_end(const struct pages *p, uint64_t off);

/* The chunk on its way that has OFF, or NULL. No reference is taken. */
struct chunk *pages_coming(struct pages *p, uint64_t off);

/* The first offset from OFF on of which nothing is known or on its way. */
uint64_t pages_skip(struct pages *p, uint64_t off);

/*
 * SIZE bytes from OFF are asked for; fewer where others behind them are known. The chunk, with a reference for
 * pages_arrived; NULL when OFF is known or on its way already.
 */
struct chunk *pages_expect(struct pages *p, uint64_t off, size_t size);

/* The same for bytes that no other reader is to find: P takes no notice of them. */
struct chunk *pages_expect_alone(uint64_t off, size_t size);

/*
 * LEN bytes DATA came for K, whose reference this takes, or RC (negative errno) and none. DATA, malloc'd, is taken in
 * any case. Fewer than asked for: the file ends there. Wakes who waits for K.
 */
void pages_arrived(struct chunk *k, uint8_t *data, size_t len, int rc);

/* LEN bytes DATA, which is taken, are the file's from OFF on, as it is now. */
void pages_put(struct pages *p, uint64_t off, uint8_t *data, size_t len);

/* The file ends at END. */
void pages_set_end(struct pages *p, uint64_t end);

/* LEN bytes from OFF were changed: what is known of them, or on its way, is not to be believed. The end may be another. */
void pages_drop(struct pages *p, uint64_t off, uint64_t len);

/* The same for all of the file. */
void pages_drop_all(struct pages *p);

/* K, a reference to which is taken, stays there until the next pages_hold of P: its bytes are being used. */
void pages_hold(struct pages *p, struct chunk *k);

/* Frees all that P has; of what is on its way nobody knows any more. */
void pages_free(struct pages *p);

struct chunk *chunk_ref(struct chunk *k);
void chunk_unref(struct chunk *k);

#endif
