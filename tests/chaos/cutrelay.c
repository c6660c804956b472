/*
 * cutrelay LISTEN CONNECT: passes connections to the socket LISTEN on to the socket CONNECT. SIGUSR1 cuts those that there are, at
 * whatever byte they have come to; SIGUSR2 does that and lets nobody in until the next SIGUSR2.
 */
#include <err.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define PAIRS 64
#define ROOM 65536

/* One direction. */
struct flow {
	int from, to;
	size_t at, filled;
	char buf[ROOM];
};

/* A connection: its two flows; from < 0: none. */
static struct flow flows[PAIRS][2];

static struct sockaddr_un address(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	strncpy(a.sun_path, path, sizeof(a.sun_path) - 1);
	return a;
}

static void cut(struct flow pair[2])
{
	if (pair[0].from < 0)
		return;
	close(pair[0].from);
	close(pair[0].to);
	pair[0].from = pair[1].from = -1;
}

static void take(int client, const struct sockaddr_un *to)
{
	int server = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), i = 0;

	while (i < PAIRS && flows[i][0].from >= 0)
		i++;
	if (i == PAIRS || server < 0 || connect(server, (const struct sockaddr *)to, sizeof(*to)) < 0) {
		close(server);
		close(client);
		return;
	}
	flows[i][0].from = flows[i][1].to = client;
	flows[i][1].from = flows[i][0].to = server;
	flows[i][0].at = flows[i][0].filled = flows[i][1].at = flows[i][1].filled = 0;
}

/* Moves what can be moved. False: the connection has ended. */
static bool move(struct flow *f)
{
	ssize_t n;

	if (f->at == f->filled) {
		n = recv(f->from, f->buf, ROOM, MSG_DONTWAIT);
		if (n <= 0)
			return n < 0 && (errno == EAGAIN || errno == EINTR);
		f->at = 0;
		f->filled = (size_t)n;
	}
	n = send(f->to, f->buf + f->at, f->filled - f->at, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	f->at += (size_t)n;
	return true;
}

int main(int argc, char **argv)
{
	struct pollfd p[2 + 2 * PAIRS];
	struct flow *of[2 + 2 * PAIRS];
	struct signalfd_siginfo info;
	bool closed = false;
	sigset_t set;

	if (argc != 3)
		errx(2, "usage: cutrelay LISTEN CONNECT");
	struct sockaddr_un here = address(argv[1]), there = address(argv[2]);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGUSR2);
	sigprocmask(SIG_BLOCK, &set, NULL);
	int signals = signalfd(-1, &set, SFD_CLOEXEC), listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(listening, (struct sockaddr *)&here, sizeof(here)) < 0 || listen(listening, 64) < 0)
		err(1, "%s", argv[1]);
	for (int i = 0; i < PAIRS; i++)
		flows[i][0].from = flows[i][1].from = -1;
	for (;;) {
		int n = 2;

		p[0] = (struct pollfd){ .fd = signals, .events = POLLIN };
		p[1] = (struct pollfd){ .fd = listening, .events = POLLIN };
		for (int i = 0; i < 2 * PAIRS; i++) {
			struct flow *f = &flows[i / 2][i % 2];
			bool full = f->at < f->filled;

			if (f->from < 0)
				continue;
			of[n] = f;
			p[n++] = (struct pollfd){ .fd = full ? f->to : f->from, .events = full ? POLLOUT : POLLIN };
		}
		if (poll(p, (nfds_t)n, -1) < 0)
			continue;
		for (int i = 2; i < n; i++)
			if (p[i].revents && of[i]->from >= 0 && !move(of[i]))
				cut(flows[(of[i] - flows[0]) / 2]);
		if (p[1].revents) {
			int client = accept(listening, NULL, NULL);
			if (closed)
				close(client);
			else
				take(client, &there);
		}
		if (p[0].revents && read(signals, &info, sizeof(info)) == sizeof(info)) {
			closed ^= info.ssi_signo == SIGUSR2;
			for (int i = 0; i < PAIRS; i++)
				cut(flows[i]);
		}
	}
}
