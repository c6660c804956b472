#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>

#include "reopen_int.h"
#include "util.h"

#define FIRST_BUCKETS 64

struct reopen *reopen_new(void)
{
	struct reopen *r = xcalloc(1, sizeof(*r));

	pthread_mutex_init(&r->lock, NULL);
	r->buckets = FIRST_BUCKETS;
	r->bucket = xcalloc(r->buckets, sizeof(*r->bucket));
	return r;
}

/* ---- handles; these with the lock held ---- */

struct opened **opened_at(struct reopen *r, uint64_t handle)
{
	struct opened **at = &r->bucket[handle & (r->buckets - 1)];

	while (*at && (*at)->handle != handle)
		at = &(*at)->next;
	return at;
}

/* Handles are numbered one after the other, so the low bits spread by themselves. */
static void buckets_grow(struct reopen *r)
{
	struct opened **old = r->bucket, *o;
	size_t count = r->buckets;

	r->buckets *= 2;
	r->bucket = xcalloc(r->buckets, sizeof(*r->bucket));
	for (size_t i = 0; i < count; i++)
		while ((o = old[i])) {
			old[i] = o->next;
			o->next = r->bucket[o->handle & (r->buckets - 1)];
			r->bucket[o->handle & (r->buckets - 1)] = o;
		}
	free(old);
}

static void opened_add(struct reopen *r, const struct reopen_note *note, const rfs_Reply *rep)
{
	const rfs_OpenReply *open = rep->which_op == rfs_Reply_open_tag ? &rep->op.open : NULL;
	size_t len = open ? open->ticket.size : 0;
	struct opened **at = opened_at(r, note->handle), *o;

	if (*at)
		return;
	if (r->count++ >= r->buckets) {
		buckets_grow(r);
		at = opened_at(r, note->handle);
	}
	o = xcalloc(1, sizeof(*o) + len);
	o->handle = note->handle;
	o->flags = note->flags;
	o->ticket_len = (uint16_t)len;
	if (open) {
		o->ino = open->attr.ino;
		o->dev_major = open->attr.dev_major;
		o->dev_minor = open->attr.dev_minor;
		o->pending = open->pending;
		memcpy(o->ticket, open->ticket.bytes, len);
	}
	*at = o;
}

/* ---- locks ---- */

static bool held_has(const struct held *h, uint64_t handle)
{
	for (size_t i = 0; i < h->count; i++)
		if (h->handle[i] == handle)
			return true;
	return false;
}

struct held **held_at(struct reopen *r, const struct opened *o, uint64_t owner)
{
	struct held **at = &r->held;

	for (; *at; at = &(*at)->next) {
		const struct held *h = *at;

		if (h->owner != owner)
			continue;
		if (owner ? h->ino == o->ino && h->dev_major == o->dev_major && h->dev_minor == o->dev_minor : held_has(h, o->handle))
			break;
	}
	return at;
}

static void held_drop(struct held **at)
{
	struct held *h = *at;

	*at = h->next;
	free(h->ranges.list);
	free(h->handle);
	free(h);
}

/* As the agent does it (agent/lock.c): asking, too, makes O one of the handles with whose last one the owner's locks end. */
static void held_set(struct reopen *r, const struct reopen_note *note, bool asks)
{
	struct opened *o = *opened_at(r, note->handle);
	struct held **at = o ? held_at(r, o, note->owner) : NULL, *h;
	struct range range = { .type = (short)note->type, .from = note->from, .to = note->to };

	if (!o)
		return;
	if (!*at) {
		*at = xcalloc(1, sizeof(**at));
		**at = (struct held){ .owner = note->owner, .ino = o->ino, .dev_major = o->dev_major, .dev_minor = o->dev_minor };
	}
	h = *at;
	if (!held_has(h, o->handle)) {
		h->handle = xrealloc(h->handle, (h->count + 1) * sizeof(*h->handle));
		h->handle[h->count++] = o->handle;
	}
	if (!asks)
		ranges_set(&h->ranges, &range);
	if (!h->ranges.count && (!note->owner || (!asks && note->from == 0 && note->to == INT64_MAX)))
		held_drop(at);
}

void held_forget(struct reopen *r, uint64_t handle)
{
	for (struct held **at = &r->held; *at;) {
		struct held *h = *at;

		for (size_t i = 0; i < h->count; i++)
			if (h->handle[i] == handle)
				h->handle[i--] = h->handle[--h->count];
		if (!h->count)
			held_drop(at);
		else
			at = &h->next;
	}
}

