#include "sync.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "call.h"
#include "frame.h"
#include "link.h"
#include "log.h"
#include "ofd.h"
#include "placeholder.h"
#include "push.h"
#include "remote.h"
#include "rules.h"
#include "state.h"
#include "util.h"

#define PAGE 4096u

/*
 * A page is the target's if it has the hash it had when it was last brought there: the kernel tells that
 * a file was modified, not where.
 */
struct sync {
	uint64_t *pages; /* hash of each page that the agent has; unused with append */
	size_t page_count;
	uint64_t size;   /* the file's size, as the agent has it */
	bool append;     /* O_APPEND: whatever is behind SIZE goes to the end of the file */
	bool dirty, closed, busy;
	int error;       /* of an earlier flush, not yet returned by a call */
};

static size_t active;
static pthread_cond_t idle = PTHREAD_COND_INITIALIZER;

bool sync_active(void)
{
	return active;
}

static uint64_t hash_page(const uint8_t *data, size_t len)
{
	uint64_t h = len * UINT64_C(0x9e3779b97f4a7c15) + 1, w;

	for (; len >= 8; data += 8, len -= 8) {
		memcpy(&w, data, 8);
		h = (h ^ w) * UINT64_C(0xff51afd7ed558ccd);
		h ^= h >> 32;
	}
	for (; len; len--)
		h = (h ^ *data++) * UINT64_C(0x100000001b3);
	return h;
}

static void set_page(struct sync *s, size_t i, uint64_t hash)
{
	if (i >= s->page_count) {
		size_t count = i + 1 + i / 2;

		s->pages = xrealloc(s->pages, count * sizeof(*s->pages));
		memset(s->pages + s->page_count, 0, (count - s->page_count) * sizeof(*s->pages));
		s->page_count = count;
	}
	s->pages[i] = hash;
}

static void remember_pages(struct sync *s, const uint8_t *data, size_t len, uint64_t off)
{
	for (size_t at = 0; at < len; at += PAGE)
		set_page(s, (size_t)(off + at) / PAGE, hash_page(data + at, len - at < PAGE ? len - at : PAGE));
}

static int snapshot(struct sync *s, int fd)
{
	uint8_t page[PAGE];
	ssize_t n;

	for (s->size = 0; (n = pread(fd, page, PAGE, (off_t)s->size)) > 0; s->size += (uint64_t)n)
		remember_pages(s, page, (size_t)n, s->size);
	return n < 0 ? -errno : 0;
}

/* Our description must not count as a writer: a lease tells then whether any is left. */
static int own_read_only(struct ofd *o, int fd)
{
	char link[64];

	close_fd(&o->own_fd);
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	o->own_fd = open(link, O_RDONLY | O_CLOEXEC);
	return o->own_fd < 0 ? -errno : 0;
}

static int read_into(struct call *c, struct ofd *o, uint64_t handle)
{
	uint64_t off = 0;
	size_t len;

	do {
		rfs_Request req = { .which_op = rfs_Request_read_tag,
				    .op.read = { .handle = handle, .offset = off, .size = FRAME_MAX_PAYLOAD } };
		struct link_reply rep;
		int rc = call_rpc(c, o->mount, &req, NULL, 0, &rep);

		if (!rc)
			rc = placeholder_write(o, rep.payload, rep.payload_len, off);
		len = rc ? 0 : rep.payload_len;
		link_reply_free(&rep);
		if (rc)
			return rc;
		off += len;
	} while (len == FRAME_MAX_PAYLOAD);
	return 0;
}

/*
 * What is in a file that is open for writing only: the kernel writes whole pages of the placeholder, and
 * what the task leaves of them must be what is there. A second handle reads it.
 */
static int fill_unreadable(struct call *c, struct ofd *o)
{
	rfs_Request req = { .which_op = rfs_Request_open_tag,
			    .op.open = { .has_where = true, .where.dir = o->handle, .handle = link_new_handle(o->mount->link) } };
	rfs_Request end = { .which_op = rfs_Request_close_tag, .op.close.handle = req.op.open.handle };
	struct link_reply rep;
	rfs_Attr attr;
	int rc = remote_attr(c, o, &attr);

	if (rc || !attr.size)
		return rc;
	rc = call_rpc(c, o->mount, &req, NULL, 0, &rep);
	if (rc)
		return rc;
	link_reply_free(&rep);
	rc = read_into(c, o, req.op.open.handle);
	if (!o->mount->closing)
		link_send(o->mount->link, &end);
	return rc;
}

static int prepare(struct call *c, struct ofd *o, int fd, struct sync *s)
{
	rfs_Attr attr;
	int rc = placeholder_open_own(o, fd);

	if (rc)
		return rc;
	if (s->append) {
		rc = remote_attr(c, o, &attr);
		s->size = rc ? 0 : attr.size;
		return rc ? rc : placeholder_resize(o, attr.size);
	}
	return (o->flags & O_ACCMODE) == O_WRONLY ? fill_unreadable(c, o) : remote_fill(c, o, fd);
}

int sync_start(struct call *c, struct ofd *o, int fd)
{
	struct sync *s = xcalloc(1, sizeof(*s));
	int rc;

	s->append = (o->flags & (O_APPEND | O_ACCMODE)) == (O_APPEND | O_WRONLY);
	rc = prepare(c, o, fd, s);
	rc = rc ? rc : own_read_only(o, fd);
	if (!rc && !s->append)
		rc = snapshot(s, o->own_fd);
	rc = rc ? rc : placeholder_watch_writes(o);
	if (rc) {
		free(s->pages);
		free(s);
		return rc;
	}
	lseek(fd, (off_t)o->pos, SEEK_SET);
	o->sync = s;
	active++;
	return 0;
}

