/*
 * How the image of a remote file gets the file's bytes from the agent: all of them before they are used natively, and again
 * what has changed. All functions want the state lock held, and wait for the agent without it.
 */
#ifndef TRACER_IMAGE_FILL_H
#define TRACER_IMAGE_FILL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct call;
struct node;
struct ofd;

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

/* The same through a second handle: O is open for writing only. */
int image_fill_unreadable(struct call *c, struct ofd *o);

/*
 * Brings the image of N, which follows, to what the agent has in LEN bytes from OFF, which a call of ours has put there: also in pages
 * that tasks are storing into beside them. The caller has its sync_lock. 0 or a negative errno.
 */
int image_reread(struct call *c, struct node *n, uint64_t off, uint64_t len);

#endif
