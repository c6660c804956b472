#include "conn.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "frame.h"

static bool conn_is_socket(int fd)
{
	int type;
	socklen_t len = sizeof(type);

	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0;
}

struct conn conn_plain(int in, int out)
{
	return (struct conn){ in, out, -1, conn_is_socket(in), conn_is_socket(out) };
}

/* Who sleeps in read(2) or write(2) of a pipe cannot be woken by anybody; of a socket shutdown(2) does it, for nothing. */
static int conn_unblock(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	return flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ? -errno : 0;
}

int conn_breakable(struct conn *c)
{
	int r = c->in_is_socket ? 0 : conn_unblock(c->in);

	if (!r && !c->out_is_socket)
		r = conn_unblock(c->out);
	c->broken = r ? -1 : eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return !r && c->broken < 0 ? -errno : r;
}

void conn_close(struct conn *c)
{
	close(c->in);
	if (c->out != c->in)
		close(c->out);
	if (c->broken >= 0)
		close(c->broken);
	*c = (struct conn){ -1, -1, -1, false, false };
}

void conn_break(const struct conn *c)
{
	uint64_t one = 1;
	ssize_t n = write(c->broken, &one, sizeof(one));

	(void)n;
	if (c->in_is_socket)
		shutdown(c->in, SHUT_RDWR);
	if (c->out_is_socket)
		shutdown(c->out, SHUT_RDWR);
}

/* 0; -EPIPE when C was broken; -ETIMEDOUT; another negative errno. */
static int conn_wait(const struct conn *c, int fd, short events, int timeout_ms)
{
	struct pollfd p[2] = { { .fd = fd, .events = events }, { .fd = c->broken, .events = POLLIN } };
	int n = poll(p, 2, timeout_ms);

	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	return n == 0 ? -ETIMEDOUT : p[1].revents ? -EPIPE : 0;
}

ssize_t conn_read(const struct conn *c, void *buf, size_t len, int timeout_ms)
{
	for (;;) {
		int r = timeout_ms >= 0 ? conn_wait(c, c->in, POLLIN, timeout_ms) : 0;

		if (r)
			return r == -EPIPE || r == -ETIMEDOUT ? 0 : r;
		ssize_t n = read(c->in, buf, len);
		if (n >= 0)
			return n;
		if (errno == EAGAIN)
			r = conn_wait(c, c->in, POLLIN, timeout_ms);
		else if (errno != EINTR)
			return -errno;
		if (r)
			return r == -EPIPE || r == -ETIMEDOUT ? 0 : r;
	}
}

int conn_read_full(const struct conn *c, void *buf, size_t len)
{
	for (size_t done = 0; done < len;) {
		ssize_t n = conn_read(c, (uint8_t *)buf + done, len - done, -1);

		if (n <= 0)
			return n < 0 ? (int)n : -EPIPE;
		done += (size_t)n;
	}
	return 0;
}

static ssize_t conn_send(const struct conn *c, struct iovec *iov, int count)
{
	struct msghdr m = { .msg_iov = iov, .msg_iovlen = (size_t)count };

	return c->out_is_socket ? sendmsg(c->out, &m, MSG_NOSIGNAL) : writev(c->out, iov, count);
}

int conn_write_full(const struct conn *c, struct iovec *iov, int count)
{
	size_t left = (size_t)count, sent = 0;

	while (!frame_advance(&iov, &left, sent)) {
		ssize_t n = conn_send(c, iov, (int)left);
		int r = n < 0 && errno == EAGAIN ? conn_wait(c, c->out, POLLOUT, -1) : n < 0 && errno != EINTR ? -errno : 0;

		if (r)
			return r;
		sent = n > 0 ? (size_t)n : 0;
	}
	return 0;
}
