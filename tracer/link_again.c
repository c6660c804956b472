/* A connection that broke is made anew, and what the agent has not got is sent again. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "child.h"
#include "link_int.h"
#include "plain.h"

/* Agents that end before they have answered anything: it is the requests that they end of, or the way to them. */
#define VAIN_MAX 8
#define VAIN_MS 5000
#define PAUSE_MS 20 /* before the second try; twice as long before each further one … */
#define PAUSE_MAX_MS 500

bool link_lose(struct link *l, int err)
{
	pthread_mutex_lock(&l->lock);
	/* A peer that sends what it must not will do so again. */
	bool again = err != -EPROTO && !l->ended && !l->verdict[0] && !atomic_load(&l->stream.finished) && l->stream.agent_is.resumes;
	if (again && !l->down) {
		l->down = true;
		l->since_ms = stream_now_ms();
	}
	if (again) {
		snprintf(l->why, sizeof(l->why), "%s", l->stream.why);
		stream_stop(&l->stream); /* now: when we are down, the poller may already have another one */
	}
	pthread_mutex_unlock(&l->lock);
	return again;
}

int64_t link_away(struct link *l, char *why, size_t len)
{
	pthread_mutex_lock(&l->lock);
	int64_t ms = l->down ? stream_now_ms() - l->since_ms : 0;
	snprintf(why, len, "%s", l->why);
	pthread_mutex_unlock(&l->lock);
	return ms;
}

/* ---- what was under way ---- */

static bool is_listed(const uint64_t *numbers, size_t count, uint64_t number)
{
	for (size_t i = 0; i < count; i++)
		if (numbers[i] == number)
			return true;
	return false;
}

/* Whether the agent will answer C, which it was sent once. */
static bool is_answered(const struct link_pending *c, const rfs_ResumeReply *r)
{
	if (c->number > r->got || is_listed(r->missing, r->missing_count, c->number))
		return false;
	return !request_is_plain(c->op) || is_listed(r->working, r->working_count, c->number);
}

/* C, or the first one behind it in its list that is to be sent again. */
static struct link_pending *to_resend(struct link_pending *c)
{
	while (c && !c->resend)
		c = TAILQ_NEXT(c, entry);
	return c;
}

static void mark_resend(struct link *l, const rfs_ResumeReply *r)
{
	struct link_pending *c;
	TAILQ_FOREACH(c, &l->pending, entry)
		c->resend = !is_answered(c, r);
	/* Those that the agent has got come to their end by the next reply, behind those to what was sent before them. */
	TAILQ_FOREACH(c, &l->oneway, entry)
		c->resend = c->number > r->got || is_listed(r->missing, r->missing_count, c->number);
}

/* The last one of two lists. */
static struct link_pending *last_of(struct link_pending *a, struct link_pending *b)
{
	return !a || (b && b->number > a->number) ? b : a;
}

/* What is still in the sender's queue the agent has not got. With the lock held, and the sender's turn. */
static void mark_queued(struct link *l)
{
	struct link_pending *a = TAILQ_LAST(&l->pending, link_pendings), *b = TAILQ_LAST(&l->oneway, link_pendings), *c;
	size_t left = atomic_load(&l->sender.len);
	while (left && (c = last_of(a, b))) {
		if (!c->resend && c->queued) {
			c->resend = true;
			left -= c->queued < left ? c->queued : left;
		}
		if (c == a)
			a = TAILQ_PREV(a, link_pendings, entry);
		else
			b = TAILQ_PREV(b, link_pendings, entry);
	}
}

/* The first one to be sent again, in the order in which they were sent; with the lock held. */
static struct link_pending *first_resend(struct link_pending *a, struct link_pending *b)
{
	a = to_resend(a);
	b = to_resend(b);
	return !a || (b && b->number < a->number) ? b : a;
}

