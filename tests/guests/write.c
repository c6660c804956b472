/* write, pwrite64, writev, pwritev, pwritev2: lengths, offsets, holes, errors. */
#include "guest.h"

static char buf[300000];

static void plain(void)
{
	int fd = SHOWFD(sys(open, P("new"), O_CREAT | O_RDWR, 0644));

	section("write");
	SHOW(sys(write, fd, "hello", 5));
	SHOW(sys(write, fd, "", 0));
	SHOW(sys(write, fd, NULL, 0));
	SHOW(sys(lseek, fd, 0, SEEK_CUR));
	stat_fd("new", fd);
	SHOW(sys(lseek, fd, 2, SEEK_SET));
	SHOW(sys(write, fd, "LLL", 3));
	SHOW(sys(write, fd, "+", 1));
	SHOW(sys(pread64, fd, buf, 100, 0));
	show_data("now", buf, 6);
	SHOW(sys(lseek, fd, 10000, SEEK_SET));
	SHOW(sys(write, fd, "far", 3));
	show_file("new");
	fill_pattern(buf, sizeof(buf), 0);
	SHOW(sys(lseek, fd, 1, SEEK_SET));
	SHOW(sys(write, fd, buf, sizeof(buf)));
	SHOW(sys(lseek, fd, 0, SEEK_CUR));
	show_file("new");
	SHOW(sys(close, fd));
	stat_path("new");
}

static void faults(void)
{
	int fd = SHOWFD(sys(open, P("faults"), O_CREAT | O_RDWR, 0644));
	static const size_t room[] = { 1, 10, 4095, 4096, 4097, 10000 };

	section("faults");
	for (size_t i = 0; i < COUNT(room); i++) {
		char *p = edge(room[i]);

		fill_pattern(p, room[i], i);
		SHOW(sys(ftruncate, fd, 0));
		SHOW(sys(lseek, fd, 0, SEEK_SET));
		printf("room %zu: ", room[i]);
		SHOW(sys(write, fd, p, 20000));
		SHOW(sys(lseek, fd, 0, SEEK_CUR));
		printf("room %zu: ", room[i]);
		SHOW(sys(pwrite64, fd, p, 20000, 50));
		show_file("faults");
	}
	SHOW(sys(lseek, fd, 0, SEEK_SET));
	SHOW(sys(write, fd, NULL, 10));
	SHOW(sys(write, fd, BAD_LOW, 10));
	SHOW(sys(write, fd, BAD_KERNEL, 10));
	SHOW(sys(write, fd, BAD_KERNEL, 0));
	SHOW(sys(write, fd, edge(0), 10));
	SHOW(sys(pwrite64, fd, NULL, 10, 0));
	SHOW(sys(lseek, fd, 0, SEEK_CUR));
	SHOW(sys(write, fd, readonly_page(), 10));
	show_file("faults");
	close(fd);
}

static void positioned(void)
{
	int fd = SHOWFD(sys(open, P("hello.txt"), O_RDWR));

	section("pwrite64");
	SHOW(sys(pwrite64, fd, "J", 1, 0));
	SHOW(sys(pwrite64, fd, "end", 3, 13));
	SHOW(sys(pwrite64, fd, "x", 1, -1L));
	SHOW(sys(pwrite64, fd, "x", 0, -1L));
	SHOW(sys(pwrite64, fd, "x", 0, 1L << 50));
	SHOW(sys(pwrite64, fd, "x", 1, LONG_MAX));
	SHOW(sys(lseek, fd, 0, SEEK_CUR));
	SHOW(sys(read, fd, buf, 100));
	show_data("read", buf, 16);
	SHOW(sys(pwrite64, fd, "hole", 4, 70000));
	stat_fd("with a hole", fd);
	SHOW(sys(pread64, fd, buf, 10, 69990));
	show_data("hole", buf, 10);
	close(fd);
	show_file("hello.txt");
}

