#include "docker.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "json.h"

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* A listener that accepts nobody makes connect wait: SO_SNDTIMEO ends that. */
static int open_socket(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	struct timeval limit = { .tv_sec = DOCKER_SECONDS };
	int fd, rc;

	if (strlen(path) >= sizeof(a.sun_path))
		return -ENAMETOOLONG;
	strcpy(a.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	if (!connect(fd, (struct sockaddr *)&a, sizeof(a)))
		return fd;
	rc = errno == EAGAIN ? -ETIMEDOUT : -errno;
	close(fd);
	return rc;
}

/* HTTP/1.0: the answer comes in one piece, and its end is the connection's. */
static int ask(int fd, const char *id)
{
	char request[512];
	int n = snprintf(request, sizeof(request), "GET /containers/%s/json HTTP/1.0\r\nHost: docker\r\n\r\n", id);

	if ((size_t)n >= sizeof(request))
		return -ENAMETOOLONG;
	return send(fd, request, (size_t)n, MSG_NOSIGNAL) == n ? 0 : -EPIPE;
}

static int receive(int fd, char *text)
{
	int64_t end = now_ms() + DOCKER_SECONDS * 1000, left;
	struct pollfd p = { .fd = fd, .events = POLLIN };
	size_t len = 0;

	for (;;) {
		left = end - now_ms();
		if (left <= 0 || poll(&p, 1, (int)left) == 0)
			return -ETIMEDOUT;
		ssize_t n = recv(fd, text + len, DOCKER_ANSWER_MAX - len, MSG_DONTWAIT);
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return -errno;
		len += n > 0 ? (size_t)n : 0;
		if (len == DOCKER_ANSWER_MAX)
			return -EMSGSIZE;
		if (n == 0)
			break;
	}
	text[len] = '\0';
	return 0;
}

static int understand(const char *text, char *whole, size_t whole_len)
{
	const char *body = strstr(text, "\r\n\r\n");
	long long pid;
	int status;

	if (sscanf(text, "HTTP/1.%*d %d", &status) != 1)
		return -EBADMSG;
	if (status == 404 || status == 400)
		return -ENOENT;
	if (status == 401 || status == 403)
		return -EACCES;
	if (status != 200 || !body || !json_string(json_member(body + 4, "Id"), whole, whole_len))
		return -EBADMSG;
	body = json_member(body + 4, "State");
	if (!body || !json_number(json_member(body, "Pid"), &pid) || pid < 0 || pid > INT_MAX)
		return -EBADMSG;
	return pid ? (int)pid : -ESRCH;
}

int docker_pid(const char *socket, const char *id, char *whole, size_t whole_len)
{
	int fd = open_socket(socket), rc;
	char *text;

	if (fd < 0)
		return fd;
	text = malloc(DOCKER_ANSWER_MAX);
	rc = text ? ask(fd, id) : -ENOMEM;
	if (!rc)
		rc = receive(fd, text);
	if (!rc)
		rc = understand(text, whole, whole_len);
	free(text);
	close(fd);
	return rc;
}
