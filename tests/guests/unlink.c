/* unlink, unlinkat, and what an open descriptor still sees. */
#include "guest.h"

static void shapes(void)
{
	static const char *const names[] = {
		"missing", "missing/x", "hello.txt/", "hello.txt/x", "dir", "dir/", "dir/.", "dir/..", ".", "..", "",
		"links/rel/", "links/dirlink/", "links/dirlink", "links/dangling", "links/self", "links/loop1/x", "odd/\xff\xfe",
		"odd/new\nline", "modes/d0000", "modes/m0000", "links/absdir/file", "dir//one/./only",
	};
	char long_name[257];

	for (size_t i = 0; i < COUNT(names); i++)
		printf("unlink %s: %s\n", names[i], sys(unlink, P(names[i])) < 0 ? err_name(errno) : "ok");
	memset(long_name, 'u', 256);
	long_name[256] = 0;
	SHOW(sys(unlink, P(long_name)));
	SHOW(sys(unlink, NULL));
	SHOW(sys(unlink, BAD_KERNEL));
	SHOW(sys(unlink, ""));
}

static void at(void)
{
	int dir = SHOWFD(sys(open, P("dir"), O_RDONLY)), file = SHOWFD(sys(open, P("hello.txt"), O_RDONLY));

	section("unlinkat");
	SHOW(sys(unlinkat, dir, "one", 0));
	SHOW(sys(unlinkat, dir, "one", AT_REMOVEDIR));
	SHOW(sys(unlinkat, dir, "one", AT_REMOVEDIR));
	SHOW(sys(unlinkat, dir, "missing", AT_REMOVEDIR));
	SHOW(sys(unlinkat, dir, "../hard/a", 0));
	stat_path("hard/b");
	SHOW(sys(unlinkat, dir, "../hard/b", AT_REMOVEDIR));
	SHOW(sys(unlinkat, dir, ".", AT_REMOVEDIR));
	SHOW(sys(unlinkat, dir, "..", AT_REMOVEDIR));
	SHOW(sys(unlinkat, dir, "", 0));
	SHOW(sys(unlinkat, dir, "x", 1));
	SHOW(sys(unlinkat, dir, NULL, 0));
	SHOW(sys(unlinkat, file, "x", 0));
	SHOW(sys(unlinkat, -1, "x", 0));
	SHOW(sys(unlinkat, -1, P("empty"), 0));
	SHOW(sys(unlinkat, AT_FDCWD, P("deep"), AT_REMOVEDIR));
	SHOW(sys(unlinkat, AT_FDCWD, P("links"), 0));
	SHOW(chdir(P("deep/a/b/c/d/e/f/g/h")));
	SHOW(sys(unlink, "leaf"));
	SHOW(sys(rmdir, "../h"));
	SHOW(sys(unlink, "leaf"));
	close(dir);
}

static void while_open(const char *name, int flags)
{
	static char buf[64];
	int fd = sys(open, P(name), flags), other = sys(open, P(name), O_RDONLY), again;

	section("while open: %s %o", name, flags);
	SHOW(sys(unlink, P(name)));
	stat_path(name);
	stat_fd("still", fd);
	memset(buf, 0, sizeof(buf));
	SHOW(sys(read, fd, buf, 20));
	show_data("read", buf, 20);
	SHOW(sys(pread64, other, buf, 20, 0));
	show_data("pread", buf, 20);
	if (flags & O_RDWR) {
		SHOW(sys(pwrite64, fd, "WRITTEN", 7, 0));
		SHOW(sys(pread64, other, buf, 20, 0));
		show_data("other", buf, 20);
		SHOW(sys(ftruncate, fd, 3));
		stat_fd("truncated", other);
		SHOW(sys(fsync, fd));
	}
	again = SHOWFD(sys(open, P(name), O_CREAT | O_RDWR | O_EXCL, 0600));
	SHOW(sys(write, again, "another", 7));
	SHOW(sys(pread64, other, buf, 20, 0));
	stat_fd("old", other);
	stat_fd("new", again);
	SHOWFD(sys(openat, fd, "x", O_RDONLY));
	SHOW(sys(close, fd));
	SHOW(sys(close, other));
	SHOW(sys(close, again));
	show_file(name);
}

int main(int argc, char **argv)
{
	guest_init(argc, argv);
	shapes();
	while_open("hello.txt", O_RDONLY);
	while_open("lines.txt", O_RDWR);
	while_open("sizes/s1048577", O_RDONLY);
	while_open("sizes/s3145745", O_RDWR);
	at();
	return 0;
}