static void vectors(void)
{
	int fd = SHOWFD(sys(open, P("vec"), O_CREAT | O_RDWR | O_EXCL, 0600));
	char *end = edge(6);
	struct iovec iov[] = { { "one", 3 }, { NULL, 0 }, { "two", 3 }, { "three", 5 } };
	struct iovec crossing[] = { { "one", 3 }, { end, 20 }, { "two", 3 } };
	struct iovec bad_second[] = { { "one", 3 }, { BAD_LOW, 20 } };
	struct iovec overflow[] = { { "a", 1 }, { "b", SIZE_MAX / 2 + 2 } };
	static struct iovec many[1024];

	section("writev");
	SHOW(sys(writev, fd, iov, 4));
	SHOW(sys(lseek, fd, 0, SEEK_CUR));
	SHOW(sys(writev, fd, iov, 0));
	SHOW(sys(writev, fd, NULL, 0));
	SHOW(sys(writev, fd, NULL, 1));
	SHOW(sys(writev, fd, BAD_KERNEL, 1));
	SHOW(sys(writev, fd, iov, -1L));
	SHOW(sys(writev, fd, iov, 1025));
	SHOW(sys(writev, fd, overflow, 2));
	memcpy(end, "edge!!", 6);
	SHOW(sys(writev, fd, crossing, 3));
	SHOW(sys(lseek, fd, 0, SEEK_CUR));
	SHOW(sys(writev, fd, bad_second, 2));
	SHOW(sys(lseek, fd, 0, SEEK_CUR));
	for (size_t i = 0; i < COUNT(many); i++)
		many[i] = (struct iovec){ buf + i * 7, i % 100 };
	SHOW(sys(writev, fd, many, 1024));
	show_file("vec");

	section("pwritev");
	SHOW(sys(ftruncate, fd, 0));
	SHOW(sys(lseek, fd, 1, SEEK_SET));
	SHOW(sys(pwritev, fd, iov, 4, 100, 0));
	SHOW(sys(pwritev, fd, iov, 4, -1L, -1L));
	SHOW(sys(pwritev, fd, iov, 0, 5, 0));
	SHOW(sys(pwritev, fd, BAD_LOW, 1, 5, 0));
	SHOW(sys(pwritev, fd, bad_second, 2, 300, 0));
	SHOW(sys(lseek, fd, 0, SEEK_CUR));
	show_file("vec");

	section("pwritev2");
	SHOW(sys(pwritev2, fd, iov, 4, 10, 0, 0));
	SHOW(sys(pwritev2, fd, iov, 4, -1L, -1L, 0));
	SHOW(sys(lseek, fd, 0, SEEK_CUR));
	SHOW(sys(pwritev2, fd, iov, 4, 0, 0, 0x10));
	SHOW(sys(lseek, fd, 0, SEEK_CUR));
	SHOW(sys(pwritev2, fd, iov, 1, -1L, -1L, 0x10));
	SHOW(sys(lseek, fd, 0, SEEK_CUR));
	SHOW(sys(pwritev2, fd, iov, 4, 0, 0, 2));
	SHOW(sys(pwritev2, fd, iov, 4, 0, 0, 4));
	SHOW(sys(pwritev2, fd, iov, 4, 0, 0, 1 << 20));
	SHOW(sys(pwritev2, fd, iov, 4, -2L, -1L, 0));
	show_file("vec");
	close(fd);
}

static void wrong_descriptors(void)
{
	struct iovec iov = { buf, 10 };
	int fd = SHOWFD(sys(open, P("hello.txt"), O_RDONLY));
	int big = SHOWFD(sys(open, P("sizes/s3145745"), O_RDONLY));
	int dir = SHOWFD(sys(open, P("dir"), O_RDONLY));
	int path = SHOWFD(sys(open, P("hello.txt"), O_PATH));
	int fds[] = { fd, big, dir, path, -1, 999999 };

	section("descriptors");
	for (size_t i = 0; i < COUNT(fds); i++) {
		printf("descriptor %zu\n", i);
		SHOW(sys(write, fds[i], buf, 10));
		SHOW(sys(write, fds[i], buf, 0));
		SHOW(sys(pwrite64, fds[i], buf, 10, 0));
		SHOW(sys(writev, fds[i], &iov, 1));
		SHOW(sys(pwritev, fds[i], &iov, 1, 0, 0));
		SHOW(sys(pwritev2, fds[i], &iov, 1, 0, 0, 0));
		SHOW(sys(ftruncate, fds[i], 0));
	}
}

int main(int argc, char **argv)
{
	guest_init(argc, argv);
	plain();
	faults();
	positioned();
	vectors();
	wrong_descriptors();
	return 0;
}
