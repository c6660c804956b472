#include "relay.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "call.h"
#include "channel.h"
#include "link.h"
#include "log.h"
#include "placeholder.h"
#include "rules.h"
#include "state.h"
#include "util.h"

#define PIECE (256u << 10) /* larger than any message of a socket that keeps them (net.core.wmem_max) */
#define LOOK_MS 200        /* how often a socket of the program's is looked for */
#define RETRY_MS 10        /* how often a full queue is tried again */
#define STACK (128u << 10)

/* What the program takes a private address for. */
struct name {
	struct sockaddr_storage ours, shown;
	socklen_t ours_len, shown_len;
};

struct relay {
	struct relay *next;
	struct channel *channel;
	const struct mount *mount;
	uint64_t handle;
	int type;      /* SOCK_STREAM … */
	int fd;        /* ours: the tracee's peer, or of a bound socket an O_PATH descriptor of its file */
	bool bound;
	char there[PATH_MAX]; /* what a bound socket is called at the target */
	bool up_done;  /* everything the program sent is at the target */
	bool dead;     /* the program's end is closed */
	int threads;
	struct name name, own; /* of its peer or its bound socket; of a datagram socket that we had to name */
};

static struct relay *relays;
static pthread_cond_t ended = PTHREAD_COND_INITIALIZER;
static bool any, told, finishing;

/* ---- life ---- */

static struct relay *relay_new(const struct mount *m, uint64_t handle, int type)
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

static void relay_free(struct relay *r)
{
	rfs_Request req = { .which_op = rfs_Request_close_tag, .op.close.handle = r->handle };
	struct relay **p = &relays;

	while (*p != r)
		p = &(*p)->next;
	*p = r->next;
	if (!r->mount->closing)
		link_send(r->mount->link, &req);
	channel_unref(r->channel);
	close_fd(&r->fd);
	free(r);
	pthread_cond_broadcast(&ended);
}

static int start(struct relay *r, void *(*run)(void *))
{
	pthread_attr_t attr;
	pthread_t thread;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	int rc = -pthread_create(&thread, &attr, run, r);
	pthread_attr_destroy(&attr);
	r->threads += !rc;
	return rc;
}

static void leave(struct relay *r)
{
	if (--r->threads == 0)
		relay_free(r);
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
	int rc = channel_wait(NULL, r->channel, POLLIN | POLLHUP | POLLERR | POLLRDHUP, LOOK_MS);

	if (r->dead)
		return -EPIPE;
	if (rc)
		return rc == -ETIMEDOUT ? 1 : rc;
	long n = channel_receive(NULL, r->channel, PIECE, -1, &rep);
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
	leave(r);
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
		while (poll(&p, 1, LOOK_MS) == 0)
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
			n = channel_wait(NULL, r->channel, POLLOUT | POLLERR | POLLHUP, LOOK_MS);
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
	uint8_t *buf = xcalloc(1, PIECE);
	ssize_t n = 0;
	int rc = 0;

	while (!rc && wait_up(r) && ((n = take(r, buf, PIECE)) > 0 || (n == 0 && r->type == SOCK_DGRAM)))
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
	leave(r);
	state_unlock();
	return NULL;
}

static int run(struct relay *r)
{
	int rc = channel_start(NULL, r->channel);

	rc = rc ? rc : start(r, run_up);
	if (rc) {
		relay_free(r);
		return rc;
	}
	if (start(r, run_down))
		shutdown(r->fd, SHUT_RDWR); /* run_up ends it */
	return 0;
}

/* ---- connect ---- */

static void show_as(struct relay *r, const struct sockaddr_storage *name, socklen_t len)
{
	r->name.shown = *name;
	r->name.shown_len = len;
}

static int sock_type(int sock)
{
	int type = 0;
	socklen_t len = sizeof(type);

	return getsockopt(sock, SOL_SOCKET, SO_TYPE, &type, &len) < 0 ? -errno : type;
}

/* A socket of ours with an address that the kernel picks, among the abstract ones. */
static int autobound(struct relay *r)
{
	sa_family_t family = AF_UNIX;
	int fd = socket(AF_UNIX, r->type | SOCK_CLOEXEC, 0);

	r->name.ours_len = sizeof(r->name.ours);
	if (fd < 0 || bind(fd, (struct sockaddr *)&family, sizeof(family)) < 0 ||
	    getsockname(fd, (struct sockaddr *)&r->name.ours, &r->name.ours_len) < 0) {
		int rc = -errno;
		close_fd(&fd);
		return rc;
	}
	return fd;
}

