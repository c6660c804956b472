/* read, write, their vector and positioned forms, lseek, fsync, truncate: on emulated descriptors. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "buffers.h"
#include "cache.h"
#include "call.h"
#include "dir.h"
#include "flow.h"
#include "frame.h"
#include "handlers.h"
#include "link.h"
#include "ofd.h"
#include "place.h"
#include "remote.h"
#include "rules.h"
#include "sync.h"
#include "util.h"

#ifndef RWF_APPEND
#define RWF_APPEND 0x10
#endif
#ifndef RWF_NOAPPEND
#define RWF_NOAPPEND 0x20
#endif
#define AT_POS (-1) /* at the file's own offset, moving it */

/* ---- reading ---- */

static long read_at(struct call *c, struct ofd *o, struct buffers *b, uint64_t off)
{
	size_t total = 0;

	while (total < b->total) {
		const uint8_t *data;
		size_t len = b->total - total < FRAME_MAX_PAYLOAD ? b->total - total : FRAME_MAX_PAYLOAD;
		int rc = remote_data(c, o, off + total, &data, &len);

		if (rc < 0)
			return total ? (long)total : rc;
		if (!len)
			break;
		ssize_t n = buffers_copy(c, b, (uint8_t *)data, len, true);
		if (n < 0)
			return total ? (long)total : n;
		total += (size_t)n;
		if ((size_t)n < len)
			break;
	}
	return (long)total;
}

/* True when we have to do it; otherwise the kernel, on the placeholder, finds the right result or error. */
static bool is_ours(const struct ofd *o, bool writing)
{
	int mode = o->flags & O_ACCMODE;
	bool allowed = writing ? mode == O_WRONLY || mode == O_RDWR : mode == O_RDONLY || mode == O_RDWR;
	return o->io == OFD_EMULATED && allowed && S_ISREG(o->node->attr.mode);
}

static long do_read(struct call *c, struct buffers *b, int64_t off)
{
	struct ofd *o = ofd_by_fd(c->tid, (int)c->arg[0]);

	if (!o)
		return CALL_CONTINUE;
	call_remote(c, o->mount);
	if (o->flags & O_PATH)
		return -EBADF;
	if (o->channel)
		return flow_read(c, o, b, off);
	if (!is_ours(o, false) || off < AT_POS)
		return CALL_CONTINUE;
	ofd_ref(o);
	if (off == AT_POS)
		ofd_lock_pos(c, o);
	long n = read_at(c, o, b, off == AT_POS ? o->pos : (uint64_t)off);
	if (off == AT_POS) {
		o->pos += n > 0 ? (uint64_t)n : 0;
		ofd_unlock_pos(o);
	}
	ofd_unref(o);
	return n;
}

/* ---- writing ---- */

static long write_at(struct call *c, struct ofd *o, struct buffers *b, uint64_t *off, bool append, uint32_t flags)
{
	size_t room = b->total < FRAME_MAX_PAYLOAD ? b->total : FRAME_MAX_PAYLOAD, total = 0;
	CLEANUP_FREE uint8_t *data = xcalloc(1, room + 1);

	while (total < b->total) {
		size_t len = b->total - total < room ? b->total - total : room;
		ssize_t n = buffers_copy(c, b, data, len, false);

		if (n <= 0)
			return total ? (long)total : n;
		long written = remote_write(c, o, data, (size_t)n, *off, append, flags, off);
		if (written < 0)
			return total ? (long)total : written;
		total += (size_t)written;
		if ((size_t)written < len)
			break;
	}
	return (long)total;
}

static long do_write(struct call *c, struct buffers *b, int64_t off, uint32_t flags)
{
	struct ofd *o = ofd_by_fd(c->tid, (int)c->arg[0]);

	if (!o)
		return CALL_CONTINUE;
	call_remote(c, o->mount);
	if (o->flags & O_PATH)
		return -EBADF;
	if (o->channel)
		return flow_write(c, o, b, off);
	if (!is_ours(o, true) || off < AT_POS || !b->total)
		return CALL_CONTINUE;
	ofd_ref(o);
	if (off == AT_POS)
		ofd_lock_pos(c, o);
	uint64_t at = off == AT_POS ? o->pos : (uint64_t)off;
	bool append = flags & RWF_APPEND || (o->flags & O_APPEND && !(flags & RWF_NOAPPEND));
	long n = write_at(c, o, b, &at, append, flags & (RWF_DSYNC | RWF_SYNC));
	if (off == AT_POS) {
		o->pos = n > 0 ? at : o->pos;
		ofd_unlock_pos(o);
	}
	ofd_unref(o);
	return n;
}

/* ---- the calls ---- */

