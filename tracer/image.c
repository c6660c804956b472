#include "image.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "call.h"
#include "drain.h"
#include "frame.h"
#include "log.h"
#include "ofd.h"
#include "remote.h"
#include "rules.h"
#include "state.h"
#include "sync.h"
#include "util.h"

static pthread_cond_t filled = PTHREAD_COND_INITIALIZER;

bool image_follows(const struct image *i)
{
	return i && (i->filled || i->filling);
}

static int write_all(int fd, const uint8_t *data, size_t len, uint64_t off)
{
	for (size_t done = 0; done < len;) {
		ssize_t n = pwrite(fd, data + done, len - done, (off_t)(off + done));
		if (n < 0 && errno != EINTR)
			return -errno;
		done += n > 0 ? (size_t)n : 0;
	}
	return 0;
}

int image_write(struct image *i, const void *data, size_t len, uint64_t off)
{
	int rc;

	sync_before_write(i, data, len, off);
	rc = write_all(i->fd, data, len, off);
	if (rc)
		image_lost(i);
	return rc;
}

int image_resize(struct image *i, uint64_t size)
{
	int rc = ftruncate(i->fd, (off_t)size) < 0 ? -errno : 0;

	if (i->sync)
		sync_resized(i, size);
	return rc;
}

/* What differs in LEN bytes goes to OFF, and not a byte more: a task may be storing next to it right now. */
static int write_differences(int fd, const uint8_t *have, const uint8_t *want, size_t len, uint64_t off)
{
	size_t at = 0;

	while (at < len) {
		size_t end;

		while (at < len && have[at] == want[at])
			at++;
		for (end = at; end < len && have[end] != want[end];)
			end++;
		int rc = end > at ? write_all(fd, want + at, end - at, off + at) : 0;
		if (rc)
			return rc;
		at = end;
	}
	return 0;
}

/* Bytes of one page that tasks may be storing into. */
static int merge_written(struct image *i, const uint8_t *have, const uint8_t *want, size_t len, uint64_t off)
{
	int rc = 0;

	if (sync_is_clean(i, have, len, off)) {
		rc = write_differences(i->fd, have, want, len, off);
		sync_brought(i, want, len, off);
	} else if (!memcmp(have, want, len)) {
		sync_brought(i, want, len, off);
	}
	return rc;
}

static bool is_zero(const uint8_t *data, size_t len)
{
	return !*data && !memcmp(data, data + 1, len - 1);
}

/* One page, or what the file has of it. */
static int merge_page(struct image *i, const uint8_t *want, size_t len, uint64_t off)
{
	uint8_t have[SYNC_PAGE];

	if (i->fresh)
		return is_zero(want, len) ? 0 : write_all(i->fd, want, len, off);
	ssize_t n = pread(i->fd, have, len, (off_t)off);
	if (n < 0)
		return -errno;
	memset(have + n, 0, len - (size_t)n);
	if (i->sync)
		return merge_written(i, have, want, len, off);
	return memcmp(have, want, len) ? write_all(i->fd, want, len, off) : 0;
}

int image_merge(struct image *i, const uint8_t *data, size_t len, uint64_t off)
{
	struct stat st;
	int rc = fstat(i->fd, &st) < 0 ? -errno : 0;

	/* Zeros at its end are not written. */
	if (!rc && (uint64_t)st.st_size < off + len)
		rc = image_resize(i, off + len);
	for (size_t at = 0, part; at < len && !rc; at += part) {
		part = SYNC_PAGE - (size_t)(off + at) % SYNC_PAGE;
		part = part < len - at ? part : len - at;
		rc = merge_page(i, data + at, part, off + at);
	}
	return rc;
}

void image_lost(struct image *i)
{
	char path[PATH_MAX];
	const struct ofd *o = i->node->ofds;

	if (!i->filled)
		return;
	i->filled = false;
	if (o && path_to_program(o->mount, o->path, path, sizeof(path)) == 0)
		log_error("%s: no room on the placeholders' file system for what the file has become; descriptors open on it keep the old bytes: free space there",
			  path);
}

