#include "observe.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "doubt.h"
#include "attr.h"
#include "keep.h"
#include "ops.h"
#include "reopen.h"
#include "resolve.h"
#include "ticket.h"

#define OBSERVE_BUFFER 65536
#define OBSERVE_EVENT_MAX (sizeof(struct inotify_event) + NAME_MAX + 1)
/* Between its two events a rename does next to nothing; it can be preempted there. */
#define OBSERVE_PAIR_MS 2
#define OBSERVE_MAX 4096 /* instances */
/* Numbers passed over at once, each of which is an event, and a queue has 16384 by default; and for one watch. */
#define OBSERVE_SKIP 4096
#define OBSERVE_SKIPS_MAX 16

struct instance {
	struct instance *next;
	uint64_t number;
	int fd;
	bool lost; /* events may have been, with the process before us */
	int skip_from, skip_to; /* numbers that were passed over last: what is told of these is nobody's */
	struct keep_instance *kept; /* in the journal; NULL: there is none */
};

struct observer {
	pthread_mutex_t lock;
	int epoll; /* holds every instance; -1 before the first */
	struct instance *instances;
	atomic_uint count;
	void (*ready)(void *arg);
	void *ready_arg;

	/* What was read of one instance. */
	size_t filled;
	char buf[OBSERVE_BUFFER] __attribute__((aligned(__alignof__(struct inotify_event))));
};

struct observer *observe_new(void)
{
	struct observer *o = calloc(1, sizeof(*o));

	if (!o)
		return NULL;
	pthread_mutex_init(&o->lock, NULL);
	o->epoll = -1;
	return o;
}

void observe_start(struct observer *o, void (*ready)(void *arg), void *arg)
{
	o->ready = ready;
	o->ready_arg = arg;
}

static void *observe_thread(void *observer)
{
	struct observer *o = observer;
	struct pollfd p = { .fd = o->epoll, .events = POLLIN };

	for (;;)
		if (poll(&p, 1, -1) > 0)
			o->ready(o->ready_arg);
	return NULL;
}

/* Everything below, up to the requests, wants the lock. */

/* Most clients never watch anything: the thread begins with the first instance. */
static int observe_begin(struct observer *o)
{
	pthread_t thread;
	int r;

	if (o->epoll >= 0)
		return 0;
	o->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (o->epoll < 0)
		return -errno;
	r = pthread_create(&thread, NULL, observe_thread, o);
	if (r) {
		close(o->epoll);
		o->epoll = -1;
		return -r;
	}
	pthread_detach(thread);
	return 0;
}

static struct instance **instance_find(struct observer *o, uint64_t number)
{
	struct instance **i = &o->instances;

	while (*i && (*i)->number != number)
		i = &(*i)->next;
	return i;
}

static void instance_end(struct observer *o, struct instance **at)
{
	struct instance *i = *at;

	*at = i->next;
	keep_end(i->kept);
	close(i->fd); /* which takes it out of the epoll set */
	keep_drop(KEEP_INSTANCE, i->kept);
	free(i);
	atomic_fetch_sub(&o->count, 1);
}

/* Takes FD over, also if it fails. */
static int instance_add(struct observer *o, uint64_t number, int fd, struct keep_instance *kept)
{
	struct instance *i = calloc(1, sizeof(*i));
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = i };
	struct keep_instance k = { .number = number, .fd = fd };

	if (!i || epoll_ctl(o->epoll, EPOLL_CTL_ADD, fd, &ev)) {
		int r = i ? -errno : -ENOMEM;

		close(fd);
		free(i);
		return r;
	}
	i->number = number;
	i->fd = fd;
	i->kept = kept ? kept : keep_put(KEEP_INSTANCE, &k);
	i->next = o->instances;
	o->instances = i;
	atomic_fetch_add(&o->count, 1);
	return 0;
}

static int instance_new(struct observer *o, uint64_t number)
{
	int fd, r = observe_begin(o);

	if (r)
		return r;
	if (atomic_load(&o->count) >= OBSERVE_MAX)
		return -EMFILE;
	fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	return fd < 0 ? -errno : instance_add(o, number, fd, NULL);
}

int observe_restore(struct observer *o)
{
	struct keep_instance *k = NULL;
	int r = 0;

	pthread_mutex_lock(&o->lock);
	while (!r && (k = keep_next(KEEP_INSTANCE, k))) {
		r = observe_begin(o);
		if (!r)
			r = instance_add(o, k->number, k->fd, k);
		if (!r)
			o->instances->lost = atomic_load(&k->taking);
	}
	pthread_mutex_unlock(&o->lock);
	return r;
}

