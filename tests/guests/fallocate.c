/* fallocate in all its modes, and what other descriptors of the file see of it. */
#include "guest.h"

#define KEEP_SIZE 1
#define PUNCH_HOLE 2
#define COLLAPSE 8
#define ZERO 0x10
#define INSERT 0x20
#define UNSHARE 0x40

/* Not how many blocks: that depends on when the file system writes them. */
static void size_of(const char *label, int fd)
{
	struct stat st;

	if (sys(fstat, fd, &st) < 0)
		printf("%s: %s\n", label, err_name(errno));
	else
		printf("%s: mode=%o size=%lld\n", label, st.st_mode, (long long)st.st_size);
}

static void show_fd_data(const char *label, int fd)
{
	static char buf[1 << 20];
	long n, total = 0;
	uint64_t h = hash("", 0);

	while ((n = sys(pread64, fd, buf, sizeof(buf), total)) > 0) {
		h = hash_more(h, buf, n);
		total += n;
	}
	printf("%s: %ld bytes hash %016llx\n", label, total, (unsigned long long)h);
	size_of(label, fd);
}

static const struct { int mode; long off, len; } steps[] = {
	{ 0, 0, 10 }, { 0, 0, 200000 }, { KEEP_SIZE, 0, 300000 }, { KEEP_SIZE, 400000, 4096 }, { 0, 250000, 1 },
	{ PUNCH_HOLE | KEEP_SIZE, 4096, 8192 }, { PUNCH_HOLE | KEEP_SIZE, 100, 50 }, { PUNCH_HOLE | KEEP_SIZE, 249990, 100000 },
	{ PUNCH_HOLE, 0, 4096 }, { ZERO, 20000, 5000 }, { ZERO | KEEP_SIZE, 60000, 400000 }, { ZERO, 249000, 8192 },
	{ COLLAPSE, 4096, 8192 }, { COLLAPSE, 1, 4096 }, { COLLAPSE, 0, 1 << 20 }, { INSERT, 8192, 4096 }, { INSERT, 1, 4096 },
	{ INSERT, 1 << 20, 4096 }, { COLLAPSE | KEEP_SIZE, 0, 4096 }, { PUNCH_HOLE | ZERO | KEEP_SIZE, 0, 4096 }, { UNSHARE, 0, 4096 },
	{ INSERT | COLLAPSE, 0, 4096 }, { 4, 0, 10 }, { 0x80, 0, 10 }, { 0x100, 0, 10 }, { -1, 0, 10 }, { 0, -1, 10 }, { 0, 0, 0 },
	{ 0, 0, -1 }, { 0, 0, LONG_MAX }, { 0, LONG_MAX, 1 }, { 0, LONG_MAX, LONG_MAX }, { KEEP_SIZE, 1L << 62, 10 }, { PUNCH_HOLE | KEEP_SIZE, 0, 0 },
	{ 4, -1, 10 }, { COLLAPSE, -1, 4096 },
};

/* Data of its own before each step, so that what a step did wrong shows at once. */
static void steps_of(const char *name, int flags, int number)
{
	static char data[100000];
	int fd = SHOWFD(sys(open, P(name), flags)), reader = SHOWFD(sys(open, P(name), O_RDONLY)), low = dup(reader);

	section("%s %x", name, flags);
	/* A low number, as a shell's redirection has it. */
	if (number) {
		SHOW(sys(dup2, fd, number));
		sys(close, fd);
		fd = number;
	}
	for (size_t i = 0; i < COUNT(steps); i++) {
		fill_pattern(data, sizeof(data), i);
		sys(pwrite64, fd, data, sizeof(data), 0);
		printf("mode %x %ld+%ld: %s\n", steps[i].mode, steps[i].off, steps[i].len,
		       sys(fallocate, fd, steps[i].mode, steps[i].off, steps[i].len) < 0 ? err_name(errno) : "ok");
		if (flags != O_WRONLY)
			show_fd_data("fd", fd);
		show_fd_data("reader", reader);
		show_fd_data("dup", low);
		show_file(name);
	}
	SHOW(sys(close, fd));
	SHOW(sys(fallocate, fd, 0, 0, 10));
	close(reader);
	close(low);
}

