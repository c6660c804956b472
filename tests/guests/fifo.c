/* FIFOs: open, read, write, poll, EOF and SIGPIPE, between two processes that take turns. */
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/select.h>

#include "guest.h"

#ifndef F_SETPIPE_SZ
#define F_SETPIPE_SZ 1031
#define F_GETPIPE_SZ 1032
#endif

#ifndef RWF_NOWAIT
#define RWF_NOWAIT 8
#endif

static void make(const char *name)
{
	SHOW(sys(mknod, P(name), S_IFIFO | 0644, 0));
}

static void show_poll(const char *label, int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN | POLLOUT };
	int n = poll(&p, 1, 0);

	printf("%s: poll %d%s%s%s%s\n", label, n, p.revents & POLLIN ? " in" : "", p.revents & POLLOUT ? " out" : "",
	       p.revents & POLLERR ? " err" : "", p.revents & POLLHUP ? " hup" : "");
}

/* Readiness that another process or the target's kernel makes may take a moment to be seen. */
static void await(const char *label, int fd, short events)
{
	struct pollfd p = { .fd = fd, .events = events };

	printf("%s: %d\n", label, poll(&p, 1, 10000));
}

static void piped(int sig)
{
	printf("signal %d\n", sig);
}

static void alarmed(int sig)
{
}

static void handle(int sig, void (*handler)(int), int flags)
{
	struct sigaction a = { .sa_handler = handler, .sa_flags = flags };

	sigaction(sig, &a, NULL);
}

static void nonblocking_flags(int r)
{
	for (int on = 0; on < 2; on++) {
		int off = !on;

		SHOW(sys(ioctl, r, FIOASYNC, &off));
		SHOW(sys(ioctl, r, FIONBIO, &on));
		SHOW(sys(fcntl, r, F_GETFL) & ~O_LARGEFILE);
		SHOW(sys(fcntl, r, F_SETFL, O_ASYNC | O_NONBLOCK));
		SHOW(sys(fcntl, r, F_GETFL) & ~O_LARGEFILE);
		SHOW(sys(fcntl, r, F_SETFL, O_NONBLOCK));
	}
	SHOW(sys(ioctl, r, FIONBIO, BAD_LOW));
}

/* What is written and read. Another reader, whose descriptor is returned. */
static int nonblocking_bytes(int r, int w)
{
	char buf[8192];
	int r2;

	SHOW(sys(write, w, "hello", 5));
	show_poll("reader, 5 bytes", r);
	show_poll("writer, 5 bytes", w);
	SHOW(sys(ioctl, r, FIONREAD, buf));
	printf("there: %d\n", *(int *)buf);
	nonblocking_flags(r);
	SHOW(sys(read, r, BAD_LOW, 2));
	r2 = SHOWFD(sys(open, P("f1"), O_RDONLY | O_NONBLOCK));
	show_data("two of it", buf, SHOW(sys(read, r2, buf, 2)));
	show_data("the rest", buf, SHOW(sys(read, r, buf, 100)));
	show_poll("reader, empty again", r);
	SHOW(sys(read, r2, buf, 2));
	SHOW(sys(read, w, buf, 2));
	SHOW(sys(write, r, buf, 2));
	SHOW(sys(read, r, BAD_LOW, 0));
	SHOW(sys(read, r, buf, 0));
	SHOW(sys(write, w, buf, 0));
	SHOW(sys(write, w, BAD_LOW, 4));
	SHOW(sys(write, w, "kept", 4));
	SHOW(sys(read, r, BAD_LOW, 4));
	show_poll("reader, nothing was taken", r);
	show_data("kept", buf, SHOW(sys(read, r, buf, 100)));
	return r2;
}

static void nonblocking_ends(int r, int r2, int w)
{
	char buf[8192];

	SHOW(sys(close, r2));
	SHOW(sys(write, w, "tail", 4));
	SHOW(sys(close, w));
	show_data("after the close", buf, SHOW(sys(read, r, buf, 100)));
	await("hangup", r, 0);
	show_poll("reader, end", r);
	SHOW(sys(read, r, buf, 100));
	w = SHOWFD(sys(open, P("f1"), O_WRONLY));
	show_poll("reader, writer is back", r);
	SHOW(sys(read, r, buf, 100));
	SHOW(sys(close, r));
	await("error", w, 0);
	show_poll("writer, no reader", w);
	handle(SIGPIPE, piped, SA_RESTART);
	SHOW(sys(write, w, "x", 1));
	handle(SIGPIPE, SIG_IGN, 0);
	SHOW(sys(write, w, "x", 1));
	SHOW(sys(write, w, "x", 0));
	close(w);
}

