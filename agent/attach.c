/*
 * A client whose connection broke comes again, by the same way: through a new process, whose stream is not that of the process that
 * has its files. So the new one hands its stream over, through a socket in the abstract namespace that is named after the session.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "serve_int.h"
#include "spare.h"

#define ATTACH_MS 2000 /* for what is said on this machine */
#define ATTACH_AFTER_MS 10000 /* for a client whose agent was killed */
#define ATTACH_STACK (128u << 10)

/* What the new process sends, with its stream's two descriptors. */
struct attach {
	uint8_t name[SESSION_NAME], secret[SESSION_SECRET];
	uint64_t seen;
	uint32_t stream, attempt;
};

/* A connection that somebody offers. */
struct offer {
	struct conn conn;
	uint64_t seen;
	uint32_t stream;
	int giver; /* the socket of the process that it comes from, which waits for its end */
};

union rights {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(2 * sizeof(int))];
};

/* A socket, and its ADDRESS for the session NAME. */
static int attach_socket(const uint8_t *name, struct sockaddr_un *address, socklen_t *len)
{
	int n = 0;

	*address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	n += snprintf(address->sun_path + 1, sizeof(address->sun_path) - 1, "remotefs-");
	for (int i = 0; i < SESSION_NAME; i++, n += 2)
		snprintf(address->sun_path + 1 + n, 3, "%02x", name[i]);
	*len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
	return socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
}

/* The name can be read by everybody on this machine; who has other rights than we have has no business with the session. */
static bool attach_is_ours(int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 && (peer.uid == geteuid() || peer.uid == 0);
}

/* ---- the process that has the files ---- */

static void offer_free(struct offer *o)
{
	conn_close(&o->conn);
	close(o->giver);
	free(o);
}

/* Takes what comes on FD. 0, or a negative errno and FDS closed. */
static int attach_receive(int fd, struct attach *a, int fds[2])
{
	union rights rights;
	struct iovec iov = { a, sizeof(*a) };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = rights.bytes, .msg_controllen = sizeof(rights.bytes) };
	struct pollfd p = { .fd = fd, .events = POLLIN };
	ssize_t n = poll(&p, 1, ATTACH_MS) > 0 ? recvmsg(fd, &m, MSG_CMSG_CLOEXEC) : -1;
	struct cmsghdr *c = n < 0 ? NULL : CMSG_FIRSTHDR(&m);
	size_t count = c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS ? (c->cmsg_len - CMSG_LEN(0)) / sizeof(int) : 0;

	if (count)
		memcpy(fds, CMSG_DATA(c), (count < 2 ? count : 2) * sizeof(int));
	if (n == sizeof(*a) && count == 2)
		return 0;
	while (count--)
		close(fds[count]);
	return -EPROTO;
}

/* The newest connection is the one that the client has. */
static void attach_offer(struct serve *s, struct offer *o)
{
	pthread_mutex_lock(&s->lock);
	if (s->offer)
		offer_free(s->offer);
	s->offer = o;
	conn_break(&s->conn);
	pthread_cond_signal(&s->come);
	pthread_mutex_unlock(&s->lock);
}

/* Nobody can go on with the session. Its locks are not to stand in the way of the client's next one, nor what is in work to be done beside it. */
_Noreturn static void attach_give_up(void)
{
	agent_say("the client has come again without having read replies that there was no room to keep: its open files are given up");
	_exit(0);
}

/* Somebody has come on FD, which is the offer's, or closed. */
static void attach_admit(struct serve *s, int fd)
{
	struct offer *o = calloc(1, sizeof(*o));
	struct attach a;
	int fds[2], r = o && attach_is_ours(fd) ? attach_receive(fd, &a, fds) : -EACCES;
	uint8_t answer = EACCES;

	if (!r) {
		o->conn = conn_plain(fds[0], fds[1]);
		o->seen = a.seen;
		o->stream = a.stream;
		o->giver = fd;
		r = !session_is(s->session, a.name, a.secret) ? -EACCES : conn_breakable(&o->conn) ? -EAGAIN : 0;
		/* A process that was slow brings what the client has given up: its newer connection is not to end for that. */
		if (!r && a.attempt && a.attempt <= s->session->attempt)
			r = -ESTALE;
		if (!r && session_lacks(s->session, a.stream, a.seen))
			attach_give_up();
		spare_use(false); /* before the client can ask for anything */
		answer = (uint8_t)-r;
		if (send(fd, &answer, 1, MSG_NOSIGNAL | MSG_DONTWAIT) == 1 && !r) {
			s->session->attempt = a.attempt;
			attach_offer(s, o);
		} else {
			offer_free(o);
		}
		return;
	}
	free(o);
	close(fd);
}

static void *attach_main(void *serve)
{
	struct serve *s = serve;

	struct pollfd come = { .fd = s->session->listening, .events = POLLIN };

	for (;;) {
		if (poll(&come, 1, -1) < 0)
			continue;
		spare_use(true);
		int fd = accept4(s->session->listening, NULL, NULL, SOCK_CLOEXEC);
		int error = fd < 0 ? errno : 0;
		if (fd >= 0)
			attach_admit(s, fd);
		spare_use(false);
		if (error && error != EINTR && error != ECONNABORTED)
			poll(NULL, 0, ATTACH_MS); /* no descriptor is left for it */
	}
	return NULL;
}

