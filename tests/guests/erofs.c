/* Every call that would change a read-only tree, and the ones that must still work. */
#include "guest.h"

static void changes(void)
{
	int dir = sys(open, P("dir"), O_RDONLY);

	SHOWFD(sys(open, P("hello.txt"), O_WRONLY));
	SHOWFD(sys(open, P("hello.txt"), O_RDWR));
	SHOWFD(sys(open, P("hello.txt"), O_RDONLY | O_TRUNC));
	SHOWFD(sys(open, P("hello.txt"), O_WRONLY | O_APPEND));
	SHOWFD(sys(open, P("sizes/s3145745"), O_RDWR));
	SHOWFD(sys(open, P("new"), O_CREAT | O_WRONLY, 0600));
	SHOWFD(sys(open, P("new"), O_CREAT | O_RDONLY | O_EXCL, 0600));
	SHOWFD(sys(openat, dir, "new", O_CREAT | O_RDWR, 0600));
	SHOWFD(sys(creat, P("hello.txt"), 0600));
	SHOWFD(sys(creat, P("new"), 0600));
	SHOW(sys(mkdir, P("new"), 0700));
	SHOW(sys(mkdirat, dir, "new", 0700));
	SHOW(sys(rmdir, P("dir/empty")));
	SHOW(sys(unlink, P("hello.txt")));
	SHOW(sys(unlinkat, dir, "file", 0));
	SHOW(sys(unlinkat, dir, "empty", AT_REMOVEDIR));
	SHOW(sys(rename, P("hello.txt"), P("new")));
	SHOW(sys(renameat, dir, "file", dir, "new"));
	SHOW(sys(renameat2, dir, "file", dir, "one", 2));
	SHOW(sys(truncate, P("hello.txt"), 0));
	SHOW(sys(access, P("hello.txt"), W_OK));
	SHOW(sys(faccessat, dir, "file", W_OK));
}

static void reads(void)
{
	int fd;

	section("these work");
	fd = SHOWFD(sys(open, P("hello.txt"), O_CREAT | O_RDONLY, 0600));
	SHOW(sys(fsync, fd));
	SHOW(sys(access, P("hello.txt"), R_OK));
	show_file("hello.txt");
	show_file("sizes/s3145745");
	SHOWFD(sys(open, P("missing"), O_RDONLY));
}

static void other_errors(void)
{
	section("another error comes first");
	SHOW(sys(mkdir, P("dir"), 0700));
	SHOW(sys(rmdir, P("missing")));
	SHOW(sys(unlink, P("missing/x")));
	SHOW(sys(truncate, P("dir"), 0));
	SHOWFD(sys(open, P("hello.txt"), O_CREAT | O_EXCL | O_WRONLY, 0600));
	SHOWFD(sys(open, P("dir"), O_WRONLY));
	SHOWFD(sys(open, P("missing"), O_WRONLY));
	SHOW(sys(rename, P("missing"), P("new")));
	SHOW(sys(unlink, P("missing")));
	SHOW(sys(ftruncate, open(P("hello.txt"), O_RDONLY), 0));
}

int main(int argc, char **argv)
{
	guest_init(argc, argv);
	changes();
	reads();
	other_errors();
	return 0;
}
