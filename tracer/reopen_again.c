/* What another agent is asked for when the one that had our files is gone, and what its answers mean. */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <string.h>
#include <sys/xattr.h>

#include "reopen_int.h"
#include "util.h"

struct steps {
	struct reopen_step *list;
	size_t count, room;
};

static struct reopen_note *steps_add(struct steps *s, unsigned op, uint64_t handle)
{
	if (s->count == s->room) {
		s->room = s->room ? s->room * 2 : 64;
		s->list = xrealloc(s->list, s->room * sizeof(*s->list));
	}
	s->list[s->count] = (struct reopen_step){ .note = { .op = op, .handle = handle } };
	return &s->list[s->count++].note;
}

static bool is_there(struct reopen *r, uint64_t handle)
{
	const struct opened *o = *opened_at(r, handle);

	return o && !o->lost;
}

size_t reopen_files(struct reopen *r, struct reopen_step **steps)
{
	struct steps s = { .list = NULL };

	pthread_mutex_lock(&r->lock);
	for (size_t i = 0; i < r->buckets; i++)
		for (struct opened *o = r->bucket[i]; o; o = o->next) {
			o->fresh = false;
			steps_add(&s, rfs_Request_reopen_tag, o->handle);
			s.list[s.count - 1].reopens = true;
		}
	pthread_mutex_unlock(&r->lock);
	*steps = s.list;
	return s.count;
}

/* fcntl(2) wants a descriptor that is open for what the lock protects. */
static bool may_lock(struct reopen *r, uint64_t handle, short type)
{
	const struct opened *o = *opened_at(r, handle);
	int mode = o ? (int)o->flags & O_ACCMODE : 0;

	return o && !o->lost && (type == F_WRLCK ? mode != O_RDONLY : mode != O_WRONLY);
}

/* A handle of H by which a lock of TYPE may be asked for; the first one if there is none, which will be refused. */
static uint64_t held_by(struct reopen *r, const struct held *h, short type)
{
	for (size_t i = 0; i < h->count; i++)
		if (may_lock(r, h->handle[i], type))
			return h->handle[i];
	return h->handle[0];
}

static void steps_lock(struct steps *s, const struct held *h, uint64_t handle, const struct range *range, uint32_t command)
{
	struct reopen_note *n = steps_add(s, rfs_Request_lock_tag, handle);

	n->owner = h->owner;
	n->type = (uint32_t)range->type;
	n->from = range->from;
	n->to = range->to;
	n->flags = command;
}

static void steps_held(struct reopen *r, struct steps *s, const struct held *h)
{
	static const struct range asked = { .type = F_RDLCK, .from = 0, .to = 0 };

	for (size_t i = 0; i < h->ranges.count; i++)
		steps_lock(s, h, held_by(r, h, h->ranges.list[i].type), &h->ranges.list[i], F_OFD_SETLK);
	/* All of them are to be known as the owner's again. */
	for (size_t i = 0; h->owner && i < h->count; i++)
		if (is_there(r, h->handle[i]))
			steps_lock(s, h, h->handle[i], &asked, F_OFD_GETLK);
}

size_t reopen_locks(struct reopen *r, struct reopen_step **steps)
{
	struct steps s = { .list = NULL };

	pthread_mutex_lock(&r->lock);
	for (size_t i = 0; i < r->buckets; i++)
		for (const struct opened *o = r->bucket[i]; o; o = o->next)
			if (!o->lost && o->flock)
				steps_add(&s, rfs_Request_flock_tag, o->handle)->flags = (uint32_t)o->flock;
	for (const struct held *h = r->held; h; h = h->next)
		steps_held(r, &s, h);
	for (const struct waiting *w = r->waiting; w; w = w->next)
		*steps_add(&s, 0, 0) = w->note;
	pthread_mutex_unlock(&r->lock);
	*steps = s.list;
	return s.count;
}

size_t reopen_starts(struct reopen *r, struct reopen_step **steps)
{
	struct steps s = { .list = NULL };

	pthread_mutex_lock(&r->lock);
	for (size_t i = 0; i < r->buckets; i++)
		for (const struct opened *o = r->bucket[i]; o; o = o->next)
			if (!o->lost && o->started)
				steps_add(&s, rfs_Request_start_tag, o->handle);
	pthread_mutex_unlock(&r->lock);
	*steps = s.list;
	return s.count;
}

