/* AF_UNIX sockets by path: bind, listen, connect, bytes both ways, half close, names, errors. */
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "guest.h"

static char buf[1 << 20];

static socklen_t name_set(struct sockaddr_un *un, const char *path)
{
	memset(un, 0, sizeof(*un));
	un->sun_family = AF_UNIX;
	strncpy(un->sun_path, path, sizeof(un->sun_path) - 1);
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(un->sun_path) + 1);
}

static long do_connect(int fd, const char *path)
{
	struct sockaddr_un un;
	socklen_t len = name_set(&un, path);

	return sys(connect, fd, &un, len);
}

static long do_bind(int fd, const char *path)
{
	struct sockaddr_un un;
	socklen_t len = name_set(&un, path);

	return sys(bind, fd, &un, len);
}

/* A name below T without T. */
static void show_name(const char *label, const struct sockaddr_un *un, socklen_t len)
{
	const char *path = un->sun_path;

	if (len <= offsetof(struct sockaddr_un, sun_path)) {
		printf("%s: unnamed, %u\n", label, len);
		return;
	}
	if (!strncmp(path, T, strlen(T)))
		path += strlen(T);
	printf("%s: family %d, \"%s\", %d more than it\n", label, un->sun_family, path,
	       (int)(len - offsetof(struct sockaddr_un, sun_path) - strlen(un->sun_path)));
}

static void show_names(const char *label, int fd)
{
	struct sockaddr_un un = { 0 };
	socklen_t len = sizeof(un);
	char text[100];

	snprintf(text, sizeof(text), "%s, own", label);
	if (sys(getsockname, fd, &un, &len) < 0)
		printf("%s: %s\n", text, err_name(errno));
	else
		show_name(text, &un, len);
	len = sizeof(un);
	memset(&un, 0, sizeof(un));
	snprintf(text, sizeof(text), "%s, peer", label);
	if (sys(getpeername, fd, &un, &len) < 0)
		printf("%s: %s\n", text, err_name(errno));
	else
		show_name(text, &un, len);
}

static void await(const char *label, int fd, short events)
{
	struct pollfd p = { .fd = fd, .events = events };
	int n = poll(&p, 1, 10000);

	printf("%s: %d%s%s%s\n", label, n, p.revents & POLLIN ? " in" : "", p.revents & POLLHUP ? " hup" : "",
	       p.revents & POLLRDHUP ? " rdhup" : "");
}

static long read_all(int fd, size_t want)
{
	size_t got = 0;
	ssize_t n = 0;

	while (got < want && (n = read(fd, buf + got, want - got)) > 0)
		got += (size_t)n;
	return n < 0 ? -1 : (long)got;
}

static void errors(void)
{
	struct sockaddr_un un;
	int s, type = 0;
	char text[200];

	section("errors");
	s = SHOWFD(socket(AF_UNIX, SOCK_STREAM, 0));
	SHOW(do_connect(s, P("none")));
	SHOW(do_connect(s, P("none/none")));
	SHOW(do_connect(s, P("hello.txt")));
	SHOW(do_connect(s, P("hello.txt/x")));
	SHOW(do_connect(s, P("dir")));
	SHOW(do_connect(s, P("links/self")));
	SHOW(do_connect(-1, P("none")));
	SHOW(do_connect(0, P("none")));
	SHOW(do_bind(-1, P("none")));
	SHOW(do_bind(s, P("hello.txt")));
	SHOW(do_bind(s, P("dir")));
	SHOW(do_bind(s, P("none/none")));
	SHOW(do_bind(s, P("hello.txt/none")));
	SHOW(do_bind(s, P("links/dangling")));
	SHOW(do_bind(s, P("modes/d0000/x")));
	name_set(&un, P("none"));
	SHOW(sys(connect, s, &un, 2));
	SHOW(sys(connect, s, &un, sizeof(un) + 1));
	SHOW(sys(connect, s, BAD_LOW, sizeof(un)));
	SHOW(sys(bind, s, BAD_LOW, sizeof(un)));
	SHOW(sys(bind, s, &un, 3000));
	SHOW(sys(mknod, P("dead"), S_IFSOCK | 0777, 0));
	SHOW(do_connect(s, P("dead")));
	SHOW(sys(open, P("dead"), O_RDWR));
	snprintf(text, sizeof(text), "%s", P("0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"));
	name_set(&un, text);
	memcpy(un.sun_path, text, sizeof(un.sun_path));
	SHOW(sys(connect, s, &un, sizeof(un)));
	type = SHOWFD(socket(AF_INET, SOCK_STREAM, 0));
	SHOW(do_connect(type, P("none")));
	close(type);
	type = SHOWFD(sys(open, P("hello.txt"), O_RDWR));
	SHOW(do_connect(type, P("none")));
	close(type);
	close(s);
}