static void refused(void)
{
	static const struct { const char *name; int flags; } opens[] = {
		{ "hello.txt", O_RDONLY }, { "hello.txt", O_PATH }, { "dir", O_RDONLY }, { "dir", O_PATH }, { "sizes/s3145745", O_RDONLY },
		{ "links/rel", O_PATH | O_NOFOLLOW },
	};

	section("refused");
	for (size_t i = 0; i < COUNT(opens); i++) {
		int fd = SHOWFD(sys(open, P(opens[i].name), opens[i].flags));

		printf("%s %x\n", opens[i].name, opens[i].flags);
		SHOW(sys(fallocate, fd, 0, 0, 100));
		SHOW(sys(fallocate, fd, 0, -1, 100));
		SHOW(sys(fallocate, fd, 0, 0, 0));
		SHOW(sys(fallocate, fd, 0x100, 0, 100));
		SHOW(sys(fallocate, fd, PUNCH_HOLE, 0, 100));
		SHOW(sys(fallocate, fd, 0, LONG_MAX, 100));
		size_of("fd", fd);
		close(fd);
	}
	SHOW(sys(fallocate, -1, 0, 0, 100));
	SHOW(sys(fallocate, 9999, 0, -1, 0));
}

static void small(void)
{
	char buf[64] = "";
	int reader = SHOWFD(sys(open, P("hello.txt"), O_RDONLY)), fd = SHOWFD(sys(open, P("hello.txt"), O_RDWR | O_APPEND));
	char *map = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, reader, 0);

	section("a small file that was read before");
	SHOW(sys(read, reader, buf, 5));
	show_data("reader", buf, 5);
	SHOW(sys(fallocate, fd, 0, 0, 20));
	size_of("reader", reader);
	SHOW(sys(read, reader, buf, 64));
	show_data("reader", buf, 15);
	SHOW(sys(lseek, reader, 0, SEEK_END));
	SHOW(sys(fallocate, fd, PUNCH_HOLE | KEEP_SIZE, 2, 3));
	SHOW(sys(pread64, reader, buf, 64, 0));
	show_data("reader", buf, 20);
	if (map != MAP_FAILED)
		show_data("map", map, 20);
	SHOW(sys(fallocate, fd, ZERO, 10, 30));
	SHOW(sys(pread64, reader, buf, 64, 0));
	show_data("reader", buf, 40);
	SHOW(sys(write, fd, "end", 3));
	SHOW(sys(pread64, reader, buf, 64, 0));
	show_data("reader", buf, 43);
	show_file("hello.txt");
	SHOW(sys(unlink, P("hello.txt")));
	SHOW(sys(fallocate, fd, 0, 0, 50));
	size_of("reader", reader);
	close(fd);
	close(reader);
}

static void posix(void)
{
	int fd = SHOWFD(sys(open, P("new"), O_CREAT | O_RDWR, 0600));

	section("posix_fallocate");
	SHOW(posix_fallocate(fd, 0, 100000));
	show_fd_data("new", fd);
	SHOW(posix_fallocate(fd, 50000, 100000));
	show_fd_data("new", fd);
	SHOW(posix_fallocate(fd, -1, 100000));
	SHOW(posix_fallocate(-1, 0, 1));
	close(fd);
}

static void show_piece(int fd, long at)
{
	char buf[16] = "";
	long n = sys(pread64, fd, buf, sizeof(buf), at);

	printf("at %ld: ", at);
	show_data("data", buf, n);
}

/* A file that is holes for the most part is not to be copied byte by byte. The number is low, so that its bytes are here. */
static void sparse(void)
{
	static const long at[] = { 0, 4000, 8190, 1 << 20, (1L << 30) + 5, (6L << 30) - 9, (6L << 30) + 4091 };
	static const struct { int mode; long off, len; } moves[] = {
		{ COLLAPSE, 4096, 4096 }, { INSERT, 8192, 4096 }, { COLLAPSE, 1 << 19, 1 << 20 }, { INSERT, 0, 4096 },
	};
	int fd = SHOWFD(sys(open, P("sparse"), O_CREAT | O_RDWR, 0600));

	section("sparse");
	for (size_t i = 0; i < COUNT(at); i++)
		SHOW(sys(pwrite64, fd, "0123456789", 10, at[i]));
	SHOW(sys(dup2, fd, 102));
	for (size_t m = 0; m < COUNT(moves); m++) {
		SHOW(sys(fallocate, 102, moves[m].mode, moves[m].off, moves[m].len));
		size_of("moved", 102);
		for (size_t i = 0; i < COUNT(at); i++)
			for (long by = -(1L << 20); by <= 1L << 20; by += by < -4096 || by >= 4096 ? (1L << 20) - 4096 : 4096)
				if (at[i] + by >= 0)
					show_piece(102, at[i] + by);
	}
	close(102);
	close(fd);
	SHOW(sys(unlink, P("sparse")));
}

int main(int argc, char **argv)
{
	guest_init(argc, argv);
	small();
	steps_of("lines.txt", O_RDWR, 0);
	steps_of("sizes/s131072", O_WRONLY, 0);
	steps_of("sizes/s3145745", O_RDWR, 0);
	steps_of("sizes/s131073", O_RDWR, 100);
	steps_of("sizes/s65536", O_WRONLY, 101);
	refused();
	posix();
	sparse();
	return 0;
}
