/* fsync, sync_file_range, syncfs, sync, readahead, fadvise and cachestat on what can be open, in all their errors. */
#include "guest.h"

static const struct { const char *name; int flags; } opens[] = {
	{ "hello.txt", O_RDONLY }, { "hello.txt", O_RDWR }, { "hello.txt", O_WRONLY | O_APPEND }, { "dir", O_RDONLY }, { "hello.txt", O_PATH },
	{ "dir", O_PATH }, { "sizes/s3145745", O_RDONLY }, { "links/rel", O_PATH | O_NOFOLLOW },
};

static void calls_on(int fd)
{
	static const struct { long off, len; unsigned flags; } ranges[] = {
		{ 0, 0, 0 }, { 0, 4096, 2 }, { 0, 0, 7 }, { 100, 50, 1 }, { 0, 0, 8 }, { -1, 0, 0 }, { 0, -1, 0 }, { LONG_MAX, 1, 0 },
		{ LONG_MAX, LONG_MAX, 7 }, { 1L << 40, 10, 4 },
	};
	static const struct { long off, len; int advice; } advices[] = {
		{ 0, 0, 0 }, { 0, 0, 1 }, { 0, 10, 2 }, { 5, 5, 3 }, { 0, 0, 4 }, { 0, 4096, 5 }, { 0, 0, 6 }, { 0, 0, -1 }, { -1, 10, 0 },
		{ 0, -1, 0 }, { LONG_MAX, 10, 4 },
	};

	SHOW(sys(fsync, fd));
	SHOW(sys(fdatasync, fd));
	SHOW(sys(syncfs, fd));
	for (size_t i = 0; i < COUNT(ranges); i++)
		SHOW(sys(sync_file_range, fd, ranges[i].off, ranges[i].len, ranges[i].flags));
	for (size_t i = 0; i < COUNT(advices); i++)
		SHOW(sys(fadvise64, fd, advices[i].off, advices[i].len, advices[i].advice));
	SHOW(sys(readahead, fd, 0, 4096));
	SHOW(sys(readahead, fd, 1L << 40, 4096));
	SHOW(sys(readahead, fd, -1, 4096));
	SHOW(sys(readahead, fd, 0, -1L));
}

/* What an ioctl for shared extents says where there are none, and what comes before. */
static void clones(void)
{
	static struct { uint64_t off, len; uint16_t count, r1; uint32_t r2; struct { int64_t fd; uint64_t off, done; int32_t status; uint32_t r; } to[2]; } d;
	int target = SHOWFD(sys(open, P("clone"), O_CREAT | O_RDWR, 0600)), append = SHOWFD(sys(open, P("clone"), O_RDWR | O_APPEND));
	int reader = SHOWFD(sys(open, P("clone"), O_RDONLY)), local = memfd_create("local", 0);
	struct { int64_t fd; uint64_t off, len, to; } r = { 0 };

	section("clones");
	for (size_t i = 0; i < COUNT(opens); i++) {
		int fd = sys(open, P(opens[i].name), opens[i].flags);

		printf("%s %x\n", opens[i].name, opens[i].flags);
		SHOW(sys(ioctl, target, 0x40049409, fd));
		SHOW(sys(ioctl, append, 0x40049409, fd));
		SHOW(sys(ioctl, fd, 0x40049409, target));
		if (opens[i].flags != O_RDONLY || strcmp(opens[i].name, "hello.txt")) {
			SHOW(sys(ioctl, fd, 0x40049409, reader));
			SHOW(sys(ioctl, fd, 0x40049409, local));
			SHOW(sys(ioctl, fd, 0x40049409, -1));
			SHOW(sys(ioctl, fd, 0x4020940d, BAD_LOW));
			r.fd = target;
			SHOW(sys(ioctl, fd, 0x4020940d, &r));
			SHOW(sys(ioctl, fd, 0xc0189436, BAD_LOW));
			memset(&d, 0, sizeof(d));
			d.count = 0;
			SHOW(sys(ioctl, fd, 0xc0189436, &d));
			d.count = 2;
			d.len = 10;
			d.to[0].fd = target;
			d.to[1].fd = -1;
			SHOW(sys(ioctl, fd, 0xc0189436, &d));
			printf("%d %d\n", d.to[0].status, d.to[1].status);
			d.r1 = 1;
			SHOW(sys(ioctl, fd, 0xc0189436, &d));
			d.count = 1000;
			SHOW(sys(ioctl, fd, 0xc0189436, &d));
		}
		close(fd);
	}
	SHOW(sys(ioctl, target, 0x40049409, -1));
	SHOW(sys(ioctl, target, 0x40049409, local));
}

/* A shell's redirection: what is written natively is there after any of these. */
static void redirected(void)
{
	int fd = SHOWFD(sys(open, P("hello.txt"), O_RDWR));

	section("redirected");
	SHOW(sys(dup2, fd, 100));
	SHOW(sys(write, 100, "one", 3));
	SHOW(sys(sync_file_range, 100, 0, 0, 7));
	show_file("hello.txt");
	SHOW(sys(write, 100, "two", 3));
	SHOW(sys(syncfs, fd));
	show_file("hello.txt");
	SHOW(sys(write, 100, "three", 5));
	SHOW(sys(sync));
	show_file("hello.txt");
	calls_on(100);
	close(100);
	close(fd);
}

int main(int argc, char **argv)
{
	guest_init(argc, argv);
	for (size_t i = 0; i < COUNT(opens); i++) {
		int fd = sys(open, P(opens[i].name), opens[i].flags);

		section("%s %x", opens[i].name, opens[i].flags);
		calls_on(fd);
		close(fd);
	}
	section("none");
	calls_on(-1);
	calls_on(9999);
	redirected();
	clones();
	return 0;
}
