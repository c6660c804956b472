/* symlink, symlinkat. */
#include "guest.h"

static void show_link(const char *name)
{
	static char text[PATH_MAX + 1];
	long n = sys(readlink, P(name), text, sizeof(text));

	if (n < 0)
		printf("%s: -1 %s\n", name, err_name(errno));
	else
		show_data(name, text, n);
	stat_path(name);
}

static void texts(void)
{
	static const char *const list[] = { "hello.txt", "nowhere", "/", "/etc/passwd", "..", ".", "a//b/", "dir", "dir/", "\n\xff", "0", "" };
	static const size_t lengths[] = { 1, 255, 256, 1023, 4094, 4095, 4096, 5000 };
	static char text[5001];
	char name[32];

	section("texts");
	for (size_t i = 0; i < COUNT(list); i++) {
		snprintf(name, sizeof(name), "t%zu", i);
		printf("symlink %zu: %s\n", i, sys(symlink, list[i], P(name)) < 0 ? err_name(errno) : "ok");
		show_link(name);
	}
	for (size_t i = 0; i < COUNT(lengths); i++) {
		memset(text, 'x', sizeof(text));
		text[lengths[i]] = 0;
		snprintf(name, sizeof(name), "len%zu", lengths[i]);
		printf("symlink %zu long: %s\n", lengths[i], sys(symlink, text, P(name)) < 0 ? err_name(errno) : "ok");
		show_link(name);
	}
	printf("long text, missing directory: %s\n", sys(symlink, text, P("missing/x")) < 0 ? err_name(errno) : "ok");
	printf("at a page's end: %s\n", sys(symlink, strcpy(edge(8), "seven77"), P("edge")) < 0 ? err_name(errno) : "ok");
	show_link("edge");
	printf("beyond it: %s\n", sys(symlink, edge(8), P("edge2")) < 0 ? err_name(errno) : "ok");
	show_file("t0");
	stat_path("t7/file");
	stat_path("t8/file");
}

static void shapes(void)
{
	char long_name[257];
	static char long_path[PATH_MAX + 2];

	section("shapes");
	for (size_t i = 0; i < COUNT(new_names); i++) {
		printf("symlink %s: %s\n", new_names[i], sys(symlink, "text", P(new_names[i])) < 0 ? err_name(errno) : "ok");
		printf("empty text %s: %s\n", new_names[i], sys(symlink, "", P(new_names[i])) < 0 ? err_name(errno) : "ok");
	}
	stat_path("");
	show_link("dir/new");
	show_link("modes/d2775/x");
	memset(long_name, 'd', 256);
	long_name[256] = 0;
	SHOW(sys(symlink, "text", P(long_name)));
	long_name[255] = 0;
	SHOW(sys(symlink, "text", P(long_name)));
	memset(long_path, '/', PATH_MAX + 1);
	SHOW(sys(symlink, "text", long_path));
	SHOW(sys(symlink, "text", NULL));
	SHOW(sys(symlink, NULL, P("x")));
	SHOW(sys(symlink, BAD_LOW, BAD_KERNEL));
	SHOW(sys(symlink, "", BAD_KERNEL));
	SHOW(sys(symlink, BAD_KERNEL, P("missing/x")));
	SHOW(sys(symlink, "text", ""));
	SHOW(sys(symlink, "", ""));
	umask(0777);
	SHOW(sys(symlink, "text", P("masked")));
	show_link("masked");
	umask(022);
}

static void at(void)
{
	int dir = SHOWFD(sys(open, P("dir"), O_RDONLY)), file = SHOWFD(sys(open, P("hello.txt"), O_RDONLY));
	int path = SHOWFD(sys(open, P("deep"), O_PATH)), gone = SHOWFD(sys(open, P("dir/empty"), O_RDONLY));

	section("symlinkat");
	stat_fd("dir", dir);
	stat_path("dir/sub");
	SHOW(sys(symlinkat, "file", dir, "sub"));
	show_link("dir/sub");
	stat_fd("dir", dir);
	show_file("dir/sub");
	SHOW(sys(symlinkat, "file", dir, "sub"));
	SHOW(sys(symlinkat, "file", dir, "../up"));
	SHOW(sys(symlinkat, "file", path, "deep"));
	show_link("deep/deep");
	SHOW(sys(symlinkat, "file", file, "x"));
	SHOW(sys(symlinkat, "file", -1, "x"));
	SHOW(sys(symlinkat, "file", 9999, "x"));
	SHOW(sys(symlinkat, "file", -1, P("x")));
	SHOW(sys(symlinkat, "file", dir, ""));
	SHOW(sys(symlinkat, "file", dir, NULL));
	SHOW(sys(symlinkat, "", dir, "x"));
	SHOW(sys(symlinkat, "", -1, "x"));
	SHOW(sys(chdir, P("dir")));
	SHOW(sys(symlink, "file", "rel"));
	SHOW(sys(symlinkat, "../hello.txt", AT_FDCWD, "rel2"));
	show_file("dir/rel2");
	SHOW(sys(unlink, "rel"));
	SHOW(sys(symlink, "rel2", "rel"));
	show_file("dir/rel");
	SHOW(sys(rmdir, P("dir/empty")));
	SHOW(sys(symlinkat, "file", gone, "x"));
	close(gone);
	close(dir);
	close(file);
	close(path);
}

int main(int argc, char **argv)
{
	guest_init(argc, argv);
	texts();
	shapes();
	at();
	return 0;
}
