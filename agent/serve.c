/*
 * Leader and followers: one thread reads a request, makes another one the leader, and answers the request
 * itself. A request is read only when there is a thread and room for its answer: that is the backpressure.
 *
 * Waking the next leader costs as much as a stat (measured, a stat over a socketpair on 2 CPUs: 37 us with,
 * 17 to 24 us without), so for a request that is usually quick the leader keeps its place. A watchdog gives
 * the place away if that takes longer than a millisecond or two, so nothing waits longer behind it.
 */
#include "serve.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "channel.h"
#include "dispatch.h"
#include "handle.h"
#include "keep.h"
#include "observe.h"
#include "ops.h"
#include "serve_int.h"
#include "tables.h"

#ifdef __SANITIZE_THREAD__
#define SERVE_STACK (8u << 20) /* the sanitizer keeps what it knows of a thread there, too */
#else
#define SERVE_STACK (512u << 10)
#endif

_Static_assert(SERVE_THREADS < SESSION_WORK, "each thread has a place in the session");

static void *serve_thread(void *serve);

/* By a clock that nobody can set: one that is set back would make a millisecond of the watchdog an hour. */
static struct timespec serve_deadline(long ms)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_sec += ms / 1000;
	t.tv_nsec += ms % 1000 * 1000000;
	if (t.tv_nsec >= 1000000000) {
		t.tv_sec++;
		t.tv_nsec -= 1000000000;
	}
	return t;
}

_Noreturn void serve_exit(struct serve *s, int status)
{
	struct timespec t = serve_deadline(20);

	/* Requests that were read are finished if they are quick; a stuck one must not keep the process. */
	pthread_mutex_lock(&s->lock);
	while (s->working > 0 && !pthread_cond_clockwait(&s->done, &s->lock, CLOCK_MONOTONIC, &t))
		;
	pthread_mutex_unlock(&s->lock);
	t = serve_deadline(20);
	pthread_mutex_clocklock(&s->write_lock, CLOCK_MONOTONIC, &t);
	_exit(status);
}

/* Starts a follower; without one, whoever is done first becomes the leader. The lock is held. */
static void serve_spawn(struct serve *s)
{
	pthread_attr_t attr;
	pthread_t thread;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, SERVE_STACK);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	if (!pthread_create(&thread, &attr, serve_thread, s))
		s->threads++;
	pthread_attr_destroy(&attr);
}

/* Without the first thread there is nothing in /proc/self/fd, by which files are named to the kernel. */
static bool serve_is_first_thread(void)
{
	return gettid() == getpid();
}

/*
 * Waits for the leader's place. False: there has been nothing to do for long; the last follower and the first
 * thread stay.
 */
static bool serve_lead(struct serve *s)
{
	struct timespec t;
	bool lead, stay = true;

	pthread_mutex_lock(&s->lock);
	s->idle++;
	while (s->leading && stay) {
		t = serve_deadline(SERVE_IDLE_S * 1000);
		if (pthread_cond_clockwait(&s->lead, &s->lock, CLOCK_MONOTONIC, &t) == ETIMEDOUT)
			stay = s->idle == 1 || serve_is_first_thread();
	}
	s->idle--;
	lead = !s->leading;
	s->leading = true;
	if (!lead)
		s->threads--;
	pthread_mutex_unlock(&s->lock);
	return lead;
}

/* Lets somebody else lead. The lock is held. */
static void serve_promote(struct serve *s)
{
	s->leading = false;
	s->term++;
	s->quick_now = false;
	if (s->idle)
		pthread_cond_signal(&s->lead);
	else if (s->threads < SERVE_THREADS)
		serve_spawn(s);
}

static bool is_close(const struct job *job)
{
	return job->req.which_op == rfs_Request_close_tag;
}

/*
 * Begins JOB: as the leader still, if it promises to be quick and nothing waits behind it; or if nothing behind it may
 * be begun before it is done, and then nobody takes the place. Returns the term.
 */
static uint64_t serve_begin(struct serve *s, const struct job *job)
{
	bool ordered = job->req.ordered;
	bool quick = !ordered && s->at == s->filled && dispatch_is_quick(&job->req);
	uint64_t term;

	pthread_mutex_lock(&s->lock);
	s->working++;
	s->closing += is_close(job);
	term = s->term;
	if (quick) {
		s->quick++;
		s->quick_now = true;
		if (s->sleeping)
			pthread_cond_signal(&s->watch);
	} else if (!ordered) {
		serve_promote(s);
	}
	pthread_mutex_unlock(&s->lock);
	return term;
}