static rfs_Lock request_lock(const struct reopen_note *n)
{
	return (rfs_Lock){ .handle = n->handle, .owner = n->owner, .command = n->flags, .type = n->type, .start = n->from,
			   .length = n->to == INT64_MAX ? 0 : n->to - n->from + 1 };
}

static void request_wait(const struct reopen_note *n, rfs_LockWait *wait)
{
	*wait = (rfs_LockWait){ .ticket = n->ticket, .has_lock = n->op == rfs_Request_lock_tag, .has_flock = n->op == rfs_Request_flock_tag };
	if (wait->has_lock)
		wait->lock = request_lock(n);
	else
		wait->flock = (rfs_Flock){ .handle = n->handle, .operation = n->flags };
}

static void request_reopen(struct reopen *r, uint64_t handle, rfs_Reopen *reopen)
{
	const struct opened *o;

	*reopen = (rfs_Reopen){ .handle = handle };
	pthread_mutex_lock(&r->lock);
	o = *opened_at(r, handle);
	if (o && !o->lost) {
		reopen->flags = o->flags;
		reopen->wait = o->pending;
		reopen->ticket.size = (pb_size_t)o->ticket_len;
		memcpy(reopen->ticket.bytes, o->ticket, o->ticket_len);
	}
	pthread_mutex_unlock(&r->lock);
}

/* An instance's watches get their numbers one after the other: the agent is to keep the order. */
static void request_watch(struct reopen *r, const struct reopen_note *n, rfs_Request *req)
{
	rfs_Watch *watch = &req->op.watch;
	const struct watched *w;

	req->ordered = true;
	*watch = (rfs_Watch){ .instance = n->instance, .mask = n->flags, .wd = n->wd };
	pthread_mutex_lock(&r->lock);
	w = watched_get(r, n->instance, n->wd);
	if (w) {
		watch->ticket.size = (pb_size_t)w->ticket_len;
		memcpy(watch->ticket.bytes, w->ticket, w->ticket_len);
	}
	pthread_mutex_unlock(&r->lock);
}

void reopen_request(struct reopen *r, const struct reopen_step *step, rfs_Request *req)
{
	const struct reopen_note *n = &step->note;

	req->which_op = n->ticket ? rfs_Request_lock_wait_tag : n->op;
	req->ordered = false;
	if (step->reopens)
		request_reopen(r, n->handle, &req->op.reopen);
	else if (n->ticket)
		request_wait(n, &req->op.lock_wait);
	else if (n->op == rfs_Request_watch_tag)
		request_watch(r, n, req);
	else if (n->op == rfs_Request_lock_tag)
		req->op.lock = request_lock(n);
	else if (n->op == rfs_Request_flock_tag)
		req->op.flock = (rfs_Flock){ .handle = n->handle, .operation = n->flags };
	else
		req->op.start = (rfs_Start){ .handle = n->handle };
}

static void lose(struct reopen *r, uint64_t handle, int why)
{
	struct opened *o = *opened_at(r, handle);

	if (o && !o->lost)
		o->lost = why ? why : EIO;
}

/* A lock that others may have had meanwhile protects nothing any more: no handle of the owner's may go on as if it did. */
static void lose_lock(struct reopen *r, const struct reopen_note *n)
{
	struct opened *o = *opened_at(r, n->handle);
	struct held *h = o && n->op == rfs_Request_lock_tag ? *held_at(r, o, n->owner) : NULL;

	lose(r, n->handle, EAGAIN);
	for (size_t i = 0; h && i < h->count; i++)
		lose(r, h->handle[i], EAGAIN);
}

static void answered_watch(struct reopen *r, const struct reopen_note *n, const rfs_Reply *rep)
{
	if (!rep->error && rep->which_op == rfs_Reply_watch_tag && rep->op.watch.wd == n->wd) {
		watched_set(r, n, &rep->op.watch);
		return;
	}
	watched_end(r, n->instance, n->wd);
	r->watches_ended++;
}

