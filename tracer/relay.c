#include "relay_int.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "call.h"
#include "channel.h"
#include "link.h"
#include "log.h"
#include "rules.h"
#include "state.h"
#include "util.h"

#define STACK (128u << 10)

static struct relay *relays;
static pthread_cond_t ended = PTHREAD_COND_INITIALIZER;
static bool any, told, finishing;

/* ---- life ---- */

struct relay *relay_new(const struct mount *m, uint64_t handle, int type)
{
	struct relay *r = xcalloc(1, sizeof(*r));

	r->channel = channel_new(m, handle);
	r->mount = m;
	r->handle = handle;
	r->type = type;
	r->fd = -1;
	r->next = relays;
	relays = r;
	any = true;
	return r;
}

void relay_free(struct relay *r)
{
	rfs_Request req = { .which_op = rfs_Request_close_tag, .op.close.handle = r->handle };
	struct relay **p = &relays;

	while (*p != r)
		p = &(*p)->next;
	*p = r->next;
	call_send(r->mount, &req);
	channel_unref(r->channel);
	close_fd(&r->fd);
	free(r);
	pthread_cond_broadcast(&ended);
}

int relay_start(struct relay *r, void *(*run)(void *))
{
	int rc = thread_start(STACK, run, r);

	r->threads += !rc;
	return rc;
}

void relay_leave(struct relay *r)
{
	if (--r->threads == 0)
		relay_free(r);
}

void relay_pause(int ms)
{
	state_wait_ms(&ended, ms);
}

static void tell_lost(void)
{
	if (!told)
		log_error("descriptors that are passed (SCM_RIGHTS) between a program here and one at the target are lost: only bytes go over a connection to a remote socket");
	told = true;
}

/* ---- from the target to the program ---- */

/* All of DATA to the program, which may take its time: without the lock. */
static int deliver(struct relay *r, const uint8_t *data, size_t len)
{
	size_t done = 0;
	ssize_t n = 0;

	state_unlock();
	do {
		n = send(r->fd, data + done, len - done, MSG_NOSIGNAL);
		done += n > 0 ? (size_t)n : 0;
	} while ((n >= 0 && done < len) || (n < 0 && errno == EINTR));
	int rc = n < 0 ? -errno : 0;
	state_lock();
	return rc;
}

/* The next piece, or message. 1; 0 at the end; negative when there is nobody to move it. */
static int move_down(struct relay *r)
{
	struct link_reply rep;
	int rc = channel_wait(NULL, r->channel, POLLIN | POLLHUP | POLLERR | POLLRDHUP, RELAY_LOOK_MS);

	if (r->dead)
		return -EPIPE;
	if (rc)
		return rc == -ETIMEDOUT ? 1 : rc;
	long n = channel_receive(NULL, r->channel, RELAY_PIECE, -1, &rep);
	if (n < 0)
		return n == -EAGAIN ? 1 : (int)n;
	if (rep.msg.op.channel.lost)
		tell_lost();
	if (n || r->type == SOCK_DGRAM)
		rc = deliver(r, rep.payload, (size_t)n);
	link_reply_free(&rep);
	return rc ? rc : n || r->type == SOCK_DGRAM;
}

static void *run_down(void *arg)
{
	struct relay *r = arg;
	int rc;

	state_lock();
	while ((rc = move_down(r)) > 0)
		;
	/* Closed there, not only shut: what the program sends from here on is EPIPE at once. */
	shutdown(r->fd, rc < 0 || r->channel->ready & POLLHUP ? SHUT_RDWR : SHUT_WR);
	if (rc < 0)
		channel_control(NULL, r->channel, rfs_Controls_SHUTDOWN, SHUT_RD);
	relay_leave(r);
	state_unlock();
	return NULL;
}

/* ---- from the program to the target ---- */

/*
 * Whether the program has closed its datagram socket. It is connected to ours, so the kernel lets nobody else connect to it:
 * EPERM, as long as it is there.
 */
static bool is_gone(const struct relay *r)
{
	CLEANUP_FD int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (!r->own.ours_len)
		return finishing;
	return connect(fd, (const struct sockaddr *)&r->own.ours, r->own.ours_len) == 0 || errno != EPERM;
}

/* Until there is something to take. False: a datagram socket, which has no end, is closed. */
static bool wait_up(const struct relay *r)
{
	struct pollfd p = { .fd = r->fd, .events = POLLIN };

	if (r->type == SOCK_DGRAM)
		while (poll(&p, 1, RELAY_LOOK_MS) == 0)
			if (is_gone(r))
				return false;
	return true;
}