static void held_release(struct reopen *r, const struct reopen_note *note)
{
	struct opened *o = note->handle ? *opened_at(r, note->handle) : NULL;

	if (note->handle) {
		struct held **at = o ? held_at(r, o, note->owner) : NULL;

		if (at && *at)
			held_drop(at);
		if (o && !note->owner)
			o->flock = 0;
		return;
	}
	for (struct held **at = &r->held; *at;)
		if ((*at)->owner == note->owner)
			held_drop(at);
		else
			at = &(*at)->next;
}

/* The lock that NOTE asked for is held. */
static void lock_had(struct reopen *r, const struct reopen_note *note)
{
	struct opened *o = *opened_at(r, note->handle);

	if (note->op == rfs_Request_lock_tag)
		held_set(r, note, false);
	else if (o)
		o->flock = note->flags == LOCK_UN ? 0 : (int)note->flags;
}

static struct waiting **waiting_at(struct reopen *r, uint64_t ticket)
{
	struct waiting **at = &r->waiting;

	while (*at && (*at)->note.ticket != ticket)
		at = &(*at)->next;
	return at;
}

void waiting_end(struct reopen *r, uint64_t ticket, bool had)
{
	struct waiting **at = waiting_at(r, ticket), *w = *at;

	if (!w)
		return;
	if (had)
		lock_had(r, &w->note);
	*at = w->next;
	free(w);
}

/* ---- what requests mean ---- */

static void note_lock(const rfs_Lock *lock, struct reopen_note *note)
{
	note->op = rfs_Request_lock_tag;
	note->handle = lock->handle;
	note->owner = lock->owner;
	note->type = lock->type;
	note->flags = lock->command;
	note->from = lock->start;
	note->to = lock->length ? lock->start + lock->length - 1 : INT64_MAX;
}

static void note_flock(const rfs_Flock *flock, struct reopen_note *note)
{
	note->op = rfs_Request_flock_tag;
	note->handle = flock->handle;
	note->flags = flock->operation;
}

/* What the lock is that is waited for; the ticket tells it from one that is only tried. */
static void note_wait(const rfs_LockWait *wait, struct reopen_note *note)
{
	if (wait->has_lock)
		note_lock(&wait->lock, note);
	else
		note_flock(&wait->flock, note);
	note->ticket = wait->ticket;
}

void reopen_note(const rfs_Request *req, struct reopen_note *note)
{
	*note = (struct reopen_note){ .op = req->which_op };
	if (req->which_op == rfs_Request_open_tag) {
		note->handle = req->op.open.handle;
		note->flags = req->op.open.flags;
	} else if (req->which_op == rfs_Request_connect_tag) {
		note->handle = req->op.connect.handle;
	} else if (req->which_op == rfs_Request_bind_tag) {
		note->handle = req->op.bind.handle;
	} else if (req->which_op == rfs_Request_accept_tag) {
		note->handle = req->op.accept.handle;
	} else if (req->which_op == rfs_Request_close_tag) {
		note->handle = req->op.close.handle;
	} else if (req->which_op == rfs_Request_release_tag) {
		note->handle = req->op.release.handle;
	} else if (req->which_op == rfs_Request_start_tag) {
		note->handle = req->op.start.handle;
	} else if (req->which_op == rfs_Request_lock_tag) {
		note_lock(&req->op.lock, note);
	} else if (req->which_op == rfs_Request_flock_tag) {
		note_flock(&req->op.flock, note);
	} else if (req->which_op == rfs_Request_lock_wait_tag) {
		note_wait(&req->op.lock_wait, note);
	} else if (req->which_op == rfs_Request_lock_release_tag) {
		note->handle = req->op.lock_release.handle;
		note->owner = req->op.lock_release.owner;
	} else if (req->which_op == rfs_Request_watch_tag) {
		note->instance = req->op.watch.instance;
		note->flags = req->op.watch.mask;
	} else if (req->which_op == rfs_Request_unwatch_tag) {
		note->instance = req->op.unwatch.instance;
		note->wd = req->op.unwatch.wd;
	} else {
		note->op = 0;
	}
}

static void close_sent(struct reopen *r, uint64_t handle)
{
	struct opened *o;

	pthread_mutex_lock(&r->lock);
	o = *opened_at(r, handle);
	if (o)
		o->closing = true;
	pthread_mutex_unlock(&r->lock);
}

