/* utime, utimes, futimesat, utimensat, and futimens as libc makes it. */
#include <sys/time.h>
#include <utime.h>

#include "guest.h"

/* Like stat_path with the access time, which nobody here reads a file to change. */
static void times_of(const char *label, const struct stat *st)
{
	printf("  %s:", label);
	show_time("atime", st->st_atim.tv_sec, st->st_atim.tv_nsec);
	show_time("mtime", st->st_mtim.tv_sec, st->st_mtim.tv_nsec);
	show_time("ctime", st->st_ctim.tv_sec, st->st_ctim.tv_nsec);
	putchar('\n');
}

static void times_path(const char *name)
{
	struct stat st;

	if (sys(newfstatat, AT_FDCWD, P(name), &st, AT_SYMLINK_NOFOLLOW) < 0)
		printf("  %s: -1 %s\n", name, err_name(errno));
	else
		times_of(name, &st);
}

static void times_fd(int fd)
{
	struct stat st;

	if (sys(fstat, fd, &st) < 0)
		printf("  fd: -1 %s\n", err_name(errno));
	else
		times_of("fd", &st);
}

static const struct timespec specs[][2] = {
	{ { 1, 2 }, { 3, 4 } },
	{ { 0, 0 }, { 0, 0 } },
	{ { -1, 999999999 }, { -2000000000, 123456789 } },
	{ { 2147483647, 1 }, { 2147483648, 999999999 } },
	{ { 4294967296, 5 }, { 10000000000, 6 } },
	{ { 1L << 40, 7 }, { -(1L << 40), 8 } },
	{ { LONG_MAX, 9 }, { LONG_MIN, 10 } },
	{ { 5, UTIME_NOW }, { 6, UTIME_NOW } },
	{ { 5, UTIME_OMIT }, { 6, 7 } },
	{ { 5, 8 }, { 6, UTIME_OMIT } },
	{ { 5, UTIME_NOW }, { 6, UTIME_OMIT } },
	{ { 5, UTIME_OMIT }, { 6, UTIME_NOW } },
	{ { 5, UTIME_OMIT }, { 6, UTIME_OMIT } },
	{ { -5, UTIME_NOW }, { 12, 13 } },
	{ { 1, 1000000000 }, { 3, 4 } },
	{ { 1, 2 }, { 3, -1 } },
	{ { 1, UTIME_NOW + 1 }, { 3, UTIME_OMIT } },
	{ { 1, UTIME_OMIT }, { 3, 1L << 32 } },
	{ { 1, (1L << 32) | 5 }, { 3, 4 } },
	{ { 1000000000, 123456789 }, { 1000000001, 987654321 } },
};

static void values(void)
{
	static const char *const names[] = { "hello.txt", "dir", "links/rel", "missing", "hello.txt/x", "links/self/x" };
	int fd = SHOWFD(sys(open, P("hello.txt"), O_WRONLY)); /* one that nobody reads through */

	section("values");
	for (size_t n = 0; n < COUNT(names); n++)
		for (size_t i = 0; i < COUNT(specs); i++) {
			printf("%s %zu: %s\n", names[n], i,
			       sys(utimensat, AT_FDCWD, P(names[n]), specs[i], AT_SYMLINK_NOFOLLOW) < 0 ? err_name(errno) : "ok");
			times_path(names[n]);
			times_fd(fd);
		}
	section("by the descriptor");
	for (size_t i = 0; i < COUNT(specs); i++) {
		printf("fd %zu: %s\n", i, sys(utimensat, fd, NULL, specs[i], 0) < 0 ? err_name(errno) : "ok");
		times_fd(fd);
		times_path("hello.txt");
	}
	close(fd);
}

