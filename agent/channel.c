/* What is known of each channel, and who is told of it. */
#include "channel.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "handle.h"
#include "keep.h"

#define CHANNEL_OPENERS 1024 /* opens that wait at once, each on a thread of its own */
#define CHANNEL_STACK (128u << 10) /* PTHREAD_STACK_MIN of aarch64 */
#define CHANNEL_EVENTS 64
#define CHANNEL_POLL (POLLIN | POLLOUT | POLLERR | POLLHUP | POLLRDHUP)
#define MEMORY_MAJOR 1 /* Documentation/admin-guide/devices.txt */

/* All of it is guarded by the lock of struct channels. */
struct channel {
	struct handle *handle;
	struct channel *next; /* of those that are watched */
	bool pending;  /* the other end is to be waited for */
	bool opening;  /* a thread does that … */
	bool cancelled;
	bool given_up; /* … and is to end */
	bool came;     /* … and need not go on: the other end has been there */
	pthread_t opener;
	bool watched;
	uint32_t told; /* what the client was told last */
};

struct channels {
	struct handles *handles;
	int epoll;
	pthread_mutex_t lock;
	pthread_cond_t changed; /* an opener has ended */
	unsigned int openers;
	bool restless; /* an opener is to be interrupted, and may have been just short of the system call */
	struct channel *watched;
	void (*send)(void *arg, const rfs_Ready *r);
	void *send_arg;
};

struct channels *channels_new(struct handles *handles)
{
	struct channels *cs = calloc(1, sizeof(*cs));

	if (!cs)
		return NULL;
	cs->handles = handles;
	cs->epoll = epoll_create1(EPOLL_CLOEXEC);
	pthread_mutex_init(&cs->lock, NULL);
	pthread_cond_init(&cs->changed, NULL);
	return cs;
}

int channel_make(struct handle *h, bool pending)
{
	h->channel = calloc(1, sizeof(*h->channel));
	if (!h->channel)
		return -ENOMEM;
	h->channel->handle = h;
	h->channel->pending = pending;
	return 0;
}

unsigned int channel_kept(const struct handle *h)
{
	return !h->channel ? 0 : KEEP_CHANNEL | (h->channel->pending ? KEEP_PENDING : 0);
}

void channel_free(struct handle *h)
{
	free(h->channel);
	h->channel = NULL;
}

bool channel_serves(mode_t type, dev_t rdev)
{
	static const unsigned int served[] = { 3, 5, 7, 8, 9 };
	size_t i;

	if (S_ISFIFO(type))
		return true;
	for (i = 0; S_ISCHR(type) && major(rdev) == MEMORY_MAJOR && i < sizeof(served) / sizeof(served[0]); i++)
		if (minor(rdev) == served[i])
			return true;
	return false;
}