/* A watch is not to be told of the closes that were asked for before it. */
static void serve_await_closes(struct serve *s)
{
	struct timespec t = serve_deadline(SERVE_CLOSE_MS);

	pthread_mutex_lock(&s->lock);
	while (s->closing && !pthread_cond_clockwait(&s->done, &s->lock, CLOCK_MONOTONIC, &t))
		;
	pthread_mutex_unlock(&s->lock);
}

/* Takes the place from a leader that was not as quick as it promised. */
static void *serve_watchdog(void *serve)
{
	struct serve *s = serve;
	uint64_t seen = 0;
	struct timespec t;

	pthread_mutex_lock(&s->lock);
	for (;;) {
		if (s->quick == seen && !s->quick_now) {
			s->sleeping = true;
			pthread_cond_wait(&s->watch, &s->lock);
			s->sleeping = false;
		}
		if (s->quick == seen && s->quick_now)
			serve_promote(s);
		seen = s->quick;
		t = serve_deadline(SERVE_QUICK_MS);
		pthread_cond_clockwait(&s->watch, &s->lock, CLOCK_MONOTONIC, &t);
	}
	return NULL;
}

/* Waits until the answer to JOB has room. Nothing is read meanwhile. */
static void serve_reserve(struct serve *s, struct job *job)
{
	job->cost = job->op.data_len + dispatch_cost(&job->req) + sizeof(*job);
	pthread_mutex_lock(&s->lock);
	while (s->cost && s->cost + job->cost > SERVE_BUDGET)
		pthread_cond_wait(&s->done, &s->lock);
	s->cost += job->cost;
	pthread_mutex_unlock(&s->lock);
}

/* Ends JOB. True: the calling thread, which led in TERM, still does. */
static bool serve_done(struct serve *s, struct job *job, uint64_t term)
{
	bool lead;

	free(job->payload);
	free(job->op.out);
	pthread_mutex_lock(&s->lock);
	s->working--;
	s->closing -= is_close(job);
	s->cost -= job->cost;
	lead = s->term == term;
	if (lead)
		s->quick_now = false;
	else
		pthread_cond_broadcast(&s->done);
	pthread_mutex_unlock(&s->lock);
	return lead;
}

/* Whether something is still in work, of which a few milliseconds more are waited for the end. */
static bool serve_works(struct serve *s)
{
	struct timespec t = serve_deadline(10);
	bool works;

	pthread_mutex_lock(&s->lock);
	if (s->working > 0)
		pthread_cond_clockwait(&s->done, &s->lock, CLOCK_MONOTONIC, &t);
	works = s->working > 0;
	pthread_mutex_unlock(&s->lock);
	return works;
}

/* Everything asked before is answered first. A client that hangs up meanwhile and does not come again is not waited for. */
static void serve_goodbye(struct serve *s, struct job *job)
{
	while (serve_works(s)) {
		struct pollfd p = { .fd = s->conn.in };

		if (poll(&p, 1, 0) > 0 && p.revents & (POLLHUP | POLLERR) && !attach_await(s))
			serve_exit(s, 0);
	}
	output_reply(s, job);
	while (s->lost && attach_await(s))
		;
	serve_exit(s, 0);
}

/*
 * Whether what comes behind a Close must find it done: a lock that is asked for next, or the removal of the file, whose
 * IN_DELETE_SELF waits for the last handle.
 */
static bool serve_close_counts(const struct serve *s, uint64_t handle)
{
	return observe_any(s->agent->observer) || handle_is_locked(s->agent->handles, handle);
}

static void serve_again(struct serve *s, struct job *job)
{
	job->reply.error = EPROTO;
	output_reply(s, job);
}

/* The requests that the leader answers itself, in the order of the stream. True: it was one. */
static bool serve_inline(struct serve *s, struct job *job)
{
	if (job->req.which_op == rfs_Request_hello_tag)
		serve_again(s, job);
	else if (job->req.which_op == rfs_Request_goodbye_tag)
		serve_goodbye(s, job);
	else if (job->req.which_op == rfs_Request_lock_release_tag)
		dispatch_run(&job->op);
	else if (job->req.which_op == rfs_Request_close_tag && serve_close_counts(s, job->req.op.close.handle))
		dispatch_run(&job->op);
	else
		return false;
	session_done(job->work);
	return true;
}

