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
#include "util.h"

#define SILENCE_NS UINT64_C(10000000000)

static struct {
	const struct options *options;
	char err[1024];
	int result;
	sem_t started;
} job;

static atomic_int program_pid;
static atomic_int finishing;

static void lost(struct link *l, const char *why, void *arg)
{
	const struct mount *m = arg;

	(void)l;
	if (atomic_load(&finishing))
		return;
	log_error("%s: lost the agent (%s): the program is killed", m->tag, why);
	loop_abort();
}

/* What the helper, or the agent, said last on standard error is often why. */
static void add_last_words(struct said *s, char *why, size_t len)
{
	char said[8192], words[256];
	size_t n = strlen(why);

	said_text(s, 200, said, sizeof(said));
	if (*said && reach_explain(0, "it", said, words, sizeof(words)) == 0 && n < len)
		snprintf(why + n, len - n, "; %s", words);
}

/* Starts TARGET's agent as that of a new mount, *OUT. */
static int start_agent(const struct reach *r, const char *at, const char *sub, const char *target, const char *tag, enum mode mode,
		       struct mount **out)
{
	struct target_stream stream;
	struct link_callbacks callbacks = { .push = push_receive, .lost = lost };
	char why[512] = "";
	bool writable = mode == MODE_WRITE;
	int rc = reach_start(r, target, &stream, why, sizeof(why));

	if (rc < 0) {
		snprintf(job.err, sizeof(job.err), "%s: %s", target, why);
		return rc;
	}
	struct mount *m = *out = rules_add_mount(at, sub, tag);
	callbacks.arg = m;
	m->writable = writable;
	rules_set_mode(m, mode);
	struct link_greeting greeting = { .read_only = !writable, .at = m->at, .sub = m->sub };
	m->link = link_open(stream.in, stream.out, stream.pid, tag, &greeting, (int)job.options->startup_ms, &callbacks, why, sizeof(why));
	if (m->link) {
		said_pass_on(stream.said, tag);
		m->said = stream.said;
		return 0;
	}
	add_last_words(stream.said, why, sizeof(why));
	snprintf(job.err, sizeof(job.err), "%s: %s", target, why);
	return -EPROTO;
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
static int start_overlay(struct mount *lower, const char *target)
{
	char upper[PATH_MAX + 8], why[PATH_MAX + 128] = "", tag[80], absolute[PATH_MAX + 8];
	target_absolute(target, absolute, sizeof(absolute));
	char dir[PATH_MAX];
	const struct reach here = { 0 };
	struct overlay *ov = overlay_new(lower, absolute, overlay_dir_of(lower, dir), why, sizeof(why));
	int rc;

	if (!ov) {
		snprintf(job.err, sizeof(job.err), "%.*s", (int)sizeof(job.err) - 1, why);
		return -EINVAL;
	}
	snprintf(upper, sizeof(upper), "dir/%s", ov->dir);
	snprintf(tag, sizeof(tag), "%s (overlay)", lower->tag);
	rc = start_agent(&here, lower->at, OVERLAY_UPPER, upper, tag, MODE_WRITE, &ov->upper);
	if (rc)
		return rc;
	ov->upper->overlay = lower->overlay = ov;
	ov->upper->is_upper = true;
	return 0;
}

/*
 * A second agent for the paths that a rule gives other rights than the mode gives M: so it is the agent that refuses all else, also
 * what is done to a descriptor.
 */
static int start_twin(struct mount *m, const char *target)
{
	int rc = start_agent(&job.options->reach, m->at, m->sub, target, m->tag, m->writable ? MODE_READ : MODE_WRITE, &m->twin);

	if (!rc)
		m->twin->is_twin = true;
	return rc;
}

static int start_target(const char *at, const char *sub, const char *target, enum mode mode, bool defaults)
{
	struct mount *m;
	char tag[64];

	target_tag(target, tag, sizeof(tag));
	int rc = start_agent(&job.options->reach, at, sub, target, tag, mode, &m);
	if (rc)
		return rc;
	m->defaults = defaults;
	if (rules_given(m->writable ? RULE_READ_ONLY : RULE_READ_WRITE))
		rc = start_twin(m, target);
	return rc || mode != MODE_OVERLAY ? rc : start_overlay(m, target);
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

/* A target that says nothing must not look like a program that hangs. */
static void tell_silence(void)
{
	static uint64_t told;
	size_t count;
	struct mount *const *mounts = rules_mounts(&count);

	for (size_t i = 0; i < count; i++) {
		uint64_t silence = mount_silence(mounts[i]);

		if (silence < SILENCE_NS || now_ns() - told < SILENCE_NS)
			continue;
		told = now_ns();
		log_error("%s: the agent has not answered for %u s; the program waits for it", mounts[i]->tag,
			  (unsigned)(silence / 1000000000u));
	}
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

		if (sig > 0 && pid > 0 && info.si_code != SI_KERNEL && info.si_pid != getpid())
			kill(pid, sig);
		else if (sig > 0 && pid == 0)
			die("ended by signal %d (%s) while starting", sig, strsignal(sig));
	}
}

static void *launcher(void *arg)
{
	job.result = start_targets();
	if (job.result)
		overlay_finish();
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
	atomic_store(&finishing, 1);
}

void launch_goodbye(struct mount *m, int ms)
{
	char why[512] = "the agent went before it had confirmed that everything was done";

	/* "command terminated with exit code 143": of an end that is as it should be nobody need hear. */
	if (!loop_aborted())
		said_keep(m->said);
	if (link_close(m->link, ms) == 0 || loop_aborted())
		return;
	add_last_words(m->said, why, sizeof(why));
	log_error("%s: %s", m->tag, why);
}