/* The agent counts what it is sent again as new. With the lock held. */
static void number_resend(struct link *l, uint64_t last)
{
	struct link_pending *a = TAILQ_FIRST(&l->pending), *b = TAILQ_FIRST(&l->oneway), *c;
	while ((c = first_resend(a, b))) {
		a = to_resend(a);
		b = to_resend(b);
		c->number = ++last;
		if (c == a)
			a = TAILQ_NEXT(a, entry);
		else
			b = TAILQ_NEXT(b, entry);
	}
	l->last_number = last;
}

int link_resend(struct link *l, struct link_pending *c)
{
	struct iovec iov[2];
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};
	stream_fill_iov(c->request, c->id, 0, iov);
	for (;;) {
		int sent = sender_try(&l->sender, &msg);
		if (sent)
			return sent < 0 ? -EIO : 0;
		int ready = stream_wait_either(&l->stream);
		if (ready < 0 || (ready & POLLIN && (!link_read(l) || l->ended)))
			return -EIO;
	}
}

static int resend_all(struct link *l)
{
	struct link_pending *c;
	int err = 0;
	do {
		pthread_mutex_lock(&l->lock);
		c = first_resend(TAILQ_FIRST(&l->pending), TAILQ_FIRST(&l->oneway));
		l->down = c;
		pthread_mutex_unlock(&l->lock);
		err = c ? link_resend(l, c) : 0;
		if (c && !err)
			c->resend = false;
	} while (c && !err);
	return err;
}

/* ---- the connection ---- */

/* Whether the goodbye is said, and nothing else is left that an agent is needed for. */
static bool is_leaving(struct link *l)
{
	pthread_mutex_lock(&l->lock);
	struct link_pending *c = TAILQ_FIRST(&l->pending);
	bool leaving = l->goodbye && (!c || (c == l->goodbye && !TAILQ_NEXT(c, entry)));
	pthread_mutex_unlock(&l->lock);
	return leaving;
}

/* An agent has ended. Whether that is enough of them, for what the program waits for. */
static bool is_vain(struct link *l)
{
	pthread_mutex_lock(&l->lock);
	if (l->answered || TAILQ_EMPTY(&l->pending)) {
		l->vain = 0;
		l->vain_ms = stream_now_ms();
	}
	pthread_mutex_unlock(&l->lock);
	l->answered = false;
	return ++l->vain > VAIN_MAX && stream_now_ms() - l->vain_ms > VAIN_MS;
}

/* The agent that had the session is gone: S's own begins another one. 0 or a negative errno, with the reason in s->why. */
static int greet_another(struct link *l, struct stream *s)
{
	uint32_t max_payload;
	if (!l->reopen || is_leaving(l))
		return -ENOENT;
	if (is_vain(l)) {
		snprintf(s->why, sizeof(s->why), "%u agents have ended, one after the other, before they had answered anything", l->vain);
		return -EPROTO;
	}
	/* Its answer may be lost, and then it has the session, but nothing else. */
	l->half = true;
	return stream_greet(s, &l->greeting, link_new_session(l), l->timeout_ms, &max_payload);
}

/*
 * A stream on which the agent goes on with the session, or, with *ANOTHER, one that has begun a new one. 0 or a negative errno with one
 * clause in ERR; -EAGAIN: nobody was reached, for whatever reason: what was there once may be there again; -ENODEV: that it will not.
 */
static int connect_again(struct link *l, struct stream *s, rfs_ResumeReply *r, bool *another, char *err, size_t err_len)
{
	int in, out;
	pid_t agent = 0;
	int rc = l->callbacks.redial(&in, &out, &agent, err, err_len, l->callbacks.arg);
	if (rc)
		return rc == -ENODEV ? rc : -EAGAIN;
	rc = stream_init(s, in, out, agent);
	l->session.attempt++;
	if (!rc)
		rc = stream_resume(s, &l->session, atomic_load(&l->seen), l->timeout_ms, r);
	*another = rc == -ENOENT;
	if (*another)
		rc = greet_another(l, s);
	if (!rc && !*another && l->half) {
		/* It has not got all that it was to have, and must let go of that; it is asked after again until it is gone. */
		stream_dismiss(s, l->timeout_ms);
		rc = -EAGAIN;
	}
	if (!rc)
		return 0;
	snprintf(err, err_len, "%s", s->why);
	stream_close(s);
	child_stop(agent, 0);
	return rc;
}

