/* The event thread: what inotify says becomes pushes. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "handle.h"
#include "watch_int.h"

#define EVENT_MADE (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO)
#define EVENT_SELF (IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT | IN_IGNORED)

/* No name can be trusted: renames may have been missed. */
static void event_reset(struct watcher *w)
{
	w->renames++;
	watch_drop_tree(w, "/");
	notice_all(w);
}

static void event_overflow(struct watcher *w)
{
	struct file_watch *f;
	struct handle *h;
	unsigned int i;

	event_reset(w);
	for (i = 0; i < WATCH_BUCKETS; i++)
		for (f = w->files[i]; f; f = f->next_wd)
			for (h = f->handles; h; h = h->watch_next)
				notice_handle(w, h);
}

static void event_file(struct watcher *w, struct file_watch *f)
{
	struct handle *h;

	for (h = f->handles; h; h = h->watch_next)
		notice_handle(w, h);
}

/* The paths of the watches below PATH are stale from here on. */
static void event_moved(struct watcher *w, const char *path)
{
	w->renames++;
	notice_name(w, path, true);
	watch_drop_tree(w, path);
}

/* A name appeared in D or went away. */
static void event_made(struct watcher *w, const char *dir, const char *path, uint32_t mask)
{
	if (mask & IN_ISDIR)
		event_moved(w, path);
	else
		notice_if_promised(w, path, true);
	notice_if_promised(w, dir, false);
}

/* Whether the client knows of MASK at PATH by itself. */
static bool event_is_own(struct watcher *w, const char *path, uint32_t mask)
{
	struct watch_own *o = w->own;

	while (o && (mask & ~(o->mask | IN_ISDIR) || strcmp(o->path, path)))
		o = o->next;
	if (o)
		o->seen = true;
	return o;
}

static void event_dir(struct watcher *w, struct dir_watch *d, const struct inotify_event *e)
{
	char dir[PATH_MAX], path[PATH_MAX + NAME_MAX + 2];

	strcpy(dir, d->path); /* D may go while this runs */
	snprintf(path, sizeof(path), "%s/%s", dir[1] ? dir : "", e->len ? e->name : "");
	if (!e->len)
		strcpy(path, dir);
	if (strlen(path) >= PATH_MAX)
		return; /* nobody can have asked for it */
	if (event_is_own(w, path, e->mask))
		return;
	if (e->mask & EVENT_SELF)
		event_moved(w, dir);
	else if (e->mask & EVENT_MADE)
		event_made(w, dir, path, e->mask);
	else if (e->mask & IN_ATTRIB && (e->mask & IN_ISDIR || !e->len))
		notice_name(w, path, true); /* its x bits decide about everything below */
	else
		notice_if_promised(w, path, false);
}

static void event_one(struct watcher *w, const struct inotify_event *e)
{
	struct dir_watch *d;
	struct file_watch *f;

	if (e->mask & IN_Q_OVERFLOW) {
		event_overflow(w);
		return;
	}
	d = watch_find_wd(w, e->wd);
	f = watch_find_file(w, e->wd);
	if (d)
		event_dir(w, d, e);
	else if (f)
		event_file(w, f);
}

/* True when there was something. */
static bool event_read(struct watcher *w)
{
	char buf[65536] __attribute__((aligned(__alignof__(struct inotify_event))));
	const struct inotify_event *e;
	ssize_t n, at;

	n = read(w->inotify, buf, sizeof(buf));
	if (n <= 0)
		return false;
	pthread_mutex_lock(&w->lock);
	for (at = 0; at < n; at += sizeof(*e) + e->len) {
		e = (const struct inotify_event *)(buf + at);
		event_one(w, e);
	}
	pthread_mutex_unlock(&w->lock);
	return true;
}

/* Hands what is pending to the stream. */
static void event_flush(struct watcher *w)
{
	struct notices *n;
	bool any;

	pthread_mutex_lock(&w->lock);
	n = w->pending;
	any = n->all || n->names || n->handles;
	if (any)
		w->pending = w->spare;
	pthread_mutex_unlock(&w->lock);
	if (!any)
		return;
	w->send(w->send_arg, n);
	notices_clear(n);
	w->spare = n;
}

/* More than this was not made by the request that waits. */
#define EVENT_READS 16

void watch_catch_up(struct watcher *w)
{
	if (w->inotify < 0)
		return;
	pthread_mutex_lock(&w->reading);
	for (int i = 0; i < EVENT_READS && event_read(w); i++)
		;
	event_flush(w);
	pthread_mutex_unlock(&w->reading);
}

void watch_own_begin(struct watcher *w, struct watch_own *own, uint32_t mask)
{
	own->mask = mask;
	own->seen = false;
	pthread_mutex_lock(&w->lock);
	own->next = w->own;
	w->own = own;
	pthread_mutex_unlock(&w->lock);
}

void watch_own_end(struct watcher *w, struct watch_own *own, bool failed)
{
	struct watch_own **at;

	watch_catch_up(w);
	pthread_mutex_lock(&w->lock);
	for (at = &w->own; *at != own; at = &(*at)->next)
		;
	*at = own->next;
	if (failed && own->seen) {
		char dir[PATH_MAX];

		notice_name(w, own->path, true);
		if (watch_parent(own->path, dir))
			notice_name(w, dir, false);
		notice_wake(w);
	}
	pthread_mutex_unlock(&w->lock);
}

void *event_main(void *watcher)
{
	struct watcher *w = watcher;
	struct pollfd p[] = {
		{ .fd = w->inotify, .events = POLLIN },
		{ .fd = w->wake, .events = POLLIN },
		{ .fd = w->mounts, .events = POLLPRI },
	};
	eventfd_t ignored;

	for (;;) {
		if (poll(p, 3, -1) < 0)
			continue;
		pthread_mutex_lock(&w->reading);
		if (p[0].revents)
			event_read(w);
		if (p[1].revents)
			(void)!eventfd_read(w->wake, &ignored);
		if (p[2].revents & (POLLPRI | POLLERR)) {
			pthread_mutex_lock(&w->lock);
			event_reset(w);
			pthread_mutex_unlock(&w->lock);
		}
		event_flush(w);
		pthread_mutex_unlock(&w->reading);
	}
	return NULL;
}
