#include "sync.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "call.h"
#include "drain.h"
#include "frame.h"
#include "image.h"
#include "link.h"
#include "log.h"
#include "notify.h"
#include "ofd.h"
#include "remote.h"
#include "rules.h"
#include "state.h"
#include "util.h"

#define PAGE SYNC_PAGE

/* How often stores into mappings are looked for, and how much of the time that may take at most. */
#define LOOK_NS UINT64_C(1000000000)
#define LOOK_SHARE 20

/* A page of zeros has the hash 0, a hole's and that of what is behind the end of the file. */
struct sync {
	uint64_t *pages;  /* hash of each page, padded with zeros, that the agent has */
	size_t page_count;
	uint64_t size;    /* the file's size, as the agent has it */
	bool size_unsure; /* it was changed while a flush was under way */
	int writers;      /* ofds that write natively or are mapped … */
	int mapped;       /* … and those of them whose stores nobody tells of */
	bool dirty, closed;
	bool whole;       /* look at all of it, not only at what was added */
	bool bringing;    /* what was told is on its way */
	int error;        /* of an earlier flush, not yet returned by a call */
	uint64_t due_ns;  /* when to look for stores next */
};

static size_t active;
static bool looking; /* the thread is there */

bool sync_active(void)
{
	return active;
}

bool sync_decides(const struct ofd *o)
{
	return o->image && o->image->sync && o->image->filled;
}

static uint64_t hash_bytes(const uint8_t *page)
{
	uint64_t h = 1, any = 0, w;

	for (size_t at = 0; at < PAGE; at += 8) {
		memcpy(&w, page + at, 8);
		any |= w;
		h = (h ^ w) * UINT64_C(0xff51afd7ed558ccd);
		h ^= h >> 32;
	}
	return any ? h | 1 : 0;
}

static uint64_t hash_page(const uint8_t *data, size_t len)
{
	uint8_t page[PAGE];

	if (len == PAGE)
		return hash_bytes(data);
	memcpy(page, data, len);
	memset(page + len, 0, PAGE - len);
	return hash_bytes(page);
}

static uint64_t get_page(const struct sync *s, uint64_t off)
{
	return off / PAGE < s->page_count ? s->pages[off / PAGE] : 0;
}

static void set_page(struct sync *s, uint64_t off, uint64_t hash)
{
	size_t i = (size_t)(off / PAGE);

	if (i >= s->page_count) {
		if (!hash)
			return;
		size_t count = i + 1 + i / 2;

		s->pages = xrealloc(s->pages, count * sizeof(*s->pages));
		memset(s->pages + s->page_count, 0, (count - s->page_count) * sizeof(*s->pages));
		s->page_count = count;
	}
	s->pages[i] = hash;
}

bool sync_is_clean(const struct image *i, const uint8_t *page, size_t len, uint64_t off)
{
	/* What is only appended to has no hashes: what the agent has of it, it has as it is. */
	return i->filled ? hash_page(page, len) == get_page(i->sync, off) : off + len <= i->sync->size;
}

void sync_brought(struct image *i, const uint8_t *page, size_t len, uint64_t off)
{
	set_page(i->sync, off, hash_page(page, len));
	if (i->sync->size < off + len)
		i->sync->size = off + len;
}

/* The page at OFF of I as it is, padded with zeros. */
static void read_page(const struct image *i, uint8_t *page, uint64_t off)
{
	ssize_t n = pread(i->fd, page, PAGE, (off_t)off);

	n = n > 0 ? n : 0;
	memset(page + n, 0, PAGE - (size_t)n);
}

void sync_before_write(struct image *i, const void *data, size_t len, uint64_t off)
{
	struct sync *s = i->sync;
	uint64_t end = off + len;
	uint8_t page[PAGE];

	if (!s)
		return;
	for (uint64_t at = off - off % PAGE; at < end; at += PAGE) {
		uint64_t from = at > off ? at : off, to = at + PAGE < end ? at + PAGE : end;

		read_page(i, page, at);
		if (hash_bytes(page) != get_page(s, at))
			continue; /* stored into; it will go there whole */
		if (data)
			memcpy(page + (from - at), (const uint8_t *)data + (from - off), (size_t)(to - from));
		else
			memset(page + (from - at), 0, (size_t)(to - from));
		set_page(s, at, hash_bytes(page));
	}
	if (s->size < end)
		s->size = end;
}

