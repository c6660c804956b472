#include "push.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "cache.h"
#include "call.h"
#include "channel.h"
#include "image.h"
#include "image_fill.h"
#include "locks.h"
#include "log.h"
#include "ofd.h"
#include "rules.h"
#include "state.h"
#include "util.h"
#include "watch.h"

#define MISSED 256
/* Bringing a large file up to date may take one part in this of the time … */
#define REFRESH_SHARE 4
/* … a small one, whose bytes take no time beside the way to the agent and back, may be asked for again after a moment. */
#define REFRESH_SMALL (256u << 10)
#define REFRESH_WAIT_NS UINT64_C(2000000)
/* Each waits for the agent; files that change at the same time must not wait for each other. */
#define REFRESH_THREADS 8
#define REFRESH_STACK (256u << 10)

static struct { const struct mount *mount; uint64_t handle; } missed[MISSED];
static unsigned missed_at;
static pthread_cond_t work = PTHREAD_COND_INITIALIZER;
static unsigned threads, idle;

bool push_missed(const struct mount *m, uint64_t handle)
{
	for (unsigned i = 0; i < MISSED; i++)
		if (missed[i].handle == handle && missed[i].mount == m)
			return true;
	return false;
}

void push_refresh(struct node *n)
{
	if (n->refreshing || !image_follows(n->image))
		return;
	n->refreshing = true;
	if (!idle && threads < REFRESH_THREADS)
		push_start();
	pthread_cond_signal(&work);
}

void push_stale(struct node *n)
{
	node_changed(n);
	if (n->image)
		n->image->stale = true;
	push_refresh(n);
}

static void changed(const struct mount *m, uint64_t handle)
{
	struct ofd *o = ofd_by_handle(m, handle);

	if (o && o->lost)
		return; /* its handle is another file's */
	if (!o) {
		missed[missed_at % MISSED].mount = m;
		missed[missed_at++ % MISSED].handle = handle;
		return;
	}
	o->told = true;
	push_stale(o->node);
}

struct renamed { const struct mount *mount; const char *path; bool subtree; };

static void mark_path(struct ofd *o, void *arg)
{
	const struct renamed *r = arg;

	if (o->mount != r->mount || !path_within(o->path, r->path))
		return;
	if (r->subtree)
		ofd_moved(o);
	/* A regular file's changes come by handle; a directory's by name. */
	if (r->subtree || !strcmp(o->path, r->path)) {
		o->node->attr_valid = false;
		o->list_known = false;
		o->doubted |= o->opening;
		/* No word will come by handle. */
		if (S_ISREG(o->node->attr.mode) && !o->opening && !(o->coherent & rfs_Coherent_HANDLE))
			push_stale(o->node);
	}
}

static void forget(const struct mount *m, const char *path, bool subtree)
{
	struct renamed r = { .mount = m, .path = path, .subtree = subtree };

	cache_forget(m, path, subtree);
	ofd_each(mark_path, &r);
}

void push_all_stale(const struct mount *m)
{
	forget(m, "/", true);
}

static void invalidate(const struct mount *m, const rfs_Invalidate *i)
{
	char path[PATH_MAX];
	size_t n = i->path.size;

	if (!n || n >= sizeof(path) || i->path.bytes[0] != '/' || memchr(i->path.bytes, 0, n)) {
		n = 1; /* no path of ours: believe nothing any more */
		path[0] = '/';
	} else {
		memcpy(path, i->path.bytes, n);
	}
	path[n] = '\0';
	forget(m, path, i->subtree);
}

void push_receive(struct link *l, const rfs_Push *push, void *arg)
{
	const struct mount *m = arg;

	(void)l;
	state_lock();
	if (push->which_event == rfs_Push_changed_tag)
		changed(m, push->event.changed.handle);
	else if (push->which_event == rfs_Push_invalidate_tag)
		invalidate(m, &push->event.invalidate);
	else if (push->which_event == rfs_Push_lock_end_tag)
		locks_wait_ended(m, push->event.lock_end.ticket, (int)push->event.lock_end.error);
	else if (push->which_event == rfs_Push_watched_tag)
		watch_receive(m, &push->event.watched);
	else if (push->which_event == rfs_Push_ready_tag)
		channel_push(m, &push->event.ready);
	state_unlock();
}

struct search { struct ofd *found; uint64_t now, wake; };

static void find_refreshing(struct ofd *o, void *arg)
{
	struct search *s = arg;
	const struct node *n = o->node;

	if (!n->refreshing || s->found || !ofd_flags_read(o->flags) || o->lost || o->dead || !n->image)
		return;
	uint64_t when = n->image->filling ? s->now + REFRESH_WAIT_NS : n->refresh_ns;
	if (when <= s->now)
		s->found = o;
	else if (when < s->wake)
		s->wake = when;
}

/* A file that changes all the time must not be looked at all the time. */
static void refresh(struct ofd *o)
{
	uint64_t start = now_ns();
	struct node *n = o->node;

	ofd_ref(o);
	n->refreshing = false;
	if (image_fill(NULL, o) && o->lost)
		push_refresh(n); /* by another one */
	n->refresh_ns = now_ns() + (n->attr.size > REFRESH_SMALL ? (now_ns() - start) * REFRESH_SHARE : REFRESH_WAIT_NS);
	ofd_unref(o);
}

static void wait_for_work(uint64_t until)
{
	struct timespec t = { (time_t)(until / 1000000000), (long)(until % 1000000000) };

	idle++;
	if (until == UINT64_MAX)
		pthread_cond_wait(&work, &state_mutex);
	else
		pthread_cond_clockwait(&work, &state_mutex, CLOCK_MONOTONIC, &t);
	idle--;
}

static void *refresh_thread(void *arg)
{
	state_lock();
	for (;;) {
		struct search s = { .now = now_ns(), .wake = UINT64_MAX };

		ofd_each(find_refreshing, &s);
		if (s.found)
			refresh(s.found);
		else
			wait_for_work(s.wake);
	}
	return arg;
}

int push_start(void)
{
	int rc = thread_start(REFRESH_STACK, refresh_thread, NULL);

	threads += !rc;
	return rc;
}
