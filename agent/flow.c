/* The bytes of channels: what is there now is taken, what has room is written, and nothing waits. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "channel.h"
#include "doubt.h"
#include "frame.h"
#include "handle.h"
#include "ops.h"

/* The channel NUMBER with a reference. -EINVAL for what is none, -EBADF also for one that still waits. */
static int flow_get(struct op *op, uint64_t number, struct handle **h)
{
	int r = handle_get(op->agent->handles, number, h);

	if (r || (*h)->channel)
		return r;
	handle_put(op->agent->handles, *h);
	return -EINVAL;
}

/*
 * What the system call said, and what is ready now, is the answer; an error of the call is in the result, so that the
 * rest comes with it.
 */
static int flow_reply(struct op *op, struct handle *h, ssize_t result)
{
	rfs_ChannelReply *reply = &op->reply->op.channel;

	op->reply->which_op = rfs_Reply_channel_tag;
	reply->result = result;
	channel_settle(op->agent->channels, h, reply);
	handle_put(op->agent->handles, h);
	return 0;
}

int op_start(struct op *op)
{
	struct handle *h;
	bool again;
	int r = flow_get(op, op->req->op.start.handle, &h);

	if (r)
		return r;
	op->reply->which_op = rfs_Reply_channel_tag;
	again = doubt_is(op);
	doubt_begin(op);
	r = channel_start(op->agent->channels, h, &op->reply->op.channel, again);
	handle_put(op->agent->handles, h);
	return r;
}

static ssize_t flow_receive_socket(struct op *op, int fd, size_t size)
{
	struct iovec iov = { op->out, size };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n = recvmsg(fd, &msg, MSG_DONTWAIT);

	/* Descriptors that were passed with it: the kernel has closed them, for there was no room. */
	op->reply->op.channel.lost = n >= 0 && msg.msg_flags & MSG_CTRUNC;
	return n;
}

int op_receive(struct op *op)
{
	const rfs_Receive *req = &op->req->op.receive;
	struct handle *h;
	ssize_t n;
	int r;

	if (req->size > FRAME_MAX_PAYLOAD)
		return -EINVAL;
	r = flow_get(op, req->handle, &h);
	if (r)
		return r;
	r = doubt_once(op);
	if (r) {
		handle_put(op->agent->handles, h);
		return r;
	}
	op->out = malloc(req->size ? req->size : 1);
	if (!op->out) {
		handle_put(op->agent->handles, h);
		return -ENOMEM;
	}
	if (S_ISSOCK(h->type))
		n = flow_receive_socket(op, h->fd, req->size);
	else if (req->at)
		n = pread(h->fd, op->out, req->size, req->offset);
	else
		n = read(h->fd, op->out, req->size);
	n = n < 0 ? -errno : n;
	op->out_len = n > 0 ? n : 0;
	return flow_reply(op, h, n);
}

/* How much goes into a pipe depends on the pages that it comes from. */
static ssize_t flow_splice(struct op *op, int fd, uint64_t offset)
{
	off_t at = offset % sysconf(_SC_PAGESIZE);
	int file = memfd_create("splice", MFD_CLOEXEC);
	ssize_t n = -1;

	if (file >= 0 && pwrite(file, op->data, op->data_len, at) == (ssize_t)op->data_len)
		n = splice(file, &at, fd, NULL, op->data_len, SPLICE_F_NONBLOCK);
	if (file >= 0) {
		int error = errno;

		close(file);
		errno = error;
	}
	return n;
}

int op_send(struct op *op)
{
	const rfs_Send *req = &op->req->op.send;
	struct handle *h;
	ssize_t n;
	int r = flow_get(op, req->handle, &h);

	if (r)
		return r;
	r = doubt_once(op);
	if (r) {
		handle_put(op->agent->handles, h);
		return r;
	}
	if (S_ISSOCK(h->type))
		n = send(h->fd, op->data, op->data_len, MSG_DONTWAIT | MSG_NOSIGNAL);
	else if (req->spliced)
		n = flow_splice(op, h->fd, req->offset);
	else if (req->at)
		n = pwrite(h->fd, op->data, op->data_len, req->offset);
	else
		n = write(h->fd, op->data, op->data_len);
	return flow_reply(op, h, n < 0 ? -errno : n);
}

static int64_t flow_control(struct op *op, struct handle *h, uint32_t what, int64_t value)
{
	int r = -1, there;

	errno = EINVAL;
	switch (what) {
	case rfs_Controls_READABLE:
		r = ioctl(h->fd, FIONREAD, &there) ? -1 : there;
		break;
	case rfs_Controls_GET_SIZE:
		r = fcntl(h->fd, F_GETPIPE_SZ);
		break;
	case rfs_Controls_SET_SIZE:
		r = fcntl(h->fd, F_SETPIPE_SZ, (int)value);
		break;
	case rfs_Controls_SHUTDOWN:
		r = shutdown(h->fd, (int)value);
		break;
	case rfs_Controls_GIVE_UP:
		return channel_give_up(op->agent->channels, h);
	case rfs_Controls_LISTEN:
		r = listen(h->fd, (int)value);
		break;
	}
	return r < 0 ? -errno : r;
}

int op_control(struct op *op)
{
	const rfs_Control *req = &op->req->op.control;
	struct handle *h;
	int r = flow_get(op, req->handle, &h);

	return r ? r : flow_reply(op, h, flow_control(op, h, req->what, req->value));
}
