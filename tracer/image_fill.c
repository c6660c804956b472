#include "image_fill.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "call.h"
#include "drain.h"
#include "flight.h"
#include "frame.h"
#include "image.h"
#include "ofd.h"
#include "remote.h"
#include "rules.h"
#include "state.h"
#include "sync.h"

static pthread_cond_t filled = PTHREAD_COND_INITIALIZER;

/* Asks for LEN bytes from OFF, to be landed. */
static void ask_piece(struct flight *f, const struct node *n, uint64_t off, size_t len)
{
	flight_add(f, off, len, n->writers ? UINT64_MAX : n->own_version);
}

/*
 * T into the image: how many bytes there were. -EAGAIN when we changed the file since they were asked for: our own write may
 * already be in the image and not in these bytes. WRITTEN: they are, to the byte, what a call of ours has put there. The caller has
 * the image's sync_lock.
 */
static long land_piece(const struct ofd *o, struct flight_taken *t, bool written)
{
	struct node *n = o->node;

	if (o->lost)
		t->got = -ESTALE; /* they are another file's */
	if (t->got >= 0 && (n->writers || n->own_version != t->mark))
		t->got = -EAGAIN;
	if (t->got > 0) {
		int rc = written ? image_write(n->image, t->data, (size_t)t->got, t->off)
				 : image_merge(n->image, t->data, (size_t)t->got, t->off);
		t->got = rc < 0 ? rc : t->got;
	}
	free(t->data);
	return t->got;
}

/* Up to LEN bytes from OFF into the image, as land_piece. */
static long reread_piece(struct call *c, struct ofd *o, uint64_t handle, uint64_t off, size_t len, bool written)
{
	struct flight f = { .c = c, .mount = o->mount, .handle = handle };
	struct flight_taken t;

	ask_piece(&f, o->node, off, len);
	flight_take(&f, &t);
	return land_piece(o, &t, written);
}

static struct ofd *reader_of(const struct node *n)
{
	struct ofd *o = n->ofds;

	while (o && (!ofd_flags_read(o->flags) || o->lost || o->dead))
		o = o->next_of_node;
	return o;
}

/* *HANDLE is a second handle, which can be read, on the file O, which perhaps cannot. 0 or a negative errno. */
static int open_reader(struct call *c, struct ofd *o, uint64_t *handle)
{
	rfs_Request req = { .which_op = rfs_Request_open_tag,
			    .op.open = { .has_where = true, .where.dir = o->handle, .handle = link_new_handle(o->mount->link) } };
	struct link_reply rep;
	int rc = call_rpc(c, o->mount, &req, NULL, 0, &rep);

	if (!rc)
		link_reply_free(&rep);
	*handle = req.op.open.handle;
	return rc;
}

static void close_reader(const struct ofd *o, uint64_t handle)
{
	rfs_Request end = { .which_op = rfs_Request_close_tag, .op.close.handle = handle };

	call_send(o->mount, &end);
}

int image_reread(struct call *c, struct node *n, uint64_t off, uint64_t len)
{
	struct ofd *reader = reader_of(n), *o = ofd_ref(reader ? reader : n->ofds);
	uint64_t handle = o->handle;
	long got = reader ? 0 : open_reader(c, o, &handle);

	if (got < 0) {
		ofd_unref(o);
		return (int)got;
	}
	for (uint64_t done = 0; done < len; done += (uint64_t)got) {
		uint64_t left = len - done;

		got = reread_piece(c, o, handle, off + done, left < FRAME_MAX_PAYLOAD ? (size_t)left : FRAME_MAX_PAYLOAD, true);
		if (got <= 0)
			break;
	}
	if (!reader)
		close_reader(o, handle);
	ofd_unref(o);
	return got < 0 ? (int)got : 0;
}

/* Waits for what was asked for first, and lands it. Where a change overtook it, it is asked for again, and nothing is changed meanwhile. */
static long fill_piece(struct flight *f, struct ofd *o)
{
	struct image *i = o->node->image;
	struct flight_taken t;

	flight_take(f, &t);
	sync_lock(i);
	long len = land_piece(o, &t, false);
	while (len == -EAGAIN)
		len = reread_piece(f->c, o, f->handle, t.off, t.len, false);
	sync_unlock(i);
	return len;
}

/* Where the file's data goes on behind OFF, in whole pages; what is before is a hole in the image as well. */
static uint64_t skip_hole(struct call *c, struct ofd *o, uint64_t handle, uint64_t off)
{
	rfs_Request req = { .which_op = rfs_Request_seek_tag,
			    .op.seek = { .handle = handle, .offset = (int64_t)off, .whence = SEEK_DATA } };
	struct image *i = o->node->image;
	uint64_t version = o->node->own_version, to = off;
	struct link_reply rep;
	rfs_Attr attr;

	if (i->sync)
		return off;
	sync_lock(i);
	int rc = call_rpc(c, o->mount, &req, NULL, 0, &rep);
	if (rc == -ENXIO && remote_attr(c, o, &attr) == 0) /* a hole up to the end */
		to = attr.size;
	if (!rc && rep.msg.which_op == rfs_Reply_seek_tag)
		to = (uint64_t)rep.msg.op.seek.offset;
	if (!rc)
		link_reply_free(&rep);
	to = to > off ? to / SYNC_PAGE * SYNC_PAGE : off;
	/* What we wrote there meanwhile stays. */
	if (to > off && (o->node->own_version != version || i->sync ||
			 fallocate(i->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)off, (off_t)(to - off)) < 0))
		to = off;
	sync_unlock(i);
	return to;
}

