#include "launch.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "environment.h"
#include "link.h"
#include "log.h"
#include "loop.h"
#include "options.h"
#include "overlay.h"
#include "push.h"
#include "reach.h"
#include "rules.h"
#include "said_int.h"
#include "state.h"
#include "takeover.h"
#include "util.h"
#include "worker.h"

#define SILENCE_NS UINT64_C(10000000000)
#define AWAY_MS 1000

static struct {
	const struct options *options;
	char err[1024];
	int result;
	sem_t started;
} job;

static atomic_int program_pid;
static atomic_int finishing;
static pthread_mutex_t telling = PTHREAD_MUTEX_INITIALIZER; /* of links, which go once finishing is set */

/* How a target was reached, so that it can be reached again. */
struct way {
	struct reach reach;
	char *target;
	bool away; /* the user knows that it is out of reach */
};

static void lost(struct link *l, const char *why, void *arg)
{
	const struct mount *m = arg;

	(void)l;
	if (atomic_load(&finishing))
		return;
	log_error("%s: lost the agent (%s): the program is killed", m->tag, why);
	loop_abort();
}

static int reach_again(int *in, int *out, pid_t *agent, char *err, size_t err_len, void *arg)
{
	struct mount *m = arg;
	struct target_stream stream;
	int rc = reach_start(&m->way->reach, m->way->target, &stream, err, err_len);

	if (rc)
		return rc;
	struct said *old = m->said;
	said_pass_on(stream.said, m->tag);
	m->said = stream.said;
	if (old)
		said_free(old);
	*in = stream.in;
	*out = stream.out;
	*agent = stream.pid;
	return 0;
}

/* Whether somebody else than we may end the stream to the agent. */
static bool is_far(const char *target)
{
	struct target t;
	char err[256];

	return target_parse(target, &t, err, sizeof(err)) || (t.kind != TARGET_DIR && t.kind != TARGET_PID && t.kind != TARGET_CONTAINER);
}

static void note_way(struct mount *m, const struct reach *r, const char *target)
{
	m->way = xcalloc(1, sizeof(*m->way));
	m->way->reach = *r;
	m->way->reach.meanwhile = NULL;
	m->way->target = xstrdup(target);
}

/* From the agent's first word on. R and TARGET are the way to it. */
static int greet(struct mount *m, struct target_stream *stream, const struct reach *r, const char *target, enum mode mode)
{
	struct link_callbacks callbacks = { .push = push_receive,
					    .lost = lost,
					    .redial = reach_again,
					    .redial_ms = job.options->reconnect_ms,
					    .linger = is_far(target),
					    .reopened = takeover_done,
					    .arg = m };
	char why[512] = "";
	bool writable = mode == MODE_WRITE;

	m->writable = writable;
	note_way(m, r, target);
	m->said = stream->said;
	rules_set_mode(m, mode);
	struct link_greeting greeting = { .read_only = !writable, .at = m->at, .sub = m->sub };
	m->link = link_open(stream->in, stream->out, stream->pid, m->tag, &greeting, (int)job.options->startup_ms, &callbacks, why,
			    sizeof(why));
	if (m->link) {
		said_pass_on(m->said, m->tag);
		return 0;
	}
	reach_add_last_words(stream->said, why, sizeof(why));
	snprintf(job.err, sizeof(job.err), "%s: %s", target, why);
	return -EPROTO;
}

static int reach(const struct reach *r, const char *target, struct target_stream *stream)
{
	char why[512] = "";
	int rc = reach_start(r, target, stream, why, sizeof(why));

	if (rc < 0)
		snprintf(job.err, sizeof(job.err), "%.500s: %s", target, why);
	return rc;
}

/* Where LOWER's overlay is to be kept: in a directory of its own below --overlay-dir where there are several. NULL: nowhere. */
static const char *overlay_dir_of(const struct mount *lower, char dir[PATH_MAX])
{
	const struct options *o = job.options;
	size_t several = o->target && o->mode == MODE_OVERLAY;

	for (size_t i = 0; i < o->mount_count; i++)
		several += o->mounts[i].mode == MODE_OVERLAY;
	if (several < 2 || !o->overlay_dir)
		return o->overlay_dir;
	mkdir(o->overlay_dir, 0700);
	int n = snprintf(dir, PATH_MAX, "%s/", o->overlay_dir);
	if (n >= PATH_MAX)
		return o->overlay_dir;
	snprintf(dir + n, PATH_MAX - (size_t)n, "%s", lower->at[1] ? lower->at + 1 : "root");
	for (char *p = dir + n; *p; p++)
		*p = *p == '/' ? '%' : *p;
	return dir;
}

