/* splice, sendfile, tee and vmsplice of FIFOs of the tree, with files, pipes and each other. */
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "guest.h"

#define NOW SPLICE_F_NONBLOCK

static char buf[1 << 20];
static volatile int caught;

static void on_signal(int sig)
{
	caught = sig;
}

static void show_pipe(const char *label, int fd)
{
	long n;

	fcntl(fd, F_SETFL, O_NONBLOCK);
	n = sys(read, fd, buf, sizeof(buf));
	if (n < 0)
		printf("%s: %s\n", label, err_name(errno));
	else
		show_data(label, buf, n);
}

/* Both ends of a FIFO, which do not wait. */
static void open_both(const char *name, int ends[2])
{
	sys(mknod, P(name), S_IFIFO | 0600, 0);
	ends[0] = SHOWFD(sys(open, P(name), O_RDONLY | O_NONBLOCK));
	ends[1] = SHOWFD(sys(open, P(name), O_WRONLY | O_NONBLOCK));
}

static void close_both(int ends[2])
{
	close(ends[0]);
	close(ends[1]);
}

static void from_files(void)
{
	static const struct { const char *name; int flags; long at; size_t len; } cases[] = {
		{ "hello.txt", O_RDONLY, -1, 1000 }, { "hello.txt", O_RDWR, 3, 1000 }, { "empty", O_RDWR, -1, 10 },
		{ "sizes/s131072", O_RDWR, -1, 1 << 20 }, { "sizes/s131072", O_RDWR, 100, 1 << 20 }, { "sizes/s3145745", O_RDONLY, 4095, 4098 },
		{ "sizes/s3145745", O_RDONLY, 3145700, 1 << 20 }, { "sizes/s3145745", O_RDONLY, 3145745, 10 }, { "dir", O_RDONLY, -1, 10 },
	};
	int f[2];

	section("file to FIFO");
	open_both("f", f);
	for (size_t i = 0; i < COUNT(cases); i++) {
		int fd = sys(open, P(cases[i].name), cases[i].flags);
		off_t off = cases[i].at;

		printf("%s %x at %ld, %zu\n", cases[i].name, cases[i].flags, (long)off, cases[i].len);
		SHOW(sys(splice, fd, off < 0 ? NULL : &off, f[1], NULL, cases[i].len, 0));
		printf("offset %ld, file at %ld\n", (long)off, sys(lseek, fd, 0, SEEK_CUR));
		show_pipe("FIFO", f[0]);
		SHOW(sys(sendfile, f[1], fd, off < 0 ? NULL : &off, cases[i].len));
		show_pipe("FIFO", f[0]);
		SHOW(sys(sendfile, f[1], fd, NULL, 0));
		close(fd);
	}
	close_both(f);
}

static void into_files(void)
{
	int fd = SHOWFD(sys(open, P("made"), O_CREAT | O_RDWR, 0600)), append = SHOWFD(sys(open, P("made"), O_WRONLY | O_APPEND)), f[2];
	off_t at = 100;

	section("FIFO to file");
	open_both("g", f);
	SHOW(sys(splice, f[0], NULL, fd, NULL, 10, NOW));
	SHOW(sys(splice, f[0], NULL, fd, NULL, 10, 0));
	SHOW(sys(write, f[1], "0123456789", 10));
	SHOW(sys(splice, f[0], NULL, fd, NULL, 4, 0));
	SHOW(sys(splice, f[0], NULL, fd, &at, 100, 0));
	printf("offset %ld, file at %ld\n", (long)at, sys(lseek, fd, 0, SEEK_CUR));
	show_file("made");
	SHOW(sys(write, f[1], "0123456789", 10));
	SHOW(sys(splice, f[0], NULL, append, NULL, 4, 0));
	SHOW(sys(sendfile, fd, f[0], NULL, 4));
	show_pipe("FIFO", f[0]);
	fill_pattern(buf, 65536, 7);
	SHOW(sys(write, f[1], buf, 65536));
	SHOW(sys(splice, f[0], NULL, fd, NULL, 1 << 20, 0));
	show_file("made");
	SHOW(sys(write, f[1], "last", 4));
	close(f[1]);
	SHOW(sys(splice, f[0], NULL, fd, NULL, 100, 0));
	SHOW(sys(splice, f[0], NULL, fd, NULL, 100, 0));
	show_file("made");
	close(f[0]);
	close(fd);
	close(append);
}

