/* O_DIRECT: what has to be aligned, and what is read and written. */
#include "guest.h"

/* Reads have their own: behind what they return, they leave anything. */
static char *buf, *to;

static void calls_on(int fd)
{
	static const struct { size_t at, len; long off; } cases[] = {
		{ 0, 4096, 0 }, { 0, 4096, 4096 }, { 0, 100, 0 }, { 0, 4096, 100 }, { 1, 4096, 0 }, { 1, 100, 0 }, { 4096, 8192, 8192 },
		{ 0, 65536, 131072 }, { 0, 0, 0 }, { 1, 0, 1 }, { 0, 1 << 20, 0 }, { 0, 4096, 1 << 30 }, { 1, 5, 1 << 30 },
	};
	struct iovec v[2] = { { buf, 4096 }, { buf + 8192, 4096 } }, into[2] = { { to, 4096 }, { to + 8192, 4096 } }, odd[2] = { { buf + 1, 4096 }, { buf + 8193, 4096 } };

	for (size_t i = 0; i < COUNT(cases); i++) {
		printf("%zu+%zu at %ld\n", cases[i].at, cases[i].len, cases[i].off);
		SHOW(sys(pread64, fd, to + cases[i].at, cases[i].len, cases[i].off));
		SHOW(sys(lseek, fd, cases[i].off, SEEK_SET));
		SHOW(sys(read, fd, to + cases[i].at, cases[i].len));
		SHOW(sys(lseek, fd, 0, SEEK_CUR));
		if (cases[i].off < 1 << 30)
			SHOW(sys(pwrite64, fd, buf + cases[i].at, cases[i].len, cases[i].off));
	}
	SHOW(sys(preadv, fd, into, 2, 0, 0));
	SHOW(sys(pwritev, fd, v, 2, 0, 0));
	SHOW(sys(pwritev, fd, odd, 2, 0, 0));
}

int main(int argc, char **argv)
{
	static const struct { const char *name; int flags; } opens[] = {
		{ "sizes/s131073", O_RDWR | O_DIRECT }, { "sizes/s131072", O_RDONLY | O_DIRECT }, { "sizes/s3145745", O_RDWR | O_DIRECT },
		{ "new", O_CREAT | O_WRONLY | O_DIRECT }, { "hello.txt", O_RDONLY | O_DIRECT }, { "sizes/s4096", O_RDWR | O_DIRECT | O_APPEND },
	};
	int fd;

	guest_init(argc, argv);
	buf = mmap(NULL, 4 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	to = buf + (2 << 20);
	fill_pattern(buf, 2 << 20, 9);
	for (size_t i = 0; i < COUNT(opens); i++) {
		fd = SHOWFD(sys(open, P(opens[i].name), opens[i].flags, 0600));
		section("%s %x", opens[i].name, opens[i].flags);
		printf("flags %lx\n", sys(fcntl, fd, F_GETFL));
		calls_on(fd);
		close(fd);
		show_file(opens[i].name);
	}
	section("switched");
	fd = SHOWFD(sys(open, P("sizes/s1048576"), O_RDWR));
	SHOW(sys(pread64, fd, to, 100, 5));
	SHOW(sys(fcntl, fd, F_SETFL, O_DIRECT));
	SHOW(sys(pread64, fd, to, 100, 5));
	SHOW(sys(pread64, fd, to, 512, 512));
	SHOW(sys(fcntl, fd, F_SETFL, 0));
	SHOW(sys(pread64, fd, to, 100, 5));
	close(fd);
	return 0;
}
