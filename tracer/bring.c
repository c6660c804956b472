/* Bringing to the agent what it does not have of an image. */
#include "sync_int.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cache.h"
#include "call.h"
#include "frame.h"
#include "image.h"
#include "link.h"
#include "notify.h"
#include "ofd.h"
#include "remote.h"
#include "rules.h"
#include "state.h"
#include "util.h"

#define PAGE SYNC_PAGE
/* As much of a flush is on its way at most. */
#define BRINGING_MAX (24u << 20)
/* For so long a flush goes on with a file that grows meanwhile. */
#define BRINGING_NS UINT64_C(1000000000)

/* LEN bytes to the end of the file, which should be at OFF. */
static int bring_appended(struct call *c, struct ofd *o, const uint8_t *data, size_t len, uint64_t off)
{
	uint64_t end = off;

	for (size_t done = 0; done < len;) {
		long n = remote_store(c, o, data + done, len - done, off + done, true, 0, &end);
		if (n < 0)
			return (int)n;
		o->image->sync->brought = true;
		done += (size_t)n;
	}
	if (end != off + len)
		o->image->stale = true;
	return 0;
}

/* ---- many at once ---- */

/* What a flush has sent and is not answered yet. The image stays locked until all of it is, or the flight is LEFT. */
struct bringing {
	struct ofd *o; /* if it is left, referenced for good: a close would come behind the goodbye */
	uint64_t since; /* now_ns() */
	size_t bytes;
	bool left;
	bool to_end; /* looks up to the end of the file */
	int error;   /* the first */
	bool has_attr;
	rfs_Attr attr;    /* as of the last reply … */
	uint64_t version; /* … if the node is of this one still: when the last was sent */
};

struct sent { struct bringing *flight; uint64_t off; size_t len; };

static pthread_cond_t arrived = PTHREAD_COND_INITIALIZER;

static bool parting; /* the program has ended: what is sent is answered before the goodbye is */
static unsigned left;

/* The agent has not got LEN bytes at OFF of I, whatever was taken for granted. */
static void not_brought(struct image *i, uint64_t off, size_t len)
{
	for (uint64_t at = off - off % PAGE; at < off + len; at += PAGE)
		synced_set(i->sync, at, NO_DIGEST);
	if (i->sync->size > off)
		i->sync->size = off;
}

static void conclude(struct sent *s, int rc)
{
	struct bringing *f = s->flight;

	if (rc)
		not_brought(f->o->image, s->off, s->len);
	f->error = f->error ? f->error : rc;
	f->bytes -= s->len;
	f->o->node->writers--;
	free(s);
	if (f->left && !f->bytes) {
		sync_failed(f->o->image, f->error);
		mount_waits(f->o->mount, -1);
		free(f);
		left--;
	}
	pthread_cond_broadcast(&arrived);
}

static void take_answer(struct link_reply *rep, int rc, void *arg)
{
	struct sent *s = arg;
	const rfs_WriteReply *w = &rep->msg.op.write;

	if (!rc && (rep->msg.which_op != rfs_Reply_write_tag || w->written > s->len || w->stopped > EHWPOISON))
		rc = -EPROTO;
	else if (!rc && w->written < s->len)
		rc = w->stopped ? -(int)w->stopped : -EIO;
	s->flight->has_attr = !rc && w->has_attr;
	if (s->flight->has_attr)
		s->flight->attr = w->attr;
	conclude(s, rc);
}

/* Waits until no more than ROOM bytes are on their way. */
static void await_answers(struct call *c, struct bringing *f, size_t room)
{
	const struct mount *m = f->o->mount;

	if (f->bytes <= room)
		return;
	link_count_wait(m->link);
	if (c)
		c->round_trips++;
	mount_waits(m, 1);
	while (f->bytes > room)
		state_wait(&arrived);
	mount_waits(m, -1);
}

/* One piece of an image: what its pages are now, and which of them are not as the agent has them. */
struct piece {
	uint8_t data[FRAME_MAX_PAYLOAD];
	uint64_t digest[FRAME_MAX_PAYLOAD / PAGE];
	bool dirty[FRAME_MAX_PAYLOAD / PAGE];
	uint64_t off;
	size_t len;
};

/* Sends what P has from AT to END: whole pages, or up to the end of the file. */
static int send_pages(struct call *c, struct bringing *f, const struct piece *p, size_t at, size_t end)
{
	struct ofd *o = f->o;
	uint64_t off = p->off + at;
	size_t len = end - at;
	struct sent *s = xcalloc(1, sizeof(*s));
	/* An agent that knows of no order gets one after the other. */
	bool orders = link_agent(o->mount->link)->orders;
	rfs_Request req = { .ordered = orders,
			    .which_op = rfs_Request_write_tag,
			    .op.write = { .handle = o->handle, .offset = off } };

	await_answers(c, f, orders ? BRINGING_MAX - len : 0);
	*s = (struct sent){ .flight = f, .off = off, .len = len };
	f->bytes += len;
	o->node->writers++;
	int rc = call_start(c, o->mount, &req, p->data + at, len, take_answer, s);
	o->node->own_version++;
	node_changed(o->node);
	cache_forget(o->mount, o->path, false);
	f->version = o->node->version;
	o->image->sync->brought = true;
	if (rc)
		conclude(s, rc);
	/* What is read from here on is read behind it; what was asked for before is known to be older by own_version. */
	for (; at < end && !f->error; at += PAGE)
		synced_set(o->image->sync, p->off + at, p->digest[at / PAGE]);
	if (!f->error && o->image->sync->size < off + len)
		o->image->sync->size = off + len;
	return rc;
}