/* Our end of the connection that we have just made: others can see the address, but they are not us. */
static int accept_own(int listener)
{
	for (;;) {
		struct ucred peer;
		socklen_t len = sizeof(peer);
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

		if (fd < 0 && errno != EINTR && errno != ECONNABORTED)
			return -errno;
		if (fd >= 0 && !getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) && peer.pid == getpid())
			return fd;
		close_fd(&fd);
	}
}

/* Lets our datagram socket answer the program's: that needs a name, which the program does not get to see. */
static int answerable(struct relay *r, int sock)
{
	struct sockaddr_storage name;
	sa_family_t family = AF_UNIX;
	socklen_t len = sizeof(name);

	if (getsockname(sock, (struct sockaddr *)&name, &len) < 0)
		return -errno;
	if (len > sizeof(family))
		return 0; /* bound by the program: who knows the name may answer */
	r->own.ours_len = sizeof(r->own.ours);
	r->own.shown.ss_family = AF_UNIX;
	r->own.shown_len = sizeof(family);
	if (bind(sock, (struct sockaddr *)&family, sizeof(family)) < 0 ||
	    getsockname(sock, (struct sockaddr *)&r->own.ours, &r->own.ours_len) < 0 ||
	    connect(r->fd, (struct sockaddr *)&r->own.ours, r->own.ours_len) < 0)
		return -errno;
	return 0;
}

static int join(struct relay *r, int sock)
{
	CLEANUP_FD int fd = autobound(r);

	if (fd < 0)
		return fd;
	if (r->type != SOCK_DGRAM && listen(fd, 8) < 0)
		return -errno;
	if (connect(sock, (struct sockaddr *)&r->name.ours, r->name.ours_len) < 0)
		return -errno;
	if (r->type != SOCK_DGRAM) {
		r->fd = accept_own(fd);
		return r->fd < 0 ? r->fd : 0;
	}
	r->fd = fd;
	fd = -1;
	return answerable(r, sock);
}

/* A peer is called what it has bound itself to, however it was found. */
static void show_peer(struct relay *r, const struct sockaddr_storage *name, socklen_t len, const char *there)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	const struct relay *b = relays;

	show_as(r, name, len);
	while (b && !(b->bound && b->mount == r->mount && !strcmp(b->there, there)))
		b = b->next;
	if (b) {
		show_as(r, &b->name.shown, b->name.shown_len);
	} else if (*there && strlen(there) < sizeof(un.sun_path)) {
		strcpy(un.sun_path, there);
		memset(&r->name.shown, 0, sizeof(r->name.shown));
		memcpy(&r->name.shown, &un, sizeof(un));
		r->name.shown_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(there) + 1);
	}
}

int relay_connect(const struct mount *m, uint64_t handle, int sock, const struct sockaddr_storage *name, socklen_t len,
		  const char *there)
{
	struct relay *r = relay_new(m, handle, sock_type(sock));
	int rc = join(r, sock);

	if (rc) {
		relay_free(r);
		return rc;
	}
	show_peer(r, name, len, there);
	return run(r);
}

/* ---- bind ---- */

static int own_name(const struct relay *r, struct sockaddr_un *un)
{
	un->sun_family = AF_UNIX;
	return snprintf(un->sun_path, sizeof(un->sun_path), "/proc/self/fd/%d", r->fd);
}

