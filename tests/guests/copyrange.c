/* copy_file_range between files of the tree, and what is around them. */
#include "guest.h"

static char buf[1 << 16];

static void copy(const char *from, const char *to, int to_flags, long in_at, long out_at, size_t len)
{
	int in = sys(open, P(from), O_RDONLY), out = sys(open, P(to), to_flags, 0644);
	off_t off_in = in_at, off_out = out_at;
	long n;

	printf("%s -> %s %x, %ld to %ld, %zu\n", from, to, to_flags, in_at, out_at, len);
	n = sys(copy_file_range, in, in_at < 0 ? NULL : &off_in, out, out_at < 0 ? NULL : &off_out, len, 0);
	printf("   %ld %s, offsets %ld %ld, files at %ld %ld\n", n, n < 0 ? err_name(errno) : "", (long)off_in, (long)off_out,
	       sys(lseek, in, 0, SEEK_CUR), sys(lseek, out, 0, SEEK_CUR));
	show_file(to);
	close(in);
	close(out);
}

static void plain(void)
{
	section("plain");
	copy("hello.txt", "copy", O_CREAT | O_RDWR | O_TRUNC, -1, -1, 1000);
	copy("hello.txt", "copy", O_RDWR, 3, 2, 4);
	copy("hello.txt", "copy", O_WRONLY, -1, 100, 1000);
	copy("sizes/s3145745", "copy", O_WRONLY | O_TRUNC, 1, -1, 4000000);
	copy("sizes/s3145745", "copy", O_RDWR, -1, 5, 1000000);
	copy("sizes/s131073", "copy", O_WRONLY, 131000, 7, 1000);
	copy("sizes/s131073", "copy", O_WRONLY, 131073, 7, 1000);
	copy("sizes/s131073", "copy", O_WRONLY, 200000, 7, 1000);
	copy("empty", "copy", O_WRONLY, -1, -1, 10);
	copy("hello.txt", "copy", O_WRONLY, -1, -1, 0);
	copy("hello.txt", "new", O_CREAT | O_WRONLY | O_EXCL, -1, -1, 1UL << 40);
}

/* The offsets move by what was copied; the readers of the copy see it at once. */
static void steps(void)
{
	int in = SHOWFD(sys(open, P("sizes/s131073"), O_RDONLY)), out = SHOWFD(sys(open, P("steps"), O_CREAT | O_RDWR, 0600));
	int reader = SHOWFD(sys(open, P("steps"), O_RDONLY)), low = dup(reader);
	char *map = mmap(NULL, 65536, PROT_READ, MAP_PRIVATE, reader, 0);
	struct stat st;
	long n;

	section("steps");
	while ((n = sys(copy_file_range, in, NULL, out, NULL, 50000, 0)) > 0) {
		long at = sys(lseek, out, 0, SEEK_CUR);

		sys(fstat, reader, &st);
		printf("%ld: in at %ld, out at %ld, size %ld\n", n, sys(lseek, in, 0, SEEK_CUR), at, (long)st.st_size);
		show_data("reader", buf, sys(pread64, reader, buf, 50000, at - n));
		show_data("low", buf, sys(pread64, low, buf, 50000, at - n));
		show_data("out", buf, sys(pread64, out, buf, 50000, at - n));
	}
	printf("then %ld\n", n);
	if (map != MAP_FAILED)
		show_data("map", map, 50000);
	close(in);
	close(out);
	close(reader);
	close(low);
}

static void one_file(void)
{
	int fd = SHOWFD(sys(open, P("sizes/s131072"), O_RDWR)), other = SHOWFD(sys(open, P("sizes/s131072"), O_RDONLY));
	static const struct { long from, to, len; } ranges[] = {
		{ 0, 4096, 4096 }, { 0, 100, 200 }, { 100, 0, 200 }, { 0, 0, 10 }, { 0, 131072, 1000000 }, { 10, 131072, 5 },
		{ 200000, 0, 5 }, { 131072, 131071, 10 }, { 5, 5, 0 },
	};

	section("within one file");
	for (size_t i = 0; i < COUNT(ranges); i++) {
		off_t from = ranges[i].from, to = ranges[i].to;

		printf("%ld to %ld, %ld\n", (long)from, (long)to, ranges[i].len);
		SHOW(sys(copy_file_range, fd, &from, fd, &to, ranges[i].len, 0));
		printf("offsets %ld %ld\n", (long)from, (long)to);
		from = ranges[i].from;
		to = ranges[i].to;
		SHOW(sys(copy_file_range, other, &from, fd, &to, ranges[i].len, 0));
	}
	show_file("sizes/s131072");
	close(fd);
	close(other);
}

