/* splice, tee and vmsplice of pipes with files of the tree; sendfile into pipes and sockets that are full or gone. */
#include <signal.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/time.h>
#include "guest.h"

static char buf[1 << 20];
static volatile int caught;

static void on_signal(int sig)
{
	caught = sig;
}

static void alarm_in(int ms, int flags)
{
	struct sigaction act = { .sa_handler = on_signal, .sa_flags = flags };
	struct itimerval timer = { .it_value.tv_usec = ms * 1000 };

	sigaction(SIGALRM, &act, NULL);
	caught = 0;
	setitimer(ITIMER_REAL, &timer, NULL);
}

static void show_pipe(int fd)
{
	long n;

	fcntl(fd, F_SETFL, O_NONBLOCK);
	n = sys(read, fd, buf, sizeof(buf));
	if (n < 0)
		printf("pipe: %s\n", err_name(errno));
	else
		show_data("pipe", buf, n);
	fcntl(fd, F_SETFL, 0);
}

static void out_of_files(void)
{
	static const struct { const char *name; int flags; long at; size_t len; } cases[] = {
		{ "hello.txt", O_RDONLY, -1, 1000 }, { "hello.txt", O_RDWR, -1, 5 }, { "hello.txt", O_RDWR, 3, 1000 },
		{ "empty", O_RDWR, -1, 10 }, { "sizes/s131072", O_RDWR, -1, 1 << 20 }, { "sizes/s131072", O_RDWR, 100, 1 << 20 },
		{ "sizes/s3145745", O_RDONLY, 3145700, 1 << 20 }, { "sizes/s3145745", O_RDONLY, 3145745, 10 }, { "sizes/s3145745", O_RDONLY, 4095, 4098 },
		{ "sizes/s3145745", O_RDONLY, 1L << 40, 10 }, { "sizes/s3145745", O_RDONLY, -1, 1UL << 40 },
	};

	section("file to pipe");
	for (size_t i = 0; i < COUNT(cases); i++) {
		int fd = sys(open, P(cases[i].name), cases[i].flags), p[2];
		off_t off = cases[i].at;

		if (pipe(p) < 0)
			return;
		printf("%s %x at %ld, %zu\n", cases[i].name, cases[i].flags, (long)off, cases[i].len);
		SHOW(sys(splice, fd, off < 0 ? NULL : &off, p[1], NULL, cases[i].len, 0));
		printf("offset %ld, file at %ld\n", (long)off, sys(lseek, fd, 0, SEEK_CUR));
		show_pipe(p[0]);
		SHOW(sys(splice, fd, off < 0 ? NULL : &off, p[1], NULL, cases[i].len, SPLICE_F_NONBLOCK | SPLICE_F_MOVE | SPLICE_F_MORE));
		show_pipe(p[0]);
		SHOW(sys(sendfile, p[1], fd, NULL, cases[i].len));
		show_pipe(p[0]);
		close(fd);
		close(p[0]);
		close(p[1]);
	}
}

static void into_files(void)
{
	int fd = SHOWFD(sys(open, P("made"), O_CREAT | O_RDWR, 0600)), append = SHOWFD(sys(open, P("made"), O_WRONLY | O_APPEND)), p[2];
	off_t at = 100;

	section("pipe to file");
	if (pipe(p) < 0)
		return;
	SHOW(sys(splice, p[0], NULL, fd, NULL, 10, SPLICE_F_NONBLOCK));
	SHOW(sys(write, p[1], "0123456789", 10));
	SHOW(sys(splice, p[0], NULL, fd, NULL, 4, 0));
	SHOW(sys(splice, p[0], NULL, fd, &at, 100, 0));
	printf("offset %ld, file at %ld\n", (long)at, sys(lseek, fd, 0, SEEK_CUR));
	show_file("made");
	SHOW(sys(write, p[1], "0123456789", 10));
	SHOW(sys(splice, p[0], NULL, append, NULL, 4, 0));
	show_pipe(p[0]);
	fill_pattern(buf, 65536, 7);
	SHOW(sys(write, p[1], buf, 65536));
	SHOW(sys(splice, p[0], NULL, fd, NULL, 1 << 20, 0));
	show_file("made");
	/* A pipe that was spliced before is another one to reads that may not wait. */
	int null = sys(open, "/dev/null", O_WRONLY);
	at = 0;
	SHOW(sys(write, p[1], "spliced", 7));
	SHOW(sys(splice, p[0], NULL, null, NULL, 2, 0));
	SHOW(sys(splice, p[0], NULL, fd, &at, 3, 0));
	show_pipe(p[0]);
	SHOW(sys(write, p[1], "last", 4));
	close(p[1]);
	SHOW(sys(splice, p[0], NULL, fd, NULL, 100, 0));
	SHOW(sys(splice, p[0], NULL, fd, NULL, 100, 0));
	show_file("made");
	close(p[0]);
	close(null);
	close(fd);
	close(append);
}

