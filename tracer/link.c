#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <unistd.h>

#include "link.h"
#include "stream.h"
#include "child.h"

#define EXIT_GRACE_MS 500

/*
 * Whoever waits for a reply reads the stream itself: one thread at a time has the reader's role. With
 * `lock` held, exactly one of these is true:
 *   - `reading`: one thread has the role and will leave it;
 *   - the epoll set is armed: the poller thread takes the role when something arrives;
 *   - `ended`: nothing will be read any more.
 * Arming a readable stream reports it at once, so nothing that arrives between two readers is missed.
 * Only the reader takes calls off `pending`, so it may use a call found there without the lock.
 * Lock order: the sender's, lock.
 */
struct call {
	TAILQ_ENTRY(call) entry;
	uint32_t id;
	struct link_reply *rep;
	int result;
	bool done;
	bool waiting; /* asleep on wake, or about to be; cleared by the thread that posts it, once */
	bool reader;  /* has the role */
	sem_t wake;
};

struct link {
	struct stream stream;
	struct sender sender;
	int epoll;
	char tag[128];
	struct link_callbacks callbacks;
	uint32_t max_payload;
	pthread_t poller;

	pthread_mutex_t lock;
	pthread_cond_t changed; /* for link_close: its goodbye is done */
	TAILQ_HEAD(pending, call) pending;
	uint32_t last_id;
	bool reading;
	bool ended;
	struct call *goodbye;
	char verdict[96]; /* why link_close gave up */

	atomic_uint inside; /* threads in link_call and link_send */
	atomic_uint_fast64_t last_handle, round_trips, requests;
};

/* ---- the reader's role; all of these with the lock held ---- */

static void poller_arm(struct link *l, uint32_t events)
{
	struct epoll_event ev = {.events = events | EPOLLONESHOT};
	epoll_ctl(l->epoll, EPOLL_CTL_MOD, l->stream.in, &ev);
}

/* Takes the role if it is free. Disarming is far cheaper than a poller that every reply wakes as well. */
static bool role_take(struct link *l)
{
	if (l->reading || l->ended)
		return false;
	l->reading = true;
	poller_arm(l, 0);
	return true;
}

/* Gives the role to a waiting caller, which is returned and must be posted, or to the poller. */
static struct call *role_leave(struct link *l)
{
	struct call *c;
	for (c = TAILQ_FIRST(&l->pending); c && !c->waiting;)
		c = TAILQ_NEXT(c, entry);
	l->reading = c != NULL;
	if (c) {
		c->reader = true;
		c->waiting = false;
	} else if (!l->ended) {
		poller_arm(l, EPOLLIN);
	}
	return c;
}

/* Takes C off the pending calls. True when it must be posted. */
static bool call_finish(struct link *l, struct call *c, int result)
{
	bool wake = c->waiting;
	TAILQ_REMOVE(&l->pending, c, entry);
	c->result = result;
	c->waiting = false;
	c->done = true;
	if (c == l->goodbye) {
		atomic_store(&l->stream.finished, result == 0);
		pthread_cond_signal(&l->changed);
	}
	return wake;
}

static struct call *call_find(struct link *l, uint32_t id)
{
	struct call *c;
	for (c = TAILQ_FIRST(&l->pending); c && c->id != id;)
		c = TAILQ_NEXT(c, entry);
	return c;
}

static void call_post(struct call *c)
{
	if (c)
		sem_post(&c->wake);
}

/* Leaves the role for good. */
static void role_drop(struct link *l)
{
	pthread_mutex_lock(&l->lock);
	struct call *next = role_leave(l);
	pthread_mutex_unlock(&l->lock);
	call_post(next);
}

/* ---- the reader ---- */

