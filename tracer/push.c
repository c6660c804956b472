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
#include "locks.h"
#include "log.h"
#include "ofd.h"
#include "rules.h"
#include "state.h"
#include "util.h"
#include "watch.h"

#define MISSED 256
/* Bringing a file up to date may take one part in this of the time. */
#define REFRESH_SHARE 4
#define REFRESH_WAIT_US 2000

static struct { const struct mount *mount; uint64_t handle; } missed[MISSED];
static unsigned missed_at;
static pthread_cond_t work = PTHREAD_COND_INITIALIZER;
static bool any_work;

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
	any_work = true;
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
	struct renamed r = { .mount = m, .path = path, .subtree = i->subtree };
	cache_forget(m, path, i->subtree);
	ofd_each(mark_path, &r);
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

static void find_refreshing(struct ofd *o, void *arg)
{
	struct ofd **found = arg;

	if (!o->node->refreshing || o->node->refresh_ns > now_ns())
		return;
	if (!*found && ofd_flags_read(o->flags))
		*found = o;
}

static void find_waiting(struct ofd *o, void *arg)
{
	*(bool *)arg |= o->node->refreshing && o->node->refresh_ns > now_ns();
}

/* A large file that changes all the time must not be looked at all the time. */
static void refresh(struct ofd *o)
{
	uint64_t start = now_ns();

	ofd_ref(o);
	o->node->refreshing = false;
	image_fill(NULL, o);
	o->node->refresh_ns = now_ns() + (now_ns() - start) * REFRESH_SHARE;
	ofd_unref(o);
}

static void *refresh_thread(void *arg)
{
	state_lock();
	for (;;) {
		struct ofd *o = NULL;
		bool waiting = false;

		while (!any_work)
			pthread_cond_wait(&work, &state_mutex);
		ofd_each(find_refreshing, &o);
		if (o) {
			refresh(o);
			continue;
		}
		ofd_each(find_waiting, &waiting);
		any_work = waiting;
		state_unlock();
		usleep(waiting ? REFRESH_WAIT_US : 0);
		state_lock();
	}
	return arg;
}

int push_start(void)
{
	pthread_t thread;

	return -pthread_create(&thread, NULL, refresh_thread, NULL);
}
