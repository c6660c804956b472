/* read, write, their vector and positioned forms, lseek: on emulated descriptors. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "behind.h"
#include "buffers.h"
#include "cache.h"
#include "call.h"
#include "dir.h"
#include "flow.h"
#include "frame.h"
#include "fsize.h"
#include "handlers.h"
#include "io.h"
#include "late.h"
#include "link.h"
#include "ofd.h"
#include "place.h"
#include "remote.h"
#include "rules.h"
#include "sync.h"
#include "util.h"

/*
 * Where a transfer at OFF (or at the position, which is locked then) begins; O is referenced until io_end. MOVES: it ends where
 * a reply will tell, and where it begins is of no account.
 */
static uint64_t io_begin(struct call *c, struct ofd *o, int64_t off, bool moves)
{
	ofd_ref(o);
	if (moves)
		ofd_lock_unknown_pos(o);
	else if (off == AT_POS)
		ofd_lock_pos(c, o);
	return off == AT_POS ? o->pos : (uint64_t)off;
}

/* It has ended at POS. */
static void io_end(struct ofd *o, int64_t off, uint64_t pos)
{
	if (off == AT_POS) {
		o->pos = pos;
		ofd_unlock_pos(o);
	}
	ofd_unref(o);
}

/* ---- reading ---- */

