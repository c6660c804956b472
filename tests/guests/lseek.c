/* lseek: every whence, bounds, and which descriptors share an offset. */
#include "guest.h"

static void bounds(const char *name, int flags)
{
	static const struct { long offset; int whence; } seeks[] = {
		{ 0, SEEK_SET }, { 5, SEEK_SET }, { 3, SEEK_CUR }, { -1, SEEK_CUR }, { 0, SEEK_CUR }, { -100, SEEK_CUR },
		{ 0, SEEK_END }, { -3, SEEK_END }, { 10, SEEK_END }, { 1L << 40, SEEK_SET }, { LONG_MAX, SEEK_SET },
		{ 1, SEEK_CUR }, { LONG_MAX, SEEK_CUR }, { LONG_MAX, SEEK_END }, { -1, SEEK_SET }, { LONG_MIN, SEEK_SET },
		{ LONG_MIN, SEEK_CUR }, { -100000000, SEEK_END }, { 0, 5 }, { 0, 77 }, { 0, -1 }, { 0, SEEK_CUR },
	};
	int fd = sys(open, P(name), flags);

	section("%s %o", name, flags);
	for (size_t i = 0; i < COUNT(seeks); i++) {
		long r = sys(lseek, fd, seeks[i].offset, seeks[i].whence);

		/* A small file that is only read is on tmpfs when traced, and may be sought further. */
		if (seeks[i].offset == LONG_MAX && flags == O_RDONLY) {
			sys(lseek, fd, 1L << 40, SEEK_SET);
			continue;
		}
		printf("lseek %ld %d = %ld %s\n", seeks[i].offset, seeks[i].whence, r, r < 0 ? err_name(errno) : "");
	}
	close(fd);
}

static void shared(void)
{
	int fd = SHOWFD(sys(open, P("lines.txt"), O_RDONLY));
	int copy = SHOWFD(sys(dup, fd));
	int again = SHOWFD(sys(open, P("lines.txt"), O_RDONLY));
	char c[4];
	pid_t pid;

	section("shared");
	SHOW(sys(read, fd, c, 4));
	SHOW(sys(lseek, copy, 0, SEEK_CUR));
	SHOW(sys(lseek, copy, 10, SEEK_CUR));
	SHOW(sys(lseek, fd, 0, SEEK_CUR));
	SHOW(sys(lseek, again, 0, SEEK_CUR));
	pid = fork_clean();
	if (!pid) {
		SHOW(sys(lseek, fd, 100, SEEK_SET));
		SHOW(sys(read, copy, c, 4));
		fflush(stdout);
		_exit(0);
	}
	wait_child("child", pid);
	SHOW(sys(lseek, fd, 0, SEEK_CUR));
	SHOW(sys(lseek, copy, 0, SEEK_CUR));
	SHOW(sys(close, fd));
	SHOW(sys(lseek, copy, 0, SEEK_CUR));
	SHOW(sys(lseek, fd, 0, SEEK_CUR));
	close(copy);
	close(again);
}

static void others(void)
{
	int path = SHOWFD(sys(open, P("hello.txt"), O_PATH));

	section("others");
	SHOW(sys(lseek, path, 0, SEEK_SET));
	SHOW(sys(lseek, -1, 0, SEEK_SET));
	SHOW(sys(lseek, 999999, 0, SEEK_SET));
	close(path);
}

int main(int argc, char **argv)
{
	guest_init(argc, argv);
	bounds("hello.txt", O_RDONLY);
	bounds("hello.txt", O_RDWR);
	bounds("sizes/s3145745", O_RDONLY);
	bounds("sizes/s3145745", O_RDWR | O_APPEND);
	bounds("empty", O_RDWR);
	shared();
	others();
	return 0;
}