/* All is answered: 0, or what went wrong first. */
static int land(struct call *c, struct bringing *f)
{
	struct node *n = f->o->node;

	await_answers(c, f, 0);
	if (f->has_attr && n->version == f->version)
		node_set_attr(n, &f->attr, f->o->coherent & rfs_Coherent_HANDLE);
	return f->error;
}

static bool is_hole(const struct image *i, uint64_t off, size_t len)
{
	off_t data = lseek(i->fd, (off_t)off, SEEK_DATA);

	for (uint64_t at = off; at < off + len; at += PAGE)
		if (synced_digest(i->sync, at))
			return false;
	return (data < 0 && errno == ENXIO) || data >= (off_t)(off + len);
}

/*
 * Reads P and compares, without the state lock: nobody changes the hashes while the image is locked. What ENDS a file that has grown
 * is brought in any case.
 */
static int look(struct image *i, struct piece *p, bool ends)
{
	int rc = 0;

	notify_promote();
	state_unlock();
	memset(p->dirty, 0, sizeof(p->dirty));
	if (!is_hole(i, p->off, p->len) || ends) {
		ssize_t n = pread(i->fd, p->data, p->len, (off_t)p->off);
		rc = n < 0 ? -errno : 0;
		p->len = n > 0 ? (size_t)n : 0;
		for (size_t at = 0, part; at < p->len; at += part) {
			part = p->len - at < PAGE ? p->len - at : PAGE;
			p->digest[at / PAGE] = digest_page(p->data + at, part);
			p->dirty[at / PAGE] = p->digest[at / PAGE] != synced_digest(i->sync, p->off + at) ||
					      (ends && at + part == p->len);
		}
	}
	state_lock();
	return rc;
}

static int send_piece(struct call *c, struct bringing *f, const struct piece *p)
{
	int rc = 0;

	for (size_t at = 0, end; at < p->len && !rc; at = end) {
		end = at + PAGE;
		if (!p->dirty[at / PAGE])
			continue;
		while (end < p->len && p->dirty[end / PAGE])
			end += PAGE;
		end = end < p->len ? end : p->len;
		rc = send_pages(c, f, p, at, end);
	}
	return rc;
}

/* Whether the image of F has become longer than *TO, which is then its length. */
static bool has_grown(const struct bringing *f, uint64_t *to)
{
	struct image *i = f->o->image;
	struct stat st;

	if (fstat(i->fd, &st) < 0 || (uint64_t)st.st_size <= *to)
		return false;
	/* What was stored so far moves the file's times as what is brought now does. */
	synced_take_stored(i);
	bool still = fstat(i->fd, &st) == 0 && (uint64_t)st.st_size > *to;
	*to = still ? (uint64_t)st.st_size : *to;
	return still;
}

/*
 * Waits for answers until there is more to bring, up to *TO; or nothing is on its way any more. A writer who goes on and on does not keep
 * those who wait for longer than what was there when they came: *LAST.
 */
static bool grows_meanwhile(struct bringing *f, uint64_t *to, bool *last)
{
	while (!*last && !f->error) {
		*last = sync_is_awaited() || parting || now_ns() - f->since > BRINGING_NS;
		if (has_grown(f, to))
			return true;
		if (!f->bytes)
			return false;
		if (!*last)
			state_wait(&arrived);
	}
	return false;
}

void bring_hurry(void)
{
	pthread_cond_broadcast(&arrived);
}

static int bring_pieces(struct call *c, struct bringing *f, uint64_t from, uint64_t to, bool grown)
{
	CLEANUP_FREE struct piece *p = xcalloc(1, sizeof(*p));
	struct sync *s = f->o->image->sync;
	int rc = 0;

	for (p->off = from - from % PAGE; p->off < to && !rc && !f->error; p->off += FRAME_MAX_PAYLOAD) {
		p->len = to - p->off < FRAME_MAX_PAYLOAD ? (size_t)(to - p->off) : FRAME_MAX_PAYLOAD;
		if (f->to_end)
			s->ahead = p->off + p->len;
		rc = look(f->o->image, p, grown && p->off + p->len == to);
		rc = rc ? rc : send_piece(c, f, p);
	}
	return rc;
}

