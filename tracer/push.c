#include "push.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "cache.h"
#include "call.h"
#include "channel.h"
#include "frame.h"
#include "log.h"
#include "ofd.h"
#include "placeholder.h"
#include "rules.h"
#include "state.h"
#include "watch.h"

#define MISSED 256

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

void push_stale(struct ofd *o)
{
	char path[PATH_MAX];

	if (path_to_program(o->mount, o->path, path, sizeof(path)) < 0)
		return;
	log_error("%s: no room on the placeholders' file system for what the file has become; descriptors open on it keep the old bytes: free space there",
		  path);
	o->filled = false;
}

static bool has_placeholder(const struct node *n)
{
	for (const struct ofd *o = n->ofds; o; o = o->next_of_node)
		if (o->filled && o->own_fd >= 0 && !o->sync)
			return true;
	return false;
}

void push_refresh(struct node *n)
{
	if (n->refreshing || !has_placeholder(n))
		return;
	n->refreshing = true;
	any_work = true;
	pthread_cond_signal(&work);
}

static void changed(const struct mount *m, uint64_t handle)
{
	struct ofd *o = ofd_by_handle(m, handle);

	if (!o) {
		missed[missed_at % MISSED].mount = m;
		missed[missed_at++ % MISSED].handle = handle;
		return;
	}
	node_changed(o->node);
	push_refresh(o->node);
}

struct renamed { const struct mount *mount; const char *path; bool subtree; };

static void mark_path(struct ofd *o, void *arg)
{
	const struct renamed *r = arg;

	if (o->mount != r->mount || !path_within(o->path, r->path))
		return;
	if (r->subtree)
		o->path_stale = true;
	/* A regular file's changes come by handle; a directory's by name. */
	if (r->subtree || !strcmp(o->path, r->path))
		o->node->attr_valid = false;
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
	else if (push->which_event == rfs_Push_watched_tag)
		watch_receive(m, &push->event.watched);
	else if (push->which_event == rfs_Push_ready_tag)
		channel_push(m, &push->event.ready);
	state_unlock();
}

/*
 * One piece of the file into every placeholder: how long it was. -EAGAIN when we changed the file since
 * VERSION, and all of it must be read again.
 */
static long refresh_piece(struct node *n, struct ofd *o, uint64_t off, uint64_t version)
{
	rfs_Request req = { .which_op = rfs_Request_read_tag,
			    .op.read = { .handle = o->handle, .offset = off, .size = FRAME_MAX_PAYLOAD } };
	struct link_reply rep;
	bool busy = n->writers;
	int rc = call_rpc(NULL, o->mount, &req, NULL, 0, &rep);

	if (rc)
		return rc;
	/* Our own write may already be in the placeholders and not in these bytes. */
	long len = busy || n->writers || n->own_version != version ? -EAGAIN : (long)rep.payload_len;
	for (struct ofd *p = len > 0 ? n->ofds : NULL; p; p = p->next_of_node)
		if (p->filled && p->own_fd >= 0 && !p->sync && placeholder_write(p, rep.payload, (size_t)len, off) < 0)
			push_stale(p);
	link_reply_free(&rep);
	return len;
}

static void refresh(struct node *n, struct ofd *o)
{
	uint64_t off = 0, version = n->own_version;
	long len;

	do {
		len = refresh_piece(n, o, off, version);
		off += len > 0 ? (uint64_t)len : 0;
		if (len == -EAGAIN) {
			off = 0;
			version = n->own_version;
		}
	} while (len == -EAGAIN || len == FRAME_MAX_PAYLOAD);
	for (struct ofd *p = len >= 0 ? n->ofds : NULL; p; p = p->next_of_node)
		if (p->filled && p->own_fd >= 0 && !p->sync && placeholder_resize(p, off) < 0)
			push_stale(p);
}

static void find_refreshing(struct ofd *o, void *arg)
{
	struct ofd **found = arg;

	if (!*found && o->node->refreshing)
		*found = o;
}

static void *refresh_thread(void *arg)
{
	state_lock();
	for (;;) {
		struct ofd *o = NULL;

		while (!any_work)
			pthread_cond_wait(&work, &state_mutex);
		ofd_each(find_refreshing, &o);
		if (!o) {
			any_work = false;
			continue;
		}
		ofd_ref(o);
		o->node->refreshing = false;
		refresh(o->node, o);
		ofd_unref(o);
	}
	return arg;
}

int push_start(void)
{
	pthread_t thread;

	return -pthread_create(&thread, NULL, refresh_thread, NULL);
}
