#include "takeover.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache.h"
#include "channel.h"
#include "log.h"
#include "ofd.h"
#include "push.h"
#include "reopen.h"
#include "rules.h"
#include "state.h"
#include "watch.h"

struct takeover {
	const struct mount *mount;
	const struct reopen_report *report;
	size_t shown;      /* lost ones, by path … */
	char first[512];   /* … and the first of them, with why */
};

static int compare(const void *key, const void *file)
{
	uint64_t a = *(const uint64_t *)key, b = ((const struct reopen_file *)file)->handle;

	return a < b ? -1 : a > b;
}

static const struct reopen_file *file_of(const struct takeover *t, uint64_t handle)
{
	return bsearch(&handle, t->report->files, t->report->count, sizeof(*t->report->files), compare);
}

static const char *why_lost(int error)
{
	if (error == ESTALE)
		return "it is not there any more, or another file is in its place";
	if (error == EAGAIN)
		return "somebody else has got its lock meanwhile";
	return strerror(error);
}

/* Nothing that was known is promised any more, but what the new agent promises. */
static void take_file(struct ofd *o, void *arg)
{
	struct takeover *t = arg;
	const struct reopen_file *f = o->mount == t->mount && !o->opening ? file_of(t, o->handle) : NULL;

	if (!f)
		return;
	o->coherent = f->coherent;
	o->told = true;
	o->list_known = false;
	if (f->lost && !o->dead) {
		o->dead = true;
		log_line(0, "%s: %s is lost: %s", t->mount->tag, o->path, why_lost(f->lost));
		if (!t->shown++)
			snprintf(t->first, sizeof(t->first), "%s, %s", o->path, why_lost(f->lost));
	}
	push_stale(o->node);
}

static void distrust(struct ofd *o, void *arg)
{
	const struct takeover *t = arg;

	if (o->mount == t->mount && o->dead)
		node_distrust(o->node);
}

static void tell(const struct takeover *t, size_t unknown)
{
	const char *tag = t->mount->tag;
	size_t lost = 0, there = 0;

	for (size_t i = 0; i < t->report->count; i++) {
		const struct reopen_file *f = &t->report->files[i];

		if (f->closing)
			continue;
		there += !f->lost;
		lost += f->fresh;
	}
	if (!lost)
		log_error("%s: the agent has ended, and another one has taken its place; what is open is the same as before (files: %zu)", tag,
			  there);
	else
		log_error("%s: the agent has ended, and another one has taken its place; %zu of %zu open files are lost, and an error (ESTALE) "
			  "from here on%s%s%s", tag, lost, there + lost, t->shown ? " (" : "", t->first,
			  !t->shown ? "" : t->shown > 1 ? ", …)" : ")");
	if (unknown)
		log_error("%s: nobody knows whether what was asked for last was done; calls that failed with EIO for that: %zu", tag, unknown);
}

static void tell_watches(const struct takeover *t)
{
	size_t ended = t->report->ended, count = t->report->watches;

	if (count > ended)
		log_error("%s: inotify watches go on at the new agent: %zu; the program is told that it may have missed something (IN_Q_OVERFLOW)",
			  t->mount->tag, count - ended);
	if (ended)
		log_error("%s: inotify watches have ended with the agent: %zu; what they were of is not there any more, and the program is told "
			  "so (IN_IGNORED)", t->mount->tag, ended);
}

void takeover_done(struct link *l, const struct reopen_report *report, size_t unknown, void *arg)
{
	struct mount *m = arg;
	struct takeover t = { .mount = m, .report = report };

	(void)l;
	state_lock();
	push_all_stale(m);
	ofd_each(take_file, &t);
	ofd_each(distrust, &t);
	for (size_t i = 0; i < report->count; i++)
		channel_renew(m, report->files[i].handle, report->files[i].lost);
	watch_missed(m);
	tell(&t, unknown);
	tell_watches(&t);
	m->taken_over = true;
	state_unlock();
}
