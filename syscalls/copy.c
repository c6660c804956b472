/* sendfile, where either side is an emulated descriptor. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "call.h"
#include "frame.h"
#include "handlers.h"
#include "link.h"
#include "notify.h"
#include "ofd.h"
#include "remote.h"
#include "rules.h"
#include "state.h"
#include "util.h"

#define PIECE (256u << 10)

/* One end: an emulated file, or our copy of the task's descriptor. */
struct end {
	struct ofd *o;
	int fd;
};

static int end_open(struct call *c, int fd, struct end *e)
{
	e->o = ofd_by_fd(c->tid, fd);
	e->fd = -1;
	if (e->o && e->o->io == OFD_EMULATED) {
		ofd_ref(e->o);
		return 0;
	}
	e->o = NULL;
	e->fd = call_get_fd(c, fd);
	return e->fd < 0 ? -EBADF : 0;
}

static void end_close(struct end *e)
{
	if (e->o)
		ofd_unref(e->o);
	close_fd(&e->fd);
}

/* Without the state lock: a socket may take its time, and other calls need not wait for it. */
static ssize_t local_io(int fd, void *buf, size_t len, int64_t *off, bool writing)
{
	ssize_t n;

	notify_promote();
	state_unlock();
	if (writing)
		n = write(fd, buf, len);
	else
		n = off ? pread(fd, buf, len, *off) : read(fd, buf, len);
	n = n < 0 ? -errno : n;
	state_lock();
	return n;
}

static ssize_t take(struct call *c, struct end *in, uint8_t *buf, size_t len, int64_t *off)
{
	const uint8_t *data;

	if (!in->o)
		return local_io(in->fd, buf, len, off, false);
	int rc = remote_data(c, in->o, off ? (uint64_t)*off : in->o->pos, &data, &len);
	if (rc < 0)
		return rc;
	memcpy(buf, data, len);
	return (ssize_t)len;
}

static ssize_t give(struct call *c, struct end *out, const uint8_t *buf, size_t len)
{
	uint64_t end;

	if (!out->o)
		return local_io(out->fd, (void *)buf, len, NULL, true);
	long n = remote_write(c, out->o, buf, len, out->o->pos, false, 0, &end);
	if (n > 0)
		out->o->pos = end;
	return n;
}

/* What was taken and could not be given goes back. */
static void give_back(struct end *in, ssize_t taken, ssize_t given)
{
	if (!in->o && taken > given)
		lseek(in->fd, (off_t)(given - taken), SEEK_CUR);
}

static long transfer(struct call *c, struct end *in, struct end *out, int64_t *off, size_t count)
{
	CLEANUP_FREE uint8_t *buf = xcalloc(1, PIECE);
	size_t total = 0;

	while (total < count) {
		ssize_t taken = take(c, in, buf, count - total < PIECE ? count - total : PIECE, off);
		if (taken <= 0)
			return total ? (long)total : taken;
		ssize_t given = give(c, out, buf, (size_t)taken);
		if (!off)
			give_back(in, taken, given > 0 ? given : 0);
		if (given <= 0)
			return total ? (long)total : given;
		total += (size_t)given;
		if (off)
			*off += given;
		else if (in->o)
			in->o->pos += (uint64_t)given;
		if (given < taken)
			break;
	}
	return (long)total;
}

/* The file offsets that the transfer moves, each once, in a fixed order. */
static void lock_ends(struct call *c, struct end *in, struct end *out)
{
	struct ofd *a = in->o, *b = out->o != in->o ? out->o : NULL;

	if (a && b && a > b) {
		a = out->o;
		b = in->o;
	}
	if (a)
		ofd_lock_pos(c, a);
	if (b)
		ofd_lock_pos(c, b);
}

static void unlock_ends(struct end *in, struct end *out)
{
	if (in->o)
		ofd_unlock_pos(in->o);
	if (out->o && out->o != in->o)
		ofd_unlock_pos(out->o);
}

static long check_local(const struct end *in, const struct end *out)
{
	struct stat st;

	if (in->fd >= 0 && ((fcntl(in->fd, F_GETFL) & O_ACCMODE) == O_WRONLY || fstat(in->fd, &st) < 0))
		return -EBADF;
	if (out->fd >= 0 && (fcntl(out->fd, F_GETFL) & O_ACCMODE) == O_RDONLY)
		return -EBADF;
	/* Only what can be mapped is sent from, and nothing is sent to an appending file. */
	if ((in->fd >= 0 && !S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode)) ||
	    (out->fd >= 0 && fcntl(out->fd, F_GETFL) & O_APPEND))
		return -EINVAL;
	return 0;
}

static long check_ends(const struct end *in, const struct end *out)
{
	if (in->o && ((in->o->flags & O_ACCMODE) == O_WRONLY || in->o->flags & O_PATH))
		return -EBADF;
	if (out->o && ((out->o->flags & O_ACCMODE) == O_RDONLY || out->o->flags & O_PATH))
		return -EBADF;
	if ((in->o && !S_ISREG(in->o->node->attr.mode)) || (out->o && out->o->flags & O_APPEND))
		return -EINVAL;
	return 0;
}

long sys_sendfile(struct call *c)
{
	struct ofd *src = ofd_by_fd(c->tid, (int)c->arg[1]), *dst = ofd_by_fd(c->tid, (int)c->arg[0]);
	struct end in = { .fd = -1 }, out = { .fd = -1 };
	size_t count = c->arg[3] < 0x7ffff000 ? c->arg[3] : 0x7ffff000;
	int64_t off = 0;

	if ((!src || src->io == OFD_NATIVE) && (!dst || dst->io == OFD_NATIVE))
		return CALL_CONTINUE;
	if (c->arg[2] && call_read(c, c->arg[2], &off, sizeof(off)) < 0)
		return -EFAULT;
	if (off < 0)
		return -EINVAL;
	call_remote(c, src ? src->mount : dst->mount);
	long rc = end_open(c, (int)c->arg[1], &in);
	rc = rc ? rc : end_open(c, (int)c->arg[0], &out);
	rc = rc ? rc : check_ends(&in, &out);
	rc = rc ? rc : check_local(&in, &out);
	if (!rc && (int64_t)c->arg[3] < 0)
		rc = -EINVAL;
	if (!rc) {
		lock_ends(c, &in, &out);
		rc = transfer(c, &in, &out, c->arg[2] ? &off : NULL, count);
		unlock_ends(&in, &out);
		if (c->arg[2] && rc >= 0 && call_write(c, c->arg[2], &off, sizeof(off)) < 0)
			rc = -EFAULT;
	}
	end_close(&in);
	end_close(&out);
	return rc;
}
