#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "address.h"
#include "agent.h"
#include "listen.h"

#define CLIENTS_MAX 64
#define AUTH_MS 10000
#define EXIT_OWN 125

/* Only what is PROVING becomes something else, once: nobody is sent away who was told that he is in. */
enum client_state { PROVING, LET_IN, SENT_AWAY };

struct client {
	pid_t pid; /* 0: nobody */
	unsigned long number;
	atomic_int state;
};

static bool client_becomes(struct client *one, enum client_state state)
{
	int proving = PROVING;

	return atomic_compare_exchange_strong(&one->state, &proving, state);
}

/* Shared with the children, which tell that they have let their client in. */
struct clients {
	unsigned long last;
	struct client all[CLIENTS_MAX];
};

union listen_address {
	struct sockaddr any;
	struct sockaddr_un un;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

/* ---- the socket ---- */

static int listen_fail(int code, char *err, size_t err_len, const char *what)
{
	snprintf(err, err_len, "%s: %s", what, strerror(-code));
	return code;
}

/* No names but this one: a static program cannot ask for others. */
static socklen_t tcp_address(const struct address *a, union listen_address *to)
{
	const char *host = strcmp(a->host, "localhost") ? a->host : "127.0.0.1";

	memset(to, 0, sizeof(*to));
	if (inet_pton(AF_INET, host, &to->in.sin_addr) == 1) {
		to->in.sin_family = AF_INET;
		to->in.sin_port = htons(a->port);
		return sizeof(to->in);
	}
	if (inet_pton(AF_INET6, host, &to->in6.sin6_addr) != 1)
		return 0;
	to->in6.sin6_family = AF_INET6;
	to->in6.sin6_port = htons(a->port);
	return sizeof(to->in6);
}

static void tcp_name(struct listener *l)
{
	union listen_address is;
	socklen_t len = sizeof(is);
	char host[INET6_ADDRSTRLEN] = "";

	getsockname(l->fd, &is.any, &len);
	if (is.any.sa_family == AF_INET6) {
		inet_ntop(AF_INET6, &is.in6.sin6_addr, host, sizeof(host));
		snprintf(l->name, sizeof(l->name), "tcp:[%s]:%u", host, ntohs(is.in6.sin6_port));
	} else {
		inet_ntop(AF_INET, &is.in.sin_addr, host, sizeof(host));
		snprintf(l->name, sizeof(l->name), "tcp:%s:%u", host, ntohs(is.in.sin_port));
	}
}

static int tcp_open(struct listener *l, const struct address *a, char *err, size_t err_len)
{
	static const int on = 1;
	union listen_address to;
	socklen_t len = tcp_address(a, &to);

	if (!len) {
		snprintf(err, err_len, "\"%s\" is no address of this machine: 127.0.0.1, [::1] and localhost are, and 0.0.0.0 is all",
			 a->host);
		return -EINVAL;
	}
	l->fd = socket(to.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (l->fd < 0 || setsockopt(l->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 || bind(l->fd, &to.any, len) < 0 ||
	    listen(l->fd, SOMAXCONN) < 0)
		return listen_fail(-errno, err, err_len, "cannot listen");
	tcp_name(l);
	return 0;
}

/* A socket that nobody listens on any more goes away; anything else stays. 0 when its place is free. */
static int unix_clear(const struct sockaddr_un *un, char *err, size_t err_len)
{
	struct stat st;

	if (lstat(un->sun_path, &st) < 0)
		return errno == ENOENT ? 0 : listen_fail(-errno, err, err_len, "cannot look at that path");
	if (!S_ISSOCK(st.st_mode))
		return listen_fail(-EEXIST, err, err_len, "that path is no socket");
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int rc = fd < 0 || connect(fd, (const struct sockaddr *)un, sizeof(*un)) < 0 ? -errno : -EADDRINUSE;
	if (fd >= 0)
		close(fd);
	if (rc == -EADDRINUSE || rc == -EAGAIN)
		return listen_fail(-EADDRINUSE, err, err_len, "somebody listens there");
	if (rc != -ECONNREFUSED)
		return listen_fail(rc, err, err_len, "cannot ask whether somebody listens there");
	return unlink(un->sun_path) < 0 ? listen_fail(-errno, err, err_len, "cannot remove the old socket") : 0;
}

static int unix_open(struct listener *l, const struct address *a, const char *path, char *err, size_t err_len)
{
	struct stat st;
	int rc = unix_clear(&a->un, err, err_len);

	if (rc)
		return rc;
	l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	mode_t old = umask(0177);
	rc = l->fd < 0 || bind(l->fd, (const struct sockaddr *)&a->un, sizeof(a->un)) < 0 ? -errno : 0;
	umask(old);
	if (rc || listen(l->fd, SOMAXCONN) < 0 || lstat(path, &st) < 0)
		return listen_fail(rc ? rc : -errno, err, err_len, "cannot listen");
	l->path = path;
	l->dev = st.st_dev;
	l->ino = st.st_ino;
	snprintf(l->name, sizeof(l->name), "unix:%s", path);
	return 0;
}

/* As signals of a descriptor, they wake the poll that waits for clients. */
static int take_signals(struct listener *l)
{
	struct sigaction inherited;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	/* Ignored in what a script runs in the background: the key is meant for another one. */
	if (!sigaction(SIGINT, NULL, &inherited) && inherited.sa_handler != SIG_IGN)
		sigaddset(&set, SIGINT);
	signal(SIGCHLD, SIG_DFL);
	signal(SIGPIPE, SIG_IGN);
	sigprocmask(SIG_BLOCK, &set, &l->mask);
	l->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return l->signals < 0 ? -errno : 0;
}

int listen_open(const char *address, struct listener *l, char *err, size_t err_len)
{
	struct address a;
	int rc = address_parse(address, &a, err, err_len);

	if (rc)
		return rc;
	*l = (struct listener){ .fd = -1 };
	l->clients = mmap(NULL, sizeof(*l->clients), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	rc = l->clients == MAP_FAILED ? -errno : take_signals(l);
	if (rc)
		return listen_fail(rc, err, err_len, "cannot listen");
	return a.is_unix ? unix_open(l, &a, address + strlen("unix:"), err, err_len) : tcp_open(l, &a, err, err_len);
}

/* ---- its clients ---- */

/* The path may be another one's by now. */
void listen_remove(const struct listener *l)
{
	struct stat st;

	if (l->path && !lstat(l->path, &st) && st.st_dev == l->dev && st.st_ino == l->ino)
		unlink(l->path);
}

static void clients_reap(struct clients *c, pid_t which, int flags)
{
	pid_t pid;

	while ((pid = waitpid(which, NULL, flags)) > 0)
		for (size_t i = 0; i < CLIENTS_MAX; i++)
			if (c->all[i].pid == pid)
				c->all[i].pid = 0;
}

static void take_news(struct listener *l)
{
	struct signalfd_siginfo info;

	while (read(l->signals, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo != SIGCHLD) {
			listen_remove(l);
			_exit(0);
		}
		clients_reap(l->clients, -1, WNOHANG);
	}
}

/*
 * Room for one more client. Those that have not proved anything yet make it, the oldest first: however many connections somebody
 * opens without a token, one who has it is let in. NULL: there are as many clients as there may be.
 */
static struct client *clients_room(struct clients *c)
{
	struct client *oldest;

	do {
		oldest = NULL;
		for (size_t i = 0; i < CLIENTS_MAX; i++) {
			struct client *one = &c->all[i];

			if (!one->pid)
				return one;
			if (atomic_load(&one->state) == PROVING && (!oldest || one->number < oldest->number))
				oldest = one;
		}
	} while (oldest && !client_becomes(oldest, SENT_AWAY));
	if (oldest) {
		kill(oldest->pid, SIGKILL);
		clients_reap(c, oldest->pid, 0);
	}
	return oldest;
}

/* A client that vanished, with its machine or its network, is missed after two minutes: its locks are not held for ever. */
static void client_options(int fd)
{
	static const int on = 1, idle_s = 60, every_s = 15, probes = 4;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &every_s, sizeof(every_s));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
}

/* What made RC of the exchange. A connection without a byte is not worth a line: that is how ports are probed. */
static void client_refuse(int rc)
{
	if (rc == -EKEYREJECTED)
		agent_say("a client was refused: it did not prove that it knows the token");
	else if (rc == -EPROTO)
		agent_say("a client was refused: it sent something that is not this protocol");
	else if (rc == -ETIMEDOUT)
		agent_say("a client was refused: it did not prove that it knows the token within %d s", AUTH_MS / 1000);
	else if (rc == -EPIPE || rc == -ECONNRESET)
		agent_say("a client went before it had proved that it knows the token; is its own another one?");
	else if (rc != -ENODATA)
		agent_say("a client was refused: %s", strerror(-rc));
}

/* Becomes the process of the client on FD. */
static int client_begin(struct listener *l, struct client *self, int fd, struct auth_token *token)
{
	close(l->fd);
	close(l->signals);
	sigprocmask(SIG_SETMASK, &l->mask, NULL);
	client_options(fd);
	int rc = auth_agent(fd, token, AUTH_MS);
	explicit_bzero(token, sizeof(*token));
	if (!rc && !client_becomes(self, LET_IN))
		_exit(EXIT_OWN);
	rc = rc ? rc : auth_welcome(fd);
	if (rc) {
		client_refuse(rc);
		_exit(EXIT_OWN);
	}
	munmap(l->clients, sizeof(*l->clients));
	l->path = NULL;
	return fd;
}

/* A child that got a client, in the child: its descriptor; in the parent, whatever happens, -1. */
static int client_fork(struct listener *l, int fd, struct auth_token *token)
{
	struct client *room = clients_room(l->clients);

	if (room) {
		room->number = ++l->clients->last;
		atomic_store(&room->state, PROVING);
		pid_t pid = fork();
		if (pid == 0)
			return client_begin(l, room, fd, token);
		if (pid < 0)
			agent_say("a client cannot be served: %s", strerror(errno));
		room->pid = pid < 0 ? 0 : pid;
	}
	close(fd);
	return -1;
}

int listen_wait(struct listener *l, struct auth_token *token)
{
	struct pollfd p[2] = { { .fd = l->signals, .events = POLLIN }, { .fd = l->fd, .events = POLLIN } };

	agent_say("listening on %s", l->name);
	for (;;) {
		int fd = -1;

		poll(p, 2, -1);
		take_news(l);
		if (p[1].revents)
			fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC);
		/* Nothing tells when there are descriptors again. */
		if (fd < 0 && p[1].revents && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM))
			poll(NULL, 0, 100);
		fd = fd < 0 ? -1 : client_fork(l, fd, token);
		if (fd >= 0)
			return fd;
	}
}
