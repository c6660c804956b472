#include "transfer.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "behind.h"
#include "call.h"
#include "channel.h"
#include "dir.h"
#include "fsize.h"
#include "io.h"
#include "late.h"
#include "link.h"
#include "notify.h"
#include "ofd.h"
#include "remote.h"
#include "rules.h"
#include "state.h"
#include "sync.h"
#include "util.h"

#define PIECE (256u << 10)
/* One request for a copy at the target: between two of them a signal is noticed. */
#define TARGET_PIECE (64u << 20)
/* Nothing tells us of a signal for a task whose call we answer: so often we look. */
#define LOOK_MS 20

/* ---- ends ---- */

static int end_open_local(struct call *c, int fd, struct end *e)
{
	struct stat st;

	e->fd = call_get_fd(c, fd);
	if (e->fd < 0 || fstat(e->fd, &st) < 0)
		return -EBADF;
	e->type = st.st_mode & S_IFMT;
	e->flags = fcntl(e->fd, F_GETFL);
	return 0;
}

int end_open(struct call *c, int fd, struct end *e)
{
	struct ofd *o = ofd_by_fd(c->tid, fd);
	int rc = 0;

	*e = (struct end)END_CLOSED;
	if (o) {
		e->o = ofd_ref(o);
		e->type = o->node->attr.mode & S_IFMT;
		e->flags = o->flags;
		if (S_ISDIR(e->type))
			dir_find_position(c, o, fd);
	}
	if (!o || o->io == OFD_NATIVE)
		rc = end_open_local(c, fd, e);
	return rc ? rc : e->flags & O_PATH ? -EBADF : 0;
}

void end_close(struct end *e)
{
	ofd_unrefp(&e->o);
	e->o = NULL;
	close_fd(&e->fd);
}

bool end_can_read(const struct end *e)
{
	return (e->flags & O_ACCMODE) == O_RDONLY || (e->flags & O_ACCMODE) == O_RDWR;
}

bool end_can_write(const struct end *e)
{
	return (e->flags & O_ACCMODE) == O_WRONLY || (e->flags & O_ACCMODE) == O_RDWR;
}

bool ends_at_target(const struct end *in, const struct end *out)
{
	return in->o && end_is_emulated(out) && in->o->mount == out->o->mount;
}

int ends_check_files(const struct end *in, const struct end *out)
{
	if (S_ISDIR(in->type) || S_ISDIR(out->type))
		return -EISDIR;
	if (!S_ISREG(in->type) || !S_ISREG(out->type))
		return -EINVAL;
	return !end_can_read(in) || !end_can_write(out) || out->flags & O_APPEND ? -EBADF : 0;
}

/* Our descriptor shares its offset with the task's, and nothing but sendfile tells the limit without moving it. */
static bool reaches_local(const struct end *e, off_t from, size_t len)
{
	CLEANUP_FD int other = memfd_create("reach", MFD_CLOEXEC);
	ssize_t n = end_can_write(e) ? sendfile(e->fd, other, &from, len) : sendfile(other, e->fd, &from, len);

	return n >= 0 || errno != EOVERFLOW;
}

static bool end_reaches(struct call *c, const struct end *e, int64_t from, size_t len)
{
	if (!S_ISREG(e->type))
		return true;
	len = len > 0;
	return e->o ? io_seek(c, e->o, from + (int64_t)len, SEEK_SET) != -EINVAL : reaches_local(e, from, len);
}

int ends_check_reach(struct call *c, const struct end *in, const struct end *out, int64_t from, size_t len)
{
	return from < PLAIN_OFFSET || (end_reaches(c, in, from, len) && end_reaches(c, out, from, len)) ? 0 : -EOVERFLOW;
}

/* Whose offset a transfer with E moves. */
static struct ofd *positioned(const struct end *e)
{
	return end_is_emulated(e) && !end_is_channel(e) ? e->o : NULL;
}

void ends_lock(struct call *c, struct end *in, struct end *out)
{
	struct ofd *a = positioned(in), *b = positioned(out);

	b = b == a ? NULL : b;
	/* In one order, whoever comes first. */
	if (a && b && a > b) {
		a = out->o;
		b = in->o;
	}
	if (a)
		ofd_lock_pos(c, a);
	if (b)
		ofd_lock_pos(c, b);
}