void sync_resized(struct image *i, uint64_t size)
{
	struct sync *s = i->sync;
	size_t keep = (size_t)((size + PAGE - 1) / PAGE);
	uint8_t page[PAGE];

	if (keep < s->page_count)
		memset(s->pages + keep, 0, (s->page_count - keep) * sizeof(*s->pages));
	/* The page that the file ends in now is the agent's up to there, if it was. */
	if (size < s->size && size % PAGE) {
		read_page(i, page, size - size % PAGE);
		set_page(s, size, hash_bytes(page));
	}
	s->size = size;
}

/* ---- who writes ---- */

static int snapshot(struct image *i)
{
	struct sync *s = i->sync;
	uint8_t page[PAGE];
	struct stat st;

	if (fstat(i->fd, &st) < 0)
		return -errno;
	s->size = (uint64_t)st.st_size;
	for (off_t at = 0; i->filled && (at = lseek(i->fd, at, SEEK_DATA)) >= 0 && at < st.st_size; at += PAGE) {
		at -= at % PAGE;
		read_page(i, page, (uint64_t)at);
		set_page(s, (uint64_t)at, hash_bytes(page));
	}
	return 0;
}

static void stop(struct image *i)
{
	active--;
	free(i->sync->pages);
	free(i->sync);
	i->sync = NULL;
}

static int start(struct image *i)
{
	int rc;

	if (i->sync)
		return 0;
	i->sync = xcalloc(1, sizeof(*i->sync));
	active++;
	rc = snapshot(i);
	if (rc)
		stop(i);
	return rc;
}

/* What is in a file that is open for writing only, a second handle reads. */
static int fill_unreadable(struct call *c, struct ofd *o)
{
	rfs_Request req = { .which_op = rfs_Request_open_tag,
			    .op.open = { .has_where = true, .where.dir = o->handle, .handle = link_new_handle(o->mount->link) } };
	rfs_Request end = { .which_op = rfs_Request_close_tag, .op.close.handle = req.op.open.handle };
	struct link_reply rep;
	rfs_Attr attr;
	int rc = remote_attr(c, o, &attr);

	if (!rc && !attr.size)
		return image_fill_from(c, o, "", 0, true);
	rc = rc ? rc : call_rpc(c, o->mount, &req, NULL, 0, &rep);
	if (rc)
		return rc;
	link_reply_free(&rep);
	rc = image_fill_by(c, o, req.op.open.handle);
	if (!o->mount->closing)
		link_send(o->mount->link, &end);
	return rc;
}

static int prepare(struct call *c, struct ofd *o)
{
	rfs_Attr attr;

	if ((o->flags & O_ACCMODE) == O_RDWR)
		return image_fill(c, o);
	if (!(o->flags & O_APPEND))
		return fill_unreadable(c, o);
	/* What is behind the file's size is brought to its end, and nobody needs to know what is before. */
	int rc = remote_attr(c, o, &attr);
	return rc || o->image->sync ? rc : image_resize(o->image, attr.size);
}

int sync_native(struct call *c, struct ofd *o)
{
	int rc = prepare(c, o);

	rc = rc ? rc : start(o->image);
	if (rc)
		return rc;
	o->image->sync->writers++;
	o->writes = true;
	drain_watch(o->image);
	/* A program that finds it open for reading, too, may map it, and of that nobody tells. */
	return (o->flags & O_ACCMODE) == O_RDWR ? sync_mapped(c, o) : 0;
}

static void *look_thread(void *arg);

int sync_mapped(struct call *c, struct ofd *o)
{
	pthread_t thread;
	int rc = image_fill(c, o);

	if (rc || o->mapped)
		return rc;
	rc = start(o->image);
	if (rc)
		return rc;
	o->image->sync->writers++;
	o->image->sync->mapped++;
	o->mapped = true;
	if (!looking && pthread_create(&thread, NULL, look_thread, NULL) == 0)
		looking = true;
	return looking ? 0 : -EAGAIN;
}

void sync_drop(struct ofd *o)
{
	struct sync *s = o->image ? o->image->sync : NULL;

	if (!s)
		return;
	s->writers -= o->writes + o->mapped;
	s->mapped -= o->mapped;
	if (!s->writers)
		stop(o->image);
}

void sync_touched(struct image *i)
{
	if (i->sync)
		i->sync->dirty = true;
}

void sync_closed(struct ofd *o)
{
	if (o->writes || o->mapped)
		o->image->sync->dirty = o->image->sync->closed = true;
}

/* ---- bringing ---- */

static pthread_cond_t idle = PTHREAD_COND_INITIALIZER;

void sync_lock(struct image *i)
{
	while (i && i->busy)
		state_wait(&idle);
	if (i)
		i->busy = true;
}