/* Reads behind what is in the buffer. False: there is nothing. */
static bool observe_read(struct observer *o, const struct instance *i)
{
	ssize_t n = -1;

	if (sizeof(o->buf) - o->filled >= OBSERVE_EVENT_MAX)
		n = read(i->fd, o->buf + o->filled, sizeof(o->buf) - o->filled);
	o->filled += n > 0 ? n : 0;
	return n > 0;
}

static struct inotify_event *observe_at(struct observer *o, size_t at)
{
	return (struct inotify_event *)(o->buf + at);
}

static size_t observe_next(struct observer *o, size_t at)
{
	return at + sizeof(struct inotify_event) + observe_at(o, at)->len;
}

static const char *event_name(const struct inotify_event *e)
{
	return e->len ? e->name : "";
}

/* FUSE has names beyond NAME_MAX (6.15), which no message has room for, and no program. */
static bool event_fits(const struct inotify_event *e)
{
	return strlen(event_name(e)) <= NAME_MAX;
}

/* The IN_MOVED_TO that belongs to the IN_MOVED_FROM at AT. The kernel queues it next, but not in the same instant. */
static struct inotify_event *observe_other_end(struct observer *o, const struct instance *i, size_t at)
{
	struct pollfd p = { .fd = i->fd, .events = POLLIN };
	uint32_t cookie = observe_at(o, at)->cookie;
	size_t next = observe_next(o, at);

	if (next == o->filled && poll(&p, 1, OBSERVE_PAIR_MS) > 0)
		observe_read(o, i);
	for (; next < o->filled; next = observe_next(o, next))
		if (observe_at(o, next)->mask & IN_MOVED_TO && observe_at(o, next)->cookie == cookie &&
		    event_fits(observe_at(o, next)))
			return observe_at(o, next);
	return NULL;
}

static void observe_drain(struct observer *o, const struct instance *i,
			  void (*emit)(void *arg, const struct observed *e), void *arg)
{
	size_t at;

	o->filled = 0;
	if (i->kept)
		atomic_store(&i->kept->taking, true);
	observe_read(o, i);
	for (at = 0; at < o->filled; at = observe_next(o, at)) {
		struct inotify_event *e = observe_at(o, at), *to = NULL;
		struct observed out = { .instance = i->number, .wd = e->wd, .mask = e->mask, .name = event_name(e), .to_name = "" };

		if (!e->mask || !event_fits(e) || (e->wd >= i->skip_from && e->wd <= i->skip_to))
			continue; /* told with its other end, or not at all */
		if (e->mask & IN_MOVED_FROM)
			to = observe_other_end(o, i, at);
		if (to) {
			out.to_wd = to->wd;
			out.to_name = event_name(to);
			to->mask = 0;
		}
		emit(arg, &out);
	}
	if (i->kept)
		atomic_store(&i->kept->taking, false);
}

/* Whether the last that it took was ever told. */
static void observe_tell_lost(struct observer *o, void (*emit)(void *arg, const struct observed *e), void *arg)
{
	for (struct instance *i = o->instances; i; i = i->next) {
		if (i->lost)
			emit(arg, &(struct observed){ .instance = i->number, .wd = -1, .mask = IN_Q_OVERFLOW, .name = "", .to_name = "" });
		if (i->lost && i->kept)
			atomic_store(&i->kept->taking, false);
		i->lost = false;
	}
}

bool observe_any(const struct observer *o)
{
	return atomic_load(&o->count);
}

void observe_take(struct observer *o, void (*emit)(void *arg, const struct observed *e), void *arg)
{
	struct epoll_event ready[16];
	int n, i;

	if (!observe_any(o))
		return;
	pthread_mutex_lock(&o->lock);
	observe_tell_lost(o, emit, arg);
	while ((n = epoll_wait(o->epoll, ready, 16, 0)) > 0)
		for (i = 0; i < n; i++)
			observe_drain(o, ready[i].data.ptr, emit, arg);
	pthread_mutex_unlock(&o->lock);
}

/* ---- requests ---- */

/*
 * A watch with the number WD: numbers are given out one after the other, so those before are taken and let go. -EAGAIN: it is not
 * reached yet, and what waits must be read first. -EEXIST: somebody has it, or the place.
 */
