/* link, linkat, and what open descriptors see of it. */
#include "guest.h"

static int count;

static void one(const char *from, const char *to)
{
	printf("link %s %s: %s\n", from, to, sys(link, P(from), P(to)) < 0 ? err_name(errno) : "ok");
}

static void shapes(void)
{
	static const char *const from[] = {
		"hello.txt", "hello.txt/", "hello.txt/.", "hello.txt/x", "missing", "missing/", "missing/x", "dir", "dir/", ".", "dir/..",
		"links/rel", "links/rel/", "links/dangling", "links/dangling/", "links/self", "links/dirlink", "links/dirlink/",
		"links/dirlink/file", "links/l41", "links/through", "links/long", "odd/\xff\xfe", "modes/m0000", "modes/d0000", "hard/a", "",
	};
	static const char *const to[] = {
		"hello.txt", "ro", "n1/", "n2/.", ".", "..", "", "dir", "dir/", "missing/x", "hello.txt/x", "links/rel", "links/dangling",
		"links/dangling/", "links/self", "links/dirlink", "links/dirlink/n3", "links/up/n4", "links/loop1/x", "dir/../n5",
		"odd/\xfe\n", "modes/d0000/x", "modes/d1777/x",
	};
	char name[32];

	section("from");
	for (size_t i = 0; i < COUNT(from); i++) {
		snprintf(name, sizeof(name), "new%zu", i);
		one(from[i], name);
		stat_path(name);
		one(from[i], "missing/x");
		one(from[i], "ro");
	}
	section("to");
	for (size_t i = 0; i < COUNT(to); i++) {
		one("hello.txt", to[i]);
		one("missing", to[i]);
		one("dir", to[i]);
	}
	stat_path("hello.txt");
	stat_path("links/dirlink/n3");
}

static void bad(void)
{
	char long_name[257];
	static char long_path[PATH_MAX + 2];

	section("bad");
	memset(long_name, 'l', 256);
	long_name[256] = 0;
	one(long_name, "x");
	one("hello.txt", long_name);
	one("dir", long_name);
	long_name[255] = 0;
	one("hello.txt", long_name);
	memset(long_path, '/', PATH_MAX + 1);
	SHOW(sys(link, long_path, P("x")));
	SHOW(sys(link, P("hello.txt"), long_path));
	SHOW(sys(link, NULL, P("x")));
	SHOW(sys(link, P("hello.txt"), NULL));
	SHOW(sys(link, P("missing"), BAD_LOW));
	SHOW(sys(link, BAD_LOW, BAD_KERNEL));
	SHOW(sys(link, "", P("x")));
	SHOW(sys(link, P("hello.txt"), ""));
	SHOW(sys(link, P("missing"), ""));
	section("to and from another file system");
	SHOW(sys(link, P("hello.txt"), "/dev/rfs-guest-link"));
	SHOW(sys(link, "/dev/null", P("x")));
	SHOW(sys(link, P("missing"), "/dev/rfs-guest-link"));
}

static void at(void)
{
	static const char *const names[] = { "links/rel", "links/dangling", "links/self", "links/dirlink", "links/l41", "hello.txt", "dir" };
	int dir = SHOWFD(sys(open, P("dir"), O_RDONLY)), top = SHOWFD(sys(open, P(""), O_PATH));
	int file = SHOWFD(sys(open, P("lines.txt"), O_RDONLY));
	char name[32];

	section("linkat");
	for (size_t i = 0; i < COUNT(names); i++)
		for (int flags = 0; flags <= AT_SYMLINK_FOLLOW; flags += AT_SYMLINK_FOLLOW) {
			snprintf(name, sizeof(name), "at%d", ++count);
			printf("%s %x: %s\n", names[i], flags,
			       sys(linkat, top, names[i], dir, name, flags) < 0 ? err_name(errno) : "ok");
			snprintf(name, sizeof(name), "dir/at%d", count);
			stat_path(name);
		}
	SHOW(sys(linkat, file, "x", dir, "y", 0));
	SHOW(sys(linkat, dir, "file", file, "y", 0));
	SHOW(sys(linkat, dir, "missing", file, "y", 0));
	SHOW(sys(linkat, -1, "x", dir, "y", 0));
	SHOW(sys(linkat, dir, "file", -1, "y", 0));
	SHOW(sys(linkat, dir, "missing", -1, "y", 0));
	SHOW(sys(linkat, -1, P("dir/file"), -1, P("dir/file2"), 0));
	SHOW(sys(linkat, dir, "", dir, "y", 0));
	SHOW(sys(linkat, dir, NULL, dir, "y", 0));
	SHOW(sys(linkat, dir, "file", dir, NULL, 0));
	SHOW(sys(chdir, P("dir")));
	SHOW(sys(link, "file", "file3"));
	SHOW(sys(linkat, AT_FDCWD, "../ro", top, "ro2", 0));
	stat_path("dir/file");
	stat_path("ro2");
	for (int bit = 0; bit < 31; bit++) {
		snprintf(name, sizeof(name), "flag%d", bit);
		printf("flag %x: %s\n", 1 << bit, sys(linkat, dir, "file", dir, name, 1 << bit) < 0 ? err_name(errno) : "ok");
	}
	SHOW(sys(linkat, dir, "missing", dir, "x", 1));
	SHOW(sys(chdir, "/"));
	close(dir);
	close(top);
	close(file);
}

