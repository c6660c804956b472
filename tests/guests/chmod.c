/* chmod, fchmod, fchmodat, fchmodat2. */
#include "guest.h"

#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif

static void one(const char *name, mode_t mode)
{
	printf("chmod %s %o: %s\n", name, mode, sys(chmod, P(name), mode) < 0 ? err_name(errno) : "ok");
	stat_path(name);
}

static void modes(void)
{
	static const mode_t modes[] = { 0, 01, 0111, 0222, 0444, 0644, 0777, 01777, 02755, 02745, 04755, 06777, 07777, 0100600, 040755,
					0200600, 0x1ed0000 | 0640 };
	static const char *const names[] = { "hello.txt", "dir", "modes/m4755", "modes/d2775", "modes/d1777", "modes/d0000" };

	section("modes");
	for (size_t n = 0; n < COUNT(names); n++)
		for (size_t i = 0; i < COUNT(modes); i++)
			one(names[n], modes[i]);
	umask(0777);
	one("hello.txt", 0666);
	umask(022);
	section("what setgid and sticky do");
	one("dir/one", 02775);
	SHOW(sys(mkdir, P("dir/one/sub"), 0755));
	stat_path("dir/one/sub");
	one("dir/one/sub", 01777);
	SHOW(sys(mkdir, P("dir/one/sub/sub"), 0755));
	stat_path("dir/one/sub/sub");
	one("dir/one", 0755);
	stat_path("dir/one/sub");
}

static void shapes(void)
{
	static const char *const names[] = {
		"", ".", "..", "dir/", "dir/.", "hello.txt/", "hello.txt/.", "hello.txt/x", "missing", "missing/", "missing/x",
		"links/rel", "links/rel/", "links/dangling", "links/self", "links/loop1", "links/l40", "links/l41", "links/dirlink",
		"links/dirlink/", "links/through", "links/slash", "links/long", "odd/\xff\xfe", "hard/a", "dir/../hello.txt",
	};
	char long_name[257];
	static char long_path[PATH_MAX + 2];

	section("shapes");
	for (size_t i = 0; i < COUNT(names); i++)
		if (strcmp(names[i], ".."))
			one(names[i], 0710 + i % 8);
	stat_path("hard/b");
	stat_path("");
	memset(long_name, 'd', 256);
	long_name[256] = 0;
	SHOW(sys(chmod, P(long_name), 0755));
	long_name[255] = 0;
	SHOW(sys(chmod, P(long_name), 0755));
	memset(long_path, '/', PATH_MAX + 1);
	SHOW(sys(chmod, long_path, 0755));
	SHOW(sys(chmod, NULL, 0755));
	SHOW(sys(chmod, BAD_LOW, 0755));
	SHOW(sys(chmod, BAD_KERNEL, 0755));
	SHOW(sys(chmod, "", 0755));
}

static void at(void)
{
	int dir = SHOWFD(sys(open, P("dir"), O_RDONLY)), file = SHOWFD(sys(open, P("lines.txt"), O_RDONLY));

	section("fchmodat");
	SHOW(sys(fchmodat, dir, "file", 0600));
	stat_path("dir/file");
	SHOW(sys(fchmodat, dir, "", 0600));
	SHOW(sys(fchmodat, dir, NULL, 0600));
	SHOW(sys(fchmodat, dir, ".", 0711));
	stat_fd("dir", dir);
	SHOW(sys(fchmodat, dir, "../hello.txt", 0604));
	stat_path("hello.txt");
	SHOW(sys(fchmodat, dir, "missing", 0600));
	SHOW(sys(fchmodat, file, "x", 0600));
	SHOW(sys(fchmodat, -1, "x", 0600));
	SHOW(sys(fchmodat, 999, "x", 0600));
	SHOW(sys(fchmodat, -1, P("dir/file"), 0601));
	stat_path("dir/file");
	/* Its flags argument is none: the fourth register is not looked at. */
	SHOW(sys(fchmodat, dir, "file", 0602, 0xffff));
	SHOW(sys(chdir, P("dir")));
	SHOW(sys(chmod, "file", 0603));
	SHOW(sys(fchmodat, AT_FDCWD, "./file", 0605));
	stat_path("dir/file");
	SHOW(sys(chmod, "../links/rel", 0606));
	stat_path("hello.txt");
	SHOW(sys(chdir, "/"));
	close(dir);
	close(file);
}