void sync_free(struct ofd *o)
{
	if (!o->sync)
		return;
	active--;
	free(o->sync->pages);
	free(o->sync);
	o->sync = NULL;
}

void sync_touched(struct ofd *o, bool closed)
{
	o->sync->dirty = true;
	o->sync->closed |= closed;
}

void sync_truncated(struct ofd *o, unsigned long long length)
{
	char link[64];

	snprintf(link, sizeof(link), "/proc/self/fd/%d", o->own_fd);
	CLEANUP_FD int fd = open(link, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || ftruncate(fd, (off_t)length) < 0)
		push_stale(o);
	o->sync->size = length;
	if (!o->sync->append)
		snapshot(o->sync, o->own_fd);
}

static long bring(struct call *c, struct ofd *o, const uint8_t *data, size_t len, uint64_t off)
{
	struct sync *s = o->sync;
	uint64_t end;

	for (size_t done = 0; done < len;) {
		long n = remote_write(c, o, data + done, len - done, off + done, s->append, 0, &end);
		if (n < 0)
			return n;
		done += (size_t)n;
	}
	if (!s->append)
		remember_pages(s, data, len, off);
	return 0;
}

/* Everything from FROM to the end that the agent does not have. */
static int bring_changes(struct call *c, struct ofd *o, uint64_t from, uint64_t size)
{
	CLEANUP_FREE uint8_t *buf = xcalloc(1, FRAME_MAX_PAYLOAD);
	struct sync *s = o->sync;

	for (uint64_t off = from; off < size;) {
		size_t want = FRAME_MAX_PAYLOAD - off % PAGE;
		ssize_t n = pread(o->own_fd, buf, size - off < want ? size - off : want, (off_t)off);
		if (n <= 0)
			break;
		for (size_t at = 0, len; at < (size_t)n; at += len) {
			size_t page = (size_t)(off + at) / PAGE;

			len = (size_t)n - at < PAGE ? (size_t)n - at : PAGE;
			if (s->append)
				len = (size_t)n;
			else if (page < s->page_count && s->pages[page] == hash_page(buf + at, len))
				continue;
			long rc = bring(c, o, buf + at, len, off + at);
			if (rc < 0)
				return (int)rc;
		}
		off += (uint64_t)n;
		if (s->append)
			s->size = off;
	}
	return 0;
}

static int shrink(struct call *c, struct ofd *o, uint64_t size)
{
	rfs_Request req = { .which_op = rfs_Request_truncate_tag,
			    .op.truncate = { .handle = o->handle, .length = (int64_t)size } };
	struct link_reply rep;
	int rc = call_rpc(c, o->mount, &req, NULL, 0, &rep);

	if (!rc)
		link_reply_free(&rep);
	node_changed(o->node);
	return rc;
}

static int flush_once(struct call *c, struct ofd *o, bool all)
{
	struct sync *s = o->sync;
	struct stat st;
	int rc = 0;

	if (o->own_fd < 0 || fstat(o->own_fd, &st) < 0)
		return 0;
	uint64_t size = (uint64_t)st.st_size;
	/* A file that grew was most likely written at its end: the rest is looked at in the end. */
	bool at_end = s->append || (!all && size > s->size);
	if (size < s->size) {
		rc = shrink(c, o, size);
		s->size = size;
	}
	uint64_t from = !at_end ? 0 : s->append ? s->size : s->size - s->size % PAGE;
	rc = rc ? rc : bring_changes(c, o, from, size);
	if (!s->append)
		s->size = size;
	return rc;
}

/* An error is told once: by the next call that can, or by the message at the last close. */
static int sync_error(struct sync *s)
{
	int error = s->error;

	s->error = 0;
	return error;
}

static void flush(struct call *c, struct ofd *o, bool all)
{
	struct sync *s = o->sync;

	ofd_ref(o);
	while (s->busy)
		state_wait(&idle);
	s->busy = true;
	bool closed = s->closed;
	s->dirty = s->closed = false;
	int rc = flush_once(c, o, all || closed);
	if (rc && !s->error)
		s->error = rc;
	s->busy = false;
	pthread_cond_broadcast(&idle);
	if (closed && s->error)
		log_error("%s: what was written could not be stored there: %s", o->path, strerror(-sync_error(s)));
	/* EAGAIN: another description can still write. Without it, ours is the last to hold the inode. */
	if (closed && !(fcntl(o->own_fd, F_SETLEASE, F_RDLCK) < 0 && errno == EAGAIN)) {
		fcntl(o->own_fd, F_SETLEASE, F_UNLCK);
		close_fd(&o->own_fd);
	}
	ofd_unref(o);
}

int sync_flush(struct call *c, struct ofd *o)
{
	flush(c, o, true);
	return o->sync ? sync_error(o->sync) : 0;
}

static void find_dirty(struct ofd *o, void *arg)
{
	struct ofd **found = arg;

	if (!*found && o->sync && (o->sync->dirty || o->sync->busy))
		*found = o;
}

void sync_run(struct call *c)
{
	for (;;) {
		struct ofd *o = NULL;

		ofd_each(find_dirty, &o);
		if (!o)
			return;
		flush(c, o, false);
	}
}
