/* chown, fchown, lchown, fchownat. As another user than root most are refused; that must be the same, too. */
#include "guest.h"

static void one(const char *name, uid_t uid, gid_t gid)
{
	printf("chown %s %d %d: %s\n", name, (int)uid, (int)gid, sys(chown, P(name), uid, gid) < 0 ? err_name(errno) : "ok");
	stat_path(name);
}

static void ids(void)
{
	static const struct { uid_t uid; gid_t gid; } ids[] = {
		{ -1, -1 }, { 1000, -1 }, { -1, 1001 }, { 0, 0 }, { 65534, 65535 }, { 70000, 2000000000 }, { 4294967294u, 4294967294u },
		{ 2147483648u, 5 }, { 0, 0 },
	};
	static const char *const names[] = { "hello.txt", "dir", "modes/d2775", "links/rel", "hard/a" };

	section("ids");
	for (size_t n = 0; n < COUNT(names); n++)
		for (size_t i = 0; i < COUNT(ids); i++)
			one(names[n], ids[i].uid, ids[i].gid);
	stat_path("hello.txt");
	stat_path("hard/b");
	SHOW(sys(chown, P("hello.txt"), 0x100000001UL, 0x100000002UL));
	stat_path("hello.txt");
}

/* chown(2): setuid and setgid of what is executable are lost. */
static void setid(void)
{
	static const mode_t modes[] = { 04755, 02755, 02745, 06711, 06644, 01777 };

	section("setuid and setgid");
	for (size_t i = 0; i < COUNT(modes); i++) {
		SHOW(sys(chmod, P("exec.sh"), modes[i]));
		one("exec.sh", -1, -1);
		SHOW(sys(chmod, P("exec.sh"), modes[i]));
		one("exec.sh", getuid(), getgid());
		SHOW(sys(chmod, P("dir/one"), modes[i]));
		one("dir/one", getuid(), getgid());
	}
}

static void shapes(void)
{
	static const char *const names[] = {
		"", ".", "dir/", "dir/.", "hello.txt/", "hello.txt/.", "hello.txt/x", "missing", "missing/", "missing/x", "links/rel",
		"links/rel/", "links/dangling", "links/dangling/", "links/self", "links/l40", "links/l41", "links/dirlink",
		"links/dirlink/", "links/through", "links/slash", "links/long", "odd/\xff\xfe", "dir/../hello.txt",
	};
	char long_name[257];

	section("shapes");
	for (size_t i = 0; i < COUNT(names); i++) {
		one(names[i], 100 + i, 200 + i);
		printf("lchown %s: %s\n", names[i], sys(lchown, P(names[i]), 300 + i, 400 + i) < 0 ? err_name(errno) : "ok");
		stat_path(names[i]);
	}
	memset(long_name, 'd', 256);
	long_name[256] = 0;
	SHOW(sys(chown, P(long_name), 1, 1));
	SHOW(sys(lchown, P(long_name), 1, 1));
	SHOW(sys(chown, NULL, 1, 1));
	SHOW(sys(chown, BAD_LOW, 1, 1));
	SHOW(sys(lchown, BAD_KERNEL, 1, 1));
	SHOW(sys(chown, "", 1, 1));
	SHOW(sys(lchown, "", 1, 1));
}