static void at2(void)
{
	int dir = SHOWFD(sys(open, P("dir"), O_RDONLY)), file = SHOWFD(sys(open, P("lines.txt"), O_RDONLY));
	int path = SHOWFD(sys(open, P("exec.sh"), O_PATH)), link = SHOWFD(sys(open, P("links/rel"), O_PATH | O_NOFOLLOW));

	section("fchmodat2");
	SHOW(sys(fchmodat2, dir, "file", 0600, 0));
	SHOW(sys(fchmodat2, dir, "file", 0640, AT_SYMLINK_NOFOLLOW));
	stat_path("dir/file");
	SHOW(sys(fchmodat2, AT_FDCWD, P("links/rel"), 0640, AT_SYMLINK_NOFOLLOW));
	SHOW(sys(fchmodat2, AT_FDCWD, P("links/dangling"), 0640, AT_SYMLINK_NOFOLLOW));
	/* One that was just made, of which all is known. */
	SHOW(sys(mkdir, P("made"), 0755));
	SHOW(sys(symlink, "nothing", P("made/link")));
	SHOW(sys(fchmodat2, AT_FDCWD, P("made/link"), 0640, AT_SYMLINK_NOFOLLOW));
	SHOW(sys(fchmodat2, AT_FDCWD, P("links/dangling"), 0640, 0));
	SHOW(sys(fchmodat2, AT_FDCWD, P("links/dirlink/"), 0750, AT_SYMLINK_NOFOLLOW));
	SHOW(sys(fchmodat2, dir, "", 0755, 0));
	SHOW(sys(fchmodat2, dir, "", 0757, AT_EMPTY_PATH));
	stat_fd("dir", dir);
	SHOW(sys(fchmodat2, file, "", 0646, AT_EMPTY_PATH));
	SHOW(sys(fchmodat2, file, "", 0647, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW));
	stat_fd("file", file);
	SHOW(sys(fchmodat2, path, "", 0751, AT_EMPTY_PATH));
	stat_fd("path", path);
	SHOW(sys(fchmodat2, link, "", 0751, AT_EMPTY_PATH));
	stat_fd("link", link);
	SHOW(sys(fchmodat2, -1, "", 0751, AT_EMPTY_PATH));
	SHOW(sys(fchmodat2, file, NULL, 0751, AT_EMPTY_PATH));
	SHOW(sys(fchmodat2, file, BAD_LOW, 0751, AT_EMPTY_PATH));
	SHOW(sys(chdir, P("dir")));
	SHOW(sys(fchmodat2, AT_FDCWD, "", 0752, AT_EMPTY_PATH));
	stat_path("dir");
	SHOW(sys(chdir, "/"));
	for (int bit = 0; bit < 31; bit++)
		printf("flag %x: %s\n", 1 << bit, sys(fchmodat2, dir, "file", 0644, 1 << bit) < 0 ? err_name(errno) : "ok");
	SHOW(sys(fchmodat2, dir, "missing", 0644, 1));
	close(dir);
	close(file);
	close(path);
	close(link);
}

static void descriptors(void)
{
	section("fchmod");
	sys(chmod, P("hello.txt"), 0644);
	sys(chmod, P("dir"), 0755);
	for (size_t i = 0; i < COUNT(open_ways); i++) {
		int fd = sys(open, P(open_ways[i].name), open_ways[i].flags), dup_fd = dup(fd);

		printf("%s %o: %s\n", open_ways[i].name, open_ways[i].flags, fd < 0 ? err_name(errno) : "fd");
		stat_fd("before", fd);
		SHOW(sys(fchmod, fd, 0700 + i));
		stat_fd("after", fd);
		stat_path(open_ways[i].name);
		SHOW(sys(chmod, P(open_ways[i].name), 02710 + i));
		stat_fd("by path", fd);
		SHOW(sys(close, fd));
		SHOW(sys(fchmod, fd, 0644));
		SHOW(sys(fchmod, dup_fd, 0750));
		stat_fd("dup", dup_fd);
		close(dup_fd);
	}
	SHOW(sys(fchmod, -1, 0644));
	SHOW(sys(fchmod, 9999, 0644));
}

/* What the owner may do with what was open before the right was taken. */
static void while_open(void)
{
	char buf[16];
	int fd = SHOWFD(sys(open, P("lines.txt"), O_RDWR));
	struct stat st;

	section("while open");
	SHOW(sys(fchmod, fd, 0));
	SHOW(sys(read, fd, buf, 8));
	SHOW(sys(pwrite64, fd, "LINE", 4, 0));
	stat_fd("mode 0", fd);
	SHOW(sys(fchmod, fd, 06777));
	/* A write by one without CAP_FSETID takes setuid away. */
	SHOW(sys(pwrite64, fd, "line", 4, 0));
	stat_fd("written", fd);
	SHOW(sys(unlink, P("lines.txt")));
	SHOW(sys(fchmod, fd, 0640));
	SHOW(sys(fstat, fd, &st));
	printf("removed: %o %d\n", st.st_mode, (int)st.st_nlink);
	close(fd);
	fd = SHOWFD(sys(open, P("dir/empty"), O_RDONLY));
	SHOW(sys(rmdir, P("dir/empty")));
	SHOW(sys(fchmod, fd, 0701));
	stat_fd("removed directory", fd);
	close(fd);
}

/* What the whole tree is mounted at, by a descriptor: the first change of all. */
static void of_the_top(void)
{
	int dir = SHOWFD(sys(open, P("."), O_RDONLY | O_DIRECTORY));

	section("of the top by its descriptor");
	SHOW(sys(fchmod, dir, 0750));
	stat_fd("top", dir);
	stat_path(".");
	SHOW(sys(fchmod, dir, 0755));
	close(dir);
}

int main(int argc, char **argv)
{
	guest_init(argc, argv);
	of_the_top();
	modes();
	shapes();
	at();
	at2();
	descriptors();
	while_open();
	return 0;
}
