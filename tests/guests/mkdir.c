/* mkdir, mkdirat, rmdir. */
#include "guest.h"

static void modes(void)
{
	static const mode_t masks[] = { 0, 022, 0777 }, modes[] = { 0, 0755, 0777, 01777, 07777, 0100755 };
	char name[32];

	for (size_t m = 0; m < COUNT(masks); m++) {
		umask(masks[m]);
		for (size_t i = 0; i < COUNT(modes); i++) {
			snprintf(name, sizeof(name), "d%o-%o", masks[m], modes[i]);
			SHOW(sys(mkdir, P(name), modes[i]));
			stat_path(name);
		}
	}
	umask(022);
	section("below a setgid directory");
	SHOW(sys(mkdir, P("modes/d2775/sub"), 0755));
	stat_path("modes/d2775/sub");
}

static void shapes(void)
{
	static const char *const names[] = {
		"n1", "n2/", "n3//", "n4/.", "n5/..", ".", "..", "", "dir", "dir/", "hello.txt", "hello.txt/x", "missing/x",
		"missing/", "links/rel", "links/dangling", "links/dangling/", "links/self", "links/dirlink", "links/dirlink/new",
		"dir/../n6", "n7/../n8", "./n9", "odd/\xfe\n", "modes/d0000/x",
	};
	char long_name[257];

	section("shapes");
	for (size_t i = 0; i < COUNT(names); i++)
		printf("mkdir %s: %s\n", names[i], sys(mkdir, P(names[i]), 0755) < 0 ? err_name(errno) : "ok");
	stat_path("");
	for (size_t i = 0; i < COUNT(names); i++)
		if (names[i][0] && strcmp(names[i], "..") && strcmp(names[i], "dir/"))
			printf("rmdir %s: %s\n", names[i], sys(rmdir, P(names[i])) < 0 ? err_name(errno) : "ok");
	memset(long_name, 'd', 256);
	long_name[256] = 0;
	SHOW(sys(mkdir, P(long_name), 0755));
	SHOW(sys(rmdir, P(long_name)));
	long_name[255] = 0;
	SHOW(sys(mkdir, P(long_name), 0755));
	SHOW(sys(mkdir, NULL, 0755));
	SHOW(sys(mkdir, BAD_KERNEL, 0755));
	SHOW(sys(mkdir, "", 0755));
	SHOW(sys(rmdir, NULL));
	SHOW(sys(rmdir, BAD_LOW));
	SHOW(sys(rmdir, ""));
}

static void at(void)
{
	int dir = SHOWFD(sys(open, P("dir"), O_RDONLY)), file = SHOWFD(sys(open, P("hello.txt"), O_RDONLY));

	section("mkdirat");
	SHOW(sys(mkdirat, dir, "sub", 0700));
	SHOW(sys(mkdirat, dir, "sub", 0700));
	SHOW(sys(mkdirat, dir, "sub/sub", 0711));
	SHOW(sys(mkdirat, dir, "../up", 0711));
	SHOW(sys(mkdirat, file, "x", 0700));
	SHOW(sys(mkdirat, -1, "x", 0700));
	SHOW(sys(mkdirat, -1, P("x"), 0700));
	SHOW(sys(mkdirat, dir, "", 0700));
	SHOW(sys(mkdirat, dir, NULL, 0700));
	stat_fd("dir", dir);
	SHOW(sys(rmdir, P("dir/sub")));
	SHOW(sys(rmdir, P("dir/sub/sub")));
	SHOW(sys(rmdir, P("dir/sub")));
	stat_fd("dir", dir);
	SHOW(sys(chdir, P("dir")));
	SHOW(sys(mkdir, "rel", 0700));
	SHOW(sys(mkdirat, AT_FDCWD, "rel/two", 0700));
	SHOW(sys(rmdir, "."));
	SHOW(sys(rmdir, "rel"));
	SHOW(sys(rmdir, "rel/two"));
	SHOW(sys(rmdir, "./rel/"));
}

static void while_open(void)
{
	int dir = SHOWFD(sys(open, P("dir/empty"), O_RDONLY));

	section("while open");
	SHOW(sys(rmdir, P("dir/empty")));
	stat_fd("removed", dir);
	SHOWFD(sys(openat, dir, "x", O_CREAT | O_WRONLY, 0600));
	SHOW(sys(mkdirat, dir, "x", 0700));
	SHOW(sys(mkdir, P("dir/empty"), 0750));
	stat_fd("removed", dir);
	stat_path("dir/empty");
	SHOWFD(sys(openat, dir, "x", O_CREAT | O_WRONLY, 0600));
	close(dir);
}

int main(int argc, char **argv)
{
	guest_init(argc, argv);
	modes();
	shapes();
	at();
	while_open();
	return 0;
}