static int listener(const char *path, int type)
{
	int s = SHOWFD(socket(AF_UNIX, type, 0));

	SHOW(do_bind(s, path));
	stat_path(path + (path[0] == '/' ? strlen(T) + 1 : 0));
	if (type != SOCK_DGRAM)
		SHOW(listen(s, 5));
	return s;
}

/* What CHILD printed comes when it has ended, however the two ran. */
static void wait_and_print(const char *label, pid_t pid, int out)
{
	ssize_t n = read_all(out, sizeof(buf));

	fflush(stdout);
	(void)!write(1, buf, n > 0 ? (size_t)n : 0);
	wait_child(label, pid);
	close(out);
}

static void client(const char *path, int type)
{
	int s = socket(AF_UNIX, type, 0);

	SHOW(do_connect(s, path));
	show_names("client", s);
	SHOW(do_connect(s, path));
	SHOW(write(s, "question", 8));
	show_data("answer", buf, read(s, buf, sizeof(buf)));
	SHOW(shutdown(s, SHUT_WR));
	show_data("after the half close", buf, read_all(s, type == SOCK_STREAM ? 400000 : 100000));
	SHOW(read(s, buf, 1));
	fflush(stdout);
}

static void server(const char *path, int type)
{
	int s = listener(path, type), c, again, out[2];
	pid_t pid;

	show_names("listener", s);
	again = socket(AF_UNIX, type, 0);
	SHOW(do_bind(again, path));
	SHOW(do_bind(s, P("second")));
	close(again);
	again = socket(AF_UNIX, SOCK_DGRAM, 0);
	SHOW(do_connect(again, path));
	close(again);
	(void)!pipe(out);
	pid = fork_clean();
	if (!pid) {
		dup2(out[1], 1);
		close(out[0]);
		close(out[1]);
		close(s);
		client(path, type);
		_exit(0);
	}
	close(out[1]);
	c = SHOWFD(accept(s, NULL, NULL));
	await("question", c, POLLIN);
	show_data("question", buf, read(c, buf, sizeof(buf)));
	show_names("accepted", c);
	(void)!write(c, "answer", 6);
	await("half close", c, POLLIN);
	if (read(c, buf, sizeof(buf)) != 0)
		puts("no end");
	fill_pattern(buf, sizeof(buf), 0);
	if (type == SOCK_STREAM)
		(void)!write(c, buf, 400000);
	else
		(void)!write(c, buf, 100000);
	close(c);
	wait_and_print("client", pid, out[0]);
	close(s);
	/* The name stays, and nobody answers. What tells that may take a moment. */
	s = socket(AF_UNIX, type, 0);
	for (int i = 0; i < 200 && do_connect(s, path) == 0; i++) {
		close(s);
		s = socket(AF_UNIX, type, 0);
		usleep(20000);
	}
	SHOW(do_connect(s, path));
	close(s);
	SHOW(sys(unlink, path));
}

