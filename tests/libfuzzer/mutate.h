/* Changes messages of the protocol field by field, and streams of frames message by message: what mutates bytes gets no further than the decoder. */
#ifndef LIBFUZZER_MUTATE_H
#define LIBFUZZER_MUTATE_H

#include <pb.h>
#include <stddef.h>
#include <stdint.h>

/* What byte strings and numbers are taken from, beside random ones: the target's own lists. */
struct mutate_words {
	const char *const *texts; /* ends with NULL */
	const uint64_t *numbers;
	size_t count;             /* of numbers */
};

/* A sequence of random numbers, the same for the same seed. */
struct mutate {
	uint64_t state;
	const struct mutate_words *words;
};

void mutate_seed(struct mutate *m, uint64_t seed, const struct mutate_words *words);

/* A number below N, which is not 0. */
size_t mutate_below(struct mutate *m, size_t n);

/* Makes MSG of FIELDS anew: a member of its oneof, if it has one, and each field of that with a chance of one half. */
void mutate_make(struct mutate *m, const pb_msgdesc_t *fields, void *msg);

/* Changes about CHANGES fields of MSG, at any depth; the member of a oneof stays the same most of the time. */
void mutate_change(struct mutate *m, const pb_msgdesc_t *fields, void *msg, unsigned changes);

/*
 * What the inputs of a target are, of which the target has the one: HEAD bytes and then frames of the kinds in KINDS (bits 1 << kind). Inputs
 * are changed by one or two of their frames; what is no frame at the end is dropped then. One of BYTES changes is libFuzzer's own, which knows
 * of bytes alone.
 */
struct mutate_input {
	struct mutate_words words;
	size_t head;
	unsigned kinds, bytes;
};

extern const struct mutate_input mutate_input;

#endif
