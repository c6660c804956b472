/*
 * POSIX record locks of the tracees. The target keeps them, for owners that are numbers; what is known here is
 * what only we can know: which task stands behind an owner, when the kernel would have given its locks free
 * (any descriptor of the file closed, the process dead), and who waits for whom. All want the state lock held.
 */
#ifndef TRACER_LOCKS_H
#define TRACER_LOCKS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "ofd.h"

/* A lock that a call asks for. */
struct lock_want {
	uint64_t owner;    /* whose: see locks_owner, locks_file_owner; 0: nobody's that can be told */
	short type;
	uint64_t from, to; /* both within */
};

/* The owner that TID's record locks have. */
uint64_t locks_owner(pid_t tid);

/* The owner that O has as an open file (F_OFD_SETLK). */
uint64_t locks_file_owner(const struct ofd *o);

/* Whether OWNER is an open file, and no process. */
bool locks_is_file(uint64_t owner);

/* Owner W->owner, process PID, has at the target what W says, of O's file, and asked through FD. F_UNLCK takes away. */
void locks_set(struct ofd *o, const struct lock_want *w, pid_t tid, pid_t pid, int fd);

/*
 * Of which process the lock TYPE on exactly FROM…TO of N is that stands in the way of OWNER: the first of them, as
 * the kernel has it. -1: of an open file; 0: of none known.
 */
pid_t locks_holder(const struct node *n, uint64_t owner, short type, uint64_t from, uint64_t to);

/* Whether waiting for W on N would be for ever: whoever holds it waits, in the end, for W's owner. */
bool locks_deadlock(const struct node *n, const struct lock_want *w);

/* ---- the ends of locks ---- */

/* Whether TID's process has record locks of O's file. */
bool locks_held(pid_t tid, const struct ofd *o);

/* TID closes a descriptor of O. */
void locks_closing(pid_t tid, const struct ofd *o);

/* TID is about to close its descriptors FIRST to LAST, those of them that are ours. */
void locks_closing_range(pid_t tid, unsigned first, unsigned last);

/*
 * Gives free what the tracees have closed, or died with, without our seeing it. Of N; of every file for
 * NULL. Costs a readlink for each owner.
 */
void locks_verify(const struct node *n);

/* A task has gone, or has closed what its exec closes: has locks_verify done. Any thread, without the state lock. */
void locks_check_soon(void);

/* TID is about to close descriptors, nobody knows which (exec): locks_verify will find what that ended. */
void locks_note_all(pid_t tid);

/* TID may be about to get a descriptor table of its own. */
void locks_unshare(pid_t tid);

/* O's last descriptor is closed; its handle is not yet. */
void locks_ofd_gone(const struct ofd *o);

/* Around a call that may lock through O, which it refers to meanwhile. */
void locks_begin(struct ofd *o);
void locks_end(struct ofd *o);

/*
 * O's last descriptor is closed, or a call that locked through it has ended since: what it has locked as an open file is free, though O
 * and its handle are still of use, to our own work (a file is brought up to date) or as somebody's cwd.
 */
void locks_leave(struct ofd *o);

/* TID got FD, of O, in the range that is not trapped. */
void locks_opened(pid_t tid, const struct ofd *o, int fd);

/* ---- waits ---- */

struct lock_waiter {
	struct lock_waiter *next;
	const struct node *node;
	const struct mount *mount;
	const struct call *call;
	struct lock_want want;
	uint64_t ticket;
	bool done; /* the agent's LockEnd came, with … */
	int error; /* … this, positive; 0: it is held */
	bool hurry; /* somebody waits for it to look at its call */
	pthread_cond_t cond;
};

/* Makes W, of which the caller set node, mount, call and want, known under a new ticket; and unknown. */
void locks_wait_begin(struct lock_waiter *w);
void locks_wait_end(struct lock_waiter *w);

/* Waits up to NS for the end of W; then the caller looks whether its call still waits. The lead must have been given up. */
void locks_wait_some(struct lock_waiter *w, long ns);

/*
 * Waits until who was killed or interrupted in waiting for a lock of N waits no longer, and holds nothing that it
 * got too late. Before anything is asked of N's locks.
 */
void locks_expel(const struct node *n);

/* The agent of M says that TICKET's wait has ended. */
void locks_wait_ended(const struct mount *m, uint64_t ticket, int error);

#endif
