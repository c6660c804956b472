/* read, pread64, readv, preadv, preadv2: lengths, offsets, end of file, errors. */
#include <sys/ioctl.h>

#include "guest.h"

static char buf[1 << 17];

static void plain(void)
{
	int fd = SHOWFD(sys(open, P("hello.txt"), O_RDONLY));

	section("read");
	memset(buf, 0, sizeof(buf));
	SHOW(sys(read, fd, buf, 0));
	SHOW(sys(read, fd, NULL, 0));
	SHOW(sys(read, fd, buf, 5));
	show_data("five", buf, 5);
	SHOW(sys(read, fd, buf, 100));
	show_data("rest", buf, 8);
	SHOW(sys(read, fd, buf, 100));
	SHOW(sys(read, fd, buf, 0));
	SHOW(sys(lseek, fd, 3, SEEK_SET));
	SHOW(sys(read, fd, buf, 3));
	show_data("from 3", buf, 3);
	SHOW(sys(lseek, fd, 1 << 20, SEEK_SET));
	SHOW(sys(read, fd, buf, 3));
	SHOW(sys(lseek, fd, 0, SEEK_SET));
	SHOW(sys(read, fd, buf, -1L));
	SHOW(sys(lseek, fd, 0, SEEK_CUR));
	close(fd);
}

static void faults(void)
{
	int fd = SHOWFD(sys(open, P("sizes/s65536"), O_RDONLY));
	static const size_t room[] = { 1, 10, 4095, 4096, 4097, 8192, 10000 };

	section("faults");
	for (size_t i = 0; i < COUNT(room); i++) {
		char *p = edge(room[i]);

		SHOW(sys(lseek, fd, 100, SEEK_SET));
		printf("room %zu: ", room[i]);
		SHOW(sys(read, fd, p, 20000));
		SHOW(sys(lseek, fd, 0, SEEK_CUR));
		show_data("got", p, room[i]);
		printf("room %zu: ", room[i]);
		SHOW(sys(pread64, fd, p, 20000, 7));
		show_data("got", p, room[i]);
	}
	SHOW(sys(lseek, fd, 0, SEEK_SET));
	SHOW(sys(read, fd, NULL, 10));
	SHOW(sys(read, fd, BAD_LOW, 10));
	SHOW(sys(read, fd, BAD_KERNEL, 10));
	SHOW(sys(read, fd, BAD_KERNEL, 0));
	SHOW(sys(read, fd, readonly_page(), 10));
	SHOW(sys(read, fd, edge(0), 10));
	SHOW(sys(lseek, fd, 0, SEEK_CUR));
	SHOW(sys(lseek, fd, 0, SEEK_END));
	SHOW(sys(read, fd, NULL, 10));
	SHOW(sys(pread64, fd, NULL, 10, 0));
	close(fd);
}

static void positioned(void)
{
	int fd = SHOWFD(sys(open, P("sizes/s131073"), O_RDONLY));

	section("pread64");
	SHOW(sys(pread64, fd, buf, 16, 0));
	show_data("at 0", buf, 16);
	SHOW(sys(pread64, fd, buf, 16, 131065));
	show_data("at the end", buf, 8);
	SHOW(sys(pread64, fd, buf, 16, 131073));
	SHOW(sys(pread64, fd, buf, 16, 1L << 40));
	SHOW(sys(pread64, fd, buf, 16, LONG_MAX));
	SHOW(sys(pread64, fd, buf, 16, -1L));
	SHOW(sys(pread64, fd, buf, 0, -1L));
	SHOW(sys(pread64, fd, buf, 0, 5));
	SHOW(sys(lseek, fd, 0, SEEK_CUR));
	SHOW(sys(pread64, fd, buf, sizeof(buf), 1));
	show_data("128 KiB from 1", buf, sizeof(buf));
	close(fd);
}

static void show_iov(const struct iovec *iov, int n)
{
	for (int i = 0; i < n; i++)
		show_data("   part", iov[i].iov_base, iov[i].iov_len);
}

