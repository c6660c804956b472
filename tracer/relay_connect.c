/* The program's socket is connected to one of ours: relays for connect(2). */
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "relay_int.h"
#include "util.h"

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
	const struct relay *b = relay_bound(r->mount, there);

	relay_show_as(r, name, len);
	if (b) {
		relay_show_as(r, &b->name.shown, b->name.shown_len);
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
	struct relay *r = relay_new(m, handle, relay_sock_type(sock));
	int rc = join(r, sock);

	if (rc) {
		relay_free(r);
		return rc;
	}
	show_peer(r, name, len, there);
	return relay_run(r);
}
