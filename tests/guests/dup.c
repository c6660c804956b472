/* dup, dup2, dup3, F_DUPFD: one open file under several numbers, low ones included. */
#include "guest.h"

static void flags(const char *name, int mode)
{
	int fd = sys(open, P(name), mode | O_CLOEXEC), copy, copy3, copyfd;

	section("%s %o", name, mode);
	copy = SHOWFD(sys(dup, fd));
	copy3 = SHOWFD(sys(dup3, fd, 900, O_CLOEXEC));
	copyfd = SHOWFD(sys(fcntl, fd, F_DUPFD_CLOEXEC, 0));
	printf("cloexec %d %d %d %d\n", fcntl(fd, F_GETFD), fcntl(copy, F_GETFD), fcntl(copy3, F_GETFD),
	       fcntl(copyfd, F_GETFD));
	SHOW(sys(fcntl, copy, F_SETFD, FD_CLOEXEC));
	printf("cloexec %d %d\n", fcntl(fd, F_GETFD), fcntl(copy, F_GETFD));
	SHOW(sys(lseek, copy3, 3, SEEK_SET));
	SHOW(sys(lseek, copyfd, 0, SEEK_CUR));
	SHOW(sys(fcntl, copyfd, F_SETFL, O_APPEND | O_NONBLOCK));
	printf("flags %o %o\n", fcntl(fd, F_GETFL) & ~0100000, fcntl(copy3, F_GETFL) & ~0100000);
	SHOW(sys(close, fd));
	SHOW(sys(close, copyfd));
	SHOW(sys(lseek, copy, 0, SEEK_CUR));
	SHOW(sys(close, copy));
	SHOW(sys(lseek, copy3, 0, SEEK_END));
	SHOW(sys(close, copy3));
	SHOW(sys(close, copy3));
}

/* Access mode 3 and O_PATH: neither to be read nor written, but a file like any other for the rest. */
static void neither(const char *name, int mode)
{
	char buf[4];
	int fd = SHOWFD(sys(open, P(name), mode));

	section("neither: %s %o", name, mode);
	SHOW(sys(dup2, fd, 61));
	SHOW(sys(read, 61, buf, 4));
	SHOW(sys(write, 61, buf, 4));
	SHOW(sys(ftruncate, 61, 4));
	stat_fd("stat", 61);
	SHOW(sys(fchmod, 61, 0600));
	if (!(mode & O_PATH))
		printf("flags %o\n", fcntl(61, F_GETFL) & ~0100000);
	SHOW(sys(close, fd));
	stat_fd("stat", 61);
	SHOW(sys(close, 61));
}

/* A chosen number must be that number, and then work like any other. */
static void numbers(const char *name, int mode)
{
	static const int chosen[] = { 7, 8, 100, 1000 };
	char buf[16];
	int fd = sys(open, P(name), mode);

	section("numbers: %s %o", name, mode);
	for (size_t i = 0; i < COUNT(chosen); i++) {
		memset(buf, 0, sizeof(buf));
		SHOW(sys(dup2, fd, chosen[i]));
		SHOW(sys(pread64, chosen[i], buf, 5, i));
		show_data("read", buf, 5);
		stat_fd("stat", chosen[i]);
		SHOW(sys(lseek, chosen[i], 2, SEEK_SET));
		SHOW(sys(read, chosen[i], buf, 2));
		SHOW(sys(lseek, fd, 0, SEEK_CUR));
		if (mode & O_RDWR) {
			SHOW(sys(write, chosen[i], "dup", 3));
			SHOW(sys(pread64, fd, buf, 5, 3));
			show_data("written", buf, 5);
		}
	}
	SHOW(sys(dup2, fd, fd) == fd);
	SHOW(sys(dup3, fd, fd, 0));
	SHOW(sys(dup3, fd, 20, 1));
	SHOW(sys(dup2, fd, -1));
	SHOW(sys(dup2, -1, 20));
	SHOW(sys(dup2, -1, -1));
	SHOW(sys(dup, -1));
	SHOW(sys(dup, 999999));
	SHOW(sys(dup2, fd, 1 << 30));
	SHOW(sys(fcntl, fd, F_DUPFD, -1L));
	SHOW(sys(fcntl, fd, F_DUPFD, 1 << 30));
	SHOW(sys(fcntl, fd, F_DUPFD, 500));
	SHOW(sys(fcntl, fd, F_DUPFD, 500));
	for (size_t i = 0; i < COUNT(chosen); i++)
		SHOW(sys(close, chosen[i]));
	SHOW(sys(close, 500));
	SHOW(sys(close, 501));
	SHOW(sys(lseek, fd, 0, SEEK_CUR));
	SHOW(sys(close, fd));
	if (mode & O_RDWR)
		show_file(name);
}