static void vectors(void)
{
	int fd = SHOWFD(sys(open, P("lines.txt"), O_RDONLY));
	char a[5] = "", b[1] = "", c[11] = "", *end = edge(6);
	struct iovec iov[] = { { a, 5 }, { NULL, 0 }, { b, 1 }, { c, 11 } };
	struct iovec crossing[] = { { a, 5 }, { end, 20 }, { c, 11 } };
	struct iovec bad_second[] = { { a, 5 }, { BAD_LOW, 20 } };
	struct iovec overflow[] = { { a, 5 }, { b, SIZE_MAX / 2 + 2 } };
	struct iovec huge_sum[] = { { buf, SSIZE_MAX }, { buf, SSIZE_MAX } };

	section("readv");
	SHOW(sys(readv, fd, iov, 4));
	show_iov(iov, 4);
	SHOW(sys(readv, fd, iov, 0));
	SHOW(sys(readv, fd, NULL, 0));
	SHOW(sys(readv, fd, NULL, 1));
	SHOW(sys(readv, fd, BAD_KERNEL, 1));
	SHOW(sys(readv, fd, iov, -1L));
	SHOW(sys(readv, fd, iov, 1025));
	SHOW(sys(readv, fd, iov, 1L << 33));
	SHOW(sys(readv, fd, overflow, 2));
	SHOW(sys(readv, fd, huge_sum, 2));
	SHOW(sys(lseek, fd, 0, SEEK_SET));
	SHOW(sys(readv, fd, crossing, 3));
	SHOW(sys(lseek, fd, 0, SEEK_CUR));
	show_data("crossing", end, 6);
	SHOW(sys(readv, fd, bad_second, 2));
	SHOW(sys(lseek, fd, 0, SEEK_CUR));
	SHOW(sys(lseek, fd, -8, SEEK_END));
	SHOW(sys(readv, fd, iov, 4));
	show_iov(iov, 4);
	SHOW(sys(readv, fd, iov, 4));

	section("preadv");
	SHOW(sys(lseek, fd, 2, SEEK_SET));
	SHOW(sys(preadv, fd, iov, 4, 100, 0));
	show_iov(iov, 4);
	SHOW(sys(preadv, fd, iov, 4, 8880, 0));
	SHOW(sys(preadv, fd, iov, 4, 8890, 0));
	SHOW(sys(preadv, fd, iov, 4, -1L, -1L));
	SHOW(sys(preadv, fd, iov, 0, 0, 0));
	SHOW(sys(preadv, fd, BAD_LOW, 2, 0, 0));
	SHOW(sys(lseek, fd, 0, SEEK_CUR));

	section("preadv2");
	SHOW(sys(preadv2, fd, iov, 4, 200, 0, 0));
	show_iov(iov, 4);
	SHOW(sys(preadv2, fd, iov, 4, -1L, -1L, 0));
	show_iov(iov, 4);
	SHOW(sys(lseek, fd, 0, SEEK_CUR));
	SHOW(sys(preadv2, fd, iov, 4, -2L, -1L, 0));
	SHOW(sys(preadv2, fd, iov, 4, 0, 0, 1 << 20));
	SHOW(sys(preadv2, fd, iov, 4, 0, 0, 1));
	SHOW(sys(preadv2, fd, iov, 4, 0, 0, 2));
	close(fd);
}

static void wrong_descriptors(void)
{
	struct iovec iov = { buf, 10 };
	int fd = SHOWFD(sys(open, P("hello.txt"), O_WRONLY));
	int dir = SHOWFD(sys(open, P("dir"), O_RDONLY));
	int path = SHOWFD(sys(open, P("hello.txt"), O_PATH));

	section("descriptors");
	SHOW(sys(read, fd, buf, 10));
	SHOW(sys(read, fd, buf, 0));
	SHOW(sys(pread64, fd, buf, 10, 0));
	SHOW(sys(readv, fd, &iov, 1));
	SHOW(sys(preadv, fd, &iov, 1, 0, 0));
	SHOW(sys(preadv2, fd, &iov, 1, 0, 0, 0));
	SHOW(sys(read, dir, buf, 10));
	SHOW(sys(read, dir, buf, 0));
	SHOW(sys(pread64, dir, buf, 10, 0));
	SHOW(sys(readv, dir, &iov, 1));
	SHOW(sys(read, path, buf, 10));
	SHOW(sys(pread64, path, buf, 10, 0));
	SHOW(sys(readv, path, &iov, 1));
	SHOW(sys(read, -1, buf, 10));
	SHOW(sys(read, 999999, buf, 10));
	SHOW(sys(pread64, -1, buf, 10, 0));
	SHOW(sys(readv, -1, &iov, 1));
	SHOW(sys(preadv, 999999, &iov, 1, 0, 0));
	close(fd);
	close(dir);
	close(path);
	SHOW(sys(read, fd, buf, 10));
}

/* What is left, which is less than nothing behind the end. */
static void left(int flags)
{
	static const long offsets[] = { 0, 5, 13, 14, 5000, 1L << 33 };
	int fd = SHOWFD(sys(open, P("hello.txt"), flags)), n;

	section("left %o", flags);
	for (size_t i = 0; i < COUNT(offsets); i++) {
		sys(lseek, fd, offsets[i], SEEK_SET);
		SHOW(sys(ioctl, fd, FIONREAD, &n));
		printf("%ld: %d\n", offsets[i], n);
	}
	close(fd);
}

/* A directory is none to be read; at its end there is no room for offsets even. */
static void directory(const char *name)
{
	static char buf[65536];
	int fd = SHOWFD(sys(open, P(name), O_RDONLY | O_APPEND));

	section("directory %s", name);
	SHOW(sys(read, fd, buf, 10));
	while (sys(getdents64, fd, buf, sizeof(buf)) > 0)
		;
	SHOW(sys(read, fd, buf, 10));
	SHOW(sys(read, fd, buf, 0));
	SHOW(sys(pread64, fd, buf, 10, 0));
	SHOW(sys(pread64, fd, buf, 10, LONG_MAX));
	SHOW(sys(dup2, fd, 71));
	SHOW(sys(lseek, 71, 0, SEEK_SET));
	SHOW(sys(read, fd, buf, 10));
	printf("flags %o\n", fcntl(71, F_GETFL));
	close(71);
	close(fd);
}

int main(int argc, char **argv)
{
	guest_init(argc, argv);
	plain();
	faults();
	positioned();
	vectors();
	wrong_descriptors();
	left(O_RDONLY);
	left(O_RDWR);
	directory("dir");
	directory("dir/empty");
	return 0;
}
