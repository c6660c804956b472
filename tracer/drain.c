#include "drain.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/inotify.h>

#include "image.h"
#include "locks.h"
#include "log.h"
#include "ofd.h"
#include "placeholder.h"
#include "shadow.h"
#include "state.h"
#include "sync.h"
#include "util.h"

/*
 * The kernel tells of a close a moment before it drops the description's locks, by which we know whose it
 * was, and before a pipe has one reader or writer less. So an image is looked at until this long after.
 */
#define SUSPECT_NS UINT64_C(5000000000)
/* A file that is open very often is looked at less often: this long after for each description. */
#define PROBE_NS UINT64_C(20000)
#define PROBE_FREE 16

static int events = -1;
static struct ofd *gone;
static size_t suspects; /* images that have closed_ns */

int drain_watch(struct image *i)
{
	char link[64];
	/* Every event wakes the thread, so who reads is asked only where nobody should: no bytes are here. */
	uint32_t unfilled = !i->filled && !i->filling ? IN_ACCESS | IN_MODIFY : 0;
	uint32_t mask = IN_CLOSE | unfilled | (i->sync ? IN_MODIFY : 0);

	if (i->sole)
		mask = IN_DELETE_SELF | (i->sole->shadow ? shadow_close_event(i->sole) : IN_CLOSE);
	snprintf(link, sizeof(link), "/proc/self/fd/%d", i->fd);
	i->wd = inotify_add_watch(events, link, mask);
	return i->wd < 0 ? -errno : 0;
}

void drain_forget(struct image *i)
{
	suspects -= i->closed_ns != 0;
	if (i->wd >= 0)
		inotify_rm_watch(events, i->wd);
}

/* Descriptors that we gave a low number are filled; this one came to its holder without us (SCM_RIGHTS). */
static void tell_bypass(struct image *i, bool wrote)
{
	const struct ofd *o = i->node->ofds;

	if (!o || i->bypass_told || i->filled || i->sync)
		return;
	log_error("%s: a process %s it through a descriptor that came to it unseen, over a socket: %s (see --fd-numbering)",
		  o->path, wrote ? "wrote" : "read", wrote ? "the bytes are lost" : "it saw zeros");
	i->bypass_told = true;
}

/* It has one description only. */
static void sole_left(struct ofd *o)
{
	o->left = true;
	locks_leave(o);
}

static void sole_gone(struct image *i)
{
	i->wd = -1;
	ofd_closed(i->sole);
}

/* Whether nothing tells of a close but what is looked at: the end of other placeholders is the end of their name. */
static bool is_probed(const struct image *i)
{
	return !i->sole || i->sole->shadow;
}

static void suspect(struct image *i, void *arg)
{
	if (!is_probed(i))
		return;
	suspects += !i->closed_ns;
	i->closed_ns = now_ns();
	i->probed_ns = 0;
}

/* The queue was full and events are lost: anything may have happened. */
static void overflow(struct image *i, void *arg)
{
	suspect(i, arg);
	sync_touched(i);
}

static void handle_event(const struct inotify_event *e)
{
	struct image *i = e->wd < 0 ? NULL : placeholder_by_watch(e->wd);

	if (e->mask & IN_Q_OVERFLOW)
		placeholder_each(overflow, NULL);

	if (!i)
		return;
	if (i->sole) {
		if (e->mask & IN_CLOSE && i->sole->shadow)
			suspect(i, NULL);
		else if (e->mask & IN_CLOSE)
			sole_left(i->sole);
		if (e->mask & (IN_DELETE_SELF | IN_IGNORED))
			sole_gone(i);
		return;
	}
	if (e->mask & (IN_MODIFY | IN_CLOSE_WRITE))
		sync_touched(i);
	if (e->mask & (IN_ACCESS | IN_MODIFY))
		tell_bypass(i, e->mask & IN_MODIFY);
	if (e->mask & IN_CLOSE) {
		suspect(i, NULL);
		locks_verify(i->node);
	}
}

/* How long after one look at I the next one may be. */
static uint64_t probe_pause(const struct image *i)
{
	uint64_t count = 0;

	for (const struct ofd *o = i->sole ? NULL : i->node->ofds; o; o = o->next_of_node)
		count++;
	return count > PROBE_FREE ? count * PROBE_NS : 0;
}

static void probe_descriptions(struct image *i)
{
	for (struct ofd *o = i->node->ofds; o; o = o->next_of_node)
		if (o->tag && !o->gone && !placeholder_is_open(o)) {
			o->gone = true;
			o->next_gone = gone;
			gone = o;
			sync_closed(o);
		}
}

static void probe(struct image *i, void *arg)
{
	const bool *all = arg;
	uint64_t now = now_ns();

	if (!is_probed(i) || (!i->closed_ns && !*all) || (!*all && now - i->probed_ns < probe_pause(i)))
		return;
	i->probed_ns = now;
	if (i->sole)
		shadow_closed(i->sole);
	else
		probe_descriptions(i);
	if (i->closed_ns && now - i->closed_ns > SUSPECT_NS) {
		i->closed_ns = 0;
		suspects--;
	}
}

static void read_events(void)
{
	char buf[4096] __attribute__((aligned(8)));
	ssize_t n;

	while ((n = read(events, buf, sizeof(buf))) > 0) {
		for (char *p = buf; p < buf + n;) {
			const struct inotify_event *e = (const struct inotify_event *)p;
			handle_event(e);
			p += sizeof(*e) + e->len;
		}
	}
}

static void drain_images(struct call *c, bool all)
{
	read_events();
	if (suspects || all) {
		placeholder_each(probe, &all);
		read_events(); /* a FIFO's name goes with what was found closed */
	}
	sync_run(c);
	while (gone) {
		struct ofd *o = gone;

		gone = o->next_gone;
		ofd_closed(o);
	}
}

void drain(struct call *c)
{
	drain_images(c, false);
}

void drain_all(void)
{
	drain_images(NULL, true);
}

static void *drain_thread(void *arg)
{
	struct pollfd p = { .fd = events, .events = POLLIN };
	int wait_ms = -1;

	for (;;) {
		/* A close whose end was not seen yet is looked for again, less and less often. */
		if (poll(&p, 1, wait_ms) > 0 || wait_ms < 0)
			wait_ms = 1;
		else
			wait_ms *= 4;
		state_lock();
		drain(NULL);
		if (!suspects)
			wait_ms = -1;
		state_unlock();
	}
	return arg;
}

int drain_start(void)
{
	pthread_t thread;

	events = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	return events < 0 ? -errno : -pthread_create(&thread, NULL, drain_thread, NULL);
}