static void messages(void)
{
	int s, c, d, n;

	section("messages keep their bounds");
	s = listener(P("q.sock"), SOCK_SEQPACKET);
	c = SHOWFD(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0));
	SHOW(do_connect(c, P("q.sock")));
	d = SHOWFD(accept(s, NULL, NULL));
	(void)!write(c, "one", 3);
	(void)!write(c, "three", 5);
	SHOW(read(d, buf, sizeof(buf)));
	await("second", d, POLLIN);
	SHOW(read(d, buf, sizeof(buf)));
	SHOW(read(c, buf, sizeof(buf)));
	close(c);
	SHOW(read(d, buf, sizeof(buf)));
	close(d);
	close(s);

	section("datagrams");
	s = listener(P("d.sock"), SOCK_DGRAM);
	c = SHOWFD(socket(AF_UNIX, SOCK_DGRAM, 0));
	n = socket(AF_UNIX, SOCK_STREAM, 0);
	SHOW(do_connect(n, P("d.sock")));
	close(n);
	SHOW(do_connect(c, P("d.sock")));
	show_names("datagram client", c);
	(void)!send(c, "first", 5, 0);
	(void)!send(c, "2nd", 3, 0);
	show_data("datagram", buf, read(s, buf, sizeof(buf)));
	show_data("datagram", buf, read(s, buf, sizeof(buf)));
	close(c);
	close(s);
}

static void in_poller(void)
{
	struct epoll_event e = { .events = EPOLLIN | EPOLLET }, got;
	int ep = epoll_create1(0), s, c, d;

	section("nonblocking, epoll");
	s = listener(P("e.sock"), SOCK_STREAM | SOCK_NONBLOCK);
	SHOW(accept(s, NULL, NULL));
	SHOW(epoll_ctl(ep, EPOLL_CTL_ADD, s, &e));
	c = SHOWFD(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0));
	SHOW(epoll_ctl(ep, EPOLL_CTL_ADD, c, &e));
	SHOW(do_connect(c, P("e.sock")));
	await("accept", s, POLLIN);
	d = SHOWFD(accept(s, NULL, NULL));
	SHOW(read(c, buf, 1));
	(void)!write(d, "x", 1);
	await("byte", c, POLLIN);
	SHOW(epoll_wait(ep, &got, 1, 10000));
	SHOW(read(c, buf, 10));
	close(d);
	await("end", c, POLLIN | POLLRDHUP);
	SHOW(read(c, buf, 10));
	signal(SIGPIPE, SIG_IGN);
	SHOW(write(c, "x", 1));
	close(c);
	close(s);
	close(ep);
}

static void elsewhere(void)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX, .sun_path = "\0guest-abstract" };
	int s = socket(AF_UNIX, SOCK_STREAM, 0), c;

	section("relative and abstract");
	snprintf(un.sun_path + 15, 40, "%d", (int)getpid());
	SHOW(sys(bind, s, &un, 40));
	SHOW(listen(s, 1));
	c = socket(AF_UNIX, SOCK_STREAM, 0);
	SHOW(sys(connect, c, &un, 40));
	close(c);
	close(s);
	SHOW(sys(chdir, P("dir")));
	umask(077);
	s = socket(AF_UNIX, SOCK_STREAM, 0);
	SHOW(do_bind(s, "rel.sock"));
	stat_path("dir/rel.sock");
	show_names("relative", s);
	SHOW(listen(s, 1));
	c = socket(AF_UNIX, SOCK_STREAM, 0);
	SHOW(do_connect(c, "./rel.sock"));
	show_names("client", c);
	close(c);
	SHOW(sys(unlink, "rel.sock"));
	close(s);
}

int main(int argc, char **argv)
{
	guest_init(argc, argv);
	errors();
	section("stream");
	server(P("s.sock"), SOCK_STREAM);
	section("seqpacket");
	server(P("p.sock"), SOCK_SEQPACKET);
	messages();
	in_poller();
	elsewhere();
	return 0;
}
