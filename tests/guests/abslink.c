/* Links whose text is an absolute path: they lead where the program sees that path. */
#include "guest.h"

static void make(const char *text, const char *name)
{
	char full[PATH_MAX];

	snprintf(full, sizeof(full), "%s", P(name));
	printf("%s: %s\n", name, symlink(text, full) < 0 ? err_name(errno) : "ok");
}

static void make_to(const char *target, const char *name)
{
	char text[PATH_MAX];

	snprintf(text, sizeof(text), "%s", P(target));
	make(text, name);
}

static void through(const char *name)
{
	section("%s", name);
	stat_path(name);
	show_file(name);
	SHOW(sys(access, P(name), R_OK));
	SHOWFD(sys(open, P(name), O_RDONLY | O_NOFOLLOW));
	SHOWFD(sys(open, P(name), O_PATH | O_NOFOLLOW));
	SHOWFD(sys(open, P(name), O_RDONLY | O_DIRECTORY));
}

static void open2(const char *name, uint64_t resolve)
{
	uint64_t how[3] = { O_RDONLY, 0, resolve }; /* struct open_how, whose header musl does not find */
	int dir = open(T, O_PATH | O_DIRECTORY);
	long fd = sys(openat2, dir, name, how, sizeof(how));

	printf("%s resolve %#lx: %s\n", name, (unsigned long)resolve, fd < 0 ? err_name(errno) : "ok");
	if (fd >= 0)
		close((int)fd);
	close(dir);
}

static void made_through(void)
{
	section("made through links");
	make_to("dir/made", "tomade");
	make_to("dir/not/there", "lost");
	SHOWFD(sys(open, P("tomade"), O_CREAT | O_EXCL | O_WRONLY, 0644));
	SHOWFD(sys(open, P("tomade"), O_CREAT | O_WRONLY, 0644));
	SHOWFD(sys(open, P("lost"), O_CREAT | O_WRONLY, 0644));
	stat_path("dir/made");
	SHOW(sys(mkdir, P("todir/sub"), 0755));
	SHOW(sys(rename, P("todir/sub"), P("dir/sub2")));
	SHOW(sys(link, P("tofile"), P("linked")));
	SHOW(sys(unlink, P("todir/made")));
	SHOW(sys(rmdir, P("chain/sub2")));
	SHOW(sys(truncate, P("tofile"), 5));
	SHOW(sys(chmod, P("chain2"), 0600));
	stat_path("hello.txt");
}

static void moved(void)
{
	char at[PATH_MAX];

	section("working directory");
	SHOW(sys(chdir, P("chain")));
	printf("%s\n", getcwd(at, sizeof(at)) ? at + strlen(T) : err_name(errno));
	SHOW(sys(access, "../tofile", F_OK));
	SHOW(sys(access, "../todir/../tofile", F_OK));
	SHOW(sys(chdir, T));
	SHOW(sys(access, "todir/.", F_OK));
}

int main(int argc, char **argv)
{
	static const char *const names[] = { "tofile", "todir", "todir/", "chain", "chain2", "up", "totree", "beside", "loop" };
	char text[PATH_MAX];

	guest_init(argc, argv);
	make_to("hello.txt", "tofile");
	make_to("dir", "todir");
	make_to("todir", "chain");
	make_to("tofile", "chain2");
	make_to("dir/../hello.txt", "up");
	make_to("loop", "loop");
	make(T, "totree");
	snprintf(text, sizeof(text), "%sx", T);
	make(text, "beside");
	for (size_t i = 0; i < COUNT(names); i++)
		through(names[i]);
	open2("tofile", 0);
	open2("tofile", 0x08); /* RESOLVE_BENEATH */
	open2("tofile", 0x10); /* RESOLVE_IN_ROOT */
	open2("tofile", 0x04); /* RESOLVE_NO_SYMLINKS */
	open2("tofile", 0x02); /* RESOLVE_NO_MAGICLINKS */
	made_through();
	moved();
	return 0;
}