static void shapes(void)
{
	static const char *const names[] = {
		"", ".", "dir/", "dir/.", "hello.txt/", "hello.txt/.", "hello.txt/x", "missing", "missing/", "missing/x", "links/rel",
		"links/rel/", "links/dangling", "links/dangling/", "links/self", "links/l40", "links/l41", "links/dirlink",
		"links/dirlink/", "links/through", "links/slash", "links/long", "odd/\xff\xfe", "hard/a", "dir/../hello.txt",
	};
	char long_name[257];

	section("shapes");
	for (size_t i = 0; i < COUNT(names); i++)
		for (int flags = 0; flags <= AT_SYMLINK_NOFOLLOW; flags += AT_SYMLINK_NOFOLLOW) {
			const struct timespec t[2] = { { 100 + i, flags }, { 200 + i, flags } };

			printf("%s %x: %s\n", names[i], flags,
			       sys(utimensat, AT_FDCWD, P(names[i]), t, flags) < 0 ? err_name(errno) : "ok");
			times_path(names[i]);
		}
	times_path("hello.txt");
	times_path("hard/b");
	memset(long_name, 'd', 256);
	long_name[256] = 0;
	SHOW(sys(utimensat, AT_FDCWD, P(long_name), NULL, 0));
	SHOW(sys(utime, P(long_name), NULL));
	SHOW(sys(utimensat, AT_FDCWD, "", NULL, 0));
	SHOW(sys(utimensat, AT_FDCWD, NULL, NULL, 0));
	SHOW(sys(utimensat, AT_FDCWD, NULL, specs[0], 0));
	SHOW(sys(utimensat, AT_FDCWD, BAD_LOW, specs[0], 0));
	SHOW(sys(utimensat, AT_FDCWD, P("hello.txt"), BAD_LOW, 0));
	SHOW(sys(utimensat, AT_FDCWD, P("missing"), BAD_KERNEL, 0));
	SHOW(sys(utimensat, AT_FDCWD, P("hello.txt"), edge(31), 0));
	SHOW(sys(utimensat, AT_FDCWD, BAD_LOW, specs[12], 0));
	SHOW(sys(utimensat, AT_FDCWD, P("missing"), specs[12], 0));
	SHOW(sys(utimensat, AT_FDCWD, P("missing"), specs[14], 0));
	SHOW(sys(utimensat, AT_FDCWD, P("missing"), specs[0], 0xff));
	SHOW(sys(utimensat, -1, NULL, specs[12], 0xff));
}

static void at(void)
{
	int dir = SHOWFD(sys(open, P("dir"), O_RDONLY)), file = SHOWFD(sys(open, P("lines.txt"), O_RDWR));
	int path = SHOWFD(sys(open, P("exec.sh"), O_PATH)), link = SHOWFD(sys(open, P("links/rel"), O_PATH | O_NOFOLLOW));
	const int fds[] = { dir, file, path, link, -1, 9999 };
	const struct timespec t[2] = { { 41, 42 }, { 43, 44 } };

	section("at");
	for (size_t i = 0; i < COUNT(fds); i++) {
		printf("descriptor %zu\n", i);
		SHOW(sys(utimensat, fds[i], NULL, t, 0));
		times_fd(fds[i]);
		SHOW(sys(utimensat, fds[i], NULL, NULL, 0));
		times_fd(fds[i]);
		SHOW(sys(utimensat, fds[i], NULL, t, AT_SYMLINK_NOFOLLOW));
		SHOW(sys(utimensat, fds[i], NULL, t, AT_EMPTY_PATH));
		SHOW(sys(utimensat, fds[i], "", t, 0));
		SHOW(sys(utimensat, fds[i], "", t, AT_EMPTY_PATH));
		times_fd(fds[i]);
		SHOW(sys(utimensat, fds[i], "", specs[0], AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW));
		times_fd(fds[i]);
		SHOW(sys(utimensat, fds[i], "file", t, 0));
		SHOW(sys(utimensat, fds[i], P("dir/file"), specs[0], 0));
		SHOW(sys(futimesat, fds[i], NULL, NULL));
		SHOW(sys(futimesat, fds[i], "file", NULL));
	}
	for (int bit = 0; bit < 31; bit++)
		printf("flag %x: %s\n", 1 << bit, sys(utimensat, dir, "file", t, 1 << bit) < 0 ? err_name(errno) : "ok");
	SHOW(sys(chdir, P("dir")));
	SHOW(sys(utimensat, AT_FDCWD, "", t, AT_EMPTY_PATH));
	times_path("dir");
	SHOW(sys(utimensat, AT_FDCWD, "file", specs[3], 0));
	times_path("dir/file");
	SHOW(sys(chdir, "/"));
	SHOW(sys(close, file));
	SHOW(sys(utimensat, file, NULL, t, 0));
	close(dir);
	close(path);
	close(link);
}