void job_clear(struct job *job)
{
	job->payload = NULL;
	memset(&job->reply, 0, sizeof(job->reply));
	memset(&job->op, 0, offsetof(struct op, promise.path));
	job->op.promise.path[0] = '\0';
}

/* What there is to be known of JOB if we are killed, and what there is if others were. */
static void serve_note(struct serve *s, struct job *job)
{
	session_read(s->session, job->work, job->id, job->req.which_op, job->req.seen);
	job->op.note = keep_on() ? &job->work->note : NULL;
	job->op.doubt = session_doubt(s->session, job->work);
}

/* Reads the next request for a worker, as the leader. */
static void serve_next(struct serve *s, struct job *job)
{
	int r;

	do {
		do {
			job_clear(job);
			r = input_next(s, job);
			if (r == -EPROTO)
				serve_exit(s, 125);
			if (r)
				free(job->payload);
		} while (r && attach_await(s));
		if (r)
			serve_exit(s, 0);
		serve_note(s, job);
		job->op.agent = s->agent;
		job->op.req = &job->req;
		job->op.reply = &job->reply;
	} while (serve_inline(s, job) && (free(job->payload), true));
	serve_reserve(s, job);
	dispatch_prepare(&job->op);
}

static void *serve_thread(void *serve)
{
	struct serve *s = serve;
	struct job job;
	uint64_t term;

	umask_own();
	job.work = session_enter(s->session);
	while (serve_lead(s)) {
		do {
			serve_next(s, &job);
			term = serve_begin(s, &job);
			if (job.req.which_op == rfs_Request_watch_tag)
				serve_await_closes(s);
			dispatch_run(&job.op);
			output_reply(s, &job);
		} while (serve_done(s, &job, term));
	}
	session_leave(job.work);
	return NULL;
}

static struct serve *serve_new(struct agent *a, int in, int out)
{
	struct serve *s = calloc(1, sizeof(*s));
	pthread_condattr_t monotonic;

	a->session = session_new();
	if (!s || !a->session)
		return NULL;
	s->agent = a;
	s->session = a->session;
	s->conn = conn_plain(in, out);
	s->giver = -1;
	s->threads = 1;
	pthread_mutex_init(&s->lock, NULL);
	pthread_mutex_init(&s->write_lock, NULL);
	pthread_cond_init(&s->lead, NULL);
	pthread_cond_init(&s->done, NULL);
	pthread_cond_init(&s->watch, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&s->come, &monotonic);
	pthread_condattr_destroy(&monotonic);
	return s;
}

/* Everything but the thread that calls. AGAIN: what another process has begun is gone on with. */
static int serve_start(struct serve *s, bool again)
{
	struct agent *a = s->agent;
	pthread_t watchdog;
	int r;

	a->push = output_push;
	a->push_to = s;
	locks_start(a->locks, output_lock_end, s);
	r = watch_start(a->watcher, output_notices, s);
	observe_start(a->observer, output_observed, s);
	if (!r)
		r = channels_start(a->channels, output_ready, s);
	if (!r)
		r = -pthread_create(&watchdog, NULL, serve_watchdog, s);
	if (!r && atomic_load(&s->session->begun))
		r = attach_start(s);
	return !r && again ? tables_go_on(a) : r;
}

/* What the process before us had of the stream is lost, and the client comes again. */
static int serve_take_over(struct serve *s)
{
	s->lost = s->took_over = true;
	s->answered = true;
	s->at = s->filled = 0;
	return tables_restore(s->agent, &s->conn);
}

int serve(struct agent *a, int in, int out)
{
	struct serve *s = serve_new(a, in, out);
	struct job hello;
	bool again;
	int r;

	if (!s)
		return -ENOMEM;
	again = greet(s, &hello);
	r = again ? serve_take_over(s) : tables_new(a);
	if (!r)
		r = serve_start(s, again);
	if (r)
		return r;
	hello.work = session_enter(s->session);
	if (!again)
		output_reply(s, &hello);
	session_leave(hello.work);
	serve_thread(s);
	return 0;
}