static long read_at(struct call *c, struct ofd *o, struct buffers *b, uint64_t off)
{
	size_t total = 0;

	while (total < b->total) {
		const uint8_t *data;
		size_t len = b->total - total;
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

int io_verify(int64_t off, uint64_t count)
{
	int64_t end;

	return (int64_t)count < 0 || off < 0 || __builtin_add_overflow(off, (int64_t)count, &end) ? -EINVAL : 0;
}

#define RWF_ALL (RWF_HIPRI | RWF_DSYNC | RWF_SYNC | RWF_NOWAIT | RWF_APPEND | RWF_NOAPPEND | RWF_ATOMIC | RWF_DONTCACHE)

/* The flags that this kernel knows. RWF_NOSIGNAL (6.18) says nothing to files; those before do to some. */
static unsigned known_flags(void)
{
	static unsigned known;
	char byte;
	struct iovec v = { &byte, 1 };

	if (!known) {
		CLEANUP_FD int fd = memfd_create("flags", MFD_CLOEXEC);

		known = RWF_ALL | (preadv2(fd, &v, 1, 0, RWF_NOSIGNAL) == 0 ? RWF_NOSIGNAL : 0);
	}
	return known;
}

int io_check_flags(unsigned flags, bool writing)
{
	if (flags & ~known_flags() || (flags & RWF_ATOMIC && !writing))
		return -EOPNOTSUPP;
	return (flags & RWF_APPEND) && (flags & RWF_NOAPPEND) ? -EINVAL : 0;
}

/* Whether the target's file system reads with FLAGS at all. */
static int try_read(struct call *c, struct ofd *o, unsigned flags)
{
	rfs_Request req = { .which_op = rfs_Request_read_tag,
			    .op.read = { .handle = o->handle, .size = 1, .flags = flags } };
	struct link_reply rep;
	int rc = call_rpc(c, o->mount, &req, NULL, 0, &rep);

	if (!rc)
		link_reply_free(&rep);
	return rc;
}

/* O_DIRECT, which the agent's own descriptor has not: what the file system would want aligned. */
static int check_direct(const struct ofd *o, const struct buffers *b, uint64_t at)
{
	const rfs_Attr *attr = &o->node->attr;
	uint64_t memory = attr->dio_mem_align, offset = attr->dio_offset_align;

	if (!(o->flags & O_DIRECT) || !memory || !offset)
		return 0;
	if (at % offset)
		return -EINVAL;
	for (int i = 0; i < b->count; i++)
		if ((uint64_t)b->iov[i].iov_base % memory || b->iov[i].iov_len % offset)
			return -EINVAL;
	return 0;
}

/* Behind the end there is nothing to be aligned. */
static int check_direct_read(struct call *c, struct ofd *o, const struct buffers *b, uint64_t at)
{
	rfs_Attr attr;
	int rc = check_direct(o, b, at);

	return rc && remote_attr(c, o, &attr) == 0 && at >= attr.size ? 0 : rc;
}

long io_read(struct call *c, struct ofd *o, struct buffers *b, int64_t off, unsigned flags)
{
	long n = io_verify(off == AT_POS ? (int64_t)o->pos : off, b->total);

	n = n ? n : io_check_flags(flags, false);
	if (!n && flags & RWF_DONTCACHE)
		n = try_read(c, o, RWF_DONTCACHE);
	/* RWF_NOWAIT: what is not at hand has to be waited for. */
	if (!n && flags & RWF_NOWAIT && !remote_has_data(o, off == AT_POS ? o->pos : (uint64_t)off))
		n = -EAGAIN;
	if (n)
		return n;
	uint64_t at = io_begin(c, o, off, false);
	n = check_direct_read(c, o, b, at);
	n = n ? n : read_at(c, o, b, at);
	io_end(o, off, n > 0 ? at + (uint64_t)n : at);
	return n;
}

/* ---- writing ---- */

/* Writes that are sent behind are cut, so that others' small requests get in between; not those that must reach the end in one piece. */
#define LATE_PIECE (256u << 10)

/*
 * How a write is done. LATE: sent behind, as long as that may be. MOVES: O's position is behind what is appended, and begins nowhere
 * that is known.
 */
struct way { bool append, late, moves; uint32_t flags; };

/* LEN bytes at *OFF, which is moved on: how many, or a negative errno. */
static long write_piece(struct call *c, struct ofd *o, const void *data, size_t len, uint64_t *off, struct way *w)
{
	int rc = w->late ? late_send(c, o, data, len, *off, w->append, w->moves) : -EAGAIN;

	if (rc != -EAGAIN) {
		*off += len;
		return rc ? rc : (long)len;
	}
	w->late = false;
	long n = remote_write(c, o, data, len, *off, w->append, w->flags, off);
	if (n > 0 && w->moves)
		o->pos = *off;
	return n;
}

static long write_at(struct call *c, struct ofd *o, struct buffers *b, uint64_t *off, struct way *w)
{
	size_t piece = w->late && !w->append ? LATE_PIECE : FRAME_MAX_PAYLOAD;
	size_t room = b->total < piece ? b->total : piece, total = 0;
	CLEANUP_FREE uint8_t *data = xcalloc(1, room + 1);

	while (total < b->total) {
		size_t len = b->total - total < room ? b->total - total : room;
		ssize_t n = buffers_copy(c, b, data, len, false);

		if (n <= 0)
			return total ? (long)total : n;
		long written = write_piece(c, o, data, (size_t)n, off, w);
		if (written < 0)
			return total ? (long)total : written;
		total += (size_t)written;
		if ((size_t)written < len)
			break;
	}
	return (long)total;
}

/* What depends on where it is written: no more than the task's limit on file sizes allows, and O_DIRECT's rules. */
static int check_place(struct call *c, struct ofd *o, struct buffers *b, uint64_t at, bool append)
{
	rfs_Attr attr;
	int rc = 0;

	if (append && (o->flags & O_DIRECT || fsize_limited(c))) {
		rc = remote_attr(c, o, &attr);
		at = rc ? 0 : attr.size;
	}
	rc = rc ? rc : fsize_clip(c, at, &b->total);
	return rc ? rc : check_direct(o, b, at);
}

long io_write(struct call *c, struct ofd *o, struct buffers *b, int64_t off, unsigned flags)
{
	bool append = flags & RWF_APPEND || (o->flags & O_APPEND && !(flags & RWF_NOAPPEND));
	long n = io_verify(off == AT_POS ? (int64_t)o->pos : off, b->total);

	n = n ? n : io_check_flags(flags, true);
	n = n ? n : behind_error(c, o);
	if (n)
		return n;
	struct way w = { .append = append, .flags = flags & ~(unsigned)(RWF_APPEND | RWF_NOAPPEND | RWF_HIPRI | RWF_NOSIGNAL) };
	w.late = !flags && late_may_write(c, o, off == AT_POS ? o->pos : (uint64_t)off, b->total);
	w.moves = w.late && append && off == AT_POS;
	uint64_t from = io_begin(c, o, off, w.moves), at = from;
	n = check_place(c, o, b, at, append);
	n = n ? n : write_at(c, o, b, &at, &w);
	/* Replies may have moved it, or will. */
	if (w.moves)
		at = o->pos;
	io_end(o, off, n > 0 || w.moves ? at : from);
	return n;
}

/* ---- the calls ---- */

static long transfer(struct call *c, struct buffers *b, int64_t off, unsigned flags, bool writing)
{
	struct ofd *o = ofd_by_fd(c->tid, (int)c->arg[0]);

	if (!o)
		return CALL_CONTINUE;
	call_remote(c, o->mount);
	if (o->flags & O_PATH)
		return -EBADF;
	if (o->channel)
		return writing ? flow_write(c, o, b, off, flags) : flow_read(c, o, b, off, flags);
	/* Before the kernel says EISDIR: where a listing has ended, offsets may end as well. */
	if (!writing && S_ISDIR(o->node->attr.mode)) {
		dir_find_position(c, o, (int)c->arg[0]);
		return io_verify(off == AT_POS ? o->list_cookie : off, b->total) ? -EINVAL : CALL_CONTINUE;
	}
	if (!is_ours(o, writing))
		return CALL_CONTINUE;
	/* Nothing to be moved is not even looked at: no flag is wrong then. */
	if (!b->total)
		return 0;
	return writing ? io_write(c, o, b, off, flags) : io_read(c, o, b, off, flags);
}

/* What is wrong with the buffers, the kernel says after what is wrong with the descriptor; O_PATH it does not see. */
static long refuse_buffers(struct call *c)
{
	const struct ofd *o = ofd_by_fd(c->tid, (int)c->arg[0]);

	return o && o->flags & O_PATH ? -EBADF : CALL_CONTINUE;
}

static long transfer_one(struct call *c, int64_t off, bool writing)
{
	struct buffers b;

	return buffers_one(&b, c->arg[1], c->arg[2]) ? refuse_buffers(c) : transfer(c, &b, off, 0, writing);
}

static long transfer_vector(struct call *c, int64_t off, unsigned flags, bool writing)
{
	struct buffers b;

	/* What is wrong with the vector, the kernel says after what is wrong with the descriptor. */
	return buffers_vector(c, &b, c->arg[1], c->arg[2]) ? refuse_buffers(c) : transfer(c, &b, off, flags, writing);
}

static int64_t offset_of(const struct call *c)
{
	return (int64_t)c->arg[3];
}

long sys_read(struct call *c)
{
	return transfer_one(c, AT_POS, false);
}

long sys_write(struct call *c)
{
	return transfer_one(c, AT_POS, true);
}

long sys_pread64(struct call *c)
{
	return offset_of(c) < 0 ? CALL_CONTINUE : transfer_one(c, offset_of(c), false);
}

long sys_pwrite64(struct call *c)
{
	return offset_of(c) < 0 ? CALL_CONTINUE : transfer_one(c, offset_of(c), true);
}

long sys_readv(struct call *c)
{
	return transfer_vector(c, AT_POS, 0, false);
}

long sys_writev(struct call *c)
{
	return transfer_vector(c, AT_POS, 0, true);
}

long sys_preadv(struct call *c)
{
	return offset_of(c) < 0 ? CALL_CONTINUE : transfer_vector(c, offset_of(c), 0, false);
}

long sys_pwritev(struct call *c)
{
	return offset_of(c) < 0 ? CALL_CONTINUE : transfer_vector(c, offset_of(c), 0, true);
}

long sys_preadv2(struct call *c)
{
	return offset_of(c) < AT_POS ? CALL_CONTINUE : transfer_vector(c, offset_of(c), (unsigned)c->arg[5], false);
}

long sys_pwritev2(struct call *c)
{
	struct ofd *o = c->arg[5] & RWF_NOAPPEND ? ofd_by_fd(c->tid, (int)c->arg[0]) : NULL;
	int rc = o && o->io == OFD_NATIVE && o->flags & O_APPEND ? sync_anywhere(c, o) : 0;

	if (rc)
		return rc;
	return offset_of(c) < AT_POS ? CALL_CONTINUE : transfer_vector(c, offset_of(c), (unsigned)c->arg[5], true);
}

/* ---- offsets ---- */

long io_seek(struct call *c, struct ofd *o, int64_t off, int whence)
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

static long seek_file(struct call *c, struct ofd *o, int64_t off, int whence)
{
	int64_t base = 0;
	rfs_Attr attr;

	if (whence == SEEK_DATA || whence == SEEK_HOLE)
		return io_seek(c, o, off, whence);
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
	return off < PLAIN_OFFSET ? off : io_seek(c, o, off, SEEK_SET);
}

/* The image of a native file has holes of its own: the target's count, and the kernel is put there. */
static long seek_native(struct call *c, struct ofd *o, int64_t off, int whence)
{
	CLEANUP_FD int fd = call_get_fd(c, (int)c->arg[0]);

	if (fd < 0)
		return fd;
	ofd_ref(o);
	long to = sync_flush(c, o->image, 0, UINT64_MAX);
	to = to ? to : io_seek(c, o, off, whence);
	ofd_unref(o);
	return to < 0 ? to : lseek(fd, to, SEEK_SET) < 0 ? -errno : to;
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
	if (o->io == OFD_NATIVE && (whence == SEEK_DATA || whence == SEEK_HOLE))
		return seek_native(c, o, off, (int)whence);
	if (o->io == OFD_NATIVE || whence > SEEK_HOLE)
		return CALL_CONTINUE;
	if (o->channel)
		return o->shadow ? CALL_CONTINUE : flow_seek(c, o, off, whence);
	bool dir = S_ISDIR(o->node->attr.mode);
	ofd_ref(o);
	ofd_lock_pos(c, o);
	to = dir ? dir_seek(c, o, off, (int)whence) : seek_file(c, o, off, (int)whence);
	if (to >= 0 && !dir)
		o->pos = (uint64_t)to;
	ofd_unlock_pos(o);
	ofd_unref(o);
	return to;
}
