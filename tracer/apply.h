/* An overlay's changes, made at the target. */
#ifndef TRACER_APPLY_H
#define TRACER_APPLY_H

#include <stdbool.h>
#include <stddef.h>

struct changes;
struct trees;

/*
 * Makes T's lower tree what the overlay shows. C is what changes_find found. A file is written under another name beside its
 * place and on the disk before it takes it; a directory that is moved waits in a place of its own, and what was done is written down there, so
 * that after a failure or a kill the same call goes on where it was. 0, or a negative errno with one clause in ERR.
 */
int apply_changes(const struct trees *t, const struct changes *c, char *err, size_t err_len);

/* Whether apply_changes was interrupted in this overlay. */
bool apply_begun(const struct trees *t);

/* When what was applied is no longer in the overlay: takes away what apply_changes has written down. 0 or a negative errno. */
int apply_done(const struct trees *t);

#endif
