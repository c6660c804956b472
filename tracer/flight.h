/*
 * Reads of one file that are on their way together, so that all of them wait for the agent once. Whoever asks for many
 * pieces adds one after the other and takes them in that order. All functions want the state lock held.
 */
#ifndef TRACER_FLIGHT_H
#define TRACER_FLIGHT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct call;
struct mount;
struct flight_piece;

#define FLIGHT_PIECES 28 /* at most: the agent begins no request behind 32 MiB of answers */

/* Zeroed but for the first three at the beginning; flight_end at the end. */
struct flight {
	struct call *c; /* that waits; may be NULL */
	const struct mount *mount;
	uint64_t handle;
	struct flight_piece *piece[FLIGHT_PIECES];
	unsigned first, count;
	unsigned window;     /* how many pieces may be on their way; 0 before the first is asked for */
	uint64_t least_ns;   /* what a piece took at least */
};

static inline bool flight_is_full(const struct flight *f)
{
	return f->window && f->count >= f->window;
}

/* Asks for up to LEN (at most FRAME_MAX_PAYLOAD) bytes from OFF; F is not full. MARK is the caller's own. */
void flight_add(struct flight *f, uint64_t off, size_t len, uint64_t mark);

/* What was added first. */
struct flight_taken {
	uint64_t off, mark;
	size_t len;	  /* asked for */
	uint8_t *data;	  /* the caller's to free */
	long got;	  /* how many bytes: fewer only at the end of the file; or a negative errno */
};

/* Waits for the piece that was added first, and takes it out. F is not empty. */
void flight_take(struct flight *f, struct flight_taken *t);

/* What is still on its way is not waited for. */
void flight_end(struct flight *f);

#endif