void ends_unlock(struct end *in, struct end *out)
{
	if (positioned(in))
		ofd_unlock_pos(in->o);
	if (positioned(out) && out->o != in->o)
		ofd_unlock_pos(out->o);
}

int64_t end_pos(const struct end *e)
{
	off_t at;

	if (end_is_channel(e))
		return -ESPIPE;
	if (end_is_emulated(e))
		return S_ISDIR(e->type) ? e->o->list_cookie : (int64_t)e->o->pos;
	at = lseek(e->fd, 0, SEEK_CUR);
	return at < 0 ? -ESPIPE : at;
}

void end_set_pos(struct end *e, int64_t pos)
{
	if (end_is_emulated(e))
		e->o->pos = (uint64_t)pos;
	else
		lseek(e->fd, pos, SEEK_SET);
}

/* ---- waiting ---- */

int end_wait(struct call *c, const struct end *e, short events)
{
	struct pollfd p = { .fd = e->fd, .events = events };
	int n = end_is_channel(e) ? -1 : poll(&p, 1, 0);

	if (end_is_channel(e))
		return channel_wait(c, e->o->channel, (unsigned)events | POLLHUP | POLLERR, -1);

	while (!n) {
		if (call_interrupted(c))
			return -ERESTARTSYS;
		notify_promote();
		state_unlock();
		n = poll(&p, 1, LOOK_MS);
		state_lock();
	}
	return 0;
}

long end_broken(struct call *c)
{
	static const struct timespec now;
	sigset_t set;

	/* A pipe knows no MSG_NOSIGNAL: what our own thread got, blocked, is nobody's. */
	sigemptyset(&set);
	sigaddset(&set, SIGPIPE);
	sigtimedwait(&set, NULL, &now);
	call_signal(c, SIGPIPE);
	return -EPIPE;
}

/* ---- pieces ---- */

ssize_t end_take(struct call *c, struct end *in, uint8_t *buf, size_t len, int64_t off)
{
	const uint8_t *data;
	ssize_t n;

	if (end_is_emulated(in)) {
		int rc = remote_data(c, in->o, (uint64_t)off, &data, &len);
		if (rc < 0)
			return rc;
		if (len)
			memcpy(buf, data, len);
		return (ssize_t)len;
	}
	notify_promote();
	state_unlock();
	n = pread(in->fd, buf, len, off);
	n = n < 0 ? -errno : n;
	state_lock();
	return n;
}

static ssize_t give_channel(struct call *c, struct end *out, const uint8_t *buf, size_t len)
{
	long n;

	do {
		n = channel_send(c, out->o->channel, buf, len, -1);
	} while (n == -EAGAIN && !(out->flags & O_NONBLOCK) && !(n = end_wait(c, out, POLLOUT)));
	return n == -EPIPE ? end_broken(c) : n;
}

static ssize_t give_socket(struct call *c, struct end *out, const uint8_t *buf, size_t len)
{
	ssize_t n;

	while ((n = send(out->fd, buf, len, MSG_DONTWAIT | MSG_NOSIGNAL)) < 0 && errno == EAGAIN) {
		int rc = out->flags & O_NONBLOCK ? -EAGAIN : end_wait(c, out, POLLOUT);
		if (rc)
			return rc;
	}
	return n >= 0 ? n : errno == EPIPE ? end_broken(c) : -errno;
}

static ssize_t give_local(struct call *c, struct end *out, const uint8_t *buf, size_t len, int64_t *to)
{
	int rc = S_ISREG(out->type) || out->flags & O_NONBLOCK ? 0 : end_wait(c, out, POLLOUT);
	ssize_t n;

	if (rc)
		return rc;
	notify_promote();
	state_unlock();
	n = to ? pwrite(out->fd, buf, len, *to) : write(out->fd, buf, len);
	n = n < 0 ? -errno : n;
	state_lock();
	return n;
}

/* A device has its own mind about what may be spliced to it. */
static ssize_t give_device(struct call *c, struct end *out, const uint8_t *buf, size_t len)
{
	CLEANUP_FD int staged = memfd_create("splice", MFD_CLOEXEC);
	off_t at = 0;
	ssize_t n;

	if (staged < 0 || pwrite(staged, buf, len, 0) != (ssize_t)len)
		return -ENOMEM;
	notify_promote();
	state_unlock();
	n = sendfile(out->fd, staged, &at, len);
	n = n < 0 ? -errno : n;
	state_lock();
	return n;
}