static int reader_reply(struct link *l, const struct frame_header *header, uint8_t **payload)
{
	pthread_mutex_lock(&l->lock);
	struct call *c = call_find(l, header->id);
	pthread_mutex_unlock(&l->lock);
	if (!c)
		return stream_violation(&l->stream, "a reply to no request");
	int err = stream_decode_reply(&l->stream, header, &c->rep->msg);
	if (err)
		return err;
	c->rep->payload = *payload;
	c->rep->payload_len = header->payload_len;
	*payload = NULL;
	atomic_fetch_add_explicit(&l->round_trips, 1, memory_order_relaxed);
	pthread_mutex_lock(&l->lock);
	bool wake = call_finish(l, c, 0);
	pthread_mutex_unlock(&l->lock);
	call_post(wake ? c : NULL);
	return 0;
}

static int reader_push(struct link *l, const struct frame_header *header)
{
	rfs_Push push;
	int err = stream_decode_push(&l->stream, header, &push);
	if (err)
		return err;
	if (l->callbacks.push)
		l->callbacks.push(l, &push, l->callbacks.arg);
	return 0;
}

/* The stream has ended, or is given up for what the peer sent: says so once and fails every call. */
static void reader_end(struct link *l)
{
	pthread_mutex_lock(&l->lock);
	l->ended = true;
	const char *why = l->verdict[0] ? l->verdict : l->stream.why;
	pthread_mutex_unlock(&l->lock);
	if (!atomic_load(&l->stream.finished) && l->callbacks.lost)
		l->callbacks.lost(l, why, l->callbacks.arg);
	stream_stop(&l->stream);

	struct call *c;
	pthread_mutex_lock(&l->lock);
	while ((c = TAILQ_FIRST(&l->pending)))
		call_post(call_finish(l, c, -EIO) ? c : NULL);
	pthread_mutex_unlock(&l->lock);
}

/* Handles one frame; the calling thread has the role. */
static void reader_step(struct link *l)
{
	struct frame_header header;
	uint8_t *payload;
	int err = stream_receive(&l->stream, &header, &payload);
	if (!err && header.kind == FRAME_PUSH)
		err = reader_push(l, &header);
	else if (!err)
		err = reader_reply(l, &header, &payload);
	free(payload);
	if (err)
		reader_end(l);
}

/* Reads while nobody waits for a reply, so that pushes and the end of the stream are seen at once. */
static void *poller_main(void *arg)
{
	struct link *l = arg;
	bool ended = false;
	while (!ended) {
		struct epoll_event ev;
		if (epoll_wait(l->epoll, &ev, 1, -1) != 1)
			continue;
		if (ev.data.u32 == SENDER_EVENT) {
			sender_ready(&l->sender);
			continue;
		}
		pthread_mutex_lock(&l->lock);
		bool mine = role_take(l);
		ended = l->ended;
		pthread_mutex_unlock(&l->lock);
		if (mine) {
			reader_step(l);
			role_drop(l);
		}
	}
	return NULL;
}

/* ---- requests ---- */

/*
 * Sends O; the sender's turn is ours. C, if it has the reader's role, must not sleep here with it: the
 * agent may be unable to read on before somebody reads what it sent.
 */
static int request_send(struct link *l, struct stream_request *o, struct call *c, int64_t deadline_ms)
{
	struct iovec iov[2];
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};
	stream_fill_iov(o, c->id, iov);
	int sent = sender_try(&l->sender, &msg);
	if (sent)
		return sent < 0 ? sent : 0;
	if (c->reader) {
		c->reader = false;
		role_drop(l);
	}
	return sender_finish(&l->sender, &msg, deadline_ms);
}

/*
 * Makes C pending under a new id and sends O; the sender's turn is ours. What goes wrong with that is seen by
 * the reader, who finishes C. -EIO when the link has ended before; then C is not pending.
 */
static int call_start(struct link *l, struct call *c, struct stream_request *o, int64_t deadline_ms)
{
	pthread_mutex_lock(&l->lock);
	bool ended = l->ended;
	if (!ended) {
		do
			c->id = ++l->last_id;
		while (!c->id || call_find(l, c->id));
		TAILQ_INSERT_TAIL(&l->pending, c, entry);
		c->reader = c != l->goodbye && role_take(l);
	}
	pthread_mutex_unlock(&l->lock);
	if (ended)
		return -EIO;
	atomic_fetch_add_explicit(&l->requests, 1, memory_order_relaxed);
	if (request_send(l, o, c, deadline_ms) < 0)
		stream_stop(&l->stream);
	return 0;
}

