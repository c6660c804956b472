#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "link_int.h"
#include "plain.h"

/* To what was not sent. */
static const rfs_Reply refused = {.error = EIO};

/* What the agent has to keep until it is told: see SESSION_RING there. */
#define TELL_FRAMES 128
#define TELL_BYTES (1u << 20)

/* ---- the reader's role; all of these with the lock held ---- */

static void poller_arm(struct link *l, uint32_t events)
{
	struct epoll_event ev = {.events = events | EPOLLONESHOT};
	epoll_ctl(l->epoll, EPOLL_CTL_MOD, l->stream.in, &ev);
}

/* Takes the role if it is free. Disarming is far cheaper than a poller that every reply wakes as well. */
static bool role_take(struct link *l)
{
	if (l->reading || l->down || l->ended)
		return false;
	l->reading = true;
	poller_arm(l, 0);
	return true;
}

/* Gives the role to a waiting caller, which is returned and must be posted, or to the poller. */
static struct link_pending *role_leave(struct link *l)
{
	struct link_pending *c;
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

void link_forget_oneway(struct link *l, uint64_t number)
{
	struct link_pending *c;
	while ((c = TAILQ_FIRST(&l->oneway)) && c->number < number) {
		TAILQ_REMOVE(&l->oneway, c, entry);
		reopen_done(l->reopen, &c->note, NULL);
		link_pending_free(c);
	}
}

/* Takes C off the pending calls. True when it must be posted. */
static bool call_finish(struct link *l, struct link_pending *c, int result)
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

static struct link_pending *call_find(struct link *l, uint32_t id)
{
	struct link_pending *c;
	for (c = TAILQ_FIRST(&l->pending); c && c->id != id;)
		c = TAILQ_NEXT(c, entry);
	return c;
}

static void call_post(struct link_pending *c)
{
	if (c)
		sem_post(&c->wake);
}

void link_pending_free(struct link_pending *c)
{
	if (!c)
		return;
	free(c->request);
	free(c->rep);
	free(c);
}

void link_end_call(struct link *l, struct link_pending *c, int result)
{
	link_done *then = c->then;
	pthread_mutex_lock(&l->lock);
	bool wake = call_finish(l, c, result);
	pthread_mutex_unlock(&l->lock);
	call_post(wake ? c : NULL);
	if (!then)
		return;
	then(c->rep, result, c->arg);
	link_reply_free(c->rep);
	pthread_mutex_lock(&l->lock);
	c->over = true;
	bool sending = c->sending;
	pthread_mutex_unlock(&l->lock);
	if (!sending)
		link_pending_free(c);
}

/* Leaves the role for good. */
static void role_drop(struct link *l)
{
	pthread_mutex_lock(&l->lock);
	struct link_pending *next = role_leave(l);
	pthread_mutex_unlock(&l->lock);
	call_post(next);
}

/* ---- the reader ---- */

static int reader_reply(struct link *l, const struct frame_header *header, uint8_t **payload)
{
	pthread_mutex_lock(&l->lock);
	struct link_pending *c = call_find(l, header->id);
	if (c && c->resend)
		c = NULL;
	/* What was sent before was read before. */
	if (c && !l->down)
		link_forget_oneway(l, c->number);
	bool counts = c && !c->then && c != l->goodbye;
	pthread_mutex_unlock(&l->lock);
	if (!c)
		return stream_violation(&l->stream, "a reply to no request");
	int err = stream_decode_reply(&l->stream, header, &c->rep->msg);
	if (err)
		return err;
	if (!request_is_plain(c->op))
		atomic_fetch_add(&l->kept, header->payload_len);
	c->rep->payload = *payload;
	c->rep->payload_len = header->payload_len;
	*payload = NULL;
	reopen_done(l->reopen, &c->note, &c->rep->msg);
	l->answered |= !l->half;
	if (counts)
		link_count_wait(l);
	link_end_call(l, c, 0);
	return 0;
}

static int reader_push(struct link *l, const struct frame_header *header)
{
	rfs_Push push;
	int err = stream_decode_push(&l->stream, header, &push);
	if (err)
		return err;
	reopen_push(l->reopen, &push);
	if (l->callbacks.push)
		l->callbacks.push(l, &push, l->callbacks.arg);
	return 0;
}

/* The stream has ended, or is given up for what the peer sent: says so once and fails every call. */
static void reader_end(struct link *l)
{
	pthread_mutex_lock(&l->lock);
	bool again = l->ended;
	l->ended = true;
	const char *why = l->verdict[0] ? l->verdict : l->down ? l->why : l->stream.why;
	pthread_mutex_unlock(&l->lock);
	if (!again && !atomic_load(&l->stream.finished) && l->callbacks.lost)
		l->callbacks.lost(l, why, l->callbacks.arg);
	stream_stop(&l->stream);

	struct link_pending *c;
	do {
		pthread_mutex_lock(&l->lock);
		c = TAILQ_FIRST(&l->pending);
		pthread_mutex_unlock(&l->lock);
		if (c)
			link_end_call(l, c, c == l->goodbye && atomic_load(&l->stream.finished) ? 0 : -EIO);
	} while (c);
}

/* The agent keeps what it has answered until it hears of it. */
static void reader_tell(struct link *l)
{
	uint64_t frames = atomic_fetch_add(&l->seen, 1) + 1 - atomic_load(&l->told);
	uint64_t bytes = atomic_load(&l->kept);
	rfs_Request req = {.which_op = rfs_Request_close_tag};
	if (l->stream.agent_is.resumes && !l->down && (frames >= TELL_FRAMES || bytes >= TELL_BYTES))
		link_send(l, &req);
}

bool link_read(struct link *l)
{
	struct frame_header header;
	uint8_t *payload;
	int err = stream_receive(&l->stream, &header, &payload);
	if (!err)
		reader_tell(l);
	if (!err && header.kind == FRAME_PUSH)
		err = reader_push(l, &header);
	else if (!err)
		err = reader_reply(l, &header, &payload);
	free(payload);
	if (err && link_lose(l, err))
		return false;
	if (err)
		reader_end(l);
	return true;
}

int link_alive_ms = 15 * 60 * 1000;

static void say_alive(struct link *l, int64_t *next)
{
	rfs_Request req = {.which_op = rfs_Request_close_tag};
	if (stream_now_ms() < *next)
		return;
	*next = stream_now_ms() + link_alive_ms;
	link_send(l, &req);
}

void *link_poll(void *arg)
{
	struct link *l = arg;
	bool ended = false;
	int64_t next = stream_now_ms() + link_alive_ms;
	while (!ended) {
		struct epoll_event ev;
		int n = epoll_wait(l->epoll, &ev, 1, link_alive_ms);
		say_alive(l, &next);
		if (n == 1 && ev.data.u32 == SENDER_EVENT) {
			sender_flush(&l->sender);
			continue;
		}
		pthread_mutex_lock(&l->lock);
		bool down = l->down, mine = n == 1 && role_take(l);
		pthread_mutex_unlock(&l->lock);
		if (mine)
			down = !link_read(l);
		if (down && !link_again(l))
			reader_end(l);
		if (down || mine)
			role_drop(l);
		pthread_mutex_lock(&l->lock);
		ended = l->ended;
		pthread_mutex_unlock(&l->lock);
	}
	return NULL;
}

/* ---- requests ---- */

/* How many frames the agent may forget now; 0: none more than it knows of. */
static uint64_t seen_tell(struct link *l)
{
	uint64_t seen = atomic_load(&l->seen);
	atomic_store(&l->kept, 0);
	return l->stream.agent_is.resumes && atomic_exchange(&l->told, seen) != seen ? seen : 0;
}

/*
 * Sends O; the sender's turn is ours. C, if it has the reader's role, must not sleep here with it: the
 * agent may be unable to read on before somebody reads what it sent.
 */
static int request_send(struct link *l, struct stream_request *o, struct link_pending *c, int64_t deadline_ms)
{
	struct iovec iov[2];
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};
	stream_fill_iov(o, c->id, seen_tell(l), iov);
	int sent = sender_try(&l->sender, &msg);
	if (sent)
		return sent < 0 ? sent : 0;
	if (c->reader) {
		c->reader = false;
		role_drop(l);
	}
	return sender_finish(&l->sender, &msg, deadline_ms);
}