void sync_unlock(struct image *i)
{
	if (i)
		i->busy = false;
	pthread_cond_broadcast(&idle);
}

void sync_resize(struct image *i, uint64_t size)
{
	struct ofd *o = ofd_ref(i->node->ofds); /* the image goes with its last one */
	bool busy = i->busy;

	sync_lock(i);
	if (image_resize(i, size) < 0)
		image_lost(i);
	/* A flush may have written behind the new end meanwhile. */
	if (busy && i->sync)
		i->sync->size_unsure = true;
	sync_unlock(i);
	ofd_unref(o);
}

/* LEN bytes, whole pages or up to the end of the file. */
static int bring(struct call *c, struct ofd *o, const uint8_t *data, size_t len, uint64_t off, bool append)
{
	uint64_t end = off;

	for (size_t done = 0; done < len;) {
		long n = remote_store(c, o, data + done, len - done, off + done, append, 0, &end);
		if (n < 0)
			return (int)n;
		done += (size_t)n;
	}
	for (size_t at = 0, part; at < len && !append; at += part) {
		part = len - at < PAGE ? len - at : PAGE;
		sync_brought(o->image, data + at, part, off + at);
	}
	if (append && end != off + len)
		o->image->stale = true;
	return 0;
}

/* One piece of an image, and which pages of it are not as the agent has them. */
struct piece {
	uint8_t data[FRAME_MAX_PAYLOAD];
	bool dirty[FRAME_MAX_PAYLOAD / PAGE];
	uint64_t off;
	size_t len;
};

static bool is_hole(const struct image *i, uint64_t off, size_t len)
{
	off_t data = lseek(i->fd, (off_t)off, SEEK_DATA);

	for (uint64_t at = off; at < off + len; at += PAGE)
		if (get_page(i->sync, at))
			return false;
	return (data < 0 && errno == ENXIO) || data >= (off_t)(off + len);
}

/* Reads P and compares, without the state lock: nobody changes the hashes while the image is locked. */
static int look(struct image *i, struct piece *p, bool grown, uint64_t size)
{
	int rc = 0;

	notify_promote();
	state_unlock();
	memset(p->dirty, 0, sizeof(p->dirty));
	if (!is_hole(i, p->off, p->len) || grown) {
		ssize_t n = pread(i->fd, p->data, p->len, (off_t)p->off);
		rc = n < 0 ? -errno : 0;
		p->len = n > 0 ? (size_t)n : 0;
		for (size_t at = 0, part; at < p->len; at += part) {
			part = p->len - at < PAGE ? p->len - at : PAGE;
			p->dirty[at / PAGE] = hash_page(p->data + at, part) != get_page(i->sync, p->off + at) ||
					      (grown && p->off + at + part == size);
		}
	}
	state_lock();
	return rc;
}

static int bring_piece(struct call *c, struct ofd *o, const struct piece *p)
{
	int rc = 0;

	for (size_t at = 0, end; at < p->len && !rc; at = end) {
		end = at + PAGE;
		if (!p->dirty[at / PAGE])
			continue;
		while (end < p->len && p->dirty[end / PAGE])
			end += PAGE;
		end = end < p->len ? end : p->len;
		rc = bring(c, o, p->data + at, end - at, p->off + at, false);
	}
	return rc;
}

