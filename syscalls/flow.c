#include "flow.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "buffers.h"
#include "call.h"
#include "channel.h"
#include "frame.h"
#include "link.h"
#include "ofd.h"
#include "util.h"

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

static bool waits(const struct ofd *o)
{
	return o->shadow && !(o->flags & O_NONBLOCK);
}

/* ---- reading ---- */

/* What is there now, into the task: how much, or a negative errno. */
static long read_now(struct call *c, struct ofd *o, struct buffers *b, size_t size, int64_t off)
{
	struct link_reply rep;
	long n = channel_receive(c, o->channel, size, off, &rep);

	if (n > 0)
		n = buffers_copy(c, b, rep.payload, (size_t)n, true);
	if (n >= 0)
		link_reply_free(&rep);
	return n;
}

static long read_fifo(struct call *c, struct ofd *o, struct buffers *b)
{
	long n;
	int rc = 0;

	do
		n = read_now(c, o, b, b->total, -1);
	while (n == -EAGAIN && waits(o) && !(rc = channel_wait(c, o->channel, POLLIN | POLLHUP, -1)));
	return rc ? rc : n;
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

long flow_read(struct call *c, struct ofd *o, struct buffers *b, int64_t off)
{
	if (!is_ours(o, false, off))
		return CALL_CONTINUE;
	if (!b->total)
		return 0;
	ofd_ref(o);
	long n = o->shadow ? read_fifo(c, o, b) : read_device(c, o, b, off);
	ofd_unref(o);
	return n;
}

/* ---- writing ---- */

/* All LEN bytes, or as many as there is room for without waiting; a negative errno only if there are none. */
static long write_piece(struct call *c, struct ofd *o, const uint8_t *data, size_t len, int64_t off)
{
	size_t done = 0;

	while (done < len) {
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
	}
	return (long)done;
}

static long write_all(struct call *c, struct ofd *o, struct buffers *b, int64_t off)
{
	size_t room = b->total < FRAME_MAX_PAYLOAD ? b->total : FRAME_MAX_PAYLOAD, total = 0;
	CLEANUP_FREE uint8_t *data = xcalloc(1, room);

	while (total < b->total) {
		size_t len = b->total - total < room ? b->total - total : room;
		ssize_t got = buffers_copy(c, b, data, len, false);
		long n = got;

		if (got > 0)
			n = write_piece(c, o, data, (size_t)got, off < 0 ? off : off + (int64_t)total);
		if (n < 0)
			return total ? (long)total : n;
		total += (size_t)n;
		if ((size_t)n < len)
			break;
	}
	return (long)total;
}

long flow_write(struct call *c, struct ofd *o, struct buffers *b, int64_t off)
{
	if (!is_ours(o, true, off))
		return CALL_CONTINUE;
	if (!b->total)
		return 0;
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

long flow_readable(struct call *c, struct ofd *o)
{
	long n = control(c, o, rfs_Controls_READABLE, 0);
	int there = (int)n;

	return n < 0 ? n : call_write(c, c->arg[2], &there, sizeof(there));
}
