/* Local and remote objects side by side: pipes, sockets, poll, descriptors that travel. */
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <termios.h>

#include "guest.h"

static void polling(const char *name, int mode)
{
	int fd = sys(open, P(name), mode), epoll = epoll_create1(0);
	struct epoll_event ev = { .events = EPOLLIN };
	struct pollfd pfd = { .fd = fd, .events = POLLIN | POLLOUT };
	struct termios tio;

	section("polling %s %o", name, mode);
	SHOW(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &ev));
	SHOW(poll(&pfd, 1, 0));
	printf("revents %x\n", pfd.revents);
	SHOW(ioctl(fd, TCGETS, &tio));
	SHOW(isatty(fd));
	if (fd < FD_SETSIZE) {
		fd_set set;

		FD_ZERO(&set);
		FD_SET(fd, &set);
		select(fd + 1, &set, NULL, NULL, NULL);
	}
	SHOW(close(fd));
	close(epoll);
}

static void pass(const char *name, int mode)
{
	int pair[2], fd = sys(open, P(name), mode);
	char data = 'x', control[CMSG_SPACE(sizeof(int))] = "", buf[16] = "";
	struct iovec iov = { &data, 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	pid_t pid;

	section("passing %s %o", name, mode);
	SHOW(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	SHOW(sys(lseek, fd, 5, SEEK_SET));
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(int));
	SHOW(sendmsg(pair[0], &msg, 0));
	SHOW(close(fd));
	pid = fork_clean();
	if (!pid) {
		int got = -1;

		close(pair[0]);
		SHOW(recvmsg(pair[1], &msg, 0));
		memcpy(&got, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(int));
		SHOW(sys(read, got, buf, 6));
		show_data("received", buf, 6);
		stat_fd("received", got);
		SHOW(sys(close, got));
		fflush(stdout);
		_exit(0);
	}
	wait_child("receiver", pid);
	close(pair[0]);
	close(pair[1]);
}

static void local_descriptors(void)
{
	int root = SHOWFD(sys(open, "/", O_RDONLY | O_DIRECTORY)), tree = SHOWFD(sys(open, T, O_RDONLY)), null, fd;
	char buf[8];

	section("local and remote directories");
	close(SHOWFD(sys(openat, root, P("hello.txt"), O_RDONLY)));
	close(SHOWFD(sys(openat, root, P("hello.txt") + 1, O_RDONLY)));
	close(SHOWFD(sys(openat, tree, "/etc/passwd", O_RDONLY)));
	null = SHOWFD(sys(openat, tree, "/dev/null", O_RDWR));
	SHOW(sys(write, null, "x", 1));
	SHOW(sys(read, null, buf, 1));
	SHOW(sys(fcntl, null, F_GETFD));
	SHOW(sys(access, "/proc/self/status", R_OK));
	fd = SHOWFD(sys(open, "/proc/self/status", O_RDONLY));
	SHOW(sys(read, fd, buf, 5));
	show_data("status", buf, 5);
	close(fd);
	SHOW(sys(chdir, T));
	fd = SHOWFD(sys(open, "/proc/self/cmdline", O_RDONLY));
	close(fd);
	close(SHOWFD(sys(open, "../t/hello.txt", O_RDONLY)));
	close(root);
	close(tree);
	close(null);
}

/* A pipe between a process that reads the tree and one that writes to it. */
static void pipeline(void)
{
	int pipes[2], status;
	char buf[5000];
	long n;
	pid_t from, to;

	section("pipeline");
	SHOW(pipe(pipes));
	from = fork_clean();
	if (!from) {
		int fd = sys(open, P("sizes/s1048577"), O_RDONLY);

		sys(dup2, fd, 0);
		sys(dup2, pipes[1], 1);
		close(pipes[0]);
		close(pipes[1]);
		while ((n = sys(read, 0, buf, sizeof(buf))) > 0)
			if (sys(write, 1, buf, n) < 0)
				_exit(1);
		_exit(n < 0);
	}
	to = fork_clean();
	if (!to) {
		int fd = sys(open, P("piped"), O_CREAT | O_WRONLY, 0644);

		sys(dup2, pipes[0], 0);
		sys(dup2, fd, 1);
		close(pipes[0]);
		close(pipes[1]);
		while ((n = sys(read, 0, buf, sizeof(buf))) > 0)
			if (sys(write, 1, buf, n) < 0)
				_exit(1);
		_exit(n < 0);
	}
	close(pipes[0]);
	close(pipes[1]);
	waitpid(from, &status, 0);
	show_status("from", status);
	waitpid(to, &status, 0);
	show_status("to", status);
	show_file("piped");
}

/* From a local place into a directory that was removed. */
static void into_removed(void)
{
	section("into a removed directory");
	SHOW(sys(mkdir, P("gone"), 0755));
	SHOW(sys(chdir, P("gone")));
	SHOW(sys(rmdir, P("gone")));
	SHOW(sys(link, "/etc/passwd", "i"));
	SHOW(sys(link, "/etc/passwd", "."));
	SHOW(sys(link, "/etc/passwd", ".."));
	SHOW(sys(rename, "/proc/version", "i"));
	SHOW(sys(chdir, "/"));
}

int main(int argc, char **argv)
{
	guest_init(argc, argv);
	polling("hello.txt", O_RDONLY);
	polling("hello.txt", O_RDWR);
	polling("sizes/s3145745", O_RDONLY);
	polling("dir", O_RDONLY);
	pass("lines.txt", O_RDONLY);
	local_descriptors();
	pipeline();
	into_removed();
	return 0;
}