/* An id that no pending call has; with the lock held. Before they begin anew none is given out twice. */
static uint32_t id_new(struct link *l)
{
	do
		l->ids_again |= !++l->last_id;
	while (!l->last_id || (l->ids_again && call_find(l, l->last_id)));
	return l->last_id;
}

/* C goes out next; with the lock held. */
static void pending_add(struct link *l, struct link_pendings *list, struct link_pending *c)
{
	c->number = ++l->last_number;
	c->resend = l->down;
	TAILQ_INSERT_TAIL(list, c, entry);
}

/* C is sent, and may be gone; or, with ERR, not whole: if it still is pending under ID the agent has not got it. */
static void call_sent(struct link *l, struct link_pending *c, uint32_t id, int err)
{
	pthread_mutex_lock(&l->lock);
	c->sending = false;
	if (err < 0 && !c->done && c->id == id)
		c->resend = true;
	bool over = c->over;
	pthread_mutex_unlock(&l->lock);
	if (over)
		link_pending_free(c);
}

int link_start_call(struct link *l, struct link_pending *c, struct stream_request *o, int64_t deadline_ms)
{
	pthread_mutex_lock(&l->lock);
	bool ended = l->ended;
	if (!ended) {
		c->id = id_new(l);
		pending_add(l, &l->pending, c);
		sender_claim(&l->sender);
		c->sending = !c->resend;
		c->reader = c != l->goodbye && !c->then && role_take(l);
	}
	bool later = c->resend;
	uint32_t id = c->id;
	bool counts = c != l->goodbye;
	pthread_mutex_unlock(&l->lock);
	if (ended)
		return -EIO;
	if (counts)
		atomic_fetch_add_explicit(&l->requests, 1, memory_order_relaxed);
	if (later)
		return 0;
	int err = request_send(l, o, c, deadline_ms);
	call_sent(l, c, id, err);
	if (err < 0)
		stream_stop(&l->stream);
	return 0;
}

