#include "pipes.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "buffers.h"
#include "call.h"
#include "channel.h"
#include "flow.h"
#include "frame.h"
#include "link.h"
#include "state.h"
#include "util.h"

#define PIECE (256u << 10)
#define PAGE 4096u

/* ---- readiness ---- */

/* poll(2)'s bits of the pipe E as they are now, or a negative errno. */
static long pipe_ready(struct call *c, const struct end *e)
{
	struct pollfd p = { .fd = e->fd, .events = POLLIN | POLLOUT };

	if (!end_is_channel(e))
		return poll(&p, 1, 0) < 0 ? -errno : p.revents;
	/* Any answer tells. */
	long rc = channel_control(c, e->o->channel, rfs_Controls_READABLE, 0);
	return rc < 0 ? rc : (long)e->o->channel->ready;
}

/*
 * Waits for room in the pipe OUT (wait_for_space, opipe_prep of fs/splice.c): 0, -EAGAIN with NONBLOCK, -ERESTARTSYS when a
 * signal came first, -EPIPE with a SIGPIPE for the task when nobody reads.
 */
static long await_space(struct call *c, struct end *out, bool nonblock)
{
	for (;;) {
		long ready = pipe_ready(c, out);

		if (ready < 0)
			return ready;
		if (ready & POLLERR)
			return end_broken(c);
		if (ready & POLLOUT)
			return 0;
		int rc = nonblock ? -EAGAIN : end_wait(c, out, POLLOUT);
		if (rc)
			return rc;
	}
}

/* Whether the FIFO at the target E has ended, which poll does not tell of one that nobody has written to yet. */
static long probe_end(struct call *c, struct end *e)
{
	struct link_reply rep;
	long n = ofd_take(c, e->o, 1, -1, &rep);

	if (n > 0)
		ofd_put_back(e->o, rep.payload, (size_t)n);
	if (n >= 0)
		link_reply_free(&rep);
	return n < 0 ? n : 0;
}

/* As ipipe_prep of fs/splice.c: 0 when there is something, or nobody writes any more. */
static long wait_for_data(struct call *c, struct end *in, bool nonblock)
{
	for (;;) {
		long ready = end_is_channel(in) && in->o->node->back_len ? POLLIN : pipe_ready(c, in);

		if (ready < 0 || ready & (POLLIN | POLLHUP))
			return ready < 0 ? ready : 0;
		long rc = end_is_channel(in) ? probe_end(c, in) : -EAGAIN;
		if (rc != -EAGAIN || nonblock)
			return rc;
		rc = end_is_channel(in) ? flow_wait_readable(c, in->o) : end_wait(c, in, POLLIN);
		if (rc)
			return rc;
	}
}

/* ---- into a pipe ---- */

/* What splice makes of a page of DATA's file depends on where in the page it is. */
static long put_local(int fd, const uint8_t *data, size_t len, int64_t off)
{
	CLEANUP_FD int staged = memfd_create("splice", MFD_CLOEXEC);
	off_t at = off % PAGE;

	if (staged < 0 || pwrite(staged, data, len, at) != (ssize_t)len)
		return -ENOMEM;
	ssize_t n = splice(staged, &at, fd, NULL, len, SPLICE_F_NONBLOCK);
	return n < 0 ? -errno : n;
}

/* As many of the LEN bytes DATA, which a file has at OFF, as there is room for: how many, or a negative errno (-EAGAIN). */
static long put(struct call *c, struct end *out, const uint8_t *data, size_t len, int64_t off)
{
	long n = end_is_channel(out) ? channel_splice(c, out->o->channel, data, len, off) : put_local(out->fd, data, len, off);

	return n == -EPIPE ? end_broken(c) : n;
}

