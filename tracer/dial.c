#include "dial.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "address.h"
#include "auth.h"
#include "util.h"

#define RETRY_MS 10

struct dial {
	struct address address;
	int timeout_ms;
	uint64_t deadline; /* of now_ns */
	char *err;
	size_t err_len;
};

/* Puts one clause into D's text and returns CODE. */
static int __attribute__((format(printf, 3, 4))) dial_fail(const struct dial *d, int code, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(d->err, d->err_len, format, args);
	va_end(args);
	return code;
}

static int dial_left_ms(const struct dial *d)
{
	uint64_t now = now_ns();

	return now < d->deadline ? (int)((d->deadline - now) / 1000000) : 0;
}

/* ---- the connection ---- */

/* What CODE of connecting to it means. */
static int connect_fail(const struct dial *d, int code)
{
	if (code == -ETIMEDOUT)
		return dial_fail(d, code, "no answer within %g s", d->timeout_ms / 1000.0);
	if (code == -ECONNREFUSED)
		return dial_fail(d, code, "connection refused: is remotefs-agent --listen running there?");
	if (code == -ENOENT)
		return dial_fail(d, code, "there is no such socket: is remotefs-agent --listen running there?");
	return dial_fail(d, code, "it cannot be connected to: %s", strerror(-code));
}

/* Connects FD, which does not block, within MS. 0 or a negative errno. */
static int socket_connect(int fd, const struct sockaddr *to, socklen_t len, int ms)
{
	uint64_t deadline = now_ns() + (uint64_t)ms * 1000000;
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	int rc = connect(fd, to, len) < 0 ? -errno : 0, left = ms;
	socklen_t size = sizeof(rc);

	/* A unix socket's full queue is nothing that poll(2) waits for. */
	while (rc == -EAGAIN && now_ns() < deadline) {
		poll(NULL, 0, RETRY_MS);
		rc = connect(fd, to, len) < 0 ? -errno : 0;
	}
	if (rc != -EINPROGRESS)
		return rc == -EAGAIN ? -ETIMEDOUT : rc;
	while (left >= 0 && (rc = poll(&p, 1, left)) < 0 && errno == EINTR)
		left = now_ns() < deadline ? (int)((deadline - now_ns()) / 1000000) : -1;
	if (rc <= 0)
		return rc < 0 && left >= 0 ? -errno : -ETIMEDOUT;
	return getsockopt(fd, SOL_SOCKET, SO_ERROR, &rc, &size) < 0 ? -errno : -rc;
}

/* A connected, nonblocking socket, or a negative errno. */
static int socket_open(const struct sockaddr *to, socklen_t len, int ms)
{
	int fd = socket(to->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int rc = fd < 0 ? -errno : socket_connect(fd, to, len, ms);

	if (rc && fd >= 0)
		close(fd);
	return rc ? rc : fd;
}

/* ---- tcp ---- */

/* A name that is being asked for. */
struct asked {
	struct gaicb request;
	char host[sizeof(((struct address *)NULL)->host)], port[8];
};

static const struct addrinfo as_name = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV };

/*
 * Resolvers have timeouts of their own, longer than ours: a thread of libc's asks them. What it still works on when the time is
 * up is left to it. 0, EAI_INPROGRESS or another of getaddrinfo's.
 */
static int host_ask(const struct dial *d, struct addrinfo **found)
{
	struct asked *asked = calloc(1, sizeof(*asked));
	struct gaicb *list[] = { &asked->request };
	int left, rc;

	if (!asked)
		return EAI_MEMORY;
	snprintf(asked->host, sizeof(asked->host), "%s", d->address.host);
	snprintf(asked->port, sizeof(asked->port), "%u", d->address.port);
	asked->request = (struct gaicb){ .ar_name = asked->host, .ar_service = asked->port, .ar_request = &as_name };
	rc = getaddrinfo_a(GAI_NOWAIT, list, 1, NULL);
	while (!rc && gai_error(list[0]) == EAI_INPROGRESS && (left = dial_left_ms(d)) > 0) {
		struct timespec t = { .tv_sec = left / 1000, .tv_nsec = left % 1000 * 1000000 };

		gai_suspend((const struct gaicb *const *)list, 1, &t);
	}
	rc = rc ? rc : gai_error(list[0]);
	if (rc == EAI_INPROGRESS && gai_cancel(list[0]) != EAI_CANCELED)
		return rc;
	*found = rc ? NULL : asked->request.ar_result;
	free(asked);
	return rc;
}