static void at(void)
{
	int dir = SHOWFD(sys(open, P("dir"), O_RDONLY)), file = SHOWFD(sys(open, P("lines.txt"), O_RDONLY));
	int path = SHOWFD(sys(open, P("exec.sh"), O_PATH)), link = SHOWFD(sys(open, P("links/rel"), O_PATH | O_NOFOLLOW));

	section("fchownat");
	SHOW(sys(fchownat, dir, "file", 10, 20, 0));
	stat_path("dir/file");
	SHOW(sys(fchownat, dir, "../links/rel", 11, 21, AT_SYMLINK_NOFOLLOW));
	stat_path("links/rel");
	SHOW(sys(fchownat, dir, "../links/rel", 12, 22, 0));
	stat_path("links/rel");
	stat_path("hello.txt");
	SHOW(sys(fchownat, dir, "../links/dangling", 12, 22, AT_SYMLINK_NOFOLLOW));
	SHOW(sys(fchownat, dir, "../links/dangling", 12, 22, 0));
	SHOW(sys(fchownat, dir, "../links/dirlink/", 12, 22, AT_SYMLINK_NOFOLLOW));
	stat_fd("dir", dir);
	SHOW(sys(fchownat, dir, "", 13, 23, 0));
	SHOW(sys(fchownat, dir, "", 13, 23, AT_EMPTY_PATH));
	stat_fd("dir", dir);
	SHOW(sys(fchownat, file, "", 14, 24, AT_EMPTY_PATH));
	stat_fd("file", file);
	SHOW(sys(fchownat, path, "", 15, 25, AT_EMPTY_PATH));
	stat_fd("path", path);
	SHOW(sys(fchownat, link, "", 16, 26, AT_EMPTY_PATH));
	stat_fd("link", link);
	SHOW(sys(fchownat, link, "", 17, 27, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW));
	stat_path("links/rel");
	SHOW(sys(fchownat, -1, "", 16, 26, AT_EMPTY_PATH));
	SHOW(sys(fchownat, file, "x", 16, 26, 0));
	SHOW(sys(fchownat, file, NULL, 16, 26, AT_EMPTY_PATH));
	SHOW(sys(fchownat, file, BAD_KERNEL, 16, 26, 0));
	SHOW(sys(fchownat, -1, "x", 16, 26, 0));
	SHOW(sys(fchownat, -1, P("dir/file"), 18, 28, 0));
	SHOW(sys(chdir, P("dir")));
	SHOW(sys(fchownat, AT_FDCWD, "", 19, 29, AT_EMPTY_PATH));
	SHOW(sys(chown, "file", 30, 40));
	SHOW(sys(lchown, "../links/dirlink", 31, 41));
	stat_path("dir");
	stat_path("dir/file");
	stat_path("links/dirlink");
	SHOW(sys(chdir, "/"));
	for (int bit = 0; bit < 31; bit++)
		printf("flag %x: %s\n", 1 << bit, sys(fchownat, dir, "file", -1, -1, 1 << bit) < 0 ? err_name(errno) : "ok");
	SHOW(sys(fchownat, dir, "missing", -1, -1, 1));
	close(dir);
	close(file);
	close(path);
	close(link);
}

static void descriptors(void)
{
	section("fchown");
	for (size_t i = 0; i < COUNT(open_ways); i++) {
		int fd = sys(open, P(open_ways[i].name), open_ways[i].flags), dup_fd = dup(fd);

		printf("%s %o: %s\n", open_ways[i].name, open_ways[i].flags, fd < 0 ? err_name(errno) : "fd");
		stat_fd("before", fd);
		SHOW(sys(fchown, fd, 500 + i, 600 + i));
		stat_fd("after", fd);
		stat_path(open_ways[i].name);
		SHOW(sys(fchown, fd, -1, -1));
		SHOW(sys(fchown, fd, -1, 0));
		SHOW(sys(fchown, fd, 0, -1));
		stat_fd("again", fd);
		SHOW(sys(chown, P(open_ways[i].name), 700 + i, 800 + i));
		stat_fd("by path", fd);
		SHOW(sys(close, fd));
		SHOW(sys(fchown, fd, 0, 0));
		SHOW(sys(fchown, dup_fd, 0, 0));
		close(dup_fd);
	}
	SHOW(sys(fchown, -1, 0, 0));
	SHOW(sys(fchown, 9999, 0, 0));
}

int main(int argc, char **argv)
{
	guest_init(argc, argv);
	ids();
	setid();
	shapes();
	at();
	descriptors();
	return 0;
}
