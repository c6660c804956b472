#include "flow.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "buffers.h"
#include "call.h"
#include "channel.h"
#include "frame.h"
#include "io.h"
#include "link.h"
#include "log.h"
#include "ofd.h"
#include "pump.h"
#include "util.h"

/* Bytes that are put back are not the target's to tell of: so often they are looked for. */
#define BACK_MS 100

/* Numbers of the memory devices: Documentation/admin-guide/devices.txt. */
enum { DEVICE_NULL = 3, DEVICE_ZERO = 5, DEVICE_FULL = 7, DEVICE_RANDOM = 8, DEVICE_URANDOM = 9 };

int flow_open(struct call *c, struct ofd *o)
{
	mode_t type = o->node->attr.mode;

	if (o->flags & O_PATH || !(S_ISFIFO(type) || S_ISCHR(type)))
		return 0;
	o->channel = channel_new(o->mount, o->handle);
	return S_ISFIFO(type) ? channel_start(c, o->channel) : 0;
}

/* The kernel, on the placeholder, says what is wrong with the mode, or with an offset where there are none. */
static bool is_ours(const struct ofd *o, bool writing, int64_t off)
{
	int mode = o->flags & O_ACCMODE;

	return mode != (writing ? O_RDONLY : O_WRONLY) && mode != O_ACCMODE && (off < 0 || !o->shadow);
}

/* What neither knows, and a FIFO not either (FMODE_NOWAIT, FOP_DONTCACHE, FMODE_CAN_ATOMIC_WRITE). */
static int check_flags(const struct ofd *o, unsigned flags, bool writing)
{
	int rc = io_check_flags(flags, writing);

	return rc ? rc : flags & (RWF_ATOMIC | RWF_DONTCACHE | (o->shadow ? RWF_NOWAIT : 0)) ? -EOPNOTSUPP : 0;
}

static bool waits(const struct ofd *o)
{
	return o->shadow && !(o->flags & O_NONBLOCK);
}

/* ---- reading ---- */

/* What is there now, into the task: how much, or a negative errno. */
static long read_now(struct call *c, struct ofd *o, struct buffers *b, size_t size, int64_t off)
{
	struct link_reply rep;
	long n = ofd_take(c, o, size, off, &rep);

	if (n <= 0) {
		link_reply_free(&rep);
		return n;
	}
	ssize_t copied = buffers_copy(c, b, rep.payload, (size_t)n, true);
	size_t taken = copied > 0 ? (size_t)copied : 0;
	/* fs/pipe.c: what could not be copied is still there. */
	if (taken < (size_t)n && o->shadow)
		ofd_put_back(o, rep.payload + taken, (size_t)n - taken);
	link_reply_free(&rep);
	return copied;
}

int flow_wait_readable(struct call *c, struct ofd *o)
{
	int rc;

	do
		rc = channel_wait(c, o->channel, POLLIN | POLLHUP, BACK_MS);
	while (rc == -ETIMEDOUT && !o->node->back_len);
	return rc == -ETIMEDOUT ? 0 : rc;
}

long flow_read_fifo(struct call *c, struct ofd *o, struct buffers *b, bool wait)
{
	long n;
	int rc = 0;

	do
		n = read_now(c, o, b, b->total, -1);
	while (n == -EAGAIN && wait && !(rc = flow_wait_readable(c, o)));
	/* What came before the signal counts. */
	if (rc == -ERESTARTSYS) {
		n = read_now(c, o, b, b->total, -1);
		n = n == -EAGAIN ? rc : n;
	}
	return rc == -EIO ? rc : n;
}

static long read_device(struct call *c, struct ofd *o, struct buffers *b, int64_t off)
{
	size_t done = 0;

	while (done < b->total) {
		size_t size = b->total - done < FRAME_MAX_PAYLOAD ? b->total - done : FRAME_MAX_PAYLOAD;
		long n = read_now(c, o, b, size, off < 0 ? off : off + (int64_t)done);

		if (n <= 0)
			return done ? (long)done : n;
		done += (size_t)n;
		if ((size_t)n < size)
			break;
	}
	return (long)done;
}

long flow_read(struct call *c, struct ofd *o, struct buffers *b, int64_t off, unsigned flags)
{
	if (!is_ours(o, false, off))
		return CALL_CONTINUE;
	int rc = b->total ? check_flags(o, flags, false) : 0;
	if (rc || !b->total)
		return rc;
	ofd_ref(o);
	long n = o->shadow ? flow_read_fifo(c, o, b, waits(o)) : read_device(c, o, b, off);
	ofd_unref(o);
	return n;
}

/* ---- writing ---- */

/* All LEN bytes, or as many as there is room for without waiting; a negative errno only if there are none. */
static long write_piece(struct call *c, struct ofd *o, const uint8_t *data, size_t len, int64_t off)
{
	size_t done = 0;

	do {
		long n = channel_send(c, o->channel, data + done, len - done, off < 0 ? off : off + (int64_t)done);
		if (n == -EAGAIN && waits(o)) {
			n = channel_wait(c, o->channel, POLLOUT | POLLERR, -1);
			if (!n)
				continue;
		}
		if (n == -EPIPE)
			call_signal(c, SIGPIPE);
		if (n <= 0)
			return done ? (long)done : n;
		done += (size_t)n;
	} while (done < len);
	return (long)done;
}

