/* sendfile, copy_file_range, splice and their kin, where an end is a remote file. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "buffers.h"
#include "call.h"
#include "flow.h"
#include "handlers.h"
#include "io.h"
#include "ofd.h"
#include "overlay.h"
#include "pipes.h"
#include "remote.h"
#include "transfer.h"
#include "util.h"

/* Is the kernel's business: no end is a file that we emulate. */
static bool all_native(struct call *c, int a, int b)
{
	const struct ofd *x = ofd_by_fd(c->tid, a), *y = ofd_by_fd(c->tid, b);

	if (x && x->io == OFD_EMULATED)
		call_remote(c, x->mount);
	else if (y && y->io == OFD_EMULATED)
		call_remote(c, y->mount);
	else
		return true;
	return false;
}

/* As end_open; for a device at the target stands this machine's own. */
static int open_end(struct call *c, int fd, struct end *e)
{
	int rc = end_open(c, fd, e);

	if (rc || !end_is_channel(e) || e->o->shadow)
		return rc;
	e->fd = flow_open_twin(e->o);
	ofd_unref(e->o);
	e->o = NULL;
	return e->fd < 0 ? e->fd : 0;
}

/* Whether bytes can be spliced from IN: not from every device. */
static bool can_splice(const struct end *in)
{
	CLEANUP_FD int from = -1;
	CLEANUP_FD int to = -1;
	int ends[2];

	if (S_ISREG(in->type) || pipe2(ends, O_CLOEXEC) < 0)
		return true;
	from = ends[0];
	to = ends[1];
	return splice(in->fd, NULL, to, NULL, 1, SPLICE_F_NONBLOCK) >= 0 || errno != EINVAL;
}

/* An offset that a call may be given by pointer; without one, the file's own. */
struct offset { uint64_t addr; int64_t at; };

static int offset_read(struct call *c, struct offset *off)
{
	return off->addr ? call_read(c, off->addr, &off->at, sizeof(off->at)) : 0;
}

/* What has no offset has 0 for the kernel, too. */
static void offset_start(struct offset *off, const struct end *e)
{
	if (!off->addr && end_pos(e) >= 0)
		off->at = end_pos(e);
}

static int offset_store(struct call *c, const struct offset *off, struct end *e)
{
	if (off->addr)
		return call_write(c, off->addr, &off->at, sizeof(off->at));
	end_set_pos(e, off->at);
	return 0;
}

/* ---- sendfile ---- */

static long sendfile_to_file(struct call *c, struct end *in, struct end *out, int64_t *from, size_t count)
{
	int64_t to = end_pos(out), *at = end_is_emulated(out) ? &to : NULL;
	long n;

	if (out->flags & O_APPEND || end_pos(in) < 0 || (count && !can_splice(in)))
		return -EINVAL;
	if (to >= 0 && io_verify(to, count))
		return -EINVAL;
	if (ends_at_target(in, out))
		n = transfer_at_target(c, in, out, from, &to, count, true);
	else
		n = transfer(c, in, out, from, at, count);
	if (at)
		end_set_pos(out, to);
	return n;
}

static long sendfile_ends(struct call *c, struct end *in, struct end *out, struct offset *off, size_t count)
{
	long n = open_end(c, (int)c->arg[1], in);

	if (n || !end_can_read(in))
		return -EBADF;
	if (off->addr && end_pos(in) < 0)
		return -ESPIPE;
	offset_start(off, in);
	if (io_verify(off->at, count))
		return -EINVAL;
	if (open_end(c, (int)c->arg[0], out) || !end_can_write(out))
		return -EBADF;
	/* What a directory or a device deserves, the kernel knows; of a placeholder like this it reads nothing. */
	if (in->o && !S_ISREG(in->type))
		return CALL_CONTINUE;
	count = count < MAX_RW_COUNT ? count : MAX_RW_COUNT;
	ends_lock(c, in, out);
	offset_start(off, in);
	n = ends_check_reach(c, in, out, off->at, count);
	if (!n && S_ISFIFO(out->type))
		n = pipes_fill(c, in, out, &off->at, count, out->flags & O_NONBLOCK);
	else if (!n)
		n = sendfile_to_file(c, in, out, &off->at, count);
	if (n >= 0 && offset_store(c, off, in) < 0)
		n = -EFAULT;
	ends_unlock(in, out);
	return n;
}

long sys_sendfile(struct call *c)
{
	CLEANUP_END struct end in = END_CLOSED;
	CLEANUP_END struct end out = END_CLOSED;
	struct offset off = { .addr = c->arg[2] };

	if (all_native(c, (int)c->arg[0], (int)c->arg[1]))
		return CALL_CONTINUE;
	return offset_read(c, &off) < 0 ? -EFAULT : sendfile_ends(c, &in, &out, &off, c->arg[3]);
}

/* ---- copy_file_range ---- */