long sys_read(struct call *c)
{
	struct buffers b;

	buffers_one(&b, c->arg[1], c->arg[2]);
	return do_read(c, &b, AT_POS);
}

long sys_pread64(struct call *c)
{
	struct buffers b;

	buffers_one(&b, c->arg[1], c->arg[2]);
	return (int64_t)c->arg[3] < 0 ? CALL_CONTINUE : do_read(c, &b, (int64_t)c->arg[3]);
}

static long read_vector(struct call *c, int64_t off)
{
	struct buffers b;

	return buffers_vector(c, &b, c->arg[1], c->arg[2]) ? do_read(c, &b, off) : CALL_CONTINUE;
}

long sys_readv(struct call *c)
{
	return read_vector(c, AT_POS);
}

long sys_preadv(struct call *c)
{
	return (int64_t)c->arg[3] < 0 ? CALL_CONTINUE : read_vector(c, (int64_t)c->arg[3]);
}

#define RWF_READ_FLAGS (RWF_HIPRI | RWF_NOWAIT)
#define RWF_WRITE_FLAGS (RWF_HIPRI | RWF_DSYNC | RWF_SYNC | RWF_APPEND | RWF_NOAPPEND)

long sys_preadv2(struct call *c)
{
	int64_t off = (int64_t)c->arg[3];

	if (off < AT_POS)
		return CALL_CONTINUE;
	if (c->arg[5] & ~(uint64_t)RWF_READ_FLAGS)
		return -EOPNOTSUPP;
	/* RWF_NOWAIT: what is not at hand has to be waited for. */
	if (c->arg[5] & RWF_NOWAIT) {
		const struct ofd *o = ofd_by_fd(c->tid, (int)c->arg[0]);

		if (o && o->shadow)
			return CALL_CONTINUE; /* a FIFO refuses it */
		if (o && is_ours(o, false) && !o->node->data_valid)
			return -EAGAIN;
	}
	return read_vector(c, off);
}

long sys_write(struct call *c)
{
	struct buffers b;

	buffers_one(&b, c->arg[1], c->arg[2]);
	return do_write(c, &b, AT_POS, 0);
}

long sys_pwrite64(struct call *c)
{
	struct buffers b;

	buffers_one(&b, c->arg[1], c->arg[2]);
	return (int64_t)c->arg[3] < 0 ? CALL_CONTINUE : do_write(c, &b, (int64_t)c->arg[3], 0);
}

static long write_vector(struct call *c, int64_t off, uint32_t flags)
{
	struct buffers b;

	return buffers_vector(c, &b, c->arg[1], c->arg[2]) ? do_write(c, &b, off, flags) : CALL_CONTINUE;
}

long sys_writev(struct call *c)
{
	return write_vector(c, AT_POS, 0);
}

long sys_pwritev(struct call *c)
{
	return (int64_t)c->arg[3] < 0 ? CALL_CONTINUE : write_vector(c, (int64_t)c->arg[3], 0);
}

long sys_pwritev2(struct call *c)
{
	int64_t off = (int64_t)c->arg[3];
	uint64_t flags = c->arg[5];

	if (off < AT_POS)
		return CALL_CONTINUE;
	if (flags & ~(uint64_t)RWF_WRITE_FLAGS)
		return -EOPNOTSUPP;
	if ((flags & (RWF_APPEND | RWF_NOAPPEND)) == (RWF_APPEND | RWF_NOAPPEND))
		return -EINVAL;
	return write_vector(c, off, (uint32_t)flags & ~(uint32_t)RWF_HIPRI);
}

/* ---- offsets ---- */

/* What only the target's file system knows: where data and holes are, and how far offsets go. */
static long seek_remote(struct call *c, struct ofd *o, int64_t off, int whence)
{
	rfs_Request req = { .which_op = rfs_Request_seek_tag,
			    .op.seek = { .handle = o->handle, .offset = off, .whence = (uint32_t)whence } };
	struct link_reply rep;
	int rc = call_rpc(c, o->mount, &req, NULL, 0, &rep);

	if (rc)
		return rc;
	long at = rep.msg.which_op == rfs_Reply_seek_tag ? rep.msg.op.seek.offset : -EPROTO;
	link_reply_free(&rep);
	return at;
}

/* Every file system allows offsets up to here. */
#define PLAIN_OFFSET (INT64_C(1) << 40)