int attach_listen(struct serve *s)
{
	struct sockaddr_un address;
	socklen_t len;
	int fd = attach_socket(s->session->name, &address, &len), r = 0;

	if (fd < 0 || bind(fd, (struct sockaddr *)&address, len) < 0 || listen(fd, 8) < 0)
		r = -errno;
	if (!r && s->conn.broken < 0)
		r = conn_breakable(&s->conn);
	s->session->listening = fd;
	if (r && fd >= 0)
		close(fd);
	return r;
}

int attach_start(struct serve *s)
{
	pthread_attr_t attr;
	pthread_t thread;
	int r;

	spare_begin();
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, ATTACH_STACK);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	r = -pthread_create(&thread, &attr, attach_main, s);
	pthread_attr_destroy(&attr);
	return r;
}

/* Takes O, as the leader. */
static void attach_take(struct serve *s, struct offer *o)
{
	rfs_ResumeReply reply = rfs_ResumeReply_init_zero;

	/* Who wrote to the old stream was stopped when it was broken. */
	pthread_mutex_lock(&s->write_lock);
	pthread_mutex_lock(&s->lock);
	conn_close(&s->conn);
	if (s->giver >= 0)
		close(s->giver);
	s->conn = o->conn;
	s->giver = o->giver;
	s->at = s->filled = 0;
	s->lost = s->took_over = false;
	pthread_mutex_unlock(&s->lock);
	if (session_renew(s->session, o->stream, o->seen)) {
		session_report(s->session, &reply);
		output_resumed(s, &reply);
	} else {
		conn_break(&s->conn); /* since it was offered, replies were lost that have not been read */
	}
	pthread_mutex_unlock(&s->write_lock);
	free(o);
}

bool attach_await(struct serve *s)
{
	uint32_t ms = s->session->linger_ms;
	struct timespec until;
	struct offer *o;
	int r = 0;

	if (!atomic_load(&s->session->begun))
		return false;
	/* A stream that a killed process had tells nothing of its client. One that is there comes at once. */
	if (s->took_over && ms < ATTACH_AFTER_MS)
		ms = ATTACH_AFTER_MS;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += ms / 1000;
	until.tv_nsec += ms % 1000 * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	pthread_mutex_lock(&s->lock);
	while (!s->offer && !r)
		r = pthread_cond_timedwait(&s->come, &s->lock, &until);
	o = s->offer;
	s->offer = NULL;
	pthread_mutex_unlock(&s->lock);
	if (o)
		attach_take(s, o);
	return o;
}

/* ---- the process that the client came through ---- */

/* Connects to the one that has the files. A descriptor or a negative errno; -EAGAIN: it is there, and has no time. */
static int attach_connect(const uint8_t *name)
{
	static const struct timeval wait = { .tv_sec = ATTACH_MS / 1000 };
	struct sockaddr_un address;
	socklen_t len;
	int fd = attach_socket(name, &address, &len), r;

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
	r = connect(fd, (struct sockaddr *)&address, len) < 0 ? -errno : 0;
	if (!r && attach_is_ours(fd))
		return fd;
	close(fd);
	return r == -EAGAIN ? r : -ENOENT;
}

static int attach_send(int fd, const struct attach *a, const struct conn *c)
{
	union rights rights = { 0 };
	const int fds[2] = { c->in, c->out };
	struct iovec iov = { (void *)a, sizeof(*a) };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = rights.bytes, .msg_controllen = sizeof(rights.bytes) };
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);

	h->cmsg_level = SOL_SOCKET;
	h->cmsg_type = SCM_RIGHTS;
	h->cmsg_len = CMSG_LEN(sizeof(fds));
	memcpy(CMSG_DATA(h), fds, sizeof(fds));
	return sendmsg(fd, &m, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int attach_forward(struct serve *s, const rfs_Resume *resume)
{
	struct attach a = { .seen = resume->seen, .stream = resume->stream, .attempt = resume->attempt };
	struct pollfd p = { .events = POLLIN };
	uint8_t answer = 0;
	int r;

	if (resume->session.size != SESSION_NAME || resume->secret.size != SESSION_SECRET || s->at != s->filled)
		return -EPROTO;
	memcpy(a.name, resume->session.bytes, SESSION_NAME);
	memcpy(a.secret, resume->secret.bytes, SESSION_SECRET);
	p.fd = attach_connect(a.name);
	if (p.fd < 0)
		return p.fd;
	r = attach_send(p.fd, &a, &s->conn);
	if (r || poll(&p, 1, ATTACH_MS) <= 0 || read(p.fd, &answer, 1) != 1)
		r = -EAGAIN; /* stopped, or killed just now: only who cannot be connected to is gone */
	if (r || answer) {
		close(p.fd);
		return r ? r : -(int)answer;
	}
	/* From here on the other one alone has the stream; whoever started us waits for our end. */
	conn_close(&s->conn);
	while (read(p.fd, &answer, 1) < 0 && errno == EINTR)
		;
	_exit(0);
}