/*
 * S takes the place of the stream that broke; the sender's turn is ours. What R (NULL: nothing is said yet) does not say that the agent has is to
 * be sent again. 0 or a negative errno.
 */
static int change_over(struct link *l, struct stream *s, const rfs_ResumeReply *r)
{
	struct epoll_event in = {.events = EPOLLONESHOT};
	pid_t agent = l->stream.agent;
	pthread_mutex_lock(&l->lock);
	mark_queued(l);
	epoll_ctl(l->epoll, EPOLL_CTL_DEL, l->stream.in, NULL);
	stream_adopt(&l->stream, s);
	int rc = sender_renew(&l->sender);
	if (!rc && epoll_ctl(l->epoll, EPOLL_CTL_ADD, l->stream.in, &in) < 0)
		rc = -errno;
	if (r) {
		mark_resend(l, r);
		number_resend(l, r->got);
		l->session.stream = r->stream;
	}
	atomic_store(&l->seen, 0);
	atomic_store(&l->told, 0);
	pthread_mutex_unlock(&l->lock);
	child_stop(agent, 0);
	return rc;
}

/* The agent at the other end has nothing yet, and gets what the last one had. 0 or a negative errno. */
static int bring_up(struct link *l)
{
	uint64_t asked = 0;
	int rc = link_reopen(l, &asked);
	if (rc)
		return rc;
	l->half = false;
	pthread_mutex_lock(&l->lock);
	mark_resend(l, &(rfs_ResumeReply){0});
	number_resend(l, asked);
	pthread_mutex_unlock(&l->lock);
	return 0;
}

static bool is_given_up(struct link *l)
{
	pthread_mutex_lock(&l->lock);
	bool over = l->verdict[0] || l->ended;
	pthread_mutex_unlock(&l->lock);
	return over;
}

/* One try. 0, -EAGAIN: perhaps another time, or another negative errno. */
static int try_again(struct link *l, struct stream *s)
{
	char err[320] = "";
	rfs_ResumeReply r;
	bool another;
	int rc = connect_again(l, s, &r, &another, err, sizeof(err));
	if (!rc)
		rc = change_over(l, s, another ? NULL : &r);
	if (!rc && another)
		rc = bring_up(l) ? -EAGAIN : 0;
	if (!rc && resend_all(l) == 0)
		return 0;
	pthread_mutex_lock(&l->lock);
	if (rc)
		snprintf(l->why, sizeof(l->why), "%s", err);
	pthread_mutex_unlock(&l->lock);
	return rc == -ENOENT || rc == -ENODEV || rc == -EPROTO ? rc : -EAGAIN;
}

bool link_again(struct link *l)
{
	int64_t deadline = l->since_ms + l->callbacks.redial_ms;
	int pause = l->answered ? 0 : PAUSE_MAX_MS, rc; /* agents that are of no use are not to be many */
	struct stream *s = malloc(sizeof(*s));
	sender_begin(&l->sender);
	do {
		poll(NULL, 0, pause);
		pause = pause ? pause * 2 : PAUSE_MS;
		pause = pause < PAUSE_MAX_MS ? pause : PAUSE_MAX_MS;
		rc = s ? try_again(l, s) : -ENOMEM;
	} while (rc == -EAGAIN && stream_now_ms() < deadline && !is_given_up(l));
	sender_end(&l->sender);
	free(s);
	/* All that was asked for is answered, and what the goodbye would have it close is closed. */
	if ((rc == -ENOENT || rc == -ENODEV) && is_leaving(l))
		atomic_store(&l->stream.finished, true);
	return rc == 0;
}