/* Another process writes in its own time, and the splices add up to it. */
static void through(void)
{
	int in = SHOWFD(sys(open, P("sizes/s3145745"), O_RDONLY)), out = SHOWFD(sys(open, P("through"), O_CREAT | O_WRONLY, 0600)), p[2];
	long n, total = 0;
	pid_t pid;

	section("through a pipe");
	if (pipe(p) < 0)
		return;
	pid = fork_clean();
	if (!pid) {
		close(p[0]);
		while ((n = sys(splice, in, NULL, p[1], NULL, 100000, 0)) > 0)
			total += n;
		printf("child: %ld, then %ld\n", total, n);
		fflush(stdout);
		_exit(0);
	}
	close(p[1]);
	while ((n = sys(splice, p[0], NULL, out, NULL, 30000, 0)) > 0)
		total += n;
	wait_child("child", pid);
	printf("parent: %ld, then %ld\n", total, n);
	show_file("through");
	close(in);
	close(out);
	close(p[0]);
}

static void full(void)
{
	int fd = SHOWFD(sys(open, P("sizes/s3145745"), O_RDONLY)), out = SHOWFD(sys(open, P("made"), O_RDWR)), p[2], s[2];

	section("full and empty");
	if (pipe(p) < 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, s) < 0)
		return;
	SHOW(sys(splice, fd, NULL, p[1], NULL, 1 << 20, 0));
	SHOW(sys(splice, fd, NULL, p[1], NULL, 1 << 20, SPLICE_F_NONBLOCK));
	alarm_in(50, 0);
	SHOW(sys(splice, fd, NULL, p[1], NULL, 1 << 20, 0));
	printf("caught %d, file at %ld\n", caught, sys(lseek, fd, 0, SEEK_CUR));
	alarm_in(50, 0);
	SHOW(sys(sendfile, p[1], fd, NULL, 1 << 20));
	printf("caught %d, file at %ld\n", caught, sys(lseek, fd, 0, SEEK_CUR));
	fcntl(p[1], F_SETFL, O_NONBLOCK);
	SHOW(sys(splice, fd, NULL, p[1], NULL, 1 << 20, 0));
	SHOW(sys(sendfile, p[1], fd, NULL, 1 << 20));
	fcntl(p[1], F_SETFL, 0);
	show_pipe(p[0]);
	alarm_in(50, 0);
	SHOW(sys(splice, p[0], NULL, out, NULL, 10, 0));
	printf("caught %d\n", caught);
	fcntl(p[0], F_SETFL, O_NONBLOCK);
	SHOW(sys(splice, p[0], NULL, out, NULL, 10, 0));
	fcntl(s[0], F_SETFL, O_NONBLOCK);
	for (long n = 1; n > 0;)
		n = sys(sendfile, s[0], fd, NULL, 1 << 20);
	printf("a full socket: %s\n", err_name(errno));
	fcntl(s[0], F_SETFL, 0);
	alarm_in(50, 0);
	SHOW(sys(sendfile, s[0], fd, NULL, 100000));
	printf("caught %d\n", caught);
	close(fd);
	close(out);
	close(p[0]);
	close(p[1]);
	close(s[0]);
	close(s[1]);
}

/* Small and large, at and above the end of what is read, and a directory. */
static const char *const sources[] = { "hello.txt", "empty", "sizes/s3145745", "dir" };

#define SHOW_CAUGHT(call) (caught = 0, SHOW(call), printf("caught %d\n", caught))

static void gone(void)
{
	int fd = SHOWFD(sys(open, P("sizes/s3145745"), O_RDONLY)), p[2], s[2];
	struct sigaction act = { .sa_handler = on_signal };

	section("nobody reads");
	if (pipe(p) < 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, s) < 0)
		return;
	close(p[0]);
	close(s[1]);
	sigaction(SIGPIPE, &act, NULL);
	caught = 0;
	SHOW(sys(splice, fd, NULL, p[1], NULL, 100, 0));
	printf("caught %d\n", caught);
	caught = 0;
	SHOW(sys(sendfile, p[1], fd, NULL, 100));
	printf("caught %d\n", caught);
	caught = 0;
	SHOW(sys(sendfile, s[0], fd, NULL, 100));
	printf("caught %d, file at %ld\n", caught, sys(lseek, fd, 0, SEEK_CUR));
	close(fd);
	for (size_t i = 0; i < COUNT(sources); i++) {
		off_t at = LONG_MAX - 5, zero = 0;

		fd = sys(open, P(sources[i]), O_RDONLY);
		printf("%s\n", sources[i]);
		SHOW_CAUGHT(sys(sendfile, p[1], fd, NULL, 0));
		SHOW_CAUGHT(sys(sendfile, p[1], fd, NULL, -1L));
		SHOW_CAUGHT(sys(sendfile, p[1], fd, &at, 10));
		SHOW_CAUGHT(sys(sendfile, p[1], fd, &zero, 10));
		SHOW_CAUGHT(sys(splice, fd, NULL, p[1], NULL, 0, 0));
		SHOW_CAUGHT(sys(splice, fd, NULL, p[1], NULL, 10, SPLICE_F_NONBLOCK));
		SHOW_CAUGHT(sys(splice, fd, &zero, p[1], NULL, 10, 0));
		SHOW_CAUGHT(sys(splice, fd, &at, p[1], NULL, 10, 0));
		close(fd);
	}
	close(p[1]);
	close(s[0]);
}