/* The addresses of the host, best first, to be freed with freeaddrinfo. 0 or a negative errno with a text. */
static int host_find(const struct dial *d, struct addrinfo **found)
{
	struct addrinfo as_number = as_name;
	char port[8];

	as_number.ai_flags |= AI_NUMERICHOST;
	snprintf(port, sizeof(port), "%u", d->address.port);
	int rc = getaddrinfo(d->address.host, port, &as_number, found);
	if (rc == EAI_NONAME)
		rc = host_ask(d, found);
	if (rc == EAI_INPROGRESS)
		return dial_fail(d, -ETIMEDOUT, "the name \"%s\" was not resolved within %g s", d->address.host, d->timeout_ms / 1000.0);
	if (rc)
		return dial_fail(d, -EHOSTUNREACH, "the name \"%s\" cannot be resolved: %s", d->address.host, gai_strerror(rc));
	return 0;
}

/* The first of the host's addresses that answers; each has its part of the time. */
static int tcp_open(const struct dial *d)
{
	static const int on = 1;
	struct addrinfo *all, *one;
	int count = 0, first = 0, fd = -1;
	int rc = host_find(d, &all);

	if (rc)
		return rc;
	for (one = all; one; one = one->ai_next)
		count++;
	for (one = all; one && fd < 0; one = one->ai_next) {
		fd = socket_open(one->ai_addr, one->ai_addrlen, dial_left_ms(d) / count--);
		first = first ? first : fd;
	}
	freeaddrinfo(all);
	if (fd < 0)
		return connect_fail(d, first);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	return fd;
}

static int unix_open(const struct dial *d)
{
	int fd = socket_open((const struct sockaddr *)&d->address.un, sizeof(d->address.un), dial_left_ms(d));

	return fd < 0 ? connect_fail(d, fd) : fd;
}

/* ---- the token ---- */

/* The environment's one, once it was found there. */
static struct auth_token kept;

static int token_find(const struct dial *d, const char *file, struct auth_token *token)
{
	int rc = auth_token_take(file, token, d->err, d->err_len);

	if (!rc && !file)
		kept = *token;
	if (rc != -ENOKEY)
		return rc;
	if (!kept.len)
		return dial_fail(d, rc, "its token is not known: set " AUTH_ENV " to the one that the agent was started with");
	*token = kept;
	return 0;
}

static int auth_fail(const struct dial *d, int code)
{
	if (code == -EKEYREJECTED)
		return dial_fail(d, code, "the token is wrong: the agent did not prove that it knows it");
	if (code == -EACCES)
		return dial_fail(d, code, "the agent refused the token");
	if (code == -EPROTO)
		return dial_fail(d, code, "what answers there is no remotefs-agent --listen");
	if (code == -ETIMEDOUT)
		return dial_fail(d, code, "no answer within %g s", d->timeout_ms / 1000.0);
	if (code == -ENODATA || code == -EPIPE || code == -ECONNRESET)
		return dial_fail(d, code, "it ended the connection at once: is that remotefs-agent --listen, with less than 64 clients?");
	return dial_fail(d, code, "the connection failed: %s", strerror(-code));
}

/* Each knows that the other one knows the token. FD, which blocks from here on, or a negative errno with a text. */
static int dial_prove(const struct dial *d, int fd, const struct auth_token *token)
{
	int rc = auth_client(fd, token, dial_left_ms(d));

	if (!rc)
		rc = fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK) < 0 ? -errno : 0;
	if (!rc)
		return fd;
	close(fd);
	return auth_fail(d, rc);
}

int dial_open(const char *address, const char *token_file, int timeout_ms, char *err, size_t err_len)
{
	struct dial d = {
		.timeout_ms = timeout_ms,
		.deadline = now_ns() + (uint64_t)timeout_ms * 1000000,
		.err = err,
		.err_len = err_len,
	};
	struct auth_token token;
	int rc = address_parse(address, &d.address, err, err_len);

	if (!rc)
		rc = token_find(&d, token_file, &token);
	if (!rc)
		rc = d.address.is_unix ? unix_open(&d) : tcp_open(&d);
	if (rc > 0)
		rc = dial_prove(&d, rc, &token);
	explicit_bzero(&token, sizeof(token));
	return rc;
}
