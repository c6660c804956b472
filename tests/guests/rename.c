/* rename, renameat, renameat2, and what open descriptors see of it. */
#include "guest.h"

#define NOREPLACE 1
#define EXCHANGE 2
#define WHITEOUT 4

static void one(const char *from, const char *to)
{
	printf("rename %s %s: %s\n", from, to, sys(rename, P(from), P(to)) < 0 ? err_name(errno) : "ok");
}

static void shapes(void)
{
	one("missing", "x");
	one("missing/x", "y");
	one("hello.txt", "missing/y");
	one("hello.txt", "hello.txt");
	one("hello.txt", "hello.txt/");
	one("hello.txt/", "h2");
	one("hello.txt", "h2/");
	one("hello.txt", "ro/x");
	one("hello.txt", "dir");
	one("hello.txt", "dir/");
	one("dir", "hello.txt");
	one("dir", "links");
	one("dir", "dir/one/below");
	one("dir", "dir/one");
	one("dir/one", "dir");
	one("dir/one", "dir/empty");
	one("dir/empty", "dir/one");
	one("dir/empty/", "dir/e2/");
	one("dir/e2", "dir/e3//");
	one(".", "x");
	one("dir/.", "x");
	one("dir/..", "x");
	one("hello.txt", ".");
	one("hello.txt", "dir/..");
	one("links/rel", "links/moved");
	one("links/dirlink", "links/rel/");
	one("links/dirlink/", "dir2");
	one("links/self", "hello.txt");
	one("hello.txt", "links/dangling");
	one("hard/a", "hard/b");
	one("ro", "links/dirlink/ro");
	one("odd/\xff\xfe", "odd/\n\n");
	one("empty", "modes/d0000/e");
	one("deep/a/b", "deep/b2");
	stat_path("hard/a");
	stat_path("hard/b");
	stat_path("dir/ro");
	stat_path("deep/b2/c/d/leaf");
	SHOW(sys(rename, NULL, P("x")));
	SHOW(sys(rename, P("exec.sh"), NULL));
	SHOW(sys(rename, BAD_LOW, BAD_KERNEL));
	SHOW(sys(rename, "", P("x")));
	SHOW(sys(rename, P("exec.sh"), ""));
}

static void at(void)
{
	int dir = SHOWFD(sys(open, P("dir"), O_RDONLY)), sizes = SHOWFD(sys(open, P("sizes"), O_PATH));
	int file = SHOWFD(sys(open, P("lines.txt"), O_RDONLY));

	section("renameat");
	SHOW(sys(renameat, sizes, "s1", dir, "one-byte"));
	SHOW(sys(renameat, dir, "one-byte", AT_FDCWD, P("one-byte")));
	SHOW(sys(renameat, dir, "one-byte", dir, "x"));
	SHOW(sys(renameat, file, "x", dir, "x"));
	SHOW(sys(renameat, dir, "file", file, "x"));
	SHOW(sys(renameat, -1, "x", dir, "x"));
	SHOW(sys(renameat, dir, "file", -1, "x"));
	SHOW(sys(renameat, -1, P("dir/file"), -1, P("dir/file2")));
	SHOW(chdir(P("dir")));
	SHOW(sys(renameat, AT_FDCWD, "file2", sizes, "../file3"));
	SHOW(sys(rename, "../file3", "./file"));

	section("renameat2");
	SHOW(sys(renameat2, dir, "file", dir, "file4", 0));
	SHOW(sys(renameat2, dir, "file4", dir, "one", NOREPLACE));
	SHOW(sys(renameat2, dir, "file4", dir, "file4", NOREPLACE));
	SHOW(sys(renameat2, dir, "file4", dir, "file5", NOREPLACE));
	SHOW(sys(renameat2, dir, "file5", sizes, "s4096", EXCHANGE));
	SHOW(sys(renameat2, dir, "file5", dir, "missing", EXCHANGE));
	SHOW(sys(renameat2, dir, "file5", AT_FDCWD, P("deep"), EXCHANGE));
	SHOW(sys(renameat2, dir, "file5", sizes, "x", NOREPLACE | EXCHANGE));
	SHOW(sys(renameat2, dir, "missing", sizes, "x", 8));
	SHOW(sys(renameat2, dir, "file5", sizes, "x", 1 << 20));
	SHOW(sys(renameat2, dir, "missing", sizes, "x", NOREPLACE | WHITEOUT | EXCHANGE));
	stat_path("dir/file5");
	stat_path("sizes/s4096");
}

static void while_open(const char *from, const char *to)
{
	char buf[32];
	int source = sys(open, P(from), O_RDONLY), target = sys(open, P(to), O_RDWR);
	struct stat a, b;

	section("%s over %s, both open", from, to);
	stat_fd("source", source);
	stat_fd("target", target);
	SHOW(sys(rename, P(from), P(to)));
	stat_fd("source", source);
	stat_fd("target", target);
	SHOW(sys(pread64, source, buf, 8, 0));
	show_data("source", buf, 8);
	SHOW(sys(pread64, target, buf, 8, 0));
	show_data("target", buf, 8);
	SHOW(sys(pwrite64, target, "lost", 4, 0));
	sys(fstat, source, &a);
	SHOW(sys(stat, P(to), &b));
	printf("the name is the source: %d\n", a.st_ino == b.st_ino);
	stat_path(from);
	SHOW(sys(close, source));
	SHOW(sys(close, target));
	show_file(to);
}