/* What is written to LOWER stays here, in a directory with an agent of its own. */
struct upper_start {
	struct mount *lower;
	const char *target;
	struct overlay *overlay;
	struct target_stream stream;
	struct reach reach;
	char dir[PATH_MAX + 8]; /* as a target */
	int result;
};

/* While the target's agent is on its way, which takes longer. */
static void begin_overlay(void *arg)
{
	struct upper_start *u = arg;
	char why[PATH_MAX + 128] = "", absolute[PATH_MAX + 8], dir[PATH_MAX];

	if (u->overlay || u->result)
		return;
	target_absolute(u->target, absolute, sizeof(absolute));
	u->overlay = overlay_new(u->lower, absolute, overlay_dir_of(u->lower, dir), why, sizeof(why));
	if (!u->overlay) {
		snprintf(job.err, sizeof(job.err), "%.*s", (int)sizeof(job.err) - 1, why);
		u->result = -EINVAL;
		return;
	}
	snprintf(u->dir, sizeof(u->dir), "dir/%s", u->overlay->dir);
	u->result = reach(&u->reach, u->dir, &u->stream);
}

static int end_overlay(struct upper_start *u)
{
	struct mount *lower = u->lower;
	char tag[80];

	begin_overlay(u);
	if (u->result)
		return u->result;
	snprintf(tag, sizeof(tag), "%s (overlay)", lower->tag);
	struct mount *upper = rules_add_mount(lower->at, OVERLAY_UPPER, tag);
	int rc = greet(upper, &u->stream, &u->reach, u->dir, MODE_WRITE);
	if (rc)
		return rc;
	u->overlay->upper = upper;
	upper->overlay = lower->overlay = u->overlay;
	upper->is_upper = true;
	return 0;
}

/*
 * A second agent for the paths that a rule gives other rights than the mode gives M: so it is the agent that refuses all else, also
 * what is done to a descriptor.
 */
static int start_twin(struct mount *m, const char *target)
{
	struct target_stream stream;
	int rc = reach(&job.options->reach, target, &stream);

	if (rc)
		return rc;
	struct mount *twin = rules_add_mount(m->at, m->sub, m->tag);
	rc = greet(twin, &stream, &job.options->reach, target, m->writable ? MODE_READ : MODE_WRITE);
	if (rc)
		return rc;
	m->twin = twin;
	twin->is_twin = true;
	return 0;
}

static int start_target(const char *at, const char *sub, const char *target, enum mode mode, bool defaults)
{
	char tag[64];
	struct reach r = job.options->reach;

	target_tag(target, tag, sizeof(tag));
	struct mount *m = rules_add_mount(at, sub, tag);
	struct target_stream stream;
	struct upper_start upper = { .lower = m, .target = target };
	if (mode == MODE_OVERLAY) {
		r.meanwhile = begin_overlay;
		r.meanwhile_arg = &upper;
	}
	int rc = reach(&r, target, &stream);
	rc = rc ? rc : greet(m, &stream, &r, target, mode);
	m->defaults = defaults;
	if (!rc && rules_given(m->writable ? RULE_READ_ONLY : RULE_READ_WRITE))
		rc = start_twin(m, target);
	/* Before its directory goes, of which it would complain. */
	if (rc && upper.overlay && !upper.result)
		child_drop(&upper.stream);
	return rc || mode != MODE_OVERLAY ? rc : end_overlay(&upper);
}

static int start_targets(void)
{
	const struct options *o = job.options;
	/* The first one has the environment, even where all its files are local. */
	bool wanted = environment_is_wanted(&o->config);
	int rc = 0;

	if (o->target && (wanted || o->mode != MODE_LOCAL))
		rc = start_target("/", o->target_subpath ? o->target_subpath : "/", o->target, o->mode, true);
	for (size_t i = 0; !rc && i < o->mount_count; i++) {
		const struct mount_option *m = &o->mounts[i];

		if (m->mode != MODE_LOCAL || (wanted && !o->target && i == 0))
			rc = start_target(m->path, m->subpath, m->target, m->mode, false);
	}
	return rc;
}

/* Whether what there is to say of the connection's being there again has been said. */
static bool is_taken_over(struct mount *m)
{
	state_lock();
	bool taken = m->taken_over;
	m->taken_over = false;
	state_unlock();
	return taken;
}