/* What the program has sent: how much, 0 at its end. Descriptors among it are closed, and that is said. */
static ssize_t take(struct relay *r, uint8_t *buf, size_t size)
{
	struct iovec iov = { buf, size };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n;

	do
		n = recvmsg(r->fd, &msg, 0);
	while (n < 0 && errno == EINTR);
	if (n >= 0 && msg.msg_flags & MSG_CTRUNC) {
		state_lock();
		tell_lost();
		state_unlock();
	}
	return n;
}

static int send_up(struct relay *r, const uint8_t *data, size_t len)
{
	size_t done = 0;
	long n = 0;

	state_lock();
	do {
		n = channel_send(NULL, r->channel, data + done, len - done, -1);
		if (n == -EAGAIN)
			n = channel_wait(NULL, r->channel, POLLOUT | POLLERR | POLLHUP, RELAY_LOOK_MS);
		else
			done += n > 0 ? (size_t)n : 0;
	} while ((n >= 0 || n == -ETIMEDOUT) && done < len);
	state_unlock();
	return n < 0 && n != -ETIMEDOUT ? (int)n : 0;
}

/* Whether no descriptor of the program's end is left, within MS milliseconds. */
static bool is_closed(const struct relay *r, int ms)
{
	struct pollfd p = { .fd = r->fd };

	return r->type == SOCK_DGRAM || (poll(&p, 1, ms) > 0 && p.revents & (POLLHUP | POLLERR));
}

static void *run_up(void *arg)
{
	struct relay *r = arg;
	uint8_t *buf = xcalloc(1, RELAY_PIECE);
	ssize_t n = 0;
	int rc = 0;

	while (!rc && wait_up(r) && ((n = take(r, buf, RELAY_PIECE)) > 0 || (n == 0 && r->type == SOCK_DGRAM)))
		rc = send_up(r, buf, (size_t)n);
	free(buf);
	if (rc)
		shutdown(r->fd, SHUT_RDWR);
	bool closed = is_closed(r, 0);
	state_lock();
	if (!rc)
		channel_control(NULL, r->channel, rfs_Controls_SHUTDOWN, closed ? SHUT_RDWR : SHUT_WR);
	r->up_done = true;
	pthread_cond_broadcast(&ended);
	state_unlock();
	while (!is_closed(r, -1))
		;
	state_lock();
	r->dead = true;
	relay_leave(r);
	state_unlock();
	return NULL;
}

int relay_run(struct relay *r)
{
	int rc = channel_start(NULL, r->channel);

	rc = rc ? rc : relay_start(r, run_up);
	if (rc) {
		relay_free(r);
		return rc;
	}
	if (relay_start(r, run_down))
		shutdown(r->fd, SHUT_RDWR); /* run_up ends it */
	return 0;
}

/* ---- names ---- */

void relay_show_as(struct relay *r, const struct sockaddr_storage *name, socklen_t len)
{
	r->name.shown = *name;
	r->name.shown_len = len;
}

int relay_sock_type(int sock)
{
	int type = 0;
	socklen_t len = sizeof(type);

	return getsockopt(sock, SOL_SOCKET, SO_TYPE, &type, &len) < 0 ? -errno : type;
}

int relay_any(void)
{
	return any;
}

const struct relay *relay_bound(const struct mount *m, const char *there)
{
	const struct relay *r = relays;

	while (r && !(r->bound && r->mount == m && !strcmp(r->there, there)))
		r = r->next;
	return r;
}

static bool is_name(const struct relay_name *n, const struct sockaddr_storage *name, socklen_t len)
{
	return n->shown_len && n->ours_len == len && !memcmp(&n->ours, name, len);
}

socklen_t relay_name(struct sockaddr_storage *name, socklen_t len)
{
	for (const struct relay *r = relays; r; r = r->next) {
		const struct relay_name *n = is_name(&r->name, name, len) ? &r->name : is_name(&r->own, name, len) ? &r->own : NULL;

		if (n) {
			*name = n->shown;
			return n->shown_len;
		}
	}
	return 0;
}

int relay_listener(const struct sockaddr_storage *name, socklen_t len, const struct mount **m, uint64_t *handle)
{
	const struct relay *r = relays;

	while (r && !(r->bound && is_name(&r->name, name, len)))
		r = r->next;
	if (!r)
		return -ENOENT;
	*m = r->mount;
	*handle = r->handle;
	return 0;
}

unsigned relay_finish(int ms)
{
	uint64_t until = now_ns() + (uint64_t)ms * 1000000;
	unsigned left;

	finishing = true;
	do {
		left = 0;
		for (const struct relay *r = relays; r; r = r->next)
			left += !r->bound && !r->up_done;
		if (left)
			relay_pause(RELAY_RETRY_MS);
	} while (left && now_ns() < until);
	return left;
}
