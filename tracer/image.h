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

struct call;
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

/*
 * Brings I to the LEN bytes DATA, which the agent has at OFF: changes what differs, except pages that tasks
 * have written and the agent has not got. 0 or -ENOSPC.
 */
int image_merge(struct image *i, const uint8_t *data, size_t len, uint64_t off);

/*
 * Sees to it that the image of O, an open file that can be read, has all of the file's bytes as of now.
 * Waits for the agent. 0 or a negative errno (-ENOSPC: no room), then with the image as it was.
 */
int image_fill(struct call *c, struct ofd *o);

/*
 * The same from a reply's LEN first bytes of the file, all of it when COMPLETE; unless what is known by the time that they could
 * be used is newer. DATA is the caller's.
 */
int image_fill_from(struct call *c, struct ofd *o, const void *data, size_t len, bool complete);

/* Fills through another handle on the file: O is open for writing only. */
int image_fill_by(struct call *c, struct ofd *o, uint64_t handle);

/*
 * *HANDLE is a second handle, which can be read, on the file O, which perhaps cannot. 0 or a negative errno; image_close_reader
 * gives it back.
 */
int image_open_reader(struct call *c, struct ofd *o, uint64_t *handle);
void image_close_reader(const struct ofd *o, uint64_t handle);

/*
 * Brings the image of N, which follows, to what the agent has in LEN bytes from OFF, which a call of ours has put there: also in pages
 * that tasks are storing into beside them. The caller has its sync_lock. 0 or a negative errno.
 */
int image_reread(struct call *c, struct node *n, uint64_t off, uint64_t len);

/* Says, once for each file, that its image could not be brought up to date, and gives it up. */
void image_lost(struct image *i);

#endif