static long write_all(struct call *c, struct ofd *o, struct buffers *b, int64_t off)
{
	size_t room = b->total < FRAME_MAX_PAYLOAD ? b->total : FRAME_MAX_PAYLOAD, total = 0;
	CLEANUP_FREE uint8_t *data = xcalloc(1, room + 1);

	do {
		size_t len = b->total - total < room ? b->total - total : room;
		ssize_t got = buffers_copy(c, b, data, len, false);
		long n = got;

		if (got > 0 || !b->total)
			n = write_piece(c, o, data, (size_t)got, off < 0 ? off : off + (int64_t)total);
		if (n < 0)
			return total ? (long)total : n;
		total += (size_t)n;
		if ((size_t)n < len)
			break;
	} while (total < b->total);
	return (long)total;
}

long flow_write(struct call *c, struct ofd *o, struct buffers *b, int64_t off, unsigned flags)
{
	if (!is_ours(o, true, off))
		return CALL_CONTINUE;
	int rc = b->total ? check_flags(o, flags, true) : 0;
	if (rc || (!b->total && o->shadow))
		return rc;
	/* write_null() of drivers/char/mem.c does not even look at the bytes. */
	if (!o->shadow && (o->node->attr.rdev_minor == DEVICE_NULL || o->node->attr.rdev_minor == DEVICE_ZERO))
		return (long)b->total;
	ofd_ref(o);
	long n = write_all(c, o, b, off);
	ofd_unref(o);
	return n;
}

/* ---- the rest ---- */

long flow_seek(struct call *c, struct ofd *o, int64_t off, unsigned whence)
{
	rfs_Request req = { .which_op = rfs_Request_seek_tag,
			    .op.seek = { .handle = o->handle, .offset = off, .whence = whence } };
	struct link_reply rep;

	ofd_ref(o);
	long rc = call_rpc(c, o->mount, &req, NULL, 0, &rep);
	if (!rc)
		rc = rep.msg.which_op == rfs_Reply_seek_tag ? rep.msg.op.seek.offset : -EPROTO;
	if (rc >= 0)
		link_reply_free(&rep);
	ofd_unref(o);
	return rc;
}

static long control(struct call *c, struct ofd *o, uint32_t what, int64_t value)
{
	ofd_ref(o);
	long n = channel_control(c, o->channel, what, value);
	ofd_unref(o);
	return n;
}

long flow_pipe_size(struct call *c, struct ofd *o, int command)
{
	if (command == F_GETPIPE_SZ)
		return control(c, o, rfs_Controls_GET_SIZE, 0);
	return control(c, o, rfs_Controls_SET_SIZE, (unsigned)c->arg[2]);
}

long flow_ioctl(struct call *c, struct ofd *o, unsigned request)
{
	unsigned minor = o->node->attr.rdev_minor;

	/* random_ioctl() of drivers/char/random.c knows no other errno, where everybody else says ENOTTY. */
	if (!o->shadow && (minor == DEVICE_RANDOM || minor == DEVICE_URANDOM) && request != FIONBIO && request != FIOCLEX &&
	    request != FIONCLEX && request != FIOASYNC)
		return -EINVAL;
	if (request != FIONREAD)
		return CALL_CONTINUE;
	if (!o->shadow)
		return -ENOTTY;
	long n = control(c, o, rfs_Controls_READABLE, 0);
	int there = (int)n;
	return n < 0 ? n : call_write(c, c->arg[2], &there, sizeof(there));
}

/*
 * Opens PATH by a read-only mount of its own: that keeps nobody from writing to a device, but keeps the times, mode and
 * owner that a program gives to the target's (touch does, by descriptor 0) from this machine's. A negative errno without
 * the right to mount, and before 5.12.
 */
static int open_apart(const char *path, int flags)
{
	struct mount_attr readonly = { .attr_set = MOUNT_ATTR_RDONLY };
	CLEANUP_FD int tree = (int)syscall(SYS_open_tree, AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	char link[32];

	if (tree < 0 || syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &readonly, sizeof(readonly)) < 0)
		return -errno;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", tree);
	int fd = open(link, flags);
	return fd < 0 ? -errno : fd;
}

int flow_open_twin(const struct ofd *o)
{
	static const char *const names[] = { [DEVICE_NULL] = "null", [DEVICE_ZERO] = "zero", [DEVICE_FULL] = "full",
					     [DEVICE_RANDOM] = "random", [DEVICE_URANDOM] = "urandom" };
	unsigned minor = o->node->attr.rdev_minor;
	char path[32];

	if (minor >= sizeof(names) / sizeof(*names) || !names[minor])
		return -ENXIO;
	snprintf(path, sizeof(path), "/dev/%s", names[minor]);
	int flags = (o->flags & (O_ACCMODE | O_APPEND | O_NONBLOCK)) | O_CLOEXEC;
	int fd = open_apart(path, flags);
	if (fd < 0)
		fd = open(path, flags);
	return fd < 0 ? -errno : fd;
}

long flow_allocate(const struct ofd *o, int mode, int64_t off, int64_t len)
{
	CLEANUP_FD int fd = flow_open_twin(o);

	return fd < 0 ? fd : fallocate(fd, mode, off, len) < 0 ? -errno : 0;
}

long flow_put_low(struct call *c, struct ofd *o, int to, bool cloexec)
{
	CLEANUP_FD int fd = o->shadow ? pump_start(o) : flow_open_twin(o);

	if (fd >= 0)
		return call_install_fd(c, fd, to, cloexec);
	log_error("%s: cannot be put at descriptor %d: %s", o->path, to, strerror(-fd));
	return -EMFILE; /* of what dup2 may say, the nearest */
}