/* As generic_copy_file_checks (since 5.19 nothing is copied between file systems). */
static int check_ranges(struct call *c, const struct end *in, const struct end *out, int64_t from, int64_t to, uint64_t len)
{
	int rc = ends_check_files(in, out);

	if (rc)
		return rc;
	if (!in->o || !out->o || !overlay_same(in->o->mount, out->o->mount))
		return -EXDEV;
	/* Both ends in one layer: there the kernel copies, and says what is wrong with the ranges. */
	rc = in->o->mount != out->o->mount ? overlay_bring_ofd(c, in->o) : 0;
	if (rc)
		return rc;
	if ((uint64_t)from + len < (uint64_t)from || (uint64_t)to + len < (uint64_t)to)
		return -EOVERFLOW;
	return 0;
}

/*
 * As generic_copy_file_checks(): no more than *COUNT bytes up to the file's end, as it is before the copy makes it longer;
 * -EINVAL when they would be copied onto each other.
 */
static int check_within(struct call *c, const struct end *in, const struct end *out, int64_t from, int64_t to, size_t *count)
{
	rfs_Attr attr;

	if (in->o->node != out->o->node)
		return 0;
	int rc = remote_attr(c, in->o, &attr);
	if (rc)
		return rc;
	size_t left = attr.size > (uint64_t)from ? attr.size - (uint64_t)from : 0;
	if (*count > left)
		*count = left;
	return to + (int64_t)*count > from && to < from + (int64_t)*count ? -EINVAL : 0;
}

/* Between emulated files the target's kernel finds what is wrong with the ranges: it depends on where the file ends. */
static long copy_ranges(struct call *c, struct end *in, struct end *out, int64_t *from, int64_t *to, uint64_t len)
{
	size_t count = len < MAX_RW_COUNT ? len : MAX_RW_COUNT;

	if (ends_at_target(in, out))
		return transfer_at_target(c, in, out, from, to, count, false);
	if (io_verify(*from, count) || io_verify(*to, count))
		return -EINVAL;
	int rc = check_within(c, in, out, *from, *to, &count);
	return rc ? rc : transfer(c, in, out, from, to, count);
}

long sys_copy_file_range(struct call *c)
{
	CLEANUP_END struct end in = END_CLOSED;
	CLEANUP_END struct end out = END_CLOSED;
	struct offset from = { .addr = c->arg[1] }, to = { .addr = c->arg[3] };

	if (all_native(c, (int)c->arg[0], (int)c->arg[2]))
		return CALL_CONTINUE;
	if (end_open(c, (int)c->arg[0], &in) || end_open(c, (int)c->arg[2], &out))
		return -EBADF;
	if (offset_read(c, &from) < 0 || offset_read(c, &to) < 0)
		return -EFAULT;
	if ((unsigned)c->arg[5])
		return -EINVAL;
	ends_lock(c, &in, &out);
	offset_start(&from, &in);
	offset_start(&to, &out);
	long n = check_ranges(c, &in, &out, from.at, to.at, c->arg[4]);
	if (!n)
		n = copy_ranges(c, &in, &out, &from.at, &to.at, c->arg[4]);
	if (n > 0 && (offset_store(c, &from, &in) < 0 || offset_store(c, &to, &out) < 0))
		n = -EFAULT;
	ends_unlock(&in, &out);
	return n;
}

/* ---- splice ---- */

#define SPLICE_ALL (SPLICE_F_MOVE | SPLICE_F_NONBLOCK | SPLICE_F_MORE | SPLICE_F_GIFT)

/* Between the file FILE and the pipe PIPE, in the direction that INTO_FILE says. */
static long splice_file(struct call *c, struct end *file, struct end *pipe, struct offset *off, bool into_file)
{
	size_t len = c->arg[4];
	bool nonblock = (unsigned)c->arg[5] & SPLICE_F_NONBLOCK || pipe->flags & O_NONBLOCK;
	int64_t *at = S_ISREG(file->type) ? &off->at : NULL;

	offset_start(off, file);
	if (into_file && file->flags & O_APPEND)
		return -EINVAL;
	if (io_verify(off->at, len))
		return -EINVAL;
	/* What comes of a directory, once there is room for it, the kernel knows. */
	if (file->o && !at && !end_is_channel(pipe))
		return CALL_CONTINUE;
	len = len < MAX_RW_COUNT ? len : MAX_RW_COUNT;
	return into_file ? pipes_drain(c, pipe, file, at, len, nonblock) : pipes_fill(c, file, pipe, &off->at, len, nonblock);
}

/* Between a pipe and what is none; OFF is the latter's. */
static long splice_with_file(struct call *c, struct end *in, struct end *out, struct offset *off, bool into_file)
{
	struct end *file = into_file ? out : in;

	/* What has no offset cannot be given one (FMODE_PREAD, FMODE_PWRITE). */
	if (off->addr && end_pos(file) < 0)
		return -EINVAL;
	ends_lock(c, in, out);
	long n = splice_file(c, file, into_file ? in : out, off, into_file);
	if (n >= 0 && offset_store(c, off, file) < 0)
		n = -EFAULT;
	ends_unlock(in, out);
	return n;
}