/* A socket of ours that is connected to the program's: -EAGAIN when its queue is full, -ECONNREFUSED without listen(2). */
static int knock(const struct relay *r, int type)
{
	struct sockaddr_un un = { 0 };
	CLEANUP_FD int fd = socket(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	own_name(r, &un);
	if (fd < 0 || connect(fd, (struct sockaddr *)&un, sizeof(un)) < 0)
		return -errno;
	int flags = fcntl(fd, F_GETFL);
	fcntl(fd, F_SETFL, flags & ~O_NONBLOCK);
	int got = fd;
	fd = -1;
	return got;
}

/* Whether the program still has the socket: to one of another kind the kernel says that there is none, or EPROTOTYPE. */
static bool is_there(const struct relay *r)
{
	CLEANUP_FD int fd = knock(r, r->type == SOCK_DGRAM ? SOCK_STREAM : SOCK_DGRAM);

	return fd == -EPROTOTYPE;
}

/* The next connection at the target becomes one here. False: the program has closed its socket. */
static bool pass_on(struct relay *r)
{
	uint64_t handle = link_new_handle(r->mount->link);
	int fd = knock(r, r->type);

	if (fd < 0) {
		if (!is_there(r))
			return false;
		state_wait_ms(&ended, RETRY_MS);
		return true;
	}
	int rc = channel_accept(r->channel, handle);
	if (rc) {
		close(fd);
		if (rc != -EAGAIN)
			state_wait_ms(&ended, RETRY_MS); /* want of descriptors there */
		return rc != -EIO;
	}
	struct relay *c = relay_new(r->mount, handle, r->type);
	c->fd = fd;
	run(c);
	return true;
}

/* A message to the program's bound datagram socket. */
static bool pass_message(struct relay *r)
{
	struct link_reply rep;
	long n = channel_receive(NULL, r->channel, PIECE, -1, &rep);

	if (n < 0)
		return n == -EAGAIN;
	CLEANUP_FD int fd = knock(r, r->type);
	state_unlock();
	if (fd >= 0)
		(void)!send(fd, rep.payload, (size_t)n, MSG_NOSIGNAL);
	state_lock();
	link_reply_free(&rep);
	return fd >= 0 || is_there(r);
}

static void *run_bound(void *arg)
{
	struct relay *r = arg;
	bool go_on = true;

	state_lock();
	while (go_on) {
		int rc = channel_wait(NULL, r->channel, POLLIN, LOOK_MS);

		if (rc == -ETIMEDOUT)
			go_on = is_there(r);
		else if (rc)
			go_on = false;
		else
			go_on = r->type == SOCK_DGRAM ? pass_message(r) : pass_on(r);
	}
	leave(r);
	state_unlock();
	return NULL;
}

/* Binds SOCK in a directory that only we may enter, and takes the name away again: what is left is ours to hand out. */
static int bind_private(struct relay *r, int sock)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	static unsigned serial;
	char dir[sizeof(un.sun_path) - 2], what[32];
	int rc = 0;

	snprintf(what, sizeof(what), "socket%u", serial++);
	placeholder_name(dir, sizeof(dir), what);
	if (mkdir(dir, 0700) < 0)
		return -errno;
	snprintf(un.sun_path, sizeof(un.sun_path), "%s/s", dir);
	if (bind(sock, (struct sockaddr *)&un, sizeof(un)) < 0)
		rc = -errno;
	r->fd = rc ? -1 : open(un.sun_path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (!rc && r->fd < 0)
		rc = -errno;
	unlink(un.sun_path);
	rmdir(dir);
	r->name.ours_len = sizeof(r->name.ours);
	if (!rc && getsockname(sock, (struct sockaddr *)&r->name.ours, &r->name.ours_len) < 0)
		rc = -errno;
	return rc;
}

int relay_bind(const struct mount *m, uint64_t handle, int sock, const struct sockaddr_storage *name, socklen_t len,
	       const char *there)
{
	struct relay *r = relay_new(m, handle, sock_type(sock));
	int rc = bind_private(r, sock);

	r->bound = true;
	snprintf(r->there, sizeof(r->there), "%s", there);
	show_as(r, name, len);
	rc = rc ? rc : channel_start(NULL, r->channel);
	rc = rc ? rc : start(r, run_bound);
	if (rc)
		relay_free(r);
	return rc;
}

/* ---- names ---- */

int relay_any(void)
{
	return any;
}

static bool is_name(const struct name *n, const struct sockaddr_storage *name, socklen_t len)
{
	return n->shown_len && n->ours_len == len && !memcmp(&n->ours, name, len);
}

socklen_t relay_name(struct sockaddr_storage *name, socklen_t len)
{
	for (const struct relay *r = relays; r; r = r->next) {
		const struct name *n = is_name(&r->name, name, len) ? &r->name : is_name(&r->own, name, len) ? &r->own : NULL;

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
			state_wait_ms(&ended, RETRY_MS);
	} while (left && now_ns() < until);
	return left;
}