/* Waits until C is done, reading the stream when nobody else does. */
static void call_wait(struct link *l, struct call *c)
{
	pthread_mutex_lock(&l->lock);
	while (!c->done) {
		bool mine = c->reader || role_take(l);
		c->reader = mine;
		c->waiting = !mine;
		pthread_mutex_unlock(&l->lock);
		if (mine)
			reader_step(l);
		else
			while (sem_wait(&c->wake) < 0)
				continue;
		pthread_mutex_lock(&l->lock);
	}
	struct call *next = c->reader ? role_leave(l) : NULL;
	pthread_mutex_unlock(&l->lock);
	call_post(next);
}

int link_call(struct link *l, const rfs_Request *req, const void *payload, size_t payload_len, struct link_reply *rep)
{
	struct stream_request o;
	struct call c = {.rep = rep};
	rep->payload = NULL;
	rep->payload_len = 0;
	int err = payload_len > l->max_payload ? -EMSGSIZE : stream_encode_request(&o, req, payload, payload_len);
	if (err)
		return err;
	sem_init(&c.wake, 0, 0);
	atomic_fetch_add(&l->inside, 1);
	sender_begin(&l->sender);
	err = call_start(l, &c, &o, 0);
	sender_end(&l->sender);
	if (!err) {
		call_wait(l, &c);
		err = c.result;
	}
	atomic_fetch_sub(&l->inside, 1);
	sem_destroy(&c.wake);
	return err;
}

int link_send(struct link *l, const rfs_Request *req)
{
	struct stream_request o;
	int err = stream_encode_request(&o, req, NULL, 0);
	if (err)
		return err;
	struct iovec iov[2];
	stream_fill_iov(&o, 0, iov);
	atomic_fetch_add(&l->inside, 1);
	pthread_mutex_lock(&l->lock);
	bool ended = l->ended;
	pthread_mutex_unlock(&l->lock);
	err = ended ? -EIO : sender_queue(&l->sender, o.bytes, iov[0].iov_len);
	if (!err)
		atomic_fetch_add_explicit(&l->requests, 1, memory_order_relaxed);
	atomic_fetch_sub(&l->inside, 1);
	return err;
}

void link_reply_free(struct link_reply *rep)
{
	free(rep->payload);
	rep->payload = NULL;
	rep->payload_len = 0;
}

uint64_t link_new_handle(struct link *l)
{
	return atomic_fetch_add(&l->last_handle, 1) + 1;
}

const char *link_tag(const struct link *l)
{
	return l->tag;
}

const char *link_program(const struct link *l)
{
	return l->stream.program;
}

struct link_totals link_totals(const struct link *l)
{
	return (struct link_totals){l->round_trips, l->requests, l->stream.bytes_in, l->stream.bytes_out};
}

/* ---- opening and closing ---- */

/* The program's signals are not for the poller, whatever the caller's mask is. */
static int poller_start(struct link *l)
{
	struct epoll_event in = {.events = EPOLLIN | EPOLLONESHOT}, kick = {.events = EPOLLIN | EPOLLET};
	l->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (l->epoll < 0 || epoll_ctl(l->epoll, EPOLL_CTL_ADD, l->stream.kick, &kick) < 0 ||
	    epoll_ctl(l->epoll, EPOLL_CTL_ADD, l->stream.in, &in) < 0)
		return -errno;
	int err = sender_watch(&l->sender, l->epoll);
	if (err)
		return err;
	sigset_t all, old;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(&l->poller, NULL, poller_main, l);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return -err;
}

static struct link *link_alloc(const char *tag, const struct link_callbacks *callbacks)
{
	struct link *l = calloc(1, sizeof(*l));
	if (!l)
		return NULL;
	l->epoll = -1;
	sender_init(&l->sender, &l->stream);
	l->last_id = 1; /* the greeting was the first one */
	snprintf(l->tag, sizeof(l->tag), "%s", tag);
	if (callbacks)
		l->callbacks = *callbacks;
	pthread_condattr_t monotonic;
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&l->changed, &monotonic);
	pthread_condattr_destroy(&monotonic);
	pthread_mutex_init(&l->lock, NULL);
	TAILQ_INIT(&l->pending);
	return l;
}

