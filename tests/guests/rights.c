/* Descriptors passed over AF_UNIX sockets (SCM_RIGHTS) and by pidfd_getfd: what the receiver can do with them. */
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "guest.h"

#define MANY 3

union control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(MANY * sizeof(int))];
};

/* One byte with COUNT descriptors; sendmsg's result. */
static long send_fds(int sock, const int *fds, int count)
{
	union control u = { 0 };
	char byte = (char)('0' + count);
	struct iovec v = { &byte, 1 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = &u, .msg_controllen = CMSG_SPACE(count * sizeof(int)) };
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);

	h->cmsg_level = SOL_SOCKET;
	h->cmsg_type = SCM_RIGHTS;
	h->cmsg_len = CMSG_LEN(count * sizeof(int));
	memcpy(CMSG_DATA(h), fds, count * sizeof(int));
	return sys(sendmsg, sock, &m, 0);
}

/* What came with a byte, with room for COUNT: how many, -1 for an error. */
static int take_fds(int sock, int *fds, int count, int flags)
{
	union control u = { 0 };
	char byte = 0;
	struct iovec v = { &byte, 1 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = &u, .msg_controllen = CMSG_LEN(count * sizeof(int)) };
	struct cmsghdr *h;

	if (SHOW(sys(recvmsg, sock, &m, flags)) <= 0)
		return -1;
	h = CMSG_FIRSTHDR(&m);
	printf("flags %x, byte %c\n", m.msg_flags, byte);
	if (!h || h->cmsg_type != SCM_RIGHTS)
		return 0;
	count = (int)((h->cmsg_len - CMSG_LEN(0)) / sizeof(int));
	memcpy(fds, CMSG_DATA(h), count * sizeof(int));
	return count;
}

static void show_use(const char *label, int fd)
{
	char buf[64];
	long n;

	section("%s", label);
	SHOW(sys(lseek, fd, 0, SEEK_CUR));
	n = SHOW(sys(read, fd, buf, 10));
	show_data("read", buf, n);
	n = SHOW(sys(pread64, fd, buf, 10, 3));
	show_data("pread", buf, n);
	SHOW(sys(fcntl, fd, F_GETFL) & (O_ACCMODE | O_APPEND));
	SHOW(sys(fcntl, fd, F_GETFD));
	stat_fd(label, fd);
}

static void map(const char *label, int fd)
{
	char *p = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);

	if (p == MAP_FAILED)
		printf("%s: mmap -1 %s\n", label, err_name(errno));
	else
		show_data(label, p, 40);
}

/* Between two processes that take turns: the child receives. */
static void between(const char *name, int flags, int type)
{
	int s[2], fd = sys(open, P(name), flags, 0644), got;
	char buf[16];

	section("%s %o between processes, type %d", name, flags, type);
	socketpair(AF_UNIX, type, 0, s);
	SHOW(sys(lseek, fd, 2, SEEK_SET));
	pid_t pid = fork_clean();
	if (!pid) {
		close(fd);
		close(s[0]);
		if (take_fds(s[1], &got, 1, MSG_CMSG_CLOEXEC) != 1)
			_exit(1);
		show_use("received", got);
		if ((flags & O_ACCMODE) != O_RDONLY)
			SHOW(sys(write, got, "from the child", 14));
		map("mapped", got);
		if ((flags & O_ACCMODE) != O_RDONLY) {
			SHOW(sys(pwrite64, got, "P", 1, 1));
			SHOW(sys(ftruncate, got, 40));
			SHOW(sys(fsync, got));
		}
		SHOW(sys(lseek, got, 5, SEEK_SET));
		SHOW(sys(close, got));
		fflush(stdout);
		_exit(0);
	}
	long sent = send_fds(s[0], &fd, 1);
	wait_child("receiver", pid);
	printf("sent %ld\n", sent);
	SHOW(sys(lseek, fd, 0, SEEK_CUR));
	long n = SHOW(sys(read, fd, buf, 8));
	show_data("sender reads on", buf, n);
	if ((flags & O_ACCMODE) != O_RDONLY)
		SHOW(sys(write, fd, "sender", 6));
	close(fd);
	close(s[0]);
	close(s[1]);
	show_file(name);
}

/* In a message that nobody has read yet, of a sender that is dead. */
static void in_flight(void)
{
	int s[2], got;

	section("in flight");
	socketpair(AF_UNIX, SOCK_STREAM, 0, s);
	pid_t pid = fork_clean();
	if (!pid) {
		int fd = sys(open, P("flight"), O_RDWR | O_CREAT, 0600);

		sys(write, fd, "0123456789", 10);
		send_fds(s[0], &fd, 1);
		sys(unlink, P("flight"));
		_exit(0);
	}
	wait_child("sender", pid);
	if (take_fds(s[1], &got, 1, 0) == 1) {
		SHOW(sys(write, got, "abc", 3));
		SHOW(sys(lseek, got, 0, SEEK_SET));
		show_use("from the dead", got);
		SHOW(sys(close, got));
	}
	close(s[0]);
	close(s[1]);
}

