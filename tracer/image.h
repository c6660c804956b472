/*
 * The image of a remote regular file: the one unnamed tmpfs file that all placeholders of the file are
 * descriptions of, so that the kernel itself keeps what is read, written and mapped through any of them in
 * step. It may hold the file's bytes (then it follows every change) or only have its size. A directory or
 * FIFO has an image for each description. All functions want the state lock held.
 */
#ifndef TRACER_IMAGE_H
#define TRACER_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct node;
struct ofd;
struct sync;

struct image {
	struct image *next_by_key; /* hash chain */
	struct node *node;         /* whose bytes it has; NULL for others */
	struct ofd *sole;          /* the only description of a directory's or FIFO's; NULL for a file */
	uint64_t key;              /* see placeholder.h */
	int fd;                    /* our own description; -1 for others */
	int wd;                    /* its inotify watch */
	bool filled;               /* it has all of the file's bytes and follows changes … */
	bool filling;              /* … or is about to: changes must reach it already */
	bool fresh;                /* nothing was ever written in it: all holes */
	bool stale;                /* the agent told of a change that it does not have yet */
	bool busy;                 /* sync_lock */
	bool bypass_told;          /* that it was used natively where it should not */
	uint64_t closed_ns;        /* when a description was closed last, now_ns(); 0: all that are known are open */
	uint64_t probed_ns;        /* when placeholder_probe looked last */
	struct sync *sync;         /* while tasks write it natively: see sync.h */
};

/* True when changes of the file must be made in I (which may be NULL) as well. */
bool image_follows(const struct image *i);

/* LEN bytes at OFF were written to the file, or its size is now SIZE: I follows. 0 or -ENOSPC. */
int image_write(struct image *i, const void *data, size_t len, uint64_t off);
int image_resize(struct image *i, uint64_t size);

/* I has at least SIZE bytes from here on; what tasks make it longer by meanwhile stays. 0 or -ENOSPC. */
int image_grow(struct image *i, uint64_t size);

/*
 * Brings I to the LEN bytes DATA, which the agent has at OFF: changes what differs, except pages that tasks
 * have written and the agent has not got. 0 or -ENOSPC.
 */
int image_merge(struct image *i, const uint8_t *data, size_t len, uint64_t off);

/* Says, once for each file, that its image could not be brought up to date, and gives it up. */
void image_lost(struct image *i);

#endif