static int watch_numbered(struct instance *i, const char *path, uint32_t mask, int wd)
{
	i->skip_from = 1;
	i->skip_to = 0;
	for (int n = 0; n < OBSERVE_SKIP; n++) {
		int r = inotify_add_watch(i->fd, path, mask | IN_MASK_CREATE);

		if (r < 0)
			return -errno;
		if (r == wd)
			return r;
		i->skip_from = i->skip_to ? i->skip_from : r;
		i->skip_to = r;
		inotify_rm_watch(i->fd, r);
		if (r > wd)
			return -EEXIST;
	}
	return -EAGAIN;
}

/* WD 0: with any number. */
static int watch_fd(struct observer *o, uint64_t number, int fd, uint32_t mask, int wd)
{
	struct instance **at = instance_find(o, number);
	bool made = !*at;
	char proc[32];
	int r = made ? instance_new(o, number) : 0;

	if (r)
		/* inotify_add_watch(2) has an errno for want of watches, none for want of instances. */
		return r == -ENOMEM ? r : -ENOSPC;
	at = instance_find(o, number);
	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
	/* This link is to be followed; what is behind it is the place itself. */
	mask &= ~(uint32_t)IN_DONT_FOLLOW;
	if (wd > 0)
		r = watch_numbered(*at, proc, mask, wd);
	else if ((r = inotify_add_watch((*at)->fd, proc, mask)) < 0)
		r = -errno;
	if (r < 0 && r != -EAGAIN && made)
		instance_end(o, at);
	return r;
}

/* What is to be watched, opened with O_PATH; or a negative errno. */
static int watch_place(struct op *op, const rfs_Watch *req)
{
	struct place p;
	rfs_Ticket t = rfs_Ticket_init_zero;
	int r;

	if (req->ticket.size)
		return ticket_decode(req->ticket.bytes, req->ticket.size, &t) ? reopen_place(&op->agent->root, &t) : -ESTALE;
	r = place_get(op, req->has_where, &req->where, &p);
	if (!r)
		r = resolve_open(&p, O_PATH | (req->mask & IN_DONT_FOLLOW ? O_NOFOLLOW : 0) |
				 (req->mask & IN_ONLYDIR ? O_DIRECTORY : 0), 0, 0);
	place_put(&p);
	return r;
}

/* By which another agent finds it, after us. */
static void watch_ticket(struct op *op, int fd, rfs_WatchReply *reply)
{
	rfs_Attr attr;
	rfs_Ticket t;

	if (!op->agent->tickets || attr_of(fd, &attr))
		return;
	ticket_make(&op->agent->root, fd, &attr, NULL, &t);
	reply->ticket.size = ticket_encode(&t, reply->ticket.bytes);
}

int op_watch(struct op *op)
{
	const rfs_Watch *req = &op->req->op.watch;
	rfs_WatchReply *reply = &op->reply->op.watch;
	struct observer *o = op->agent->observer;
	uint32_t mask = req->mask;
	struct stat st;
	int fd = watch_place(op, req), r = -EAGAIN;

	if (fd < 0)
		return fd;
	/* The watch may have been made by a process that was killed doing so. */
	if (doubt_is(op))
		mask &= ~(uint32_t)IN_MASK_CREATE;
	doubt_begin(op);
	for (int skips = 0; r == -EAGAIN && skips < OBSERVE_SKIPS_MAX; skips++) {
		if (skips && o->ready)
			o->ready(o->ready_arg);
		pthread_mutex_lock(&o->lock);
		r = watch_fd(o, req->instance, fd, mask, req->wd);
		pthread_mutex_unlock(&o->lock);
	}
	r = r == -EAGAIN ? -ENOSPC : r;
	op->reply->which_op = rfs_Reply_watch_tag;
	reply->wd = r;
	reply->directory = !fstat(fd, &st) && S_ISDIR(st.st_mode);
	if (r > 0)
		watch_ticket(op, fd, reply);
	close(fd);
	return r < 0 ? r : 0;
}

int op_unwatch(struct op *op)
{
	const rfs_Unwatch *req = &op->req->op.unwatch;
	struct observer *o = op->agent->observer;
	bool again = doubt_is(op);
	struct instance **at;
	int r = 0;

	doubt_begin(op);
	pthread_mutex_lock(&o->lock);
	at = instance_find(o, req->instance);
	if (!*at)
		r = again ? 0 : -EINVAL;
	else if (!req->wd)
		instance_end(o, at);
	else if (inotify_rm_watch((*at)->fd, req->wd))
		r = errno == EINVAL && again ? 0 : -errno;
	pthread_mutex_unlock(&o->lock);
	return r;
}
