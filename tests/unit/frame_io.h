/* Frames to and from a descriptor, for who speaks the protocol to what is tested. */
#ifndef FRAME_IO_H
#define FRAME_IO_H

#include <errno.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include "frame.h"

/* Reads exactly LEN bytes. 0; -ENODATA when the stream ends before that; another negative errno. */
static inline int frame_read_full(int fd, void *buf, size_t len)
{
	for (size_t done = 0; done < len;) {
		ssize_t n = read(fd, (uint8_t *)buf + done, len - done);

		if (n == 0 || (n < 0 && errno != EINTR))
			return n ? -errno : -ENODATA;
		done += n > 0 ? (size_t)n : 0;
	}
	return 0;
}

/* Writes all of IOV, whose COUNT elements it changes. 0 or a negative errno; of a socket without SIGPIPE. */
static inline int frame_writev_full(int fd, struct iovec *iov, size_t count)
{
	ssize_t n = 0;

	while (!frame_advance(&iov, &count, n > 0 ? (size_t)n : 0)) {
		n = sendmsg(fd, &(struct msghdr){ .msg_iov = iov, .msg_iovlen = count }, MSG_NOSIGNAL);
		if (n < 0 && errno == ENOTSOCK)
			n = writev(fd, iov, (int)count);
		if (n < 0 && errno != EINTR)
			return -errno;
	}
	return 0;
}

#endif