int channel_open(int path_fd, int flags)
{
	struct stat st;
	char proc[32];
	int fd;

	if (fstat(path_fd, &st))
		return -errno;
	if (!channel_serves(st.st_mode, st.st_rdev))
		return -ENXIO;
	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", path_fd);
	fd = open(proc, (flags & (O_ACCMODE | O_NONBLOCK | O_NOATIME)) | O_NOCTTY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* ---- who is told; the lock is held ---- */

static uint64_t channel_serial(void)
{
	return atomic_fetch_add(&keep_one()->ready, 1) + 1;
}

static uint32_t channel_poll(const struct handle *h)
{
	struct pollfd p = { .fd = h->fd, .events = CHANNEL_POLL };

	return poll(&p, 1, 0) > 0 ? (uint32_t)p.revents & CHANNEL_POLL : 0;
}

static void channel_push(struct channels *cs, struct handle *h, int error)
{
	rfs_Ready r = { .handle = h->number, .error = (uint32_t)-error };

	h->channel->told = error ? 0 : channel_poll(h);
	r.ready = h->channel->told;
	r.serial = channel_serial();
	cs->send(cs->send_arg, &r);
}

/*
 * A reader that waits has the FIFO open already (that is what a writer waits for), so a writer who has come and gone before the
 * opener was in open(2) is seen here, by what he left or by his hanging up.
 */
static void channel_look_pending(struct channels *cs, struct channel *ch)
{
	ch->came |= (channel_poll(ch->handle) & (POLLIN | POLLHUP)) != 0;
	if (ch->came && ch->opening) {
		pthread_kill(ch->opener, SIGUSR1);
		cs->restless = true;
	}
}

static void channel_look(struct channels *cs, struct channel *ch)
{
	if (ch->pending)
		channel_look_pending(cs, ch);
	else if (channel_poll(ch->handle) != ch->told)
		channel_push(cs, ch->handle, 0);
}

static void channel_events(struct channels *cs)
{
	struct epoll_event events[CHANNEL_EVENTS];
	int n, i;

	do {
		n = epoll_wait(cs->epoll, events, CHANNEL_EVENTS, 0);
		for (i = 0; i < n; i++)
			channel_look(cs, events[i].data.ptr);
	} while (n == CHANNEL_EVENTS);
}

/* epoll(7) does not tell that something is no longer ready: for those who share the FIFO that H is. */
static void channel_sharers(struct channels *cs, const struct handle *h)
{
	struct channel *ch;

	for (ch = S_ISFIFO(h->type) ? cs->watched : NULL; ch; ch = ch->next)
		if (ch->handle != h && ch->handle->ino == h->ino && ch->handle->dev == h->dev)
			channel_look(cs, ch);
}

static int channel_watch(struct channels *cs, struct handle *h)
{
	struct channel *ch = h->channel;
	struct epoll_event e = { .events = CHANNEL_POLL | EPOLLET, .data.ptr = ch };

	if (ch->watched || ch->cancelled)
		return 0;
	/* EPERM: a device that is always ready. */
	if (epoll_ctl(cs->epoll, EPOLL_CTL_ADD, h->fd, &e))
		return errno == EPERM ? 0 : -errno;
	ch->watched = true;
	ch->next = cs->watched;
	cs->watched = ch;
	return 0;
}

/* The lock is held. Nothing that epoll_wait has returned is left over: it is called under the lock. */
static void channel_unwatch(struct channels *cs, struct handle *h)
{
	struct channel **p = &cs->watched;

	while (*p && *p != h->channel)
		p = &(*p)->next;
	if (!*p)
		return;
	*p = h->channel->next;
	epoll_ctl(cs->epoll, EPOLL_CTL_DEL, h->fd, NULL);
	h->channel->watched = false;
}

/* ---- */

void channel_settle(struct channels *cs, struct handle *h, rfs_ChannelReply *reply)
{
	pthread_mutex_lock(&cs->lock);
	channel_events(cs);
	if (h)
		channel_sharers(cs, h);
	if (reply) {
		reply->ready = h->channel->told = channel_poll(h);
		reply->serial = channel_serial();
	}
	pthread_mutex_unlock(&cs->lock);
}

/* Takes nothing off the epoll set outside the lock: who settles must find what is there. */
static void *channels_main(void *channels)
{
	struct channels *cs = channels;
	struct pollfd p = { .fd = cs->epoll, .events = POLLIN };
	int timeout = -1;

	for (;;) {
		poll(&p, 1, timeout);
		pthread_mutex_lock(&cs->lock);
		channel_events(cs);
		timeout = cs->restless ? 5 : -1;
		cs->restless = false;
		for (struct channel *ch = timeout > 0 ? cs->watched : NULL; ch; ch = ch->next)
			if (ch->pending)
				channel_look_pending(cs, ch);
		pthread_mutex_unlock(&cs->lock);
	}
	return NULL;
}

static void channel_interrupt(int sig)
{
}

int channels_start(struct channels *cs, void (*send)(void *arg, const rfs_Ready *r), void *arg)
{
	struct sigaction interrupt = { .sa_handler = channel_interrupt }; /* without SA_RESTART: open(2) ends */
	pthread_t thread;

	if (cs->epoll < 0)
		return -EMFILE;
	cs->send = send;
	cs->send_arg = arg;
	sigaction(SIGUSR1, &interrupt, NULL);
	return -pthread_create(&thread, NULL, channels_main, cs);
}

/* ---- opens that wait ---- */

struct opener {
	struct channels *channels;
	struct handle *handle;
};

/* H waits no longer if FD, which its other end has been there for, is not an errno. FD or an errno. The lock is held. */
static int opener_take(struct handle *h, int fd)
{
	if (fd >= 0 && fd != h->fd && dup3(fd, h->fd, O_CLOEXEC) < 0)
		fd = -errno;
	if (fd >= 0)
		fcntl(h->fd, F_SETFL, O_NONBLOCK);
	h->channel->pending = fd < 0;
	keep_bit(h->kept, KEEP_PENDING, h->channel->pending);
	return fd;
}

/* The other end is there (FD), or will not be: FD is an errno. The lock is held. */
static void opener_done(struct channels *cs, struct handle *h, int fd)
{
	struct channel *ch = h->channel;

	channel_unwatch(cs, h);
	fd = opener_take(h, ch->came && fd < 0 ? h->fd : fd);
	channel_events(cs);
	channel_sharers(cs, h);
	if (!ch->cancelled)
		channel_push(cs, h, fd < 0 ? fd : channel_watch(cs, h));
}

static void *opener_main(void *arg)
{
	struct opener o = *(struct opener *)arg;
	int fd = -EINTR;
	bool over;

	free(arg);
	do {
		pthread_mutex_lock(&o.channels->lock);
		over = o.handle->channel->given_up || o.handle->channel->came;
		pthread_mutex_unlock(&o.channels->lock);
		if (!over)
			fd = channel_open(o.handle->fd, o.handle->flags & O_ACCMODE);
	} while (fd == -EINTR && !over);
	pthread_mutex_lock(&o.channels->lock);
	opener_done(o.channels, o.handle, fd);
	if (fd >= 0)
		close(fd);
	o.handle->channel->opening = false;
	o.channels->openers--;
	/* Before the close that waits for us goes on: it is to be the last one. */
	handle_put(o.channels->handles, o.handle);
	pthread_cond_broadcast(&o.channels->changed);
	pthread_mutex_unlock(&o.channels->lock);
	return NULL;
}

/* The lock is held. */
static int opener_start(struct channels *cs, struct handle *h)
{
	struct opener *o;
	pthread_attr_t attr;
	int r;

	if (h->channel->opening)
		return -EALREADY;
	if (h->channel->cancelled)
		return -EBADF;
	if (cs->openers >= CHANNEL_OPENERS)
		return -ENFILE;
	o = malloc(sizeof(*o));
	if (!o)
		return -ENOMEM;
	o->channels = cs;
	o->handle = h;
	handle_ref(cs->handles, h);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, CHANNEL_STACK);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	r = -pthread_create(&h->channel->opener, &attr, opener_main, o);
	pthread_attr_destroy(&attr);
	if (r) {
		handle_put(cs->handles, h);
		free(o);
		return r;
	}
	h->channel->opening = true;
	cs->openers++;
	return 0;
}

/* The lock is held. */
static int channel_begin(struct channels *cs, struct handle *h)
{
	int r = h->channel->pending ? opener_start(cs, h) : 0;

	/* O_PATH, of a writer, cannot be watched, and need not. */
	if (!r && (!h->channel->pending || (h->flags & O_ACCMODE) == O_RDONLY))
		r = channel_watch(cs, h);
	return r;
}

int channel_start(struct channels *cs, struct handle *h, rfs_ChannelReply *reply, bool again)
{
	int r;

	pthread_mutex_lock(&cs->lock);
	keep_bit(h->kept, KEEP_STARTED, true);
	r = channel_begin(cs, h);
	if (r == -EALREADY && again)
		r = 0;
	reply->pending = h->channel->pending;
	if (!r && !reply->pending) {
		reply->ready = h->channel->told = channel_poll(h);
		reply->serial = channel_serial();
	}
	pthread_mutex_unlock(&cs->lock);
	return r;
}

/* The lock is held. */
static void opener_stop(struct channels *cs, struct handle *h)
{
	struct timespec t;

	h->channel->given_up = true;
	/* Again and again: the thread may have been just short of the system call. */
	while (h->channel->opening) {
		pthread_kill(h->channel->opener, SIGUSR1);
		clock_gettime(CLOCK_MONOTONIC, &t);
		t.tv_nsec += 1000000;
		if (t.tv_nsec >= 1000000000) {
			t.tv_sec++;
			t.tv_nsec -= 1000000000;
		}
		pthread_cond_clockwait(&cs->changed, &cs->lock, CLOCK_MONOTONIC, &t);
	}
}

int channel_give_up(struct channels *cs, struct handle *h)
{
	int r;

	pthread_mutex_lock(&cs->lock);
	opener_stop(cs, h);
	r = h->channel->pending ? -EINTR : 0;
	pthread_mutex_unlock(&cs->lock);
	return r;
}

void channel_cancel(struct channels *cs, struct handle *h)
{
	if (!h->channel)
		return;
	pthread_mutex_lock(&cs->lock);
	h->channel->cancelled = true;
	opener_stop(cs, h);
	channel_unwatch(cs, h);
	pthread_mutex_unlock(&cs->lock);
}

/* ---- after another process ---- */

/*
 * It may have died between its open and the journal. A reader that it has let go on is still there, and its descriptor, which
 * nobody knows, is still open: it finds no end if another one is opened before that is closed.
 */
static void channel_find_end(struct handle *h)
{
	int fd;

	if (!h->channel || !h->channel->pending || (h->flags & O_ACCMODE) == O_RDONLY)
		return;
	fd = fcntl(h->fd, F_GETFL) & O_PATH ? channel_open(h->fd, (h->flags & O_ACCMODE) | O_NONBLOCK) : h->fd;
	if (fd < 0)
		return;
	opener_take(h, fd);
	if (fd != h->fd)
		close(fd);
}

void channels_find_ends(struct handles *t)
{
	for (struct handle *h = NULL; (h = handles_next(t, h));)
		channel_find_end(h);
}

static void channel_restore(struct channels *cs, struct handle *h)
{
	int r;

	if (!h->channel || !h->kept || !(atomic_load(&h->kept->bits) & KEEP_STARTED))
		return;
	pthread_mutex_lock(&cs->lock);
	r = channel_begin(cs, h);
	if (r || !h->channel->pending)
		channel_push(cs, h, r);
	pthread_mutex_unlock(&cs->lock);
}

void channels_restore(struct channels *cs)
{
	for (struct handle *h = NULL; (h = handles_next(cs->handles, h));)
		channel_restore(cs, h);
}
