/* Hundreds of files open at once, closed in other orders, by close_range and by exit. */
#include "guest.h"

#define FILES 300
#define SYS_close_range_ 436

static int fds[FILES];

static void open_all(const char *name, int mode)
{
	int bad = 0;

	for (int i = 0; i < FILES; i++) {
		fds[i] = sys(open, P(name), mode);
		if (fds[i] < 0 && !bad++)
			printf("open %d: %s\n", i, err_name(errno));
	}
	printf("%s: %d opened\n", name, FILES - bad);
}

static void check(const char *label)
{
	int good = 0, gone = 0;

	for (int i = 0; i < FILES; i++) {
		char c;
		long n = sys(pread64, fds[i], &c, 1, i % 10);

		if (n == 1)
			good++;
		else if (n < 0 && errno == EBADF)
			gone++;
	}
	printf("%s: %d readable, %d closed\n", label, good, gone);
}

static void independent_offsets(void)
{
	long sum = 0;
	char buf[8];

	for (int i = 0; i < FILES; i++)
		sys(lseek, fds[i], i, SEEK_SET);
	for (int i = 0; i < FILES; i++)
		sys(read, fds[i], buf, 3);
	for (int i = 0; i < FILES; i++)
		sum += sys(lseek, fds[i], 0, SEEK_CUR);
	printf("sum of offsets %ld\n", sum);
}

static void round_of(const char *name, int mode)
{
	section("%s %o", name, mode);
	open_all(name, mode);
	check("open");
	independent_offsets();
	for (int i = 0; i < FILES; i += 2)
		sys(close, fds[i]);
	check("half closed");
	for (int i = FILES - 1; i >= 0; i--)
		sys(close, fds[i]);
	check("all closed");
	open_all(name, mode);
	SHOW(raw_syscall(SYS_close_range_, 3, ~0U, 0, 0, 0, 0));
	check("close_range");
	open_all(name, mode);
	SHOW(raw_syscall(SYS_close_range_, 3, ~0U, 4, 0, 0, 0));
	printf("close on exec: %d\n", fcntl(fds[FILES / 2], F_GETFD));
	check("marked");
	for (int i = 0; i < FILES; i++)
		sys(close, fds[i]);
}

int main(int argc, char **argv)
{
	pid_t pid;

	guest_init(argc, argv);
	round_of("hello.txt", O_RDONLY);
	round_of("lines.txt", O_RDWR);
	round_of("sizes/s3145745", O_RDONLY);
	section("left to exit");
	pid = fork_clean();
	if (!pid) {
		open_all("lines.txt", O_RDWR);
		fflush(stdout);
		_exit(0);
	}
	wait_child("child", pid);
	open_all("hello.txt", O_RDWR);
	check("open");
	return 0;
}