static void pipes(void)
{
	int f[2], g[2], p[2];

	section("FIFOs and pipes");
	open_both("f", f);
	open_both("g", g);
	if (pipe2(p, O_NONBLOCK) < 0)
		return;
	SHOW(sys(splice, f[0], NULL, p[1], NULL, 10, 0));
	SHOW(sys(splice, p[0], NULL, f[1], NULL, 10, 0));
	SHOW(sys(write, f[1], "from the FIFO", 13));
	SHOW(sys(tee, f[0], p[1], 8, 0));
	show_pipe("pipe", p[0]);
	SHOW(sys(splice, f[0], NULL, p[1], NULL, 9, 0));
	show_pipe("pipe", p[0]);
	show_pipe("FIFO", f[0]);
	SHOW(sys(write, p[1], "from the pipe", 13));
	SHOW(sys(tee, p[0], f[1], 100, 0));
	show_pipe("FIFO", f[0]);
	SHOW(sys(splice, p[0], NULL, f[1], NULL, 100, 0));
	show_pipe("pipe", p[0]);
	SHOW(sys(splice, f[0], NULL, g[1], NULL, 5, 0));
	SHOW(sys(tee, f[0], g[1], 100, 0));
	show_pipe("f", f[0]);
	show_pipe("g", g[0]);
	SHOW(sys(splice, f[0], NULL, f[1], NULL, 5, 0));
	SHOW(sys(tee, f[0], f[1], 5, 0));
	SHOW(sys(splice, f[0], NULL, -1, NULL, 5, 0));
	SHOW(sys(splice, f[1], NULL, p[1], NULL, 5, 0));
	SHOW(sys(splice, p[0], NULL, f[0], NULL, 5, 0));
	SHOW(sys(tee, f[1], p[1], 5, 0));
	close_both(f);
	close_both(g);
	close_both(p);
}

static void memory(void)
{
	struct iovec v[] = { { "first ", 6 }, { "second", 6 } }, in[] = { { buf, 3 }, { buf + 10, 5 } }, bad = { BAD_LOW, 5 };
	int f[2];

	section("vmsplice");
	open_both("f", f);
	SHOW(sys(vmsplice, f[1], v, 2, 0));
	memset(buf, '.', 32);
	SHOW(sys(vmsplice, f[0], in, 2, 0));
	show_data("memory", buf, 20);
	show_pipe("FIFO", f[0]);
	SHOW(sys(vmsplice, f[0], in, 2, NOW));
	SHOW(sys(vmsplice, f[1], v, 0, 0));
	SHOW(sys(vmsplice, f[1], &bad, 1, 0));
	SHOW(sys(vmsplice, f[1], v, 2, 0x100));
	SHOW(sys(vmsplice, f[1], v, 5000, 0));
	show_pipe("FIFO", f[0]);
	close_both(f);
}

#define SHOW_CAUGHT(call) (caught = 0, SHOW(call), printf("caught %d\n", caught))

/* Nobody writes any more, or reads; no room. */
static void ends(void)
{
	struct sigaction act = { .sa_handler = on_signal };
	int fd = SHOWFD(sys(open, P("hello.txt"), O_RDWR)), f[2], p[2];
	struct iovec v = { "bytes", 5 };

	section("ends");
	sigaction(SIGPIPE, &act, NULL);
	open_both("f", f);
	if (pipe2(p, O_NONBLOCK) < 0)
		return;
	while (write(f[1], buf, 4096) > 0)
		;
	SHOW(sys(splice, fd, NULL, f[1], NULL, 10, 0));
	SHOW(sys(sendfile, f[1], fd, NULL, 10));
	SHOW(sys(sendfile, f[1], fd, NULL, 0));
	SHOW(sys(vmsplice, f[1], &v, 1, NOW));
	SHOW(sys(write, p[1], "bytes", 5));
	SHOW(sys(splice, p[0], NULL, f[1], NULL, 10, 0));
	SHOW(sys(tee, p[0], f[1], 10, 0));
	close(f[0]);
	SHOW_CAUGHT(sys(splice, fd, NULL, f[1], NULL, 10, 0));
	SHOW_CAUGHT(sys(sendfile, f[1], fd, NULL, 0));
	SHOW_CAUGHT(sys(vmsplice, f[1], &v, 1, 0));
	SHOW_CAUGHT(sys(splice, p[0], NULL, f[1], NULL, 10, 0));
	SHOW_CAUGHT(sys(tee, p[0], f[1], 10, 0));
	close(f[1]);
	f[0] = SHOWFD(sys(open, P("f"), O_RDONLY | O_NONBLOCK));
	SHOW(sys(splice, f[0], NULL, p[1], NULL, 10, 0));
	SHOW(sys(splice, f[0], NULL, fd, NULL, 10, 0));
	SHOW(sys(tee, f[0], p[1], 10, 0));
	show_pipe("pipe", p[0]);
	close(f[0]);
	close(fd);
	close_both(p);
}

