/* Sockets that have a name in the tree. Their names are bound and found through /proc: sun_path is short. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "channel.h"
#include "doubt.h"
#include "handle.h"
#include "ops.h"
#include "resolve.h"

static int socket_new(uint32_t type)
{
	int fd;

	if (type != SOCK_STREAM && type != SOCK_DGRAM && type != SOCK_SEQPACKET)
		return -EINVAL;
	fd = socket(AF_UNIX, (int)type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	return fd < 0 ? -errno : fd;
}

/* Ends an Open, or what is like one, of the handle that was reserved for it: with FD, or with an errno in its place. */
static int socket_opened(struct op *op, int fd)
{
	struct handle *h = op->opening;
	int r = fd;

	if (!h) /* opened already: FD is its own */
		return 0;
	doubt_opened(op, fd);
	if (fd >= 0) {
		h->type = S_IFSOCK;
		h->flags = O_RDWR;
		r = channel_make(h, false);
		if (r)
			doubt_closes(op);
		if (r)
			close(fd);
		else
			h->fd = fd;
	}
	handle_ready(op->agent->handles, h, r);
	handle_put(op->agent->handles, h);
	op->opening = NULL;
	return r;
}

/* What a process that was killed had of OP already, or -1. */
static int socket_had(const struct op *op)
{
	return op->opened ? op->opened->fd : doubt_fd(op);
}

/* What the kernel calls FD's own end, or its peer's, is the reply's payload: a path, or nothing. */
static void socket_tell_name(struct op *op, int fd, bool peer)
{
	struct sockaddr_un un = { 0 };
	socklen_t len = sizeof(un);

	if ((peer ? getpeername(fd, (struct sockaddr *)&un, &len) : getsockname(fd, (struct sockaddr *)&un, &len)) ||
	    len > sizeof(un))
		return;
	op->out = (uint8_t *)strndup(un.sun_path, sizeof(un.sun_path));
	op->out_len = op->out ? strlen((char *)op->out) : 0;
}

static int socket_connect(const struct place *p, uint32_t type)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	int fd, path, r = 0;

	path = resolve_open(p, O_PATH, 0, 0);
	if (path < 0)
		return path;
	fd = socket_new(type);
	snprintf(name.sun_path, sizeof(name.sun_path), "/proc/self/fd/%d", path);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&name, sizeof(name)))
		r = -errno;
	close(path);
	if (fd >= 0 && r)
		close(fd);
	return r ? r : fd;
}

int op_connect(struct op *op)
{
	const rfs_Connect *req = &op->req->op.connect;
	struct place p;
	int r = place_get(op, req->has_where, &req->where, &p);

	if (socket_had(op) >= 0)
		r = socket_had(op);
	else
		r = r ? r : socket_connect(&p, req->type);
	place_put(&p);
	if (r >= 0)
		socket_tell_name(op, r, true);
	return socket_opened(op, r);
}

/* bind(2) says EADDRINUSE of a name that is there, and makes the file with the socket's mode and the umask. */
static int socket_bind(struct place *p, const rfs_Bind *req)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	const char *last;
	int fd, r = 0, dir = resolve_parent(p, &last);

	if (dir < 0)
		return dir;
	fd = socket_new(req->type);
	if (fd >= 0 && (size_t)snprintf(name.sun_path, sizeof(name.sun_path), "/proc/self/fd/%d/%s", dir, last) >=
			       sizeof(name.sun_path))
		r = -ENAMETOOLONG;
	if (fd >= 0 && !r) {
		fchmod(fd, umask_for(req->mode, req->umask));
		if (bind(fd, (struct sockaddr *)&name, sizeof(name)))
			r = -errno;
	}
	close(dir);
	if (fd >= 0 && r)
		close(fd);
	return r ? r : fd;
}

int op_bind(struct op *op)
{
	const rfs_Bind *req = &op->req->op.bind;
	struct place p;
	int r = place_get(op, req->has_where, &req->where, &p);

	if (socket_had(op) >= 0) {
		r = socket_had(op);
	} else {
		doubt_begin(op);
		r = r ? r : socket_bind(&p, req);
		if (r == -EADDRINUSE && doubt_is(op))
			r = doubt_unknown(op);
	}
	place_put(&p);
	if (r >= 0)
		socket_tell_name(op, r, false);
	return socket_opened(op, r);
}

int op_bind_refuse(struct op *op)
{
	int r = create_refuse(op, op->req->op.bind.has_where, &op->req->op.bind.where, false);

	return socket_opened(op, r == -EEXIST ? -EADDRINUSE : r);
}

/* The answer is about the listener: what is ready there now decides whether it is asked again. */
int op_accept(struct op *op)
{
	rfs_ChannelReply *reply = &op->reply->op.channel;
	struct handle *h;
	int fd, r = handle_get_before(op->agent->handles, op->opening, op->req->op.accept.listener, &h);

	if (r)
		return socket_opened(op, r);
	fd = socket_had(op);
	if (fd < 0)
		fd = h->channel && S_ISSOCK(h->type) ? accept4(h->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC) : -EINVAL;
	if (fd == -1)
		fd = -errno;
	reply->result = socket_opened(op, fd);
	op->reply->which_op = rfs_Reply_channel_tag;
	if (h->channel)
		channel_settle(op->agent->channels, h, reply);
	handle_put(op->agent->handles, h);
	return 0;
}