/* Waits until C is done, reading the stream when nobody else does. */
static void call_wait(struct link *l, struct link_pending *c)
{
	pthread_mutex_lock(&l->lock);
	while (!c->done) {
		bool mine = c->reader || role_take(l);
		c->reader = mine;
		c->waiting = !mine;
		pthread_mutex_unlock(&l->lock);
		if (mine)
			c->reader = link_read(l);
		else
			while (sem_wait(&c->wake) < 0)
				continue;
		pthread_mutex_lock(&l->lock);
	}
	struct link_pending *next = c->reader ? role_leave(l) : NULL;
	pthread_mutex_unlock(&l->lock);
	call_post(next);
}

int link_call(struct link *l, const rfs_Request *req, const void *payload, size_t payload_len, struct link_reply *rep)
{
	struct stream_request o;
	struct link_pending c = {.rep = rep, .op = req->which_op, .request = &o};
	rep->payload = NULL;
	rep->payload_len = 0;
	int err = payload_len > l->max_payload ? -EMSGSIZE : stream_encode_request(&o, req, payload, payload_len);
	if (err)
		return err;
	sem_init(&c.wake, 0, 0);
	reopen_note(req, &c.note);
	reopen_sent(l->reopen, &c.note);
	atomic_fetch_add(&l->inside, 1);
	sender_begin(&l->sender);
	err = link_start_call(l, &c, &o, 0);
	sender_end(&l->sender);
	if (!err) {
		call_wait(l, &c);
		err = c.result;
	} else {
		reopen_done(l->reopen, &c.note, &refused);
	}
	atomic_fetch_sub(&l->inside, 1);
	sem_destroy(&c.wake);
	return err;
}