static void errors(void)
{
	int fd = SHOWFD(sys(open, P("hello.txt"), O_RDWR)), f[2];
	off_t zero = 0, negative = -1;

	section("errors");
	open_both("f", f);
	SHOW(sys(write, f[1], "abcdef", 6));
	SHOW(sys(splice, f[0], &zero, fd, NULL, 5, 0));
	SHOW(sys(splice, fd, NULL, f[1], &zero, 5, 0));
	SHOW(sys(splice, f[0], NULL, fd, BAD_LOW, 5, 0));
	SHOW(sys(splice, fd, BAD_KERNEL, f[1], NULL, 5, 0));
	SHOW(sys(splice, f[0], NULL, fd, &negative, 5, 0));
	SHOW(sys(splice, fd, &negative, f[1], NULL, 5, 0));
	SHOW(sys(splice, f[0], NULL, fd, NULL, 5, 0x100));
	SHOW(sys(splice, f[0], NULL, fd, NULL, 0, 0));
	SHOW(sys(splice, f[1], NULL, fd, NULL, 5, 0));
	SHOW(sys(splice, fd, NULL, f[0], NULL, 5, 0));
	SHOW(sys(sendfile, f[1], f[0], NULL, 5));
	SHOW(sys(sendfile, f[1], f[0], &zero, 5));
	SHOW(sys(sendfile, f[0], fd, NULL, 5));
	SHOW(sys(sendfile, fd, f[0], &zero, 5));
	SHOW(sys(copy_file_range, f[0], NULL, fd, NULL, 5, 0));
	SHOW(sys(tee, f[0], fd, 5, 0));
	SHOW(sys(tee, fd, f[1], 5, 0));
	SHOW(sys(tee, f[0], f[1], 0, 0x100));
	show_pipe("FIFO", f[0]);
	show_file("hello.txt");
	close_both(f);
	close(fd);
}

/* One process moves what another one writes in its own time; both wait for each other. */
static void waiting(void)
{
	int in = SHOWFD(sys(open, P("sizes/s3145745"), O_RDONLY)), out = SHOWFD(sys(open, P("through"), O_CREAT | O_WRONLY, 0600));
	struct sigaction act = { .sa_handler = on_signal };
	struct itimerval timer = { .it_value.tv_usec = 50000 };
	long n, total = 0;
	pid_t pid;
	int f;

	section("waiting");
	pid = fork_clean();
	if (!pid) {
		f = sys(open, P("f"), O_WRONLY);
		while ((n = sys(splice, in, NULL, f, NULL, 100000, 0)) > 0)
			total += n;
		printf("child: %ld, then %ld\n", total, n);
		fflush(stdout);
		_exit(0);
	}
	f = SHOWFD(sys(open, P("f"), O_RDONLY));
	while ((n = sys(splice, f, NULL, out, NULL, 30000, 0)) > 0)
		total += n;
	wait_child("child", pid);
	printf("parent: %ld, then %ld\n", total, n);
	show_file("through");
	close(f);
	f = SHOWFD(sys(open, P("f"), O_RDWR));
	sigaction(SIGALRM, &act, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
	SHOW_CAUGHT(sys(splice, f, NULL, out, NULL, 10, 0));
	close(f);
	close(in);
	close(out);
}

int main(int argc, char **argv)
{
	guest_init(argc, argv);
	from_files();
	into_files();
	pipes();
	memory();
	ends();
	errors();
	waiting();
	return 0;
}