static void descriptors(void)
{
	static const struct { const char *name; int flags; } opens[] = {
		{ "hello.txt", O_RDONLY }, { "new", O_RDWR }, { "new", O_WRONLY | O_APPEND }, { "new", O_RDWR | O_APPEND }, { "dir", O_RDONLY },
		{ "hello.txt", O_PATH }, { "new", O_WRONLY }, { "sizes/s3145745", O_RDONLY },
	};
	int local = memfd_create("local", 0), pipes[2], null = open("/dev/null", O_RDWR);

	section("descriptors");
	if (write(local, "0123456789", 10) != 10 || pipe(pipes) < 0)
		return;
	for (size_t i = 0; i < COUNT(opens); i++)
		for (size_t j = 0; j < COUNT(opens); j++) {
			int a = sys(open, P(opens[i].name), opens[i].flags), b = sys(open, P(opens[j].name), opens[j].flags);
			off_t from = 0, to = 100, bad = -1, far = LONG_MAX;

			printf("%s %x, %s %x\n", opens[i].name, opens[i].flags, opens[j].name, opens[j].flags);
			SHOW(sys(copy_file_range, a, &from, b, &to, 3, 0));
			SHOW(sys(copy_file_range, a, &from, b, &to, 3, 1));
			SHOW(sys(copy_file_range, a, BAD_KERNEL, b, &to, 3, 1));
			SHOW(sys(copy_file_range, a, &bad, b, &to, 3, 0));
			SHOW(sys(copy_file_range, a, &from, b, &bad, 3, 0));
			SHOW(sys(copy_file_range, a, &from, b, &far, 30, 0));
			SHOW(sys(copy_file_range, a, &far, b, &to, 30, 0));
			SHOW(sys(copy_file_range, a, &from, b, &to, -1L, 0));
			close(a);
			close(b);
		}
	for (size_t i = 0; i < COUNT(opens); i++) {
		int a = sys(open, P(opens[i].name), opens[i].flags);

		printf("%s %x and others\n", opens[i].name, opens[i].flags);
		SHOW(sys(copy_file_range, a, NULL, -1, NULL, 3, 0));
		SHOW(sys(copy_file_range, -1, NULL, a, NULL, 3, 0));
		SHOW(sys(copy_file_range, a, NULL, pipes[1], NULL, 3, 0));
		SHOW(sys(copy_file_range, pipes[0], NULL, a, NULL, 3, 0));
		SHOW(sys(copy_file_range, a, NULL, null, NULL, 3, 0));
		if (opens[i].flags != O_RDONLY || strcmp(opens[i].name, "hello.txt")) {
			SHOW(sys(copy_file_range, a, NULL, local, NULL, 3, 0));
			SHOW(sys(copy_file_range, local, NULL, a, NULL, 3, 0));
		}
		close(a);
	}
	show_file("new");
}

/* Low numbers: a shell's redirections. */
static void low_numbers(void)
{
	int in = SHOWFD(sys(open, P("sizes/s131073"), O_RDWR)), out = SHOWFD(sys(open, P("low"), O_CREAT | O_RDWR, 0600));
	off_t zero = 0, ten = 10;

	section("low numbers");
	SHOW(sys(dup2, in, 100));
	SHOW(sys(dup2, out, 101));
	SHOW(sys(pwrite64, 100, "changed", 7, 3));
	SHOW(sys(copy_file_range, 100, NULL, 101, NULL, 1000, 0));
	SHOW(sys(lseek, 100, 0, SEEK_CUR));
	SHOW(sys(lseek, 101, 0, SEEK_CUR));
	SHOW(sys(copy_file_range, 100, &zero, 101, &ten, 2000, 0));
	SHOW(sys(copy_file_range, 101, &zero, 101, &ten, 2000, 0));
	SHOW(sys(pread64, 101, buf, 2000, 0));
	show_data("101", buf, 2000);
	close(100);
	close(101);
	close(in);
	close(out);
	show_file("low");
}

/* Onto itself, from an emulated descriptor to one that is written natively. */
static void onto_itself(void)
{
	int in = open(P("hello.txt"), O_RDWR), out = open(P("hello.txt"), O_WRONLY);

	section("onto itself, low");
	dup2(out, 102);
	for (int from = 0; from < 16; from += 5)
		for (int to = 0; to < 16; to += 5)
			for (int n = 0; n < 12; n += 4) {
				int64_t a = from, b = to;

				printf("%d %d %d: ", from, to, n);
				SHOW(sys(copy_file_range, in, &a, 102, &b, n, 0));
			}
	close(in);
	close(out);
	close(102);
	show_file("hello.txt");
	/* No more than the file has, whatever the copy adds to it. */
	{
		int in = sys(open, P("grows"), O_RDWR | O_CREAT | O_TRUNC, 0644), out = sys(open, P("grows"), O_RDWR);
		long from = 900, to = 8000;

		SHOW(sys(dup2, out, 90));
		SHOW(sys(write, in, P("grows"), 5));
		SHOW(sys(ftruncate, in, 5000));
		SHOW(sys(copy_file_range, in, &from, 90, &to, 70000, 0));
		SHOW(sys(lseek, in, 0, SEEK_END));
		close(in);
		close(out);
		close(90);
	}
}

int main(int argc, char **argv)
{
	guest_init(argc, argv);
	plain();
	steps();
	one_file();
	descriptors();
	low_numbers();
	onto_itself();
	return 0;
}