/* What is there to be spliced is looked at when there is room. */
static void no_room(void)
{
	int p[2];

	section("a full pipe");
	if (pipe2(p, O_NONBLOCK) < 0)
		return;
	while (write(p[1], buf, 4096) > 0)
		;
	for (size_t i = 0; i < COUNT(sources); i++) {
		int fd = sys(open, P(sources[i]), O_RDONLY);

		printf("%s\n", sources[i]);
		SHOW(sys(sendfile, p[1], fd, NULL, 0));
		SHOW(sys(sendfile, p[1], fd, NULL, 10));
		SHOW(sys(splice, fd, NULL, p[1], NULL, 10, 0));
		SHOW(sys(splice, fd, NULL, p[1], NULL, 0, 0));
		close(fd);
	}
	close(p[0]);
	close(p[1]);
}

static void errors(void)
{
	static const struct { const char *name; int flags; } opens[] = {
		{ "hello.txt", O_RDWR }, { "sizes/s3145745", O_RDONLY }, { "made", O_WRONLY }, { "made", O_RDWR | O_APPEND }, { "dir", O_RDONLY },
		{ "hello.txt", O_PATH },
	};
	int p[2];
	struct iovec v = { buf, 3 };

	section("errors");
	if (pipe(p) < 0 || write(p[1], "abcdef", 6) != 6)
		return;
	for (size_t i = 0; i < COUNT(opens); i++) {
		int fd = sys(open, P(opens[i].name), opens[i].flags);
		off_t zero = 0, negative = -1, far = LONG_MAX - 2;

		printf("%s %x\n", opens[i].name, opens[i].flags);
		SHOW(sys(splice, fd, NULL, fd, NULL, 5, 0));
		SHOW(sys(splice, fd, NULL, -1, NULL, 5, 0));
		SHOW(sys(splice, -1, NULL, fd, NULL, 5, 0));
		SHOW(sys(splice, fd, NULL, p[1], NULL, 0, 0));
		SHOW(sys(splice, fd, NULL, p[1], NULL, 5, 0x100));
		SHOW(sys(splice, fd, NULL, p[1], NULL, 0, 0x100));
		SHOW(sys(splice, fd, NULL, p[1], &zero, 5, 0));
		SHOW(sys(splice, p[0], &zero, fd, NULL, 5, 0));
		SHOW(sys(splice, fd, NULL, p[0], NULL, 5, 0));
		SHOW(sys(splice, p[1], NULL, fd, NULL, 5, 0));
		SHOW(sys(splice, fd, BAD_KERNEL, p[1], NULL, 5, 0));
		SHOW(sys(splice, p[0], NULL, fd, BAD_LOW, 5, 0));
		SHOW(sys(splice, fd, &negative, p[1], NULL, 5, 0));
		SHOW(sys(splice, p[0], NULL, fd, &negative, 5, 0));
		SHOW(sys(splice, fd, &far, p[1], NULL, 50, 0));
		SHOW(sys(splice, p[0], NULL, fd, &far, 50, 0));
		SHOW(sys(splice, fd, NULL, p[1], NULL, -1L, SPLICE_F_NONBLOCK) >= 0);
		SHOW(sys(tee, fd, p[1], 5, 0));
		SHOW(sys(tee, p[0], fd, 5, 0));
		SHOW(sys(tee, fd, fd, 0, 0));
		SHOW(sys(tee, fd, fd, 5, 0x100));
		SHOW(sys(vmsplice, fd, &v, 1, 0));
		SHOW(sys(vmsplice, fd, &v, 1, 0x100));
		close(fd);
		show_pipe(p[0]);
		if (write(p[1], "abcdef", 6) != 6)
			return;
	}
	show_file("made");
}

int main(int argc, char **argv)
{
	guest_init(argc, argv);
	out_of_files();
	into_files();
	through();
	full();
	gone();
	no_room();
	errors();
	return 0;
}
