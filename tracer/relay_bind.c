/* The program's socket is bound to a private name: relays for bind(2), one more for each connection that is made at the target. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "channel.h"
#include "link.h"
#include "placeholder.h"
#include "relay_int.h"
#include "rules.h"
#include "state.h"
#include "util.h"

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
		relay_pause(RELAY_RETRY_MS);
		return true;
	}
	int rc = channel_accept(r->channel, handle);
	if (rc) {
		close(fd);
		if (rc != -EAGAIN)
			relay_pause(RELAY_RETRY_MS); /* want of descriptors there */
		return rc != -EIO;
	}
	struct relay *c = relay_new(r->mount, handle, r->type);
	c->fd = fd;
	relay_run(c);
	return true;
}

/* A message to the program's bound datagram socket. */
static bool pass_message(struct relay *r)
{
	struct link_reply rep;
	long n = channel_receive(NULL, r->channel, RELAY_PIECE, -1, &rep);

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
		int rc = channel_wait(NULL, r->channel, POLLIN, RELAY_LOOK_MS);

		if (rc == -ETIMEDOUT)
			go_on = is_there(r);
		else if (rc)
			go_on = false;
		else
			go_on = r->type == SOCK_DGRAM ? pass_message(r) : pass_on(r);
	}
	relay_leave(r);
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
	struct relay *r = relay_new(m, handle, relay_sock_type(sock));
	int rc = bind_private(r, sock);

	r->bound = true;
	snprintf(r->there, sizeof(r->there), "%s", there);
	relay_show_as(r, name, len);
	rc = rc ? rc : channel_start(NULL, r->channel);
	rc = rc ? rc : relay_start(r, run_bound);
	if (rc)
		relay_free(r);
	return rc;
}