static long pipe_room(struct call *c, const struct end *out)
{
	long room = end_is_channel(out) ? channel_control(c, out->o->channel, rfs_Controls_GET_SIZE, 0) : fcntl(out->fd, F_GETPIPE_SZ);

	return room < 0 ? -EINVAL : room < FRAME_MAX_PAYLOAD ? room : FRAME_MAX_PAYLOAD;
}

/* COUNT bytes of IN from OFF, or what there is of them, into BUF. */
static long take_all(struct call *c, struct end *in, uint8_t *buf, size_t count, int64_t off)
{
	size_t done = 0;
	ssize_t n = 0;

	/* At most twice: a read may end where what is known does. */
	while (done < count && (n = end_take(c, in, buf + done, count - done, off + (int64_t)done)) > 0)
		done += (size_t)n;
	return n < 0 && !done ? n : (long)done;
}

/* What is there now of a device or socket of this machine. */
static long fill_from_stream(struct call *c, struct end *in, struct end *out, size_t count)
{
	if (S_ISDIR(in->type) || S_ISFIFO(in->type))
		return -EINVAL;
	if (end_is_channel(out))
		return call_unsupported(c, out->o->mount);
	ssize_t n = splice(in->fd, NULL, out->fd, NULL, count, SPLICE_F_NONBLOCK);
	return n < 0 ? -errno : n;
}

long pipes_fill(struct call *c, struct end *in, struct end *out, int64_t *off, size_t count, bool nonblock)
{
	CLEANUP_FREE uint8_t *buf = NULL;
	long have = 0, n, room = pipe_room(c, out);

	if (room < 0)
		return room;
	count = count < (size_t)room ? count : (size_t)room;
	do {
		n = await_space(c, out, nonblock);
		if (n || !count)
			return n;
		if (!S_ISREG(in->type))
			return fill_from_stream(c, in, out, count);
		if (!buf) {
			buf = xcalloc(1, count);
			have = take_all(c, in, buf, count, *off);
		}
		n = have > 0 ? put(c, out, buf, (size_t)have, *off) : have;
	} while (n == -EAGAIN && !nonblock);
	if (n > 0)
		*off += n;
	return n;
}

long pipes_fill_from(struct call *c, struct buffers *b, struct end *out, bool nonblock)
{
	CLEANUP_FREE uint8_t *buf = NULL;
	long n = await_space(c, out, nonblock), room = n ? n : pipe_room(c, out);

	if (room < 0)
		return room;
	buf = xcalloc(1, (size_t)room);
	n = buffers_copy(c, b, buf, b->total < (size_t)room ? b->total : (size_t)room, false);
	return n > 0 ? put(c, out, buf, (size_t)n, 0) : n;
}

/* ---- out of a pipe ---- */

/* Two that look into pipes before they take what they saw must not see the same. */
static bool pipe_taken;
static pthread_cond_t pipe_free = PTHREAD_COND_INITIALIZER;

static void pipe_lock(void)
{
	while (pipe_taken)
		state_wait(&pipe_free);
	pipe_taken = true;
}

static void pipe_unlock(void)
{
	pipe_taken = false;
	pthread_cond_signal(&pipe_free);
}

/* What is in the pipe FD, up to LEN bytes, into BUF; it stays there. 0: its writers are gone. -EAGAIN: nothing. */
static long peek_local(int fd, uint8_t *buf, size_t len)
{
	CLEANUP_FD int in = -1;
	CLEANUP_FD int out = -1;
	int ends[2];
	ssize_t n;

	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	in = ends[0];
	out = ends[1];
	/* As many buffers as it has, or not all would be seen; a user's limit on pipes may forbid that. */
	fcntl(out, F_SETPIPE_SZ, fcntl(fd, F_GETPIPE_SZ));
	n = tee(fd, out, len, SPLICE_F_NONBLOCK);
	return n <= 0 ? n < 0 ? -errno : 0 : read(in, buf, (size_t)n);
}