static void nonblocking(void)
{
	char buf[8192];
	int r, w;

	section("nonblock");
	make("f1");
	SHOW(sys(open, P("f1"), O_WRONLY | O_NONBLOCK));
	r = SHOWFD(sys(open, P("f1"), O_RDONLY | O_NONBLOCK));
	stat_fd("reader", r);
	show_poll("alone", r);
	SHOW(sys(read, r, buf, 10));
	w = SHOWFD(sys(open, P("f1"), O_WRONLY | O_NONBLOCK));
	show_poll("reader, empty", r);
	show_poll("writer, empty", w);
	SHOW(sys(read, r, buf, 10));
	nonblocking_ends(r, nonblocking_bytes(r, w), w);
}

static void offsets(void)
{
	struct iovec v[2] = { { "ab", 2 }, { "cde", 3 } };
	char buf[100];
	int rw;

	section("not seekable");
	make("f2");
	rw = SHOWFD(sys(open, P("f2"), O_RDWR));
	show_poll("both, empty", rw);
	SHOW(sys(lseek, rw, 0, SEEK_CUR));
	SHOW(sys(lseek, rw, 0, SEEK_END));
	SHOW(sys(pread64, rw, buf, 1, 0));
	SHOW(sys(pwrite64, rw, buf, 1, 0));
	SHOW(sys(ftruncate, rw, 0));
	SHOW(sys(fsync, rw));
	SHOW(sys(fallocate, rw, 0, 0, 10));
	SHOW(sys(getdents64, rw, buf, 100));
	SHOW(sys(mmap, 0, 4096, PROT_READ, MAP_PRIVATE, rw, 0));
	SHOW(sys(writev, rw, v, 2));
	show_poll("both, 5 bytes", rw);
	v[0] = (struct iovec){ buf, 3 };
	v[1] = (struct iovec){ buf + 50, 10 };
	SHOW(sys(readv, rw, v, 2));
	show_data("first", buf, 3);
	show_data("second", buf + 50, 2);
	SHOW(sys(preadv2, rw, v, 2, -1L, -1L, RWF_NOWAIT));
	SHOW(sys(fcntl, rw, F_GETFL) & ~O_LARGEFILE);
	SHOW(sys(fcntl, rw, F_SETFL, O_NONBLOCK));
	SHOW(sys(read, rw, buf, 1));
	SHOW(sys(ioctl, rw, 0x5401, buf));
	close(rw);
}

static void sizes(void)
{
	static char big[1 << 20];
	int r, w, n;

	section("sizes");
	make("f3");
	r = SHOWFD(sys(open, P("f3"), O_RDONLY | O_NONBLOCK));
	w = SHOWFD(sys(open, P("f3"), O_WRONLY | O_NONBLOCK));
	SHOW(sys(fcntl, w, F_GETPIPE_SZ));
	SHOW(sys(fcntl, w, F_SETPIPE_SZ, 5000));
	SHOW(sys(fcntl, r, F_GETPIPE_SZ));
	fill_pattern(big, sizeof(big), 0);
	SHOW(sys(write, w, big, 4096));
	show_poll("half full", w);
	SHOW(sys(write, w, big + 4096, 4096));
	show_poll("full", w);
	SHOW(sys(write, w, big, 1));
	SHOW(sys(write, w, big, 4096));
	SHOW(sys(fcntl, w, F_SETPIPE_SZ, 4096));
	n = SHOW(sys(read, r, big, 10));
	show_poll("ten less", w);
	SHOW(sys(write, w, big, 4096));
	n = SHOW(sys(read, r, big, sizeof(big)));
	show_data("all", big, n);
	show_poll("empty", w);
	SHOW(sys(fcntl, w, F_SETPIPE_SZ, 65536));
	fill_pattern(big, sizeof(big), 0);
	SHOW(sys(write, w, big, sizeof(big)));
	SHOW(sys(write, w, big, 1));
	show_data("all", big, SHOW(sys(read, r, big, sizeof(big))));
	close(r);
	close(w);
}

/* A child that does something after a moment, while we wait in the kernel. */
static pid_t later(void (*what)(void))
{
	pid_t pid = fork_clean();

	if (!pid) {
		usleep(100000);
		what();
		fflush(stdout);
		_exit(0);
	}
	return pid;
}

static void open_reader(void)
{
	char buf[100];
	int r = open(P("f4"), O_RDONLY);

	show_data("the child reads", buf, read(r, buf, sizeof(buf)));
}

static void open_writer(void)
{
	int w = open(P("f4"), O_WRONLY);

	if (write(w, "from the child", 14) != 14)
		puts("write failed");
}