void reopen_sent(struct reopen *r, const struct reopen_note *note)
{
	struct waiting *w;

	if (r && (note->op == rfs_Request_close_tag || note->op == rfs_Request_release_tag))
		close_sent(r, note->handle);
	if (!r || !note->ticket)
		return;
	/* LockEnd may come before the reply. */
	w = xcalloc(1, sizeof(*w));
	w->note = *note;
	pthread_mutex_lock(&r->lock);
	w->next = r->waiting;
	r->waiting = w;
	pthread_mutex_unlock(&r->lock);
}

static void closed(struct reopen *r, uint64_t handle)
{
	struct opened **at = opened_at(r, handle), *o = *at;

	if (!o)
		return;
	held_forget(r, handle);
	*at = o->next;
	r->count--;
	free(o);
}

static void done(struct reopen *r, const struct reopen_note *note, const rfs_Reply *rep)
{
	struct opened *o;

	switch (note->op) {
	case rfs_Request_open_tag:
	case rfs_Request_connect_tag:
	case rfs_Request_bind_tag:
	case rfs_Request_accept_tag:
		opened_add(r, note, rep);
		break;
	case rfs_Request_close_tag:
	case rfs_Request_release_tag:
		closed(r, note->handle);
		break;
	case rfs_Request_start_tag:
		o = *opened_at(r, note->handle);
		if (o)
			o->started = true;
		break;
	case rfs_Request_lock_tag:
		if (note->flags == F_OFD_GETLK)
			held_set(r, note, true);
		else
			lock_had(r, note);
		break;
	case rfs_Request_flock_tag:
		lock_had(r, note);
		break;
	case rfs_Request_lock_release_tag:
		held_release(r, note);
		break;
	case rfs_Request_watch_tag:
		if (rep->which_op == rfs_Reply_watch_tag && rep->op.watch.wd > 0)
			watched_set(r, note, &rep->op.watch);
		break;
	case rfs_Request_unwatch_tag:
		watched_end(r, note->instance, note->wd);
		break;
	}
}

struct opened *opened_ticket(struct opened **at, const uint8_t *bytes, size_t size)
{
	struct opened *o = xrealloc(*at, sizeof(*o) + size);

	o->ticket_len = (uint16_t)size;
	memcpy(o->ticket, bytes, size);
	*at = o;
	return o;
}

/* A connection that the listener had no more for it is none. */
static bool is_made(const rfs_Reply *rep)
{
	return !rep || (!rep->error && (rep->which_op != rfs_Reply_channel_tag || rep->op.channel.result >= 0));
}

void reopen_done(struct reopen *r, const struct reopen_note *note, const rfs_Reply *rep)
{
	if (!r || !note->op)
		return;
	pthread_mutex_lock(&r->lock);
	if (!note->ticket) {
		if (is_made(rep))
			done(r, note, rep);
	} else if (rep->error || !rep->op.lock_wait.waits) {
		waiting_end(r, note->ticket, !rep->error);
	}
	pthread_mutex_unlock(&r->lock);
}

void reopen_push(struct reopen *r, const rfs_Push *push)
{
	struct opened *o, **at;

	if (!r)
		return;
	pthread_mutex_lock(&r->lock);
	if (push->which_event == rfs_Push_moved_tag && *(at = opened_at(r, push->event.moved.handle)))
		opened_ticket(at, push->event.moved.ticket.bytes, push->event.moved.ticket.size);
	if (push->which_event == rfs_Push_lock_end_tag)
		waiting_end(r, push->event.lock_end.ticket, !push->event.lock_end.error);
	if (push->which_event == rfs_Push_ready_tag && (o = *opened_at(r, push->event.ready.handle)))
		o->pending = false;
	if (push->which_event == rfs_Push_watched_tag && push->event.watched.mask & IN_IGNORED)
		watched_end(r, push->event.watched.instance, push->event.watched.wd);
	pthread_mutex_unlock(&r->lock);
}

size_t reopen_count(struct reopen *r)
{
	pthread_mutex_lock(&r->lock);
	size_t count = r->count;
	pthread_mutex_unlock(&r->lock);
	return count;
}

void reopen_free(struct reopen *r)
{
	for (size_t i = 0; i < r->buckets; i++)
		while (r->bucket[i])
			closed(r, r->bucket[i]->handle);
	while (r->held)
		held_drop(&r->held);
	while (r->waiting)
		waiting_end(r, r->waiting->note.ticket, false);
	while (r->watches)
		free(r->watched[--r->watches]);
	free(r->watched);
	free(r->bucket);
	pthread_mutex_destroy(&r->lock);
	free(r);
}