static void several(void)
{
	int s[2], fds[MANY], got[MANY], n;
	struct stat st;

	section("several, and no room");
	socketpair(AF_UNIX, SOCK_SEQPACKET, 0, s);
	fds[0] = sys(open, P("hello.txt"), O_RDONLY);
	fds[1] = sys(open, P(""), O_RDONLY | O_DIRECTORY);
	fds[2] = sys(open, P("new"), O_RDWR | O_CREAT | O_APPEND, 0600);
	SHOW(send_fds(s[0], fds, 3));
	n = take_fds(s[1], got, 3, 0);
	printf("%d came\n", n);
	for (int i = 0; i < n; i++) {
		SHOW(sys(fstat, got[i], &st));
		printf("%d: directory %d\n", i, S_ISDIR(st.st_mode));
		printf("same description %ld\n", sys(kcmp, getpid(), getpid(), 0 /* KCMP_FILE */, fds[i], got[i]));
	}
	SHOW(sys(newfstatat, got[1], "hello.txt", &st, 0));
	SHOW(sys(fchdir, got[1]));
	SHOW(sys(access, "hello.txt", R_OK));
	SHOWFD(sys(openat, got[1], "lines.txt", O_RDONLY));
	SHOW(sys(write, got[2], "one", 3));
	SHOW(sys(write, fds[2], "two", 3));
	show_file("new");
	SHOW(send_fds(s[0], fds, 3));
	n = take_fds(s[1], got, 1, 0);
	printf("%d came\n", n);
	show_use("the first", got[0]);
	fds[1] = 999;
	SHOW(send_fds(s[0], fds, 3));
	SHOW(sys(recvfrom, s[1], got, 1, MSG_DONTWAIT, 0, 0));
	SHOW(sys(sendmsg, s[0], BAD_LOW, 0));
	for (int i = 0; i < MANY; i++)
		close(got[i]);
	close(s[0]);
	close(s[1]);
}

/* sendmmsg and recvmmsg; the sender has closed its own before the receiver reads. */
static void by_the_dozen(void)
{
	union control u[2] = { 0 };
	struct mmsghdr m[2] = { 0 };
	struct iovec v[2];
	char bytes[2] = "ab";
	int s[2], fd[2], got[2];

	section("sendmmsg, recvmmsg");
	socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, s);
	fd[0] = sys(open, P("lines.txt"), O_RDWR);
	fd[1] = sys(open, P("hello.txt"), O_WRONLY);
	SHOW(sys(recvmmsg, s[1], m, 2, 0, 0));
	for (int i = 0; i < 2; i++) {
		v[i] = (struct iovec){ bytes + i, 1 };
		m[i].msg_hdr = (struct msghdr){ .msg_iov = v + i, .msg_iovlen = 1, .msg_control = u + i, .msg_controllen = CMSG_SPACE(sizeof(int)) };
		u[i].align = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS };
		memcpy(CMSG_DATA(&u[i].align), fd + i, sizeof(int));
	}
	SHOW(sys(sendmmsg, s[0], m, 2, 0));
	close(fd[0]);
	close(fd[1]);
	memset(u, 0, sizeof(u));
	m[0].msg_hdr.msg_controllen = m[1].msg_hdr.msg_controllen = sizeof(u[0]);
	SHOW(sys(recvmmsg, s[1], m, 2, 0, 0));
	for (int i = 0; i < 2; i++)
		memcpy(got + i, CMSG_DATA(&u[i].align), sizeof(int));
	show_use("first", got[0]);
	show_use("second", got[1]);
	SHOW(sys(write, got[1], "HELLO", 5));
	SHOW(sys(close, got[1]));
	show_file("hello.txt");
	close(got[0]);
	close(s[0]);
	close(s[1]);
}

static int thread_socks[2];

static void *thread_main(void *arg)
{
	socketpair(AF_UNIX, SOCK_STREAM, 0, thread_socks);
	return arg;
}

/* The socket is another thread's making. */
static void from_thread(void)
{
	int fd = sys(open, P("lines.txt"), O_RDWR), got;
	pthread_t thread;

	section("a socket that another thread made");
	pthread_create(&thread, NULL, thread_main, NULL);
	pthread_join(thread, NULL);
	SHOW(send_fds(thread_socks[0], &fd, 1));
	close(fd);
	if (take_fds(thread_socks[1], &got, 1, 0) == 1)
		show_use("received", got);
}

static void by_pidfd(void)
{
	int s[2], n = 0;
	char c;

	section("pidfd_getfd");
	socketpair(AF_UNIX, SOCK_STREAM, 0, s);
	prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
	pid_t pid = fork_clean();
	if (!pid) {
		int fd = sys(open, P("lines.txt"), O_RDWR);

		prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
		sys(lseek, fd, 7, SEEK_SET);
		sys(write, s[1], &fd, sizeof(fd));
		sys(read, s[1], &c, 1);
		printf("the other's offset: %ld\n", sys(lseek, fd, 0, SEEK_CUR));
		fflush(stdout);
		_exit(0);
	}
	sys(read, s[0], &n, sizeof(n));
	int pidfd = sys(pidfd_open, pid, 0);
	int got = SHOWFD(sys(pidfd_getfd, pidfd, n, 0));
	if (got >= 0)
		show_use("fetched", got);
	SHOW(sys(pidfd_getfd, pidfd, n, 1));
	SHOW(sys(pidfd_getfd, pidfd, 999, 0));
	SHOW(sys(pidfd_getfd, -1, n, 0));
	SHOW(sys(pidfd_getfd, s[0], n, 0));
	sys(write, s[0], "x", 1);
	wait_child("owner", pid);
	close(got);
	close(pidfd);
}

int main(int argc, char **argv)
{
	guest_init(argc, argv);
	between("lines.txt", O_RDONLY, SOCK_STREAM);
	between("lines.txt", O_RDWR, SOCK_DGRAM);
	between("made", O_RDWR | O_CREAT, SOCK_SEQPACKET);
	between("sizes/s3145745", O_RDONLY, SOCK_STREAM);
	in_flight();
	several();
	by_the_dozen();
	from_thread();
	by_pidfd();
	return 0;
}