static long seek_file(struct call *c, struct ofd *o, int64_t off, int whence)
{
	int64_t base = 0;
	rfs_Attr attr;

	if (whence == SEEK_DATA || whence == SEEK_HOLE)
		return seek_remote(c, o, off, whence);
	if (whence == SEEK_CUR) {
		base = (int64_t)o->pos;
	} else if (whence == SEEK_END) {
		int rc = remote_attr(c, o, &attr);
		if (rc)
			return rc;
		base = (int64_t)attr.size;
	}
	if (__builtin_add_overflow(base, off, &off) || off < 0)
		return -EINVAL;
	return off < PLAIN_OFFSET ? off : seek_remote(c, o, off, SEEK_SET);
}

long sys_lseek(struct call *c)
{
	struct ofd *o = ofd_by_fd(c->tid, (int)c->arg[0]);
	int64_t off = (int64_t)c->arg[1], to;
	unsigned whence = (unsigned)c->arg[2];

	if (!o)
		return CALL_CONTINUE;
	call_remote(c, o->mount);
	if (o->flags & O_PATH)
		return -EBADF;
	if (o->io == OFD_NATIVE || whence > SEEK_HOLE)
		return CALL_CONTINUE;
	if (o->channel)
		return o->shadow ? CALL_CONTINUE : flow_seek(c, o, off, whence);
	if (S_ISDIR(o->node->attr.mode))
		return dir_seek(c, o, off, (int)whence);
	ofd_ref(o);
	ofd_lock_pos(c, o);
	to = seek_file(c, o, off, (int)whence);
	if (to >= 0)
		o->pos = (uint64_t)to;
	ofd_unlock_pos(o);
	ofd_unref(o);
	return to;
}

/* ---- fsync, truncate ---- */

static long do_sync(struct call *c, bool data_only)
{
	struct ofd *o = ofd_by_fd(c->tid, (int)c->arg[0]);
	struct link_reply rep;
	int rc = 0;

	if (!o)
		return CALL_CONTINUE;
	call_remote(c, o->mount);
	if (o->flags & O_PATH)
		return -EBADF;
	rfs_Request req = { .which_op = rfs_Request_sync_tag, .op.sync = { .handle = o->handle, .data_only = data_only } };
	ofd_ref(o);
	rc = sync_flush(c, o->image, 0, UINT64_MAX);
	if (!rc)
		rc = call_rpc(c, o->mount, &req, NULL, 0, &rep);
	if (!rc)
		link_reply_free(&rep);
	ofd_unref(o);
	return rc;
}

long sys_fsync(struct call *c)
{
	return do_sync(c, false);
}

long sys_fdatasync(struct call *c)
{
	return do_sync(c, true);
}

static int ask_truncate(struct call *c, const struct mount *m, rfs_Request *req)
{
	struct link_reply rep;
	int rc = call_rpc(c, m, req, NULL, 0, &rep);

	if (rc)
		return rc;
	if (rep.msg.which_op == rfs_Reply_stat_tag && rep.msg.op.stat.has_attr)
		remote_resized(m, &rep.msg.op.stat.attr);
	link_reply_free(&rep);
	return 0;
}

long sys_ftruncate(struct call *c)
{
	struct ofd *o = ofd_by_fd(c->tid, (int)c->arg[0]);
	int64_t length = (int64_t)c->arg[1];

	if (!o)
		return CALL_CONTINUE;
	call_remote(c, o->mount);
	if (o->flags & O_PATH)
		return length < 0 ? -EINVAL : -EBADF;
	/* What is wrong with the descriptor or the length is wrong with the placeholder too. */
	if (length < 0 || (o->flags & O_ACCMODE) == O_RDONLY || !S_ISREG(o->node->attr.mode))
		return CALL_CONTINUE;
	rfs_Request req = { .which_op = rfs_Request_truncate_tag, .op.truncate = { .handle = o->handle, .length = length } };
	ofd_ref(o);
	int rc = sync_flush(c, o->image, 0, UINT64_MAX);
	rc = rc ? rc : ask_truncate(c, o->mount, &req);
	cache_forget(o->mount, o->path, false);
	ofd_unref(o);
	return rc;
}

long sys_truncate(struct call *c)
{
	PLACE_ON_STACK(p);
	rfs_Request req = { .which_op = rfs_Request_truncate_tag, .op.truncate = { .length = (int64_t)c->arg[1] } };
	long rc = place_resolve(c, AT_FDCWD, c->arg[0], PLACE_FOLLOW, &p);

	if (rc || (!p.mount && !p.behalf) || (int64_t)c->arg[1] < 0)
		return rc ? rc : CALL_CONTINUE;
	if (p.behalf)
		return truncate(p.local, (off_t)c->arg[1]) < 0 ? -errno : 0;
	req.op.truncate.has_where = true;
	place_where(&p, &req.op.truncate.where);
	rc = ask_truncate(c, p.mount, &req);
	if (*p.key)
		cache_forget(p.mount, p.key, false);
	return rc;
}