static struct link_pending *pending_new(const rfs_Request *req, const struct stream_request *o, link_done *then, void *arg)
{
	struct link_pending *c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	c->rep = calloc(1, sizeof(*c->rep));
	c->request = stream_copy_request(o);
	c->op = req->which_op;
	reopen_note(req, &c->note);
	c->then = then;
	c->arg = arg;
	if (c->rep && c->request)
		return c;
	link_pending_free(c);
	return NULL;
}

/* Queues C, whose payload is small. 0, -EIO, or why it does not go out: then C is not pending. */
static int pending_queue(struct link *l, struct link_pendings *list, struct link_pending *c)
{
	struct iovec iov[2];
	pthread_mutex_lock(&l->lock);
	int err = l->ended ? -EIO : 0;
	if (list == &l->pending)
		c->id = id_new(l);
	if (!err && !l->down) {
		stream_fill_iov(c->request, c->id, seen_tell(l), iov);
		c->queued = iov[0].iov_len + iov[1].iov_len;
		err = sender_add(&l->sender, iov, list == &l->oneway);
	}
	if (!err)
		pending_add(l, list, c);
	pthread_mutex_unlock(&l->lock);
	if (err)
		return err;
	sender_flush(&l->sender);
	atomic_fetch_add_explicit(&l->requests, 1, memory_order_relaxed);
	return 0;
}

int link_start(struct link *l, const rfs_Request *req, const void *payload, size_t payload_len, link_done *then, void *arg)
{
	struct stream_request o;
	int err = payload_len > l->max_payload ? -EMSGSIZE : stream_encode_request(&o, req, payload, payload_len);
	struct link_pending *c = err ? NULL : pending_new(req, &o, then, arg);
	if (!c)
		return err ? err : -ENOMEM;
	reopen_sent(l->reopen, &c->note);
	atomic_fetch_add(&l->inside, 1);
	if (payload_len > LINK_SMALL) {
		sender_begin(&l->sender);
		err = link_start_call(l, c, c->request, 0);
		sender_end(&l->sender);
	} else {
		err = pending_queue(l, &l->pending, c);
	}
	atomic_fetch_sub(&l->inside, 1);
	if (err) {
		reopen_done(l->reopen, &c->note, &refused);
		link_pending_free(c);
	}
	return err;
}

struct link_pending *link_pending_new(const rfs_Request *req, link_done *then, void *arg)
{
	struct stream_request o;
	struct link_pending *c = stream_encode_request(&o, req, NULL, 0) ? NULL : pending_new(req, &o, then, arg);
	if (c)
		c->note.op = 0;
	return c;
}

void link_pending_add(struct link *l, struct link_pending *c)
{
	pthread_mutex_lock(&l->lock);
	c->id = id_new(l);
	TAILQ_INSERT_TAIL(&l->pending, c, entry);
	pthread_mutex_unlock(&l->lock);
}

void link_count_wait(struct link *l)
{
	atomic_fetch_add_explicit(&l->round_trips, 1, memory_order_relaxed);
}

int link_send(struct link *l, const rfs_Request *req)
{
	struct stream_request o;
	int err = stream_encode_request(&o, req, NULL, 0);
	struct link_pending *c = err ? NULL : calloc(1, sizeof(*c));
	if (!c)
		return err ? err : -ENOMEM;
	c->request = stream_copy_request(&o);
	reopen_note(req, &c->note);
	reopen_sent(l->reopen, &c->note);
	atomic_fetch_add(&l->inside, 1);
	err = c->request ? pending_queue(l, &l->oneway, c) : -ENOMEM;
	atomic_fetch_sub(&l->inside, 1);
	if (err)
		link_pending_free(c);
	return err;
}

void link_reply_free(struct link_reply *rep)
{
	free(rep->payload);
	rep->payload = NULL;
	rep->payload_len = 0;
}