/* All of the file from OFF on, which seems to end at SIZE; *END is where it does. */
static int read_rest(struct call *c, struct ofd *o, uint64_t handle, uint64_t off, uint64_t size, uint64_t *end)
{
	struct flight f = { .c = c, .mount = o->mount, .handle = handle };
	uint64_t next = off;
	long len;

	do {
		/* Behind the end there is probably nothing: that is asked for last. */
		while (!flight_is_full(&f) && (!f.count || next < size)) {
			ask_piece(&f, o->node, next, FRAME_MAX_PAYLOAD);
			next += FRAME_MAX_PAYLOAD;
		}
		len = fill_piece(&f, o);
		off += len > 0 ? (uint64_t)len : 0;
	} while (len == FRAME_MAX_PAYLOAD);
	flight_end(&f);
	*end = off;
	return len < 0 ? (int)len : 0;
}

/* The digest that the page of I at OFF has, or should have. */
static uint64_t page_digest(const struct image *i, uint64_t off)
{
	uint8_t page[SYNC_PAGE];
	uint64_t digest;

	if (i->fresh)
		return 0;
	if (i->sync && sync_known(i, off, &digest))
		return digest;
	ssize_t n = pread(i->fd, page, SYNC_PAGE, (off_t)off);
	return digest_page(page, n > 0 ? (size_t)n : 0);
}

struct digests { const uint8_t *of; size_t count; uint64_t off; };

static bool differs(const struct image *i, const struct digests *d, size_t at)
{
	uint64_t digest;

	memcpy(&digest, d->of + at * sizeof(digest), sizeof(digest));
	return le64toh(digest) != page_digest(i, d->off + at * SYNC_PAGE);
}

/* Asks for what differs from page AT on, as much as one request takes. The page behind. */
static size_t ask_differing(struct flight *f, const struct node *n, const struct digests *d, size_t at)
{
	const size_t most = FRAME_MAX_PAYLOAD / SYNC_PAGE;
	size_t end;

	while (at < d->count && !differs(n->image, d, at))
		at++;
	for (end = at; end < d->count && end - at < most && differs(n->image, d, end);)
		end++;
	if (end > at)
		ask_piece(f, n, d->off + at * SYNC_PAGE, (end - at) * SYNC_PAGE);
	return end;
}

/* Reads what differs among the pages D. */
static int read_differing(struct call *c, struct ofd *o, uint64_t handle, const struct digests *d)
{
	struct flight f = { .c = c, .mount = o->mount, .handle = handle };
	size_t at = 0;
	long len = 0;

	do {
		while (!flight_is_full(&f) && at < d->count)
			at = ask_differing(&f, o->node, d, at);
		if (f.count)
			len = fill_piece(&f, o);
	} while (len >= 0 && (f.count || at < d->count));
	flight_end(&f);
	return len < 0 ? (int)len : 0;
}

static bool is_all_zero(const uint8_t *digests, size_t count)
{
	size_t len = count * sizeof(uint64_t);

	return count && !*digests && !memcmp(digests, digests + 1, len - 1);
}

/*
 * What O's pages are at the agent, as REQ asks. Not before what is being sent behind: once the image is being filled nothing more is, and
 * the lock keeps the other writers out.
 */
static int ask_digests(struct call *c, const struct ofd *o, const rfs_Request *req, struct link_reply *rep)
{
	struct image *i = o->node->image;
	bool early = false;
	int rc;

	sync_lock(i);
	do {
		if (early)
			link_reply_free(rep);
		early = o->node->writers;
		rc = call_rpc(c, o->mount, req, NULL, 0, rep);
	} while (!rc && early);
	sync_unlock(i);
	return rc;
}

/* The same as read_rest for a large file, by what has changed. */
static int compare_rest(struct call *c, struct ofd *o, uint64_t handle, uint64_t off, uint64_t *end)
{
	rfs_Request req = { .which_op = rfs_Request_digest_tag,
			    .op.digest = { .handle = handle, .pages = DIGEST_MAX } };
	size_t count;

	off -= off % SYNC_PAGE;
	do {
		struct link_reply rep;

		req.op.digest.offset = off;
		int rc = ask_digests(c, o, &req, &rep);
		if (rc)
			return rc;
		count = rep.payload_len / sizeof(uint64_t);
		rc = rep.msg.which_op != rfs_Reply_digest_tag || count > DIGEST_MAX ? -EPROTO : 0;
		*end = rep.msg.op.digest.size;
		rc = rc ? rc : read_differing(c, o, handle, &(struct digests){ rep.payload, count, off });
		bool hole = !rc && is_all_zero(rep.payload, count);
		link_reply_free(&rep);
		if (rc)
			return rc;
		off += DIGEST_MAX * (uint64_t)SYNC_PAGE;
		/* A file may be far larger than what is in it. */
		if (hole && off < *end)
			off = skip_hole(c, o, handle, off);
	} while (count == DIGEST_MAX);
	return 0;
}