ssize_t end_give(struct call *c, struct end *out, const uint8_t *buf, size_t len, int64_t *to)
{
	uint64_t end;

	if (end_is_channel(out))
		return give_channel(c, out, buf, len);
	if (S_ISCHR(out->type))
		return give_device(c, out, buf, len);
	if (S_ISSOCK(out->type))
		return give_socket(c, out, buf, len);
	int64_t at = to ? *to : end_pos(out);
	int rc = S_ISREG(out->type) ? fsize_clip(c, (uint64_t)at, &len) : 0;
	if (rc)
		return rc;
	if (!end_is_emulated(out))
		return give_local(c, out, buf, len, to);
	rc = late_may_write(c, out->o, (uint64_t)at, len) ? late_send(c, out->o, buf, len, (uint64_t)at, false, false) : -EAGAIN;
	if (rc != -EAGAIN)
		return rc ? rc : (long)len;
	return remote_write(c, out->o, buf, len, (uint64_t)at, false, 0, &end);
}

long transfer(struct call *c, struct end *in, struct end *out, int64_t *from, int64_t *to, size_t count)
{
	CLEANUP_FREE uint8_t *buf = xcalloc(1, count < PIECE ? count + 1 : PIECE);
	size_t total = 0;
	ssize_t given = end_is_emulated(out) ? behind_error(c, out->o) : 0; /* an earlier write's */

	while (!given && total < count) {
		ssize_t taken = end_take(c, in, buf, count - total < PIECE ? count - total : PIECE, *from);
		if (taken <= 0)
			return total ? (long)total : taken;
		given = end_give(c, out, buf, (size_t)taken, to);
		if (given <= 0)
			break;
		total += (size_t)given;
		*from += given;
		if (to)
			*to += given;
		given = 0;
	}
	return total ? (long)total : given;
}

/* ---- at the target ---- */

static long copy_piece(struct call *c, struct end *in, struct end *out, int64_t from, int64_t to, size_t len, bool splice)
{
	rfs_Request req = { .which_op = rfs_Request_copy_range_tag,
			    .op.copy_range = { .from = in->o->handle, .from_offset = from, .to = out->o->handle,
					       .to_offset = to, .length = (uint32_t)len, .splice = splice } };
	struct node *n = out->o->node;
	struct link_reply rep;

	sync_lock(out->o->image);
	uint64_t since = n->version;
	n->writers++; /* no refresh may bring older bytes meanwhile */
	int rc = call_rpc(c, out->o->mount, &req, NULL, 0, &rep);
	n->writers--;
	if (!rc && (rep.msg.which_op != rfs_Reply_write_tag || rep.msg.op.write.written > len))
		rc = -EPROTO;
	long copied = rc ? rc : (long)rep.msg.op.write.written;
	const rfs_Attr *attr = !rc && rep.msg.op.write.has_attr ? &rep.msg.op.write.attr : NULL;
	if (copied > 0)
		remote_changed(c, out->o, since, (uint64_t)to, (uint64_t)copied, attr);
	sync_unlock(out->o->image);
	if (copied > 0 && attr)
		sync_follow_size(out->o->image, attr->size);
	link_reply_free(&rep);
	return copied;
}

long transfer_at_target(struct call *c, struct end *in, struct end *out, int64_t *from, int64_t *to, size_t count,
			bool splice)
{
	size_t total = 0, wanted = count;
	long n = sync_flush(c, in->o->image, 0, UINT64_MAX);

	n = n ? n : sync_flush(c, out->o->image, 0, UINT64_MAX);
	n = n ? n : fsize_clip(c, (uint64_t)*to, &count);
	if (n)
		return n;
	do {
		size_t len = count - total < TARGET_PIECE ? count - total : TARGET_PIECE;

		n = copy_piece(c, in, out, *from, *to, len, splice);
		if (n <= 0)
			break;
		total += (size_t)n;
		*from += n;
		*to += n;
		if ((size_t)n < len)
			break;
	} while (total < count && !call_interrupted(c));
	/* sendfile goes on to where the limit on file sizes is felt. */
	if (splice && total == count && count < wanted)
		fsize_clip(c, (uint64_t)*to, &wanted);
	return total ? (long)total : n;
}
