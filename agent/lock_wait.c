/*
 * Locks that are waited for. The kernel queues those that wait and wakes them in its own order, so each wait is
 * a thread in fcntl(2) or flock(2), not one of those that serve requests; how it ended is pushed.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/file.h>
#include <time.h>

#include "doubt.h"
#include "lock_int.h"

#define LOCK_WAITS 1024
#define LOCK_STACK (128u << 10)
#define LOCK_SIGNAL SIGUSR1
#define LOCK_NUDGE_NS 1000000

struct lock_wait {
	uint64_t ticket;
	struct agent *agent;
	struct handle *handle;    /* a reference */
	struct lock_owner *owner; /* counted there; NULL: the lock is the handle's */
	bool whole;               /* flock */
	rfs_Lock lock;
	int operation;
	pthread_t thread;
	bool cancelled;           /* guarded by the locks' lock */
	struct keep_wait *kept;   /* in the journal; NULL: there is none */
	struct lock_wait *next;
};

static void lock_interrupt(int sig)
{
}

void lock_wait_init(struct locks *l)
{
	/* Without SA_RESTART: it is there to end a wait with EINTR. */
	struct sigaction act = { .sa_handler = lock_interrupt };
	pthread_condattr_t monotonic;

	sigaction(LOCK_SIGNAL, &act, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&l->ended, &monotonic);
	pthread_condattr_destroy(&monotonic);
}

void locks_start(struct locks *l, lock_end_fn *end, void *arg)
{
	l->end = end;
	l->end_arg = arg;
}

static struct lock_wait **lock_wait_slot(struct locks *l, uint64_t ticket)
{
	struct lock_wait **p = &l->waiting;

	while (*p && (*p)->ticket != ticket)
		p = &(*p)->next;
	return p;
}

static int lock_block(const struct lock_wait *w)
{
	struct flock f = { .l_type = w->lock.type, .l_whence = SEEK_SET, .l_start = w->lock.start, .l_len = w->lock.length };
	int r;

	if (w->whole)
		r = flock(w->handle->fd, w->operation);
	else
		r = fcntl(w->owner ? w->owner->fd : w->handle->fd, F_OFD_SETLKW, &f);
	return r < 0 ? -errno : 0;
}

static bool lock_cancelled(struct lock_wait *w)
{
	struct locks *l = w->agent->locks;
	bool cancelled;

	pthread_mutex_lock(&l->lock);
	cancelled = w->cancelled;
	pthread_mutex_unlock(&l->lock);
	return cancelled;
}

/* From here on who takes over does not wait again, but tells: the client may know already, and have unlocked. */
static void lock_wait_over(struct keep_wait *k, int error)
{
	if (!k)
		return;
	k->error = error;
	atomic_store(&k->over, true);
}

static void *lock_wait_thread(void *arg)
{
	struct lock_wait *w = arg;
	struct locks *l = w->agent->locks;
	struct lock_wait **p;
	int r = -EINTR;

	while (r == -EINTR && !lock_cancelled(w))
		r = lock_block(w);
	lock_wait_over(w->kept, -r);
	/* Told before it is forgotten: the answer to a cancellation that finds nothing stands behind it. */
	l->end(l->end_arg, w->ticket, -r);
	pthread_mutex_lock(&l->lock);
	for (p = &l->waiting; *p != w;)
		p = &(*p)->next;
	*p = w->next;
	l->waits--;
	if (w->owner)
		w->owner->waiters--;
	/* Before a cancellation is answered: the close that follows it is to be the last one. */
	handle_put(w->agent->handles, w->handle);
	pthread_cond_broadcast(&l->ended);
	pthread_mutex_unlock(&l->lock);
	keep_drop(KEEP_WAIT, w->kept);
	free(w);
	return NULL;
}

static void lock_wait_keep(struct lock_wait *w)
{
	struct keep_wait k = { .ticket = w->ticket, .handle = w->handle->number, .owner = w->owner ? w->owner->owner : 0,
			       .whole = w->whole, .type = (int)w->lock.type, .operation = w->operation,
			       .start = w->lock.start, .length = w->lock.length };

	if (!w->kept)
		w->kept = keep_put(KEEP_WAIT, &k);
}

/* Starts W, which is taken over. The reply's error, negated. */
static int lock_wait_start(struct lock_wait *w)
{
	struct locks *l = w->agent->locks;
	pthread_attr_t attr;
	int r = 0;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, LOCK_STACK);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_mutex_lock(&l->lock);
	if (*lock_wait_slot(l, w->ticket))
		r = -EEXIST;
	else
		lock_wait_keep(w);
	if (!r && (l->waits >= LOCK_WAITS || pthread_create(&w->thread, &attr, lock_wait_thread, w)))
		r = -ENOLCK;
	if (!r) {
		w->next = l->waiting;
		l->waiting = w;
		l->waits++;
	} else if (w->owner) {
		w->owner->waiters--;
	}
	pthread_mutex_unlock(&l->lock);
	pthread_attr_destroy(&attr);
	if (r) {
		keep_drop(KEEP_WAIT, w->kept);
		handle_put(w->agent->handles, w->handle);
		free(w);
	}
	return r;
}