/* Nobody can look into a FIFO at the target: what is taken here and not moved on is put back. */
static long peek_channel(struct call *c, struct end *in, uint8_t *buf, size_t len)
{
	struct link_reply rep;
	long n = ofd_take(c, in->o, len, -1, &rep);

	if (n > 0)
		memcpy(buf, rep.payload, (size_t)n);
	if (n >= 0)
		link_reply_free(&rep);
	return n;
}

/* Not by read: that might wait, and RWF_NOWAIT is refused where a pipe was spliced before (6.4). */
static void drop_local(int fd, int nowhere, size_t len)
{
	ssize_t n;

	/* It ends early when somebody else has read it meanwhile. */
	while (len > 0 && (n = splice(fd, NULL, nowhere, NULL, len, SPLICE_F_NONBLOCK)) > 0)
		len -= (size_t)n;
}

/* Of the LEN bytes BUF that peek has seen, USED are to be gone. */
static void settle(struct end *in, int nowhere, const uint8_t *buf, size_t len, size_t used)
{
	if (!end_is_channel(in))
		drop_local(in->fd, nowhere, used);
	else if (used < len)
		ofd_put_back(in->o, buf + used, len - used);
}

/* One piece: how much went to OUT, or a negative errno; *EMPTY when there was none. With KEEP it stays in IN. */
static long move(struct call *c, struct end *in, struct end *out, int64_t *off, uint8_t *buf, size_t len, int nowhere, bool keep,
		 bool *empty)
{
	long have = end_is_channel(in) ? peek_channel(c, in, buf, len) : peek_local(in->fd, buf, len);

	*empty = have == -EAGAIN;
	if (have <= 0)
		return have;
	long n = S_ISFIFO(out->type) ? put(c, out, buf, (size_t)have, 0) : end_give(c, out, buf, (size_t)have, off);
	settle(in, nowhere, buf, (size_t)have, n > 0 && !keep ? (size_t)n : 0);
	return n;
}

/* What is there now goes to OUT; what could not be written stays in the pipe. */
static long drain(struct call *c, struct end *in, struct end *out, int64_t *off, size_t count, bool *empty)
{
	CLEANUP_FD int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
	CLEANUP_FREE uint8_t *buf = xcalloc(1, PIECE);
	size_t total = 0;
	long n = nowhere < 0 ? -errno : 1;

	pipe_lock();
	while (n > 0 && total < count) {
		n = move(c, in, out, off, buf, count - total < PIECE ? count - total : PIECE, nowhere, false, empty);
		total += n > 0 ? (size_t)n : 0;
		if (off && n > 0)
			*off += n;
	}
	pipe_unlock();
	return total ? (long)total : n;
}

/* Before anything is moved from pipe to pipe. */
static long prepare(struct call *c, struct end *in, struct end *out, bool nonblock)
{
	long rc = wait_for_data(c, in, nonblock);

	return rc ? rc : await_space(c, out, nonblock);
}

long pipes_drain(struct call *c, struct end *in, struct end *out, int64_t *off, size_t count, bool nonblock)
{
	bool empty = false, to_pipe = S_ISFIFO(out->type);
	long n;

	for (;;) {
		n = to_pipe ? prepare(c, in, out, nonblock) : 0;
		n = n ? n : drain(c, in, out, off, count, &empty);
		if (n != -EAGAIN || nonblock || !(empty || to_pipe))
			return n;
		n = wait_for_data(c, in, false);
		if (n)
			return n;
	}
}

long pipes_copy(struct call *c, struct end *in, struct end *out, size_t count, bool nonblock)
{
	CLEANUP_FREE uint8_t *buf = xcalloc(1, PIECE);
	long n = prepare(c, in, out, nonblock);
	bool empty;

	if (n)
		return n;
	pipe_lock();
	n = move(c, in, out, NULL, buf, count < PIECE ? count : PIECE, -1, true, &empty);
	pipe_unlock();
	return n == -EAGAIN ? 0 : n;
}