static void over_each_other(void)
{
	char buf[8] = "";
	int a = sys(open, P("hello.txt"), O_RDONLY), b = sys(open, P("lines.txt"), O_RDWR), pipes[2];

	section("over each other");
	SHOW(pipe(pipes));
	SHOW(sys(dup2, a, b) == b);
	SHOW(sys(read, b, buf, 5));
	show_data("b is a", buf, 5);
	SHOW(sys(dup2, pipes[0], a) == a);
	SHOW(sys(write, pipes[1], "pipe!", 5));
	SHOW(sys(read, a, buf, 8));
	show_data("a is the pipe", buf, 5);
	SHOW(sys(lseek, a, 0, SEEK_CUR));
	SHOW(sys(dup2, b, pipes[1]) == pipes[1]);
	SHOW(sys(read, pipes[1], buf, 5));
	show_data("the pipe's end is a", buf, 5);
	SHOW(sys(read, pipes[0], buf, 5));
	close(a);
	close(b);
	close(pipes[0]);
	close(pipes[1]);
}

/* As a shell redirects: the file goes to 0 or 1, the original is kept aside and put back. */
static void as_a_shell(void)
{
	char buf[8] = "";
	int fd, saved;

	section("as a shell");
	fflush(stdout);
	saved = sys(fcntl, 1, F_DUPFD_CLOEXEC, 10);
	fd = sys(open, P("redirected"), O_CREAT | O_WRONLY | O_TRUNC, 0644);
	sys(dup2, fd, 1);
	sys(close, fd);
	puts("into the file");
	fflush(stdout);
	sys(write, 1, "raw\n", 4);
	sys(dup2, saved, 1);
	show_file("redirected");
	fflush(stdout);
	fd = sys(open, P("redirected"), O_WRONLY | O_APPEND);
	sys(dup2, fd, 1);
	sys(close, fd);
	puts("appended");
	fflush(stdout);
	sys(dup2, saved, 1);
	sys(close, saved);
	show_file("redirected");
	saved = sys(dup, 0);
	fd = sys(open, P("lines.txt"), O_RDONLY);
	sys(dup2, fd, 0);
	sys(close, fd);
	SHOW(sys(read, 0, buf, 6));
	show_data("stdin", buf, 6);
	SHOW(sys(lseek, 0, 0, SEEK_CUR));
	sys(dup2, saved, 0);
	SHOW(sys(read, 0, buf, 6));
	sys(close, 0);
	fd = sys(open, P("lines.txt"), O_RDWR);
	SHOW(sys(dup2, fd, 0));
	SHOW(sys(read, 0, buf, 6));
	sys(dup2, saved, 0);
	close(fd);
}

int main(int argc, char **argv)
{
	guest_init(argc, argv);
	flags("hello.txt", O_RDONLY);
	flags("hello.txt", O_RDWR);
	flags("sizes/s3145745", O_RDONLY);
	numbers("lines.txt", O_RDONLY);
	numbers("hello.txt", O_RDWR);
	numbers("sizes/s3145745", O_RDONLY);
	numbers("sizes/s1048577", O_RDWR);
	neither("lines.txt", 3);
	neither("lines.txt", O_PATH);
	neither("hello.txt", O_PATH | O_NOFOLLOW);
	over_each_other();
	as_a_shell();
	return 0;
}