static void open_both(void)
{
	close(open(P("f4"), O_RDWR));
}

static void blocking_open(void)
{
	char buf[100];
	pid_t pid;
	int fd;

	section("blocking open");
	make("f4");
	pid = later(open_reader);
	fd = SHOWFD(sys(open, P("f4"), O_WRONLY));
	(void)!write(fd, "from the parent", 15);
	wait_child("child", pid);
	close(fd);
	pid = later(open_writer);
	fd = SHOWFD(sys(open, P("f4"), O_RDONLY));
	show_data("the parent reads", buf, SHOW(sys(read, fd, buf, sizeof(buf))));
	wait_child("child", pid);
	SHOW(sys(read, fd, buf, sizeof(buf)));
	close(fd);
	/* Whoever has come and gone has been there. */
	pid = later(open_both);
	fd = SHOWFD(sys(open, P("f4"), O_RDONLY));
	SHOW(sys(read, fd, buf, sizeof(buf)));
	wait_child("child", pid);
	close(fd);
	handle(SIGALRM, alarmed, 0);
	ualarm(100000, 0);
	SHOW(sys(open, P("f4"), O_RDONLY));
	ualarm(100000, 0);
	SHOW(sys(open, P("f4"), O_WRONLY));
	handle(SIGALRM, alarmed, SA_RESTART);
	ualarm(50000, 0);
	pid = later(open_reader);
	fd = SHOWFD(sys(open, P("f4"), O_WRONLY));
	(void)!write(fd, "again", 5);
	wait_child("child", pid);
	close(fd);
	SHOW(sys(open, P("f4"), O_RDONLY | O_DIRECTORY));
	fd = SHOWFD(sys(open, P("f4"), O_PATH));
	SHOW(sys(read, fd, buf, 1));
	close(fd);
}

static int shared_r, shared_w;

static void write_shared(void)
{
	(void)!write(shared_w, "late", 4);
}

static void read_shared(void)
{
	static char buf[1 << 20];
	size_t got = 0;
	uint64_t h = hash("", 0);
	ssize_t n;

	while (got < 300000 && (n = read(shared_r, buf, sizeof(buf))) > 0) {
		h = hash_more(h, buf, (size_t)n);
		got += (size_t)n;
	}
	printf("the child read %zu, hash %016llx\n", got, (unsigned long long)h);
}

static void close_writer(void)
{
	close(shared_w);
}

static void blocking_io(void)
{
	static char big[300000];
	char buf[100];
	pid_t pid;

	section("blocking read and write");
	make("f5");
	shared_r = SHOWFD(sys(open, P("f5"), O_RDONLY | O_NONBLOCK));
	shared_w = SHOWFD(sys(open, P("f5"), O_WRONLY));
	SHOW(sys(fcntl, shared_r, F_SETFL, 0));
	pid = later(write_shared);
	show_data("waited for", buf, SHOW(sys(read, shared_r, buf, sizeof(buf))));
	wait_child("child", pid);
	pid = later(write_shared);
	await("poll", shared_r, POLLIN);
	show_data("polled for", buf, SHOW(sys(read, shared_r, buf, sizeof(buf))));
	wait_child("child", pid);
	fill_pattern(big, sizeof(big), 0);
	printf("to come: %016llx\n", (unsigned long long)hash(big, sizeof(big)));
	pid = later(read_shared);
	long n = sys(write, shared_w, big, sizeof(big));
	wait_child("child", pid);
	printf("written: %ld\n", n);
	handle(SIGALRM, alarmed, 0);
	ualarm(100000, 0);
	SHOW(sys(read, shared_r, buf, 1));
	handle(SIGALRM, alarmed, SA_RESTART);
	ualarm(50000, 0);
	pid = later(write_shared);
	SHOW(sys(read, shared_r, buf, sizeof(buf)));
	wait_child("child", pid);
	SHOW(sys(fcntl, shared_w, F_SETPIPE_SZ, 4096));
	handle(SIGALRM, alarmed, 0);
	ualarm(100000, 0);
	SHOW(sys(write, shared_w, big, 10000));
	ualarm(100000, 0);
	SHOW(sys(write, shared_w, big, 10000));
	SHOW(sys(read, shared_r, big, sizeof(big)));
	pid = fork_clean();
	if (!pid) {
		close(shared_r);
		usleep(100000);
		_exit(0);
	}
	close_writer();
	SHOW(sys(read, shared_r, buf, 1));
	wait_child("child", pid);
	close(shared_r);
}

