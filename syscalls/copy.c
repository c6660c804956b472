/* sendfile, copy_file_range, splice and their kin, where an end is a remote file. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "call.h"
#include "handlers.h"
#include "io.h"
#include "ofd.h"
#include "overlay.h"
#include "remote.h"
#include "transfer.h"

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

/* The mount of a FIFO or device at the target that A or B is: its bytes go by read and write only. */
static const struct mount *flowing(struct call *c, int a, int b)
{
	const struct ofd *x = ofd_by_fd(c->tid, a), *y = ofd_by_fd(c->tid, b);

	return x && x->channel ? x->mount : y && y->channel ? y->mount : NULL;
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
	int64_t to = 0, *at = end_is_emulated(out) ? &to : NULL;
	long n;

	if (out->flags & O_APPEND || end_pos(in) < 0)
		return -EINVAL;
	if (at)
		to = end_pos(out);
	if (at && io_verify(to, count))
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
	long n = end_open(c, (int)c->arg[1], in);

	if (n || !end_can_read(in))
		return -EBADF;
	if (off->addr && end_pos(in) < 0)
		return -ESPIPE;
	offset_start(off, in);
	if (io_verify(off->at, count))
		return -EINVAL;
	if (end_open(c, (int)c->arg[0], out) || !end_can_write(out))
		return -EBADF;
	/* What a directory or a device deserves, the kernel knows; of a placeholder like this it reads nothing. */
	if (in->o && !S_ISREG(in->type))
		return CALL_CONTINUE;
	count = count < MAX_RW_COUNT ? count : MAX_RW_COUNT;
	ends_lock(c, in, out);
	offset_start(off, in);
	if (S_ISFIFO(out->type))
		n = transfer_to_pipe(c, in, out, &off->at, count, out->flags & O_NONBLOCK);
	else
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
	const struct mount *m = flowing(c, (int)c->arg[0], (int)c->arg[1]);

	if (m)
		return call_unsupported(c, m);
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

/* -EINVAL when COUNT bytes, or those up to the file's end, would be copied onto each other (generic_copy_file_checks). */
static int check_overlap(struct call *c, const struct end *in, const struct end *out, int64_t from, int64_t to, size_t count)
{
	rfs_Attr attr;

	if (in->o->node != out->o->node)
		return 0;
	int rc = remote_attr(c, in->o, &attr);
	if (rc)
		return rc;
	int64_t left = (int64_t)attr.size > from ? (int64_t)attr.size - from : 0;
	int64_t n = (int64_t)count < left ? (int64_t)count : left;
	return to + n > from && to < from + n ? -EINVAL : 0;
}

/* Between emulated files the target's kernel finds what is wrong with the ranges: it depends on where the file ends. */
static long copy_ranges(struct call *c, struct end *in, struct end *out, int64_t *from, int64_t *to, uint64_t len)
{
	size_t count = len < MAX_RW_COUNT ? len : MAX_RW_COUNT;

	if (ends_at_target(in, out))
		return transfer_at_target(c, in, out, from, to, count, false);
	if (io_verify(*from, count) || io_verify(*to, count))
		return -EINVAL;
	int rc = check_overlap(c, in, out, *from, *to, count);
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

	offset_start(off, file);
	if (into_file && file->flags & O_APPEND)
		return -EINVAL;
	if (io_verify(off->at, len))
		return -EINVAL;
	/* What comes of a directory, once there is room for it, the kernel knows. */
	if (!S_ISREG(file->type))
		return CALL_CONTINUE;
	len = len < MAX_RW_COUNT ? len : MAX_RW_COUNT;
	return into_file ? transfer_from_pipe(c, pipe, file, &off->at, len, nonblock)
			 : transfer_to_pipe(c, file, pipe, &off->at, len, nonblock);
}

static long splice_ends(struct call *c, struct end *in, struct end *out)
{
	struct offset from = { .addr = c->arg[1] }, to = { .addr = c->arg[3] };
	bool into_file = S_ISFIFO(in->type);
	struct end *file = into_file ? out : in;
	struct offset *off = into_file ? &to : &from;

	if ((S_ISFIFO(in->type) && from.addr) || (S_ISFIFO(out->type) && to.addr))
		return -ESPIPE;
	if (offset_read(c, &to) < 0 || offset_read(c, &from) < 0)
		return -EFAULT;
	if (!end_can_read(in) || !end_can_write(out))
		return -EBADF;
	if (!S_ISFIFO((into_file ? in : out)->type))
		return -EINVAL;
	ends_lock(c, in, out);
	long n = splice_file(c, file, into_file ? in : out, off, into_file);
	if (n >= 0 && offset_store(c, off, file) < 0)
		n = -EFAULT;
	ends_unlock(in, out);
	return n;
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
	const struct mount *m = rc > 0 ? flowing(c, (int)c->arg[0], (int)c->arg[2]) : NULL;

	if (m)
		return call_unsupported(c, m);
	if (rc <= 0 || all_native(c, (int)c->arg[0], (int)c->arg[2]))
		return CALL_CONTINUE;
	if (end_open(c, (int)c->arg[0], &in) || end_open(c, (int)c->arg[2], &out))
		return -EBADF;
	return splice_ends(c, &in, &out);
}

/* Only pipes are for these, so a placeholder gets the right answer, but for one that stands for an O_PATH descriptor. */
static long pipes_only(struct call *c, int a, int b)
{
	const struct ofd *x = ofd_by_fd(c->tid, a), *y = ofd_by_fd(c->tid, b);
	const struct mount *m = flowing(c, a, b);

	if (m)
		return call_unsupported(c, m);
	if (x || y)
		call_remote(c, (x ? x : y)->mount);
	return (x && x->flags & O_PATH) || (y && y->flags & O_PATH) ? -EBADF : CALL_CONTINUE;
}

long sys_tee(struct call *c)
{
	return splice_flags(c->arg[2], c->arg[3]) <= 0 ? CALL_CONTINUE : pipes_only(c, (int)c->arg[0], (int)c->arg[1]);
}

long sys_vmsplice(struct call *c)
{
	return splice_flags(1, c->arg[3]) <= 0 ? CALL_CONTINUE : pipes_only(c, (int)c->arg[0], (int)c->arg[0]);
}