static void link_free(struct link *l, int grace_ms)
{
	sender_destroy(&l->sender);
	stream_close(&l->stream);
	if (l->epoll >= 0)
		close(l->epoll);
	child_stop(l->stream.agent, grace_ms);
	pthread_cond_destroy(&l->changed);
	pthread_mutex_destroy(&l->lock);
	free(l);
}

struct link *link_open(int in, int out, pid_t agent_pid, const char *tag, const struct link_greeting *greeting, int timeout_ms,
		       const struct link_callbacks *callbacks, char *err, size_t err_len)
{
	struct link *l = link_alloc(tag, callbacks);
	if (!l) {
		snprintf(err, err_len, "out of memory");
		stream_close(&(struct stream){.in = in, .out = out, .kick = -1});
		child_stop(agent_pid, 0);
		return NULL;
	}
	int rc = stream_init(&l->stream, in, out, agent_pid);
	const char *why = strerror(-rc);
	if (!rc) {
		rc = stream_greet(&l->stream, greeting, timeout_ms, &l->max_payload);
		why = l->stream.why;
	}
	if (!rc) {
		rc = poller_start(l);
		why = strerror(-rc);
	}
	if (!rc)
		return l;
	snprintf(err, err_len, "%s", why);
	link_free(l, 0);
	return NULL;
}

static int link_give_up(struct link *l, const char *why)
{
	pthread_mutex_lock(&l->lock);
	snprintf(l->verdict, sizeof(l->verdict), "%s", why);
	pthread_mutex_unlock(&l->lock);
	stream_stop(&l->stream);
	return -EIO;
}

/* Waits for C; when it is late, ends the stream with WHY and waits for the reader to see that. */
static void goodbye_wait(struct link *l, struct call *c, int64_t deadline_ms, const char *why)
{
	struct timespec until = {.tv_sec = deadline_ms / 1000, .tv_nsec = deadline_ms % 1000 * 1000000};
	int rc = 0;
	pthread_mutex_lock(&l->lock);
	while (!c->done && rc == 0)
		rc = pthread_cond_timedwait(&l->changed, &l->lock, &until);
	pthread_mutex_unlock(&l->lock);
	if (rc)
		link_give_up(l, why);
	pthread_mutex_lock(&l->lock);
	while (!c->done)
		pthread_cond_wait(&l->changed, &l->lock);
	pthread_mutex_unlock(&l->lock);
}

static int link_say_goodbye(struct link *l, int timeout_ms)
{
	struct stream_request o;
	struct link_reply rep = {0};
	struct call c = {.rep = &rep};
	rfs_Request req = {.which_op = rfs_Request_goodbye_tag};
	char why[sizeof(l->verdict)];
	int64_t deadline = stream_now_ms() + timeout_ms;
	snprintf(why, sizeof(why), "the agent did not answer the goodbye within %g s", timeout_ms / 1000.0);
	stream_encode_request(&o, &req, NULL, 0);
	if (!sender_begin_until(&l->sender, deadline))
		return link_give_up(l, why);
	pthread_mutex_lock(&l->lock);
	/* Afterwards it is compared with, at most. */
	/* cppcheck-suppress autoVariables */
	l->goodbye = &c;
	pthread_mutex_unlock(&l->lock);
	int err = call_start(l, &c, &o, deadline);
	sender_end(&l->sender);
	if (!err) {
		goodbye_wait(l, &c, deadline, why);
		err = c.result;
	}
	link_reply_free(&rep);
	return err;
}

int link_close(struct link *l, int timeout_ms)
{
	int err = link_say_goodbye(l, timeout_ms);
	stream_stop(&l->stream);
	pthread_join(l->poller, NULL);
	while (atomic_load(&l->inside))
		usleep(1000);
	link_free(l, err ? 0 : EXIT_GRACE_MS);
	return err;
}
