/* The frame codec: see frame.h and PROTOCOL.md. */
#include "frame.h"

#include <endian.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void frame_put32(uint8_t *out, uint32_t v)
{
	v = htole32(v);
	memcpy(out, &v, sizeof(v));
}

static uint32_t frame_get32(const uint8_t *in)
{
	uint32_t v;

	memcpy(&v, in, sizeof(v));
	return le32toh(v);
}

void frame_encode(uint8_t *out, const struct frame_header *header)
{
	frame_put32(out, FRAME_MAGIC | FRAME_VERSION << 16 | (uint32_t)header->kind << 24);
	frame_put32(out + 4, header->id);
	frame_put32(out + 8, header->message_len);
	frame_put32(out + 12, header->payload_len);
}

int frame_decode(const uint8_t *in, struct frame_header *header)
{
	uint32_t first = frame_get32(in);

	if ((first & 0xffffff) != (FRAME_MAGIC | FRAME_VERSION << 16))
		return -EPROTO;
	header->kind = first >> 24;
	header->id = frame_get32(in + 4);
	header->message_len = frame_get32(in + 8);
	header->payload_len = frame_get32(in + 12);
	if (header->kind < FRAME_REQUEST || header->kind > FRAME_PUSH)
		return -EPROTO;
	if (header->message_len > FRAME_MAX_MESSAGE || header->payload_len > FRAME_MAX_PAYLOAD)
		return -EPROTO;
	return 0;
}

/* ssh and kubectl may hand over descriptors that another process has made non-blocking. */
static int frame_wait(int fd, short events)
{
	struct pollfd p = { .fd = fd, .events = events };

	if (poll(&p, 1, -1) < 0 && errno != EINTR)
		return -errno;
	return 0;
}

int frame_read_full(int fd, void *buf, size_t len)
{
	size_t done = 0;
	ssize_t n;
	int r;

	while (done < len) {
		n = read(fd, (uint8_t *)buf + done, len - done);
		if (n > 0) {
			done += n;
			continue;
		}
		if (n == 0)
			return done ? -EPIPE : -ENODATA;
		if (errno == EAGAIN) {
			r = frame_wait(fd, POLLIN);
			if (r)
				return r;
		} else if (errno != EINTR) {
			return -errno;
		}
	}
	return 0;
}

static ssize_t frame_send(int fd, struct iovec *iov, int count)
{
	struct msghdr m = { .msg_iov = iov, .msg_iovlen = count };
	ssize_t n = sendmsg(fd, &m, MSG_NOSIGNAL);

	if (n < 0 && errno == ENOTSOCK)
		n = writev(fd, iov, count);
	return n;
}

bool frame_advance(struct iovec **iov, size_t *count, size_t n)
{
	while (*count && n >= (*iov)->iov_len) {
		n -= (*iov)->iov_len;
		++*iov;
		--*count;
	}
	if (!*count)
		return true;
	(*iov)->iov_base = (uint8_t *)(*iov)->iov_base + n;
	(*iov)->iov_len -= n;
	return false;
}

int frame_writev_full(int fd, struct iovec *iov, int count)
{
	size_t left = (size_t)count, sent = 0;

	while (!frame_advance(&iov, &left, sent)) {
		ssize_t n = frame_send(fd, iov, (int)left);
		int r = n < 0 && errno == EAGAIN ? frame_wait(fd, POLLOUT) : n < 0 && errno != EINTR ? -errno : 0;

		if (r)
			return r;
		sent = n > 0 ? (size_t)n : 0;
	}
	return 0;
}