/* True: M's connection broke, and that has been said. */
static bool tell_away(struct mount *m)
{
	char why[320];
	int64_t ms = m->link && m->way ? link_away(m->link, why, sizeof(why)) : 0;

	if (ms > AWAY_MS && !m->way->away) {
		is_taken_over(m); /* of an earlier break, which was over too soon to be told of */
		log_error("%s: the connection broke (%s); it is made anew for at most %u s, and the program waits", m->tag, why,
			  job.options->reconnect_ms / 1000);
	} else if (!ms && m->way && m->way->away) {
		log_error("%s: the connection is there again%s", m->tag, is_taken_over(m) ? "" : ", and nothing was lost");
	} else {
		return ms;
	}
	m->way->away = ms;
	return true;
}

static void tell_of(struct mount *m)
{
	static uint64_t told;

	if (tell_away(m))
		return;
	uint64_t silence = mount_silence(m);

	if (silence < SILENCE_NS || now_ns() - told < SILENCE_NS)
		return;
	told = now_ns();
	log_error("%s: the agent has not answered for %u s; the program waits for it", m->tag, (unsigned)(silence / 1000000000u));
}

/* A target that says nothing must not look like a program that hangs. */
static void tell_silence(void)
{
	size_t count;
	struct mount *const *mounts = rules_mounts(&count);

	pthread_mutex_lock(&telling);
	for (size_t i = 0; i < count && !atomic_load(&finishing); i++)
		tell_of(mounts[i]);
	pthread_mutex_unlock(&telling);
}

/* Without a thread for it a call waits until another one has been served. */
static void tell_missing(void)
{
	static bool told;
	int rc = worker_start_missing();

	if (rc && !told)
		log_error("no thread can be started to serve more of the program's calls at once (%s): they wait for each other; "
			  "raise the limit (ulimit -u, the container's pids.max, memory)", strerror(-rc));
	told |= rc != 0;
}

/* What the terminal sends, it sends to the program as well; what somebody sent us was meant for it. */
static void pass_signals(void)
{
	const struct timespec second = { 1, 0 };
	sigset_t set;
	siginfo_t info;

	sigfillset(&set);
	sigdelset(&set, SIGCHLD);
	for (;;) {
		int sig = sigtimedwait(&set, &info, &second);
		pid_t pid = atomic_load(&program_pid);

		tell_silence();
		tell_missing();
		log_tell_stuck(SILENCE_NS);

		if (sig > 0 && pid > 0 && info.si_code != SI_KERNEL && info.si_pid != getpid())
			kill(pid, sig);
		else if (sig > 0 && pid == 0)
			die("ended by signal %d (%s) while starting", sig, strsignal(sig));
	}
}

/* What was being waited for was given up when somebody wanted us to end. */
static void die_if_told(void)
{
	static const struct timespec now = { 0, 0 };
	sigset_t set;

	child_ending_signals(&set);
	int sig = sigtimedwait(&set, NULL, &now);
	if (sig > 0)
		die("ended by signal %d (%s) while starting", sig, strsignal(sig));
}

static void *launcher(void *arg)
{
	job.result = start_targets();
	if (job.result) {
		overlay_finish();
		die_if_told();
	}
	sem_post(&job.started);
	/* Never ends: the agents are this thread's children. */
	pass_signals();
	return arg;
}

int launch_begin(const struct options *o)
{
	pthread_t thread;

	job.options = o;
	sem_init(&job.started, 0, 0);
	return -pthread_create(&thread, NULL, launcher, NULL);
}

int launch_wait(char *err, size_t err_len)
{
	while (sem_wait(&job.started) < 0)
		;
	snprintf(err, err_len, "%s", job.err);
	return job.result;
}

void launch_forward_signals(pid_t program)
{
	atomic_store(&program_pid, program);
}

void launch_finishing(void)
{
	pthread_mutex_lock(&telling);
	atomic_store(&finishing, 1);
	pthread_mutex_unlock(&telling);
}

void launch_goodbye(struct mount *m, int ms)
{
	char why[512] = "the agent went before it had confirmed that everything was done";

	/* "command terminated with exit code 143": of an end that is as it should be nobody need hear. */
	if (!loop_aborted())
		said_keep(m->said);
	if (link_close(m->link, ms) == 0 || loop_aborted())
		return;
	reach_add_last_words(m->said, why, sizeof(why));
	log_error("%s: %s", m->tag, why);
}