static void of_a_directory(void)
{
	int dir = SHOWFD(sys(open, P("deep/a"), O_RDONLY)), file = SHOWFD(sys(openat, dir, "leaf", O_RDWR)), fd;

	section("of an open directory");
	SHOW(sys(rename, P("deep/a"), P("renamed")));
	fd = SHOWFD(sys(openat, dir, "leaf", O_RDONLY));
	close(fd);
	SHOW(sys(mkdirat, dir, "made", 0700));
	SHOW(sys(write, file, "new", 3));
	stat_fd("dir", dir);
	stat_path("renamed/made");
	stat_path("deep/a");
	show_file("renamed/leaf");
	SHOW(sys(mkdir, P("deep/a"), 0700));
	SHOWFD(sys(open, P("deep/a/leaf"), O_RDONLY));
	close(SHOWFD(sys(openat, dir, "../hello.txt", O_RDONLY)));
	close(dir);
	close(file);
}

/* What is wrong with one name comes before both being on different file systems. */
static void from_no_directory(void)
{
	static const char *const names[] = { "hello.txt", "hello.txt/x", "missing", "missing/x", "links/self/x", "dir/", "" };
	const int dirs[] = { 0, -1, 999 };
	int ends[2];

	section("relative to what is no directory");
	pipe(ends);
	for (size_t i = 0; i < COUNT(names); i++)
		for (size_t d = 0; d < COUNT(dirs); d++) {
			int dir = dirs[d] ? dirs[d] : ends[0];

			printf("%zu %s\n", d, names[i]);
			SHOW(sys(renameat, dir, "x", AT_FDCWD, P(names[i])));
			SHOW(sys(renameat, AT_FDCWD, P(names[i]), dir, "x"));
			SHOW(sys(renameat2, AT_FDCWD, P(names[i]), dir, "x", 2 | 1));
			SHOW(sys(linkat, dir, "x", AT_FDCWD, P(names[i]), 0));
			SHOW(sys(linkat, AT_FDCWD, P(names[i]), dir, "x", 0));
			SHOW(sys(linkat, AT_FDCWD, P(names[i]), dir, "x", AT_SYMLINK_FOLLOW | AT_EMPTY_PATH));
		}
	SHOW(sys(renameat, AT_FDCWD, BAD_LOW, AT_FDCWD, P("hello.txt")));
	SHOW(sys(renameat, AT_FDCWD, P("hello.txt"), AT_FDCWD, BAD_LOW));
	SHOW(sys(renameat, AT_FDCWD, P("missing/x"), AT_FDCWD, BAD_LOW));
	close(ends[0]);
	close(ends[1]);
}

/* What is wrong with the old name comes before nothing being in a removed directory; that dots are no names before both. */
static void in_a_removed_directory(void)
{
	static const char *const names[] = { "hello.txt", "missing", "dir/.", "missing/x" };
	static const char *const gone[] = { "x", "x/", ".", "..", "./.", "x/y" };
	static char longest[300];
	int dir;

	section("in a removed directory");
	memset(longest, 'n', sizeof(longest) - 1);
	SHOW(sys(mkdir, P("gone"), 0700));
	dir = SHOWFD(sys(open, P("gone"), O_RDONLY | O_DIRECTORY));
	SHOW(sys(rmdir, P("gone")));
	for (size_t g = 0; g < COUNT(gone); g++) {
		for (size_t i = 0; i < COUNT(names); i++) {
			printf("%s %s\n", gone[g], names[i]);
			for (int flags = 0; flags <= 2; flags++) {
				SHOW(sys(renameat2, AT_FDCWD, P(names[i]), dir, gone[g], flags));
				SHOW(sys(renameat2, dir, gone[g], AT_FDCWD, P(names[i]), flags));
			}
		}
		SHOW(sys(renameat, AT_FDCWD, P(longest), dir, gone[g]));
		SHOW(sys(renameat, dir, gone[g], AT_FDCWD, P(longest)));
		SHOW(sys(renameat, dir, longest, dir, gone[g]));
		SHOW(sys(renameat, dir, gone[g], dir, longest));
	}
	close(dir);
}

/* Of two names that lead nowhere the old one's directory is asked first. */
static void fenced(void)
{
	SHOW(sys(mkdir, P("fenced"), 0444));
	SHOW(sys(rename, P("fenced/x"), P("hello.txt/y")));
	SHOW(sys(rename, P("hello.txt/y"), P("fenced/x")));
	SHOW(sys(rename, P("fenced/x"), P("missing/y")));
	SHOW(sys(rmdir, P("fenced")));
}

int main(int argc, char **argv)
{
	guest_init(argc, argv);
	fenced();
	of_a_directory();
	while_open("lines.txt", "sizes/s65536");
	while_open("sizes/s1048577", "sizes/s131071");
	while_open("sizes/s131072", "sizes/s3145745");
	sys(rename, P("sizes/s65536"), P("lines.txt"));
	shapes();
	at();
	from_no_directory();
	in_a_removed_directory();
	return 0;
}
