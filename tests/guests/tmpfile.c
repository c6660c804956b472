/* O_TMPFILE: files without a name, and giving them one. */
#include "guest.h"

static char proc[64];

static const char *name_of(int fd)
{
	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
	return proc;
}

static void errors(void)
{
	static const struct { const char *name; int flags; } opens[] = {
		{ "dir", O_TMPFILE | O_RDONLY }, { "dir", O_TMPFILE | O_WRONLY }, { "dir", O_TMPFILE | O_RDWR },
		{ "dir", (O_TMPFILE & ~O_DIRECTORY) | O_RDWR }, { "dir", O_TMPFILE | O_RDWR | O_CREAT },
		{ "dir", O_TMPFILE | O_RDWR | O_EXCL }, { "dir", O_TMPFILE | O_RDWR | O_TRUNC }, { "dir", O_TMPFILE | O_RDWR | O_APPEND },
		{ "dir", O_TMPFILE | O_RDWR | O_PATH }, { "dir/", O_TMPFILE | O_RDWR }, { "hello.txt", O_TMPFILE | O_RDWR },
		{ "missing", O_TMPFILE | O_RDWR }, { "missing", (O_TMPFILE & ~O_DIRECTORY) | O_RDWR }, { "missing", O_TMPFILE | O_RDONLY },
		{ "links/dirlink", O_TMPFILE | O_RDWR }, { "links/dirlink", O_TMPFILE | O_RDWR | O_NOFOLLOW },
		{ "links/self", O_TMPFILE | O_RDWR }, { "", O_TMPFILE | O_RDWR }, { "modes/d0000", O_TMPFILE | O_RDWR },
		{ "dir", O_TMPFILE | O_RDWR | O_NOATIME | O_SYNC }, { "hello.txt/x", O_TMPFILE | O_RDWR },
	};

	for (size_t i = 0; i < COUNT(opens); i++) {
		int fd = sys(open, P(opens[i].name), opens[i].flags, 0644);

		printf("%s %o: %s", opens[i].name, opens[i].flags, fd < 0 ? err_name(errno) : "fd");
		if (fd >= 0)
			printf(" %lo", sys(fcntl, fd, F_GETFL));
		puts("");
		close(fd);
	}
	SHOW(sys(open, NULL, O_TMPFILE | O_RDWR, 0600));
}

static void use(int mode, int mask)
{
	char buf[32] = "";
	int fd, again;

	section("mode %o umask %o", mode, mask);
	umask(mask);
	fd = SHOWFD(sys(open, P("dir/one"), O_TMPFILE | O_RDWR, mode));
	umask(022);
	stat_fd("unnamed", fd);
	SHOW(sys(write, fd, "some bytes", 10));
	SHOW(sys(pread64, fd, buf, 32, 5));
	stat_fd("written", fd);
	again = SHOWFD(sys(open, name_of(fd), O_RDONLY));
	SHOW(sys(read, again, buf, 32));
	show_data("again", buf, 10);
	close(again);
	SHOW(sys(fchmod, fd, 0640));
	SHOW(sys(ftruncate, fd, 4));
	stat_path("dir/one");
	SHOW(sys(linkat, AT_FDCWD, name_of(fd), AT_FDCWD, P("dir/one/named"), AT_SYMLINK_FOLLOW));
	stat_fd("named", fd);
	stat_path("dir/one/named");
	show_file("dir/one/named");
	SHOW(sys(linkat, fd, "", AT_FDCWD, P("dir/one/twice"), AT_EMPTY_PATH));
	SHOW(sys(linkat, fd, "", AT_FDCWD, P("dir/one/twice"), AT_EMPTY_PATH));
	SHOW(sys(write, fd, " and more", 9));
	stat_path("dir/one/twice");
	show_file("dir/one/twice");
	SHOW(sys(unlink, P("dir/one/named")));
	SHOW(sys(unlink, P("dir/one/twice")));
	stat_fd("no name again", fd);
	SHOW(sys(linkat, fd, "", AT_FDCWD, P("dir/one/back"), AT_EMPTY_PATH));
	close(fd);
}

static void linking(void)
{
	int dir = sys(open, P("dir"), O_RDONLY | O_DIRECTORY), fd;

	section("linking");
	fd = SHOWFD(sys(openat, dir, ".", O_TMPFILE | O_WRONLY | O_EXCL, 0600));
	SHOW(sys(linkat, fd, "", dir, "excl", AT_EMPTY_PATH));
	SHOW(sys(linkat, AT_FDCWD, name_of(fd), dir, "excl", AT_SYMLINK_FOLLOW));
	close(fd);
	fd = SHOWFD(sys(openat, dir, "empty", O_TMPFILE | O_WRONLY, 0600));
	SHOW(sys(linkat, fd, "", dir, "file", AT_EMPTY_PATH));
	SHOW(sys(linkat, AT_FDCWD, name_of(fd), dir, "plain", 0));
	SHOW(sys(linkat, fd, "", dir, "missing/x", AT_EMPTY_PATH));
	SHOW(sys(linkat, fd, "", dir, "slash/", AT_EMPTY_PATH));
	SHOW(sys(rmdir, P("dir/empty")));
	SHOW(sys(linkat, fd, "", dir, "after", AT_EMPTY_PATH));
	stat_path("dir/after");
	close(fd);
	fd = SHOWFD(sys(openat, dir, "one", O_TMPFILE | O_RDWR, 0600));
	SHOW(dup2(fd, 9) - 9);
	SHOW(sys(write, 9, "by a low number", 15));
	SHOW(sys(linkat, AT_FDCWD, "/dev/fd/9", dir, "low", AT_SYMLINK_FOLLOW));
	close(9);
	close(fd);
	show_file("dir/low");
	for (int i = 0; i < 300; i++) {
		fd = sys(openat, dir, ".", O_TMPFILE | O_RDWR, 0600);
		if (fd < 0)
			printf("%d: %s\n", i, err_name(errno));
		close(fd);
	}
	close(dir);
}

int main(int argc, char **argv)
{
	guest_init(argc, argv);
	errors();
	use(0666, 022);
	SHOW(sys(unlink, P("dir/one/back")));
	use(07777, 0);
	SHOW(sys(chmod, P("dir/one"), 02775));
	SHOW(sys(unlink, P("dir/one/back")));
	use(0777, 077);
	linking();
	return 0;
}