static bool is_nonblocking(const struct end *in, const struct end *out, uint64_t flags)
{
	return flags & SPLICE_F_NONBLOCK || (in->flags | out->flags) & O_NONBLOCK;
}

/* Of two pipes, one is at the target: they can only be the same if both are. */
static bool is_same_pipe(const struct end *in, const struct end *out)
{
	return in->o && out->o && in->o->node == out->o->node;
}

static long splice_ends(struct call *c, struct end *in, struct end *out)
{
	struct offset from = { .addr = c->arg[1] }, to = { .addr = c->arg[3] };
	bool into_file = S_ISFIFO(in->type), to_pipe = S_ISFIFO(out->type);

	if ((into_file && from.addr) || (to_pipe && to.addr))
		return -ESPIPE;
	if (offset_read(c, &to) < 0 || offset_read(c, &from) < 0)
		return -EFAULT;
	if (!end_can_read(in) || !end_can_write(out))
		return -EBADF;
	if (into_file && to_pipe)
		return is_same_pipe(in, out) ? -EINVAL : pipes_drain(c, in, out, NULL, c->arg[4], is_nonblocking(in, out, c->arg[5]));
	return into_file || to_pipe ? splice_with_file(c, in, out, into_file ? &to : &from, into_file) : -EINVAL;
}

/* What splice, tee and vmsplice look at first. 1: go on. */
static long splice_flags(uint64_t len, uint64_t flags)
{
	return !len ? 0 : (unsigned)flags & ~(unsigned)SPLICE_ALL ? -EINVAL : 1;
}

long sys_splice(struct call *c)
{
	CLEANUP_END struct end in = END_CLOSED;
	CLEANUP_END struct end out = END_CLOSED;
	long rc = splice_flags(c->arg[4], c->arg[5]);

	if (rc <= 0 || all_native(c, (int)c->arg[0], (int)c->arg[2]))
		return CALL_CONTINUE;
	if (open_end(c, (int)c->arg[0], &in) || open_end(c, (int)c->arg[2], &out))
		return -EBADF;
	return splice_ends(c, &in, &out);
}

/* Only pipes are for these, so a placeholder gets the right answer, but for one that stands for an O_PATH descriptor. */
static long files_refused(struct call *c, int a, int b)
{
	const struct ofd *x = ofd_by_fd(c->tid, a), *y = ofd_by_fd(c->tid, b);

	if (x || y)
		call_remote(c, (x ? x : y)->mount);
	return (x && x->flags & O_PATH) || (y && y->flags & O_PATH) ? -EBADF : CALL_CONTINUE;
}

/* A or B is a FIFO at the target. */
static bool is_remote_pipe(struct call *c, int a, int b)
{
	const struct ofd *x = ofd_by_fd(c->tid, a), *y = ofd_by_fd(c->tid, b);

	return (x && x->shadow) || (y && y->shadow);
}

long sys_tee(struct call *c)
{
	CLEANUP_END struct end in = END_CLOSED;
	CLEANUP_END struct end out = END_CLOSED;
	int from = (int)c->arg[0], to = (int)c->arg[1];

	if (splice_flags(c->arg[2], c->arg[3]) <= 0)
		return CALL_CONTINUE;
	if (!is_remote_pipe(c, from, to))
		return files_refused(c, from, to);
	if (end_open(c, from, &in) || end_open(c, to, &out) || !end_can_read(&in) || !end_can_write(&out))
		return -EBADF;
	call_remote(c, (in.o ? in.o : out.o)->mount);
	if (!S_ISFIFO(in.type) || !S_ISFIFO(out.type) || is_same_pipe(&in, &out))
		return -EINVAL;
	return pipes_copy(c, &in, &out, c->arg[2], is_nonblocking(&in, &out, c->arg[3]));
}

long sys_vmsplice(struct call *c)
{
	CLEANUP_END struct end e = END_CLOSED;
	int fd = (int)c->arg[0];
	/* Of O_NONBLOCK vmsplice knows nothing. */
	bool nonblock = (unsigned)c->arg[3] & SPLICE_F_NONBLOCK;
	struct buffers b;

	if (splice_flags(1, c->arg[3]) <= 0)
		return CALL_CONTINUE;
	if (!is_remote_pipe(c, fd, fd))
		return files_refused(c, fd, fd);
	if (end_open(c, fd, &e) || (!end_can_read(&e) && !end_can_write(&e)))
		return -EBADF;
	call_remote(c, e.o->mount);
	int rc = buffers_vector(c, &b, c->arg[1], c->arg[2]);
	if (rc || !b.total)
		return rc;
	return end_can_write(&e) ? pipes_fill_from(c, &b, &e, nonblock) : flow_read_fifo(c, e.o, &b, !nonblock);
}
