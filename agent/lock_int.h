/* What lock.c (who holds) and lock_wait.c (who waits) share. */
#ifndef AGENT_LOCK_INT_H
#define AGENT_LOCK_INT_H

#include <fcntl.h>
#include <pthread.h>

#include "handle.h"
#include "keep.h"
#include "ops.h"

#define LOCK_HANDLES KEEP_OWNER_HANDLES /* that one owner locked one inode through */

struct lock_owner {
	uint64_t owner;
	dev_t dev;
	ino_t ino;
	int fd;
	int mode;             /* its access mode */
	struct handle *lender; /* a reference: FD is this handle's, as there could be no other. NULL: it is O's own */
	unsigned int waiters; /* waits that go on on FD, which must stay open for them */
	unsigned int handles;
	uint64_t handle[LOCK_HANDLES];
	struct keep_owner *kept; /* in the journal; NULL: there is none */
	struct lock_owner *next;
};

struct lock_wait;

struct locks {
	pthread_mutex_t lock;
	unsigned int count;
	struct lock_owner *owners;

	unsigned int waits;
	struct lock_wait *waiting;
	pthread_cond_t ended; /* one of them has */
	lock_end_fn *end;
	void *end_arg;
};

/* Readies L for waits. */
void lock_wait_init(struct locks *l);

/* OWNER's entry for the inode that H is, or NULL. The lock is held. */
struct lock_owner *lock_owner_of(struct locks *l, const struct handle *h, uint64_t owner);

/*
 * Does REQ through H without waiting; F is what fcntl(2) made of it. 0 or a negative errno: -EAGAIN when somebody
 * else has it. With WAITER, an owner that has to wait is put there and counted as a waiter.
 */
int lock_try(struct agent *a, const rfs_Lock *req, struct handle *h, struct flock *f, struct lock_owner **waiter);

/* Takes a reference on the handle of REQ, if it may be locked as REQ says. 0 or a negative errno. */
int lock_handle(struct agent *a, const rfs_Lock *req, struct handle **h);

/* The same for flock(2). */
int lock_flock_handle(struct agent *a, const rfs_Flock *req, struct handle **h);

#endif
