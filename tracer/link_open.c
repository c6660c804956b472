/* Opening and closing a link, and what it says of itself. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <unistd.h>

#include "child.h"
#include "link_int.h"

#define EXIT_GRACE_MS 500

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
	err = pthread_create(&l->poller, NULL, link_poll, l);
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
	l->answered = true;
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
	TAILQ_INIT(&l->oneway);
	return l;
}

static void link_free(struct link *l, int grace_ms)
{
	link_forget_oneway(l, UINT64_MAX);
	link_pending_free(l->goodbye);
	if (l->reopen)
		reopen_free(l->reopen);
	sender_destroy(&l->sender);
	stream_close(&l->stream);
	if (l->epoll >= 0)
		close(l->epoll);
	child_stop(l->stream.agent, grace_ms);
	pthread_cond_destroy(&l->changed);
	pthread_mutex_destroy(&l->lock);
	free(l);
}

const struct link_session *link_new_session(struct link *l)
{
	struct link_session *s = &l->session;
	s->stream = 0;
	if (!l->callbacks.redial || !l->callbacks.redial_ms || getrandom(s->name, sizeof(s->name), 0) != sizeof(s->name) ||
	    getrandom(s->secret, sizeof(s->secret), 0) != sizeof(s->secret))
		return NULL;
	s->linger_ms = l->callbacks.linger ? l->callbacks.redial_ms : 0;
	return s;
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
		l->greeting = *greeting;
		l->timeout_ms = timeout_ms;
		rc = stream_greet(&l->stream, greeting, link_new_session(l), timeout_ms, &l->max_payload);
		why = l->stream.why;
	}
	if (!rc && l->stream.agent_is.resumes && l->stream.agent_is.tickets)
		l->reopen = reopen_new();
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
	stream_stop(&l->stream);
	pthread_mutex_unlock(&l->lock);
	return -EIO;
}

/* Waits for C; when it is late, ends the stream with WHY and waits for the reader to see that. */
static void goodbye_wait(struct link *l, struct link_pending *c, int64_t deadline_ms, const char *why)
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

/* The goodbye is on its way by DEADLINE_MS (of stream_now_ms(); 0: whenever that is), or the link has ended: -EIO. */
static int goodbye_send(struct link *l, int64_t deadline_ms, const char *why)
{
	rfs_Request req = {.which_op = rfs_Request_goodbye_tag};
	struct link_pending *c = link_pending_new(&req, NULL, NULL);
	if (!c)
		return link_give_up(l, "out of memory");
	if (!deadline_ms) {
		sender_begin(&l->sender);
	} else if (!sender_begin_until(&l->sender, deadline_ms)) {
		link_pending_free(c);
		return link_give_up(l, why);
	}
	pthread_mutex_lock(&l->lock);
	l->goodbye = c;
	pthread_mutex_unlock(&l->lock);
	int err = link_start_call(l, c, c->request, deadline_ms);
	sender_end(&l->sender);
	if (err) {
		c->result = err;
		c->done = true; /* it never was pending */
	}
	return err;
}

void link_say_goodbye(struct link *l)
{
	if (!l->goodbye)
		goodbye_send(l, 0, "");
}

static int link_part(struct link *l, int timeout_ms)
{
	char why[sizeof(l->verdict)];
	int64_t deadline = stream_now_ms() + timeout_ms;
	snprintf(why, sizeof(why), "the agent did not answer the goodbye within %g s", timeout_ms / 1000.0);
	if (!l->goodbye)
		goodbye_send(l, deadline, why);
	struct link_pending *c = l->goodbye;
	if (!c)
		return -EIO;
	goodbye_wait(l, c, deadline, why);
	link_reply_free(c->rep);
	return c->result;
}

int link_close(struct link *l, int timeout_ms)
{
	int err = link_part(l, timeout_ms);
	stream_stop(&l->stream);
	/* What is being started anew may take its time, and cannot be stopped. */
	pthread_mutex_lock(&l->lock);
	bool down = l->down && !l->ended;
	pthread_mutex_unlock(&l->lock);
	if (down)
		return err;
	pthread_join(l->poller, NULL);
	while (atomic_load(&l->inside))
		usleep(1000);
	link_free(l, err ? 0 : EXIT_GRACE_MS);
	return err;
}

/* ---- what it is ---- */

uint64_t link_new_handle(struct link *l)
{
	return atomic_fetch_add(&l->last_handle, 1) + 1;
}

const char *link_program(const struct link *l)
{
	return l->stream.program;
}

const struct link_agent *link_agent(const struct link *l)
{
	return &l->stream.agent_is;
}

struct link_totals link_totals(const struct link *l)
{
	return (struct link_totals){l->round_trips, l->requests, l->stream.bytes_in, l->stream.bytes_out};
}
