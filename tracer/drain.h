/*
 * What the kernel tells of placeholders by inotify: that descriptions were closed for good, and that tasks
 * wrote natively. All functions want the state lock held, but for drain_start.
 */
#ifndef TRACER_DRAIN_H
#define TRACER_DRAIN_H

struct call;
struct image;

/* Starts the thread that drains while no call does. 0 or a negative errno. */
int drain_start(void);

/* Asks to be told what matters of I as it is now; again when it was filled or is written. 0 or a negative errno. */
int drain_watch(struct image *i);

/* I is going. */
void drain_forget(struct image *i);

/*
 * Handles what was told so far: ofds whose last copy is gone are dropped, bytes written natively are
 * brought to the agents. Called before each remote call, so that what a task did natively comes first.
 * C may be NULL.
 */
void drain(struct call *c);

/* The same when no task is left: every ofd is looked at. */
void drain_all(void);

#endif