static void older(void)
{
	static const struct timeval vals[][2] = {
		{ { 51, 52 }, { 53, 999999 } }, { { -1, 0 }, { 1L << 34, 1 } }, { { 1, 1000000 }, { 2, 3 } }, { { 1, 2 }, { 3, -1 } },
		{ { 1, UTIME_NOW }, { 2, UTIME_OMIT } }, { { LONG_MIN, 0 }, { LONG_MAX, 0 } },
	};
	static const struct utimbuf bufs[] = { { 61, 62 }, { -61, 1L << 33 }, { 0, 0 } };
	int dir = SHOWFD(sys(open, P("dir"), O_RDONLY));

	section("older forms");
	for (size_t i = 0; i < COUNT(vals); i++) {
		printf("utimes %zu: %s\n", i, sys(utimes, P("links/rel"), vals[i]) < 0 ? err_name(errno) : "ok");
		times_path("hello.txt");
		printf("futimesat %zu: %s\n", i, sys(futimesat, dir, "file", vals[i]) < 0 ? err_name(errno) : "ok");
		times_path("dir/file");
		printf("of the directory: %s\n", sys(futimesat, dir, NULL, vals[i]) < 0 ? err_name(errno) : "ok");
		times_fd(dir);
	}
	for (size_t i = 0; i < COUNT(bufs); i++) {
		printf("utime %zu: %s\n", i, sys(utime, P("links/rel"), &bufs[i]) < 0 ? err_name(errno) : "ok");
		times_path("hello.txt");
	}
	SHOW(sys(utime, P("hello.txt"), NULL));
	times_path("hello.txt");
	SHOW(sys(utimes, P("dir/file"), NULL));
	times_path("dir/file");
	SHOW(sys(utime, P("missing"), NULL));
	SHOW(sys(utime, P("links/dangling"), NULL));
	SHOW(sys(utime, P("hello.txt/"), NULL));
	SHOW(sys(utime, NULL, NULL));
	SHOW(sys(utime, P("hello.txt"), BAD_LOW));
	SHOW(sys(utime, P("missing"), BAD_LOW));
	SHOW(sys(utime, P("hello.txt"), edge(15)));
	SHOW(sys(utimes, NULL, NULL));
	SHOW(sys(utimes, "", NULL));
	SHOW(sys(utimes, P("missing"), vals[2]));
	SHOW(sys(utimes, P("missing/x"), vals[0]));
	SHOW(sys(utimes, P("hello.txt"), BAD_KERNEL));
	SHOW(sys(futimesat, AT_FDCWD, NULL, vals[0]));
	SHOW(sys(futimesat, dir, BAD_LOW, vals[0]));
	SHOW(sys(futimesat, dir, "", vals[0]));
	SHOW(sys(futimesat, dir, "file", BAD_LOW));
	SHOW(sys(futimesat, -1, "file", vals[0]));
	close(dir);
}

/* As times_fd, but of a file that may be read meanwhile, which changes its access time. */
static void modified(int fd)
{
	struct stat st;

	printf("  fd: %s", sys(fstat, fd, &st) < 0 ? err_name(errno) : "");
	show_time("mtime", st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
	putchar('\n');
}

/* A write of a descriptor makes the time a new one again. */
static void while_open(void)
{
	int fd = SHOWFD(sys(open, P("exec.sh"), O_RDWR)), reader = SHOWFD(sys(open, P("exec.sh"), O_RDONLY));
	char buf[8];

	section("while open");
	SHOW(sys(utimensat, fd, NULL, specs[0], 0));
	modified(reader);
	SHOW(sys(pwrite64, fd, "#", 1, 0));
	SHOW(sys(utimensat, AT_FDCWD, P("exec.sh"), specs[3], 0));
	modified(fd);
	modified(reader);
	SHOW(sys(pread64, reader, buf, 8, 0));
	show_data("reader", buf, 8);
	SHOW(sys(pwrite64, fd, "#", 1, 0));
	struct stat st;
	SHOW(sys(fstat, reader, &st));
	printf("written: %d\n", st.st_mtim.tv_sec > started - 600);
	SHOW(sys(unlink, P("exec.sh")));
	SHOW(sys(utimensat, fd, NULL, specs[0], 0));
	modified(reader);
	close(fd);
	close(reader);
}

int main(int argc, char **argv)
{
	guest_init(argc, argv);
	values();
	shapes();
	at();
	older();
	while_open();
	return 0;
}
