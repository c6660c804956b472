/* Every call that would change a read-only tree, and the ones that must still work. */
#include <sys/ioctl.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <sys/xattr.h>

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
	SHOWFD(sys(open, P("dir"), O_TMPFILE | O_RDWR, 0600));
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

static void more_changes(void)
{
	int dir = sys(open, P("dir"), O_RDONLY), file = sys(open, P("hello.txt"), O_RDONLY);

	SHOW(sys(chmod, P("hello.txt"), 0600));
	SHOW(sys(fchmod, file, 0600));
	SHOW(sys(fchmodat, dir, "file", 0600));
	SHOW(sys(chown, P("links/rel"), -1, -1));
	SHOW(sys(lchown, P("links/rel"), 1, 1));
	SHOW(sys(fchown, dir, -1, 1));
	SHOW(sys(fchownat, file, "", 1, -1, AT_EMPTY_PATH));
	SHOW(sys(utime, P("hello.txt"), NULL));
	SHOW(sys(utimes, P("dir"), NULL));
	SHOW(sys(futimesat, dir, "file", NULL));
	SHOW(sys(utimensat, file, NULL, NULL, 0));
	SHOW(sys(utimensat, dir, "../links/dangling", NULL, AT_SYMLINK_NOFOLLOW));
	SHOW(sys(link, P("hello.txt"), P("new")));
	SHOW(sys(link, P("dir"), P("new")));
	SHOW(sys(linkat, file, "", dir, "new", AT_EMPTY_PATH));
	SHOW(sys(symlink, "text", P("new")));
	SHOW(sys(symlinkat, "text", dir, "new"));
	SHOW(sys(mknod, P("new"), S_IFREG | 0600, 0));
	SHOW(sys(mknodat, dir, "new", S_IFIFO | 0600, 0));
	close(dir);
	close(file);
}

static void attributes(void)
{
	int file = sys(open, P("hello.txt"), O_RDONLY), flags = 0;

	SHOW(sys(setxattr, P("hello.txt"), "user.x", "x", 1, 0));
	SHOW(sys(fsetxattr, file, "user.x", "x", 1, XATTR_REPLACE));
	SHOW(sys(lsetxattr, P("links/dangling"), "trusted.x", "x", 1, 0));
	SHOW(sys(removexattr, P("dir"), "user.x"));
	SHOW(sys(fremovexattr, file, "system.posix_acl_access"));
	SHOW(sys(ioctl, file, _IOW('f', 2, long), &flags)); /* FS_IOC_SETFLAGS */
	close(file);
}

static void reads(void)
{
	struct statfs st;
	int fd;

	section("these work");
	fd = SHOWFD(sys(open, P("hello.txt"), O_CREAT | O_RDONLY, 0600));
	SHOW(sys(fsync, fd));
	SHOW(sys(access, P("hello.txt"), R_OK));
	show_file("hello.txt");
	show_file("sizes/s3145745");
	SHOWFD(sys(open, P("missing"), O_RDONLY));
	SHOW(sys(statfs, P("hello.txt"), &st));
	printf("read-only: %d\n", (int)(st.f_flags & ST_RDONLY));
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
	SHOWFD(sys(open, P("dir"), O_TMPFILE));
	SHOWFD(sys(open, P("hello.txt"), O_TMPFILE | O_RDWR, 0600));
	SHOWFD(sys(open, P("missing"), O_TMPFILE | O_RDWR, 0600));
	SHOWFD(sys(open, P("missing"), O_WRONLY));
	SHOW(sys(rename, P("missing"), P("new")));
	SHOW(sys(unlink, P("missing")));
	SHOW(sys(chmod, P("missing"), 0600));
	SHOW(sys(chown, P("hello.txt/"), 1, 1));
	SHOW(sys(utimes, P("links/self"), NULL));
	SHOW(sys(link, P("missing"), P("new")));
	SHOW(sys(link, P("hello.txt"), P("dir")));
	SHOW(sys(link, P("hello.txt"), P("new/")));
	SHOW(sys(symlink, "text", P("links/dangling")));
	SHOW(sys(symlink, "", P("new")));
	SHOW(sys(mknod, P("missing/new"), S_IFIFO | 0600, 0));
	SHOW(sys(mknod, P("new"), S_IFDIR | 0600, 0));
	SHOW(sys(fallocate, open(P("hello.txt"), O_RDONLY), 0, 0, 100));
	SHOW(sys(ftruncate, open(P("hello.txt"), O_RDONLY), 0));
}

int main(int argc, char **argv)
{
	guest_init(argc, argv);
	changes();
	more_changes();
	attributes();
	reads();
	other_errors();
	return 0;
}