static void answered_reopen(struct reopen *r, uint64_t handle, const rfs_Reply *rep)
{
	struct opened **at = opened_at(r, handle), *o = *at;
	const rfs_OpenReply *open = &rep->op.open;

	if (!o)
		return;
	o->coherent = rfs_Coherent_NONE;
	if (rep->error || rep->which_op != rfs_Reply_open_tag || open->lost) {
		lose(r, handle, rep->error ? (int)rep->error : (int)open->lost);
		return;
	}
	o->coherent = open->coherent;
	o->pending = open->pending;
	if (open->ticket.size)
		opened_ticket(at, open->ticket.bytes, open->ticket.size);
}

void reopen_answered(struct reopen *r, const struct reopen_step *step, const rfs_Reply *rep)
{
	const struct reopen_note *n = &step->note;

	pthread_mutex_lock(&r->lock);
	if (step->reopens)
		answered_reopen(r, n->handle, rep);
	else if (n->ticket && (rep->error || !rep->op.lock_wait.waits))
		waiting_end(r, n->ticket, !rep->error);
	else if (n->op == rfs_Request_watch_tag)
		answered_watch(r, n, rep);
	else if (!n->ticket && rep->error && n->op != rfs_Request_start_tag)
		lose_lock(r, n);
	pthread_mutex_unlock(&r->lock);
}

size_t reopen_lost(struct reopen *r, struct reopen_lost **lost)
{
	size_t count = 0;

	pthread_mutex_lock(&r->lock);
	*lost = xcalloc(r->count + 1, sizeof(**lost));
	for (size_t i = 0; i < r->buckets; i++)
		for (struct opened *o = r->bucket[i]; o; o = o->next) {
			if (!o->lost || o->told)
				continue;
			o->told = o->fresh = true;
			o->flock = 0;
			held_forget(r, o->handle);
			(*lost)[count++] = (struct reopen_lost){ .handle = o->handle, .why = -o->lost };
		}
	pthread_mutex_unlock(&r->lock);
	return count;
}

static int by_handle(const void *a, const void *b)
{
	const struct reopen_file *x = a, *y = b;

	return x->handle < y->handle ? -1 : x->handle > y->handle;
}

void reopen_report(struct reopen *r, struct reopen_report *report)
{
	size_t count = 0;

	pthread_mutex_lock(&r->lock);
	*report = (struct reopen_report){ .watches = r->watches + r->watches_ended, .ended = r->watches_ended };
	report->files = xcalloc(r->count + 1, sizeof(*report->files));
	for (size_t i = 0; i < r->buckets; i++)
		for (const struct opened *o = r->bucket[i]; o; o = o->next)
			report->files[count++] = (struct reopen_file){ .handle = o->handle, .lost = o->lost, .fresh = o->fresh,
								       .closing = o->closing, .coherent = o->coherent };
	report->count = count;
	pthread_mutex_unlock(&r->lock);
	qsort(report->files, count, sizeof(*report->files), by_handle);
}

/* ---- what may be done again ---- */

bool reopen_repeats(const rfs_Request *req)
{
	switch (req->which_op) {
	case rfs_Request_open_tag:
		return !(req->op.open.flags & O_CREAT && req->op.open.flags & O_EXCL);
	case rfs_Request_write_tag:
		return !req->op.write.append;
	case rfs_Request_allocate_tag:
		return !(req->op.allocate.mode & (FALLOC_FL_COLLAPSE_RANGE | FALLOC_FL_INSERT_RANGE));
	case rfs_Request_setxattr_tag:
		return !(req->op.setxattr.flags & XATTR_CREATE);
	case rfs_Request_mkdir_tag:
	case rfs_Request_mknod_tag:
	case rfs_Request_symlink_tag:
	case rfs_Request_link_tag:
	case rfs_Request_unlink_tag:
	case rfs_Request_rename_tag:
	case rfs_Request_removexattr_tag:
	case rfs_Request_copy_range_tag:
	case rfs_Request_clone_tag:
	case rfs_Request_dedupe_tag:
	case rfs_Request_receive_tag:
	case rfs_Request_send_tag:
	case rfs_Request_connect_tag:
	case rfs_Request_bind_tag:
	case rfs_Request_accept_tag:
		return false;
	}
	return true;
}