static void pollers(void)
{
	struct epoll_event e = { .events = EPOLLIN | EPOLLET, .data.u32 = 7 }, got;
	struct timeval now = { 0, 0 };
	int r, w, ep = epoll_create1(0);
	char buf[100];
	fd_set in;
	pid_t pid;

	section("epoll, select");
	make("f6");
	r = SHOWFD(sys(open, P("f6"), O_RDONLY | O_NONBLOCK));
	w = SHOWFD(sys(open, P("f6"), O_WRONLY | O_NONBLOCK));
	SHOW(epoll_ctl(ep, EPOLL_CTL_ADD, r, &e));
	SHOW(epoll_wait(ep, &got, 1, 0));
	SHOW(sys(write, w, "1", 1));
	SHOW(epoll_wait(ep, &got, 1, 10000));
	SHOW(epoll_wait(ep, &got, 1, 0));
	SHOW(sys(read, r, buf, 100));
	SHOW(sys(read, r, buf, 100));
	SHOW(sys(write, w, "2", 1));
	SHOW(epoll_wait(ep, &got, 1, 10000));
	SHOW(sys(read, r, buf, 100));
	/* select has room for 1024 descriptors: a native one under this number is as good as any. */
	FD_ZERO(&in);
	if (r < FD_SETSIZE) {
		FD_SET(r, &in);
		select(r + 1, &in, NULL, NULL, &now);
	}
	shared_w = w;
	shared_r = r;
	pid = later(write_shared);
	SHOW(epoll_wait(ep, &got, 1, 10000));
	wait_child("child", pid);
	close(w);
	SHOW(sys(read, r, buf, 100));
	SHOW(epoll_wait(ep, &got, 1, 10000));
	printf("events%s%s\n", got.events & EPOLLHUP ? " hup" : "", got.events & EPOLLIN ? " in" : "");
	close(r);
	close(ep);
}

static void copies(void)
{
	char buf[100];
	int rw, d;
	pid_t pid;

	section("dup and fork");
	make("f7");
	rw = SHOWFD(sys(open, P("f7"), O_RDWR | O_CLOEXEC));
	d = SHOWFD(sys(dup, rw));
	close(rw);
	SHOW(sys(write, d, "dup", 3));
	pid = fork_clean();
	if (!pid) {
		show_data("the child reads", buf, read(d, buf, 100));
		_exit(write(d, "back", 4) != 4);
	}
	wait_child("child", pid);
	show_data("the parent reads", buf, SHOW(sys(read, d, buf, 100)));
	SHOW(sys(unlink, P("f7")));
	SHOW(sys(write, d, "gone", 4));
	SHOW(sys(read, d, buf, 100));
	stat_fd("unlinked", d);
	close(d);
}

/* As a shell's redirections leave them. */
static void low(void)
{
	char buf[100];
	int r, w;

	section("low numbers");
	make("f8");
	r = sys(open, P("f8"), O_RDONLY | O_NONBLOCK);
	w = sys(open, P("f8"), O_WRONLY);
	SHOW(sys(dup2, r, 7));
	SHOW(sys(dup3, w, 8, O_CLOEXEC));
	close(r);
	close(w);
	SHOW(sys(read, 7, buf, 100));
	SHOW(sys(write, 8, "redirected", 10));
	show_poll("low", 7);
	show_data("low", buf, SHOW(sys(read, 7, buf, 100)));
	SHOW(sys(dup2, 7, 9));
	SHOW(sys(write, 8, "again", 5));
	show_data("its copy", buf, SHOW(sys(read, 9, buf, 100)));
	SHOW(sys(lseek, 7, 0, SEEK_CUR));
	SHOW(sys(pread64, 7, buf, 1, 0));
	SHOW(sys(write, 7, "x", 1));
	SHOW(sys(write, 8, BAD_LOW, 1));
	fcntl(7, F_SETFL, 0);
	pid_t pid = fork_clean();
	if (!pid) {
		usleep(20000);
		_exit(sys(write, 8, "from a child", 12) != 12);
	}
	show_data("waited for", buf, SHOW(sys(read, 7, buf, 100)));
	wait_child("child", pid);
	handle(SIGALRM, alarmed, 0);
	alarm(1);
	SHOW(sys(read, 7, buf, 100));
	close(8);
	SHOW(sys(read, 7, buf, 100));
	close(7);
	close(9);
}

int main(int argc, char **argv)
{
	guest_init(argc, argv);
	handle(SIGPIPE, SIG_IGN, 0);
	nonblocking();
	offsets();
	sizes();
	blocking_open();
	blocking_io();
	pollers();
	copies();
	low();
	return 0;
}