/* Of a file that is locked the bytes have to be there before the lock is released. */
static bool may_leave(const struct bringing *f)
{
	for (const struct ofd *o = f->o->node->ofds; o; o = o->next_of_node)
		if (o->locked)
			return false;
	return parting && f->bytes;
}

static void leave(struct bringing *f)
{
	f->left = true;
	ofd_ref(f->o);
	mount_waits(f->o->mount, 1);
	left++;
}

void sync_part(void)
{
	parting = true;
	bring_hurry();
}

bool bring_parts(void)
{
	return parting;
}

bool sync_has_left(void)
{
	return left;
}

void bring_land(void)
{
	while (left)
		state_wait(&arrived);
}

/* What differs from FROM to TO, which is the file's end or not; where it has GROWN, to where it ends meanwhile. */
static int bring_range(struct call *c, struct ofd *o, uint64_t from, uint64_t to, bool to_end, bool grown)
{
	struct bringing *f = xcalloc(1, sizeof(*f));
	bool last = !grown;
	int rc, lost;

	*f = (struct bringing){ .o = o, .since = now_ns(), .to_end = to_end };
	do {
		rc = bring_pieces(c, f, from, to, grown);
		from = to;
	} while (!rc && grows_meanwhile(f, &to, &last));
	if (!rc && !f->error && may_leave(f)) {
		leave(f);
	} else {
		lost = land(c, f);
		rc = lost ? lost : rc;
		free(f);
	}
	o->image->sync->ahead = UINT64_MAX;
	if (rc)
		o->image->sync->unseen = UINT64_MAX;
	return rc;
}

/* Appended bytes go to the end of the file, wherever that is by now. */
static int bring_tail(struct call *c, struct ofd *o, uint64_t from, uint64_t to)
{
	CLEANUP_FREE uint8_t *buf = xcalloc(1, FRAME_MAX_PAYLOAD);
	struct image *i = o->image;
	uint8_t page[PAGE];
	int rc = 0;

	while (from < to && !rc) {
		ssize_t n = pread(i->fd, buf, to - from < FRAME_MAX_PAYLOAD ? (size_t)(to - from) : FRAME_MAX_PAYLOAD, (off_t)from);
		if (n <= 0)
			return n ? -errno : 0;
		rc = bring_appended(c, o, buf, (size_t)n, from);
		for (uint64_t at = from - from % PAGE; i->filled && at < from + (uint64_t)n; at += PAGE) {
			synced_read(i, page, at);
			synced_set(i->sync, at, digest_page(page, PAGE));
		}
		from += (uint64_t)n;
		if (!rc)
			i->sync->size = from;
	}
	return rc;
}

static int set_size(struct call *c, struct ofd *o, uint64_t size)
{
	rfs_Request req = { .which_op = rfs_Request_truncate_tag,
			    .op.truncate = { .handle = o->handle, .length = (int64_t)size } };
	struct link_reply rep;
	int rc = call_rpc(c, o->mount, &req, NULL, 0, &rep);

	if (!rc)
		link_reply_free(&rep);
	o->node->own_version++;
	o->node->cuts++;
	node_changed(o->node);
	sync_resized(o->image, size, false);
	o->image->sync->brought = true;
	return rc;
}

/* What was stored is what was there: the file is written there as well, as little as may be, and no hole is filled. */
static int bring_times(struct call *c, struct ofd *o)
{
	off_t at = lseek(o->image->fd, 0, SEEK_DATA);
	uint64_t end;
	uint8_t byte;

	if (at < 0 || pread(o->image->fd, &byte, 1, at) != 1)
		return 0;
	long n = remote_store(c, o, &byte, 1, (uint64_t)at, false, 0, &end);
	return n < 0 ? (int)n : 0;
}

int bring_changes(struct call *c, struct ofd *o, uint64_t off, uint64_t len, enum bring_where where)
{
	struct image *i = o->image;
	struct sync *s = i->sync;
	bool stored = synced_take_stored(i), whole = i->filled && !off && len == UINT64_MAX;
	struct stat st;
	int rc = 0;

	if (fstat(i->fd, &st) < 0)
		return -errno;
	s->brought = false;
	uint64_t size = (uint64_t)st.st_size, to = size - off < len ? size : off + len;
	if (where == BRING_CLOSED && s->unseen < to)
		to = s->unseen;
	if (size < s->size)
		rc = set_size(c, o, size);
	bool grown = size > s->size, tail = grown && !s->anywhere;
	/* A file that grew was most likely written at its end: the rest is looked at in the end. */
	if (grown && where == BRING_GROWN)
		off = s->size;
	uint64_t end = tail ? s->size - s->size % PAGE : grown ? size : to;
	if (i->filled && off < end)
		rc = rc ? rc : bring_range(c, o, off, end, end == size, grown && !tail);
	if (tail)
		rc = rc ? rc : bring_tail(c, o, s->size, size);
	if (!rc && stored && whole && !s->brought)
		rc = bring_times(c, o);
	/* It may have been elsewhere than where was looked. */
	s->stored |= stored && !s->brought && (rc || !whole);
	return rc;
}