static int bring_range(struct call *c, struct ofd *o, uint64_t from, uint64_t to, bool grown)
{
	CLEANUP_FREE struct piece *p = xcalloc(1, sizeof(*p));
	int rc = 0;

	for (p->off = from - from % PAGE; p->off < to && !rc; p->off += FRAME_MAX_PAYLOAD) {
		p->len = to - p->off < FRAME_MAX_PAYLOAD ? (size_t)(to - p->off) : FRAME_MAX_PAYLOAD;
		rc = look(o->image, p, grown, to);
		rc = rc ? rc : bring_piece(c, o, p);
	}
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
		rc = bring(c, o, buf, (size_t)n, from, true);
		for (uint64_t at = from - from % PAGE; i->filled && at < from + (uint64_t)n; at += PAGE) {
			read_page(i, page, at);
			set_page(i->sync, at, hash_bytes(page));
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
	node_changed(o->node);
	sync_resized(o->image, size);
	return rc;
}

static int flush_locked(struct call *c, struct ofd *o, uint64_t off, uint64_t len, bool all)
{
	struct image *i = o->image;
	struct sync *s = i->sync;
	struct stat st;
	int rc = 0;

	if (fstat(i->fd, &st) < 0)
		return -errno;
	uint64_t size = (uint64_t)st.st_size, to = size - off < len ? size : off + len;
	if (size < s->size || s->size_unsure)
		rc = set_size(c, o, size);
	s->size_unsure = false;
	bool grown = size > s->size, tail = grown && (o->flags & (O_APPEND | O_ACCMODE)) == (O_APPEND | O_WRONLY);
	/* A file that grew was most likely written at its end: the rest is looked at in the end. */
	if (grown && !all)
		off = s->size;
	uint64_t end = tail ? s->size - s->size % PAGE : grown ? size : to;
	if (i->filled && off < end)
		rc = rc ? rc : bring_range(c, o, off, end, grown && !tail);
	if (tail)
		rc = rc ? rc : bring_tail(c, o, s->size, size);
	return rc;
}

static struct ofd *writer_of(const struct node *n)
{
	for (struct ofd *o = n->ofds; o; o = o->next_of_node)
		if (o->writes || o->mapped)
			return o;
	return NULL;
}

/* An error is told once: by the next call that can, or by the message at the last close. */
static int take_error(struct sync *s)
{
	int error = s->error;

	s->error = 0;
	return error;
}

static int flush(struct call *c, struct image *i, uint64_t off, uint64_t len, bool all)
{
	struct ofd *o = ofd_ref(writer_of(i->node));
	struct sync *s = i->sync;

	sync_lock(i);
	int rc = flush_locked(c, o, off, len, all);
	if (rc && !s->error)
		s->error = rc;
	sync_unlock(i);
	ofd_unref(o);
	return rc;
}

int sync_push(struct call *c, struct image *i)
{
	return flush(c, i, 0, UINT64_MAX, true);
}

bool sync_has_grown(const struct image *i)
{
	struct stat st;

	return fstat(i->fd, &st) == 0 && (uint64_t)st.st_size > i->sync->size;
}

int sync_flush(struct call *c, struct image *i, uint64_t off, uint64_t len)
{
	if (!i || !i->sync)
		return 0;
	struct ofd *o = ofd_ref(writer_of(i->node));
	flush(c, i, off, len, true);
	int rc = take_error(i->sync);
	ofd_unref(o);
	return rc;
}

static void find_told(struct ofd *o, void *arg)
{
	struct image **found = arg;

	if (!*found && o->image && o->image->sync && (o->image->sync->dirty || o->image->sync->bringing))
		*found = o->image;
}

static void bring_told(struct call *c, struct image *i)
{
	struct ofd *o = ofd_ref(writer_of(i->node));
	struct sync *s = i->sync;
	bool closed = s->closed, all = closed || s->whole;

	s->dirty = s->closed = s->whole = false;
	s->bringing = true;
	flush(c, i, 0, UINT64_MAX, all);
	s->bringing = false;
	if (closed && s->error)
		log_error("%s: what was written could not be stored there: %s", o->path, strerror(-take_error(s)));
	ofd_unref(o);
}

void sync_run(struct call *c)
{
	struct image *i;

	while (active) {
		i = NULL;
		ofd_each(find_told, &i);
		if (!i)
			return;
		bring_told(c, i);
	}
}

static void mark_whole(struct ofd *o, void *arg)
{
	const struct mount *m = arg;

	if (o->image && o->image->sync && (!m || o->mount == m))
		o->image->sync->dirty = o->image->sync->whole = true;
}

void sync_all(struct call *c, const struct mount *m)
{
	ofd_each(mark_whole, (void *)m);
	sync_run(c);
}

/* ---- stores into mappings ---- */

static void find_due(struct ofd *o, void *arg)
{
	struct image **found = arg;

	if (!*found && o->image && o->image->sync && o->image->sync->mapped && o->image->sync->due_ns <= now_ns() &&
	    !o->mount->closing)
		*found = o->image;
}

static void look_once(struct image *i)
{
	struct ofd *o = ofd_ref(writer_of(i->node));
	uint64_t start_ns = now_ns(), spent;

	flush(NULL, i, 0, UINT64_MAX, true);
	spent = now_ns() - start_ns;
	i->sync->due_ns = now_ns() + (spent * LOOK_SHARE > LOOK_NS ? spent * LOOK_SHARE : LOOK_NS);
	ofd_unref(o);
}

/* Those at the target who do not wait for an msync see what is stored here about a second later. */
static void *look_thread(void *arg)
{
	for (;;) {
		struct image *i = NULL;

		usleep(LOOK_NS / 4000);
		state_lock();
		for (ofd_each(find_due, &i); i; i = NULL, ofd_each(find_due, &i))
			look_once(i);
		state_unlock();
	}
	return arg;
}