/* Whether N's file takes less room than it is long: it may be holes for the most part. */
static bool is_sparse(const struct node *n)
{
	return n->attr.blocks * 512 < n->attr.size;
}

static int read_image(struct call *c, struct ofd *o, uint64_t handle, uint64_t off, uint64_t *end)
{
	const struct node *n = o->node;
	struct stat st;

	if (fstat(n->image->fd, &st) < 0)
		return -errno;
	bool large = st.st_size > FRAME_MAX_PAYLOAD || n->attr.size > FRAME_MAX_PAYLOAD;
	/* Our own changes are told of as well: a large file must not be read again for each of them. */
	if (large && (!n->image->fresh || is_sparse(n)))
		return compare_rest(c, o, handle, off, end);
	return read_rest(c, o, handle, off, n->attr.size, end);
}

static int fill_rest(struct call *c, struct ofd *o, uint64_t handle, uint64_t off)
{
	struct image *i = o->node->image;
	uint64_t version, cuts, end;
	struct stat st;
	int rc;

	do {
		version = o->node->own_version;
		cuts = o->node->cuts;
		rc = read_image(c, o, handle, off, &end);
		off = 0;
	} while (!rc && o->node->cuts != cuts); /* END may be from before the file was cut off */
	if (rc || fstat(i->fd, &st) < 0)
		return rc ? rc : -errno;
	/* Where we wrote it meanwhile, the image's size is right. */
	bool ours = o->node->own_version != version || (i->sync && sync_has_grown(i));
	if (end <= (uint64_t)st.st_size && (ours || (i->sync && end == sync_size(i))))
		return 0;
	return end > (uint64_t)st.st_size ? image_grow(i, end) : image_resize(i, end);
}

static bool is_current(const struct ofd *o)
{
	const struct image *i = o->node->image;

	/* Without the agent's word nobody knows; while tasks write it, it is what the file will be. */
	if (i->filled && o->lost)
		return true; /* this is all there is */
	return i->filled && !i->stale && (o->coherent & rfs_Coherent_HANDLE || i->sync);
}

/* With no room for all of it, what was taken is given back. */
static void unfill(struct image *i)
{
	struct stat st;

	if (i->filled || i->sync || fstat(i->fd, &st) < 0)
		return;
	if (ftruncate(i->fd, 0) == 0 && ftruncate(i->fd, st.st_size) == 0)
		i->fresh = true;
}

static int fill(struct call *c, struct ofd *o, uint64_t handle, const void *data, size_t len, bool complete)
{
	struct image *i = o->node->image;
	int rc;

	/* What goes to the agent now is newer than DATA. */
	if (i->sync || o->node->writers) {
		len = 0;
		complete = false;
	}
	if (i->sync && sync_push(c, i) < 0)
		return -EIO;
	i->filling = true;
	if (!i->filled)
		drain_watch(i); /* our own writes are nothing to be told of */
	i->stale = false;
	rc = image_merge(i, data, len, 0);
	if (!rc)
		rc = complete ? image_resize(i, len) : fill_rest(c, o, handle, len);
	if (rc)
		unfill(i);
	else
		i->fresh = false;
	i->filling = false;
	i->filled |= !rc;
	i->stale |= rc;
	pthread_cond_broadcast(&filled);
	return rc;
}

static int fill_once(struct call *c, struct ofd *o, uint64_t handle, const void *data, size_t len, bool complete)
{
	struct image *i = o->node->image;
	int rc = 0;

	ofd_ref(o);
	while (i->filling) {
		state_wait(&filled);
		len = 0; /* DATA may be old by now, and freed */
		complete = false;
	}
	if (!is_current(o))
		rc = fill(c, o, handle, data, len, complete);
	ofd_unref(o);
	return rc;
}

int image_fill(struct call *c, struct ofd *o)
{
	return fill_once(c, o, o->handle, "", 0, false);
}

int image_fill_from(struct call *c, struct ofd *o, const void *data, size_t len, bool complete)
{
	return fill_once(c, o, o->handle, data, len, complete);
}

int image_fill_unreadable(struct call *c, struct ofd *o)
{
	uint64_t handle;
	int rc = open_reader(c, o, &handle);

	if (rc)
		return rc;
	rc = fill_once(c, o, handle, "", 0, false);
	close_reader(o, handle);
	return rc;
}
