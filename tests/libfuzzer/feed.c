#include "feed.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define ROOM (4 << 20)

static struct {
	int fd;
	const uint8_t *data;
	size_t len;
	int threaded;
	pthread_t thread;
} feed;

/* In three pieces. */
static void *feed_slowly(void *arg)
{
	size_t at = 0;

	for (int piece = 3; piece > 0; piece--) {
		size_t want = piece == 1 ? feed.len - at : (feed.len - at) / 2;

		while (want > 0) {
			ssize_t n = send(feed.fd, feed.data + at, want, MSG_NOSIGNAL);
			if (n <= 0)
				goto out;
			at += (size_t)n;
			want -= (size_t)n;
		}
		usleep(100);
	}
out:
	shutdown(feed.fd, SHUT_WR);
	return NULL;
}

int feed_open(const uint8_t *data, size_t len, int slowly)
{
	const int room = ROOM;
	int p[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, p))
		abort();
	feed.fd = p[1];
	feed.data = data;
	feed.len = len;
	feed.threaded = slowly;
	setsockopt(p[1], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
	if (slowly) {
		fcntl(p[0], F_SETFL, O_NONBLOCK);
		if (pthread_create(&feed.thread, NULL, feed_slowly, NULL))
			abort();
	} else {
		ssize_t n = send(p[1], data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
		(void)n; /* what has no room is a stream that is cut off */
		shutdown(p[1], SHUT_WR);
	}
	return p[0];
}

void feed_close(void)
{
	if (feed.threaded)
		pthread_join(feed.thread, NULL);
	close(feed.fd);
}