/* AT_EMPTY_PATH needs CAP_DAC_READ_SEARCH, or (6.10) to be who opened it. */
static void empty(void)
{
	static const struct { const char *name; int flags; } opens[] = {
		{ "exec.sh", O_RDONLY }, { "exec.sh", O_RDWR }, { "exec.sh", O_PATH }, { "links/rel", O_PATH | O_NOFOLLOW }, { "dir", O_RDONLY },
		{ "sizes/s3145745", O_RDWR },
	};
	char name[32];

	section("AT_EMPTY_PATH");
	for (size_t i = 0; i < COUNT(opens); i++) {
		int fd = SHOWFD(sys(open, P(opens[i].name), opens[i].flags));

		snprintf(name, sizeof(name), "empty%zu", i);
		SHOW(sys(linkat, fd, "", AT_FDCWD, P(name), 0));
		SHOW(sys(linkat, fd, "", AT_FDCWD, P("missing/x"), AT_EMPTY_PATH));
		SHOW(sys(linkat, fd, "", AT_FDCWD, P("hello.txt"), AT_EMPTY_PATH));
		SHOW(sys(linkat, fd, "", AT_FDCWD, P(name), AT_EMPTY_PATH));
		stat_fd("fd", fd);
		stat_path(name);
		SHOW(sys(linkat, fd, "", AT_FDCWD, P("empty-follow"), AT_EMPTY_PATH | AT_SYMLINK_FOLLOW));
		stat_path("empty-follow");
		sys(unlink, P("empty-follow"));
		close(fd);
	}
	SHOW(sys(linkat, -1, "", AT_FDCWD, P("x"), AT_EMPTY_PATH));
	SHOW(sys(chdir, P("dir")));
	SHOW(sys(linkat, AT_FDCWD, "", AT_FDCWD, P("x"), AT_EMPTY_PATH));
	SHOW(sys(chdir, "/"));
	int fd = SHOWFD(sys(open, P("exec.sh"), O_RDONLY));
	SHOW(sys(unlink, P("exec.sh")));
	SHOW(sys(unlink, P("empty0")));
	SHOW(sys(unlink, P("empty1")));
	SHOW(sys(unlink, P("empty2")));
	stat_fd("removed", fd);
	SHOW(sys(linkat, fd, "", AT_FDCWD, P("exec.sh"), AT_EMPTY_PATH));
	stat_path("exec.sh");
	close(fd);
}

static void while_open(void)
{
	char buf[8];
	int fd = SHOWFD(sys(open, P("empty"), O_RDWR)), dir = SHOWFD(sys(open, P("deep"), O_RDONLY)), other;

	section("while open");
	stat_fd("fd", fd);
	stat_fd("deep", dir);
	stat_path("deep/linked");
	SHOW(sys(link, P("empty"), P("deep/linked")));
	stat_fd("fd", fd);
	stat_fd("deep", dir);
	stat_path("empty");
	stat_path("deep/linked");
	other = SHOWFD(sys(open, P("deep/linked"), O_RDONLY));
	SHOW(sys(pwrite64, fd, "through", 7, 0));
	SHOW(sys(pread64, other, buf, 7, 0));
	show_data("other", buf, 7);
	SHOW(sys(unlink, P("empty")));
	stat_fd("fd", fd);
	stat_fd("other", other);
	stat_path("deep/linked");
	SHOW(sys(rename, P("deep/linked"), P("deep/moved")));
	SHOW(sys(link, P("deep/moved"), P("empty")));
	stat_fd("fd", fd);
	show_file("empty");
	close(fd);
	close(other);
	close(dir);
}

int main(int argc, char **argv)
{
	guest_init(argc, argv);
	while_open();
	shapes();
	bad();
	at();
	empty();
	return 0;
}