/* Asks once without waiting. -EAGAIN: to be waited for, with W ready for it. */
static int lock_wait_try(struct op *op, struct lock_wait *w)
{
	const rfs_LockWait *req = &op->req->op.lock_wait;
	struct flock f;
	int r;

	if (!req->ticket || req->has_lock == req->has_flock || (req->has_lock && req->lock.command != F_OFD_SETLK))
		return -EINVAL;
	r = req->has_lock ? lock_handle(op->agent, &req->lock, &w->handle)
			  : lock_flock_handle(op->agent, &req->flock, &w->handle);
	if (r)
		return r;
	w->whole = req->has_flock;
	w->operation = (int)req->flock.operation;
	w->lock = req->lock;
	if (w->whole)
		r = flock(w->handle->fd, w->operation | LOCK_NB) < 0 ? -errno : 0;
	else
		r = lock_try(op->agent, &req->lock, w->handle, &f, &w->owner);
	if (r != -EAGAIN)
		handle_put(op->agent->handles, w->handle);
	return r;
}

static bool lock_waits(struct locks *l, uint64_t ticket)
{
	bool waits;

	pthread_mutex_lock(&l->lock);
	waits = *lock_wait_slot(l, ticket);
	pthread_mutex_unlock(&l->lock);
	return waits;
}

int op_lock_wait(struct op *op)
{
	struct lock_wait *w = calloc(1, sizeof(*w));
	int r;

	if (!w)
		return -ENOLCK;
	doubt_begin(op);
	w->agent = op->agent;
	w->ticket = op->req->op.lock_wait.ticket;
	r = doubt_is(op) && lock_waits(op->agent->locks, w->ticket) ? 1 : lock_wait_try(op, w);
	op->reply->which_op = rfs_Reply_lock_wait_tag;
	op->reply->op.lock_wait.waits = r == -EAGAIN || r > 0;
	if (r == -EAGAIN)
		return lock_wait_start(w);
	free(w);
	return r > 0 ? 0 : r;
}

int op_lock_cancel(struct op *op)
{
	struct locks *l = op->agent->locks;
	uint64_t ticket = op->req->op.lock_cancel.ticket;
	struct lock_wait *w;
	struct timespec t;

	pthread_mutex_lock(&l->lock);
	w = *lock_wait_slot(l, ticket);
	while (w && *lock_wait_slot(l, ticket) == w) {
		w->cancelled = true;
		/* Again and again: it is lost on a thread that looked at CANCELLED and is not in the kernel yet. */
		pthread_kill(w->thread, LOCK_SIGNAL);
		clock_gettime(CLOCK_MONOTONIC, &t);
		t.tv_nsec += LOCK_NUDGE_NS;
		if (t.tv_nsec >= 1000000000) {
			t.tv_sec++;
			t.tv_nsec -= 1000000000;
		}
		pthread_cond_timedwait(&l->ended, &l->lock, &t);
	}
	pthread_mutex_unlock(&l->lock);
	return 0;
}

/* ---- after another process ---- */

/* The wait of K again, or NULL: what it was for is closed. */
static struct lock_wait *lock_wait_of(struct agent *a, struct keep_wait *k)
{
	struct lock_wait *w = calloc(1, sizeof(*w));

	if (!w || handle_get(a->handles, k->handle, &w->handle)) {
		free(w);
		return NULL;
	}
	w->agent = a;
	w->kept = k;
	w->ticket = k->ticket;
	w->whole = k->whole;
	w->operation = k->operation;
	w->lock = (rfs_Lock){ .handle = k->handle, .owner = k->owner, .type = k->type, .start = k->start, .length = k->length };
	w->owner = k->owner ? lock_owner_of(a->locks, w->handle, k->owner) : NULL;
	if (w->owner)
		w->owner->waiters++;
	if (!k->owner || w->owner)
		return w;
	handle_put(a->handles, w->handle);
	free(w);
	return NULL;
}

void lock_waits_restore(struct agent *a)
{
	struct keep_wait *k = NULL;
	struct lock_wait *w;

	while ((k = keep_next(KEEP_WAIT, k))) {
		uint64_t ticket = k->ticket;
		bool over = atomic_load(&k->over);
		int error = over ? k->error : EBADF;

		w = over ? NULL : lock_wait_of(a, k);
		if (w)
			error = -lock_wait_start(w);
		else
			keep_drop(KEEP_WAIT, k);
		if (!w || error)
			a->locks->end(a->locks->end_arg, ticket, error);
	}
}
