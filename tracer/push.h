/*
 * What agents tell unasked: names and files that changed. Caches forget them, and placeholders that hold
 * a changed file's bytes are brought up to date by a thread of their own.
 */
#ifndef TRACER_PUSH_H
#define TRACER_PUSH_H

#include <stdbool.h>
#include <stdint.h>

#include "link.h"

struct mount;
struct node;

/* Starts a refresh thread. 0 or a negative errno. */
int push_start(void);

/* The link's push callback; ARG is the struct mount. Takes the state lock. */
void push_receive(struct link *l, const rfs_Push *push, void *arg);

/*
 * True when HANDLE of M changed between its open at the agent and the moment its ofd was made. Wants the
 * state lock.
 */
bool push_missed(const struct mount *m, uint64_t handle);

/* Whatever was known of names in M may be otherwise now. Wants the state lock. */
void push_all_stale(const struct mount *m);

/* N's image must be read again. Wants the state lock. */
void push_refresh(struct node *n);

/* N's file changed at the target. Wants the state lock. */
void push_stale(struct node *n);

#endif