/* Up to LEN bytes from OFF into the image: how many there were. -EAGAIN when we changed the file meanwhile. */
static long reread_piece(struct call *c, struct ofd *o, uint64_t handle, uint64_t off, size_t len)
{
	rfs_Request req = { .which_op = rfs_Request_read_tag,
			    .op.read = { .handle = handle, .offset = off, .size = (uint32_t)len } };
	struct node *n = o->node;
	struct link_reply rep;
	bool busy = n->writers;
	uint64_t version = n->own_version;
	int rc = call_rpc(c, o->mount, &req, NULL, 0, &rep);

	if (rc)
		return rc;
	/* Our own write may already be in the image and not in these bytes. */
	long got = busy || n->writers || n->own_version != version ? -EAGAIN :
		   rep.payload_len > len			   ? -EPROTO :
								     (long)rep.payload_len;
	if (got > 0 && (rc = image_merge(n->image, rep.payload, (size_t)got, off)) < 0)
		got = rc;
	link_reply_free(&rep);
	return got;
}

static struct ofd *reader_of(const struct node *n)
{
	struct ofd *o = n->ofds;

	while (o && ((o->flags & O_ACCMODE) == O_WRONLY || o->flags & O_PATH))
		o = o->next_of_node;
	return o;
}

int image_reread(struct call *c, struct node *n, uint64_t off, uint64_t len)
{
	struct ofd *o = reader_of(n);
	long got = 0;

	if (!o)
		return -EBADF;
	ofd_ref(o);
	/* Whole pages: that is what is compared. */
	len += off % SYNC_PAGE;
	off -= off % SYNC_PAGE;
	for (uint64_t done = 0; done < len; done += (uint64_t)got) {
		uint64_t left = (len - done + SYNC_PAGE - 1) / SYNC_PAGE * SYNC_PAGE;

		got = reread_piece(c, o, o->handle, off + done, left < FRAME_MAX_PAYLOAD ? (size_t)left : FRAME_MAX_PAYLOAD);
		if (got <= 0)
			break;
	}
	ofd_unref(o);
	return got < 0 ? (int)got : 0;
}

static long fill_piece(struct call *c, struct ofd *o, uint64_t handle, uint64_t off)
{
	sync_lock(o->node->image);
	long len = reread_piece(c, o, handle, off, FRAME_MAX_PAYLOAD);
	sync_unlock(o->node->image);
	return len;
}

/* How often a hole is looked for: a file may be far larger than what is in it. */
#define HOLE_LOOK (16u << 20)

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

/* All of the file from OFF on. */
static int fill_rest(struct call *c, struct ofd *o, uint64_t handle, uint64_t off)
{
	struct image *i = o->node->image;
	uint64_t version = o->node->own_version;
	struct stat st;
	long len;

	do {
		len = fill_piece(c, o, handle, off);
		off += len > 0 ? (uint64_t)len : 0;
		if (len > 0 && off % HOLE_LOOK == 0)
			off = skip_hole(c, o, handle, off);
	} while (len == -EAGAIN || len == FRAME_MAX_PAYLOAD);
	if (len < 0 || fstat(i->fd, &st) < 0)
		return len < 0 ? (int)len : -errno;
	/* Where we wrote or truncated it meanwhile, the image's size is right. */
	bool ours = o->node->own_version != version || (i->sync && sync_has_grown(i));
	return ours && off <= (uint64_t)st.st_size ? 0 : image_resize(i, off);
}

static bool is_current(const struct ofd *o)
{
	const struct image *i = o->node->image;

	/* Without the agent's word nobody knows; while tasks write it, it is what the file will be. */
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
	while (i->filling)
		state_wait(&filled);
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

int image_fill_by(struct call *c, struct ofd *o, uint64_t handle)
{
	return fill_once(c, o, handle, "", 0, false);
}
