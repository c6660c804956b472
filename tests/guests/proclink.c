/* What links in /proc and /dev/fd read, where they lead, and paths that go on behind them. */
#include "guest.h"

static char name[128];

static const char *fd_name(const char *stem, int fd, const char *rest)
{
	snprintf(name, sizeof(name), "%s/%d%s", stem, fd, rest);
	return name;
}

/* Unnamed files have a number in their name. */
static void show_link(const char *label, const char *path)
{
	char text[PATH_MAX + 1] = "", *number, *end;
	long n = sys(readlink, path, text, PATH_MAX);

	if (n < 0) {
		printf("%s: %s\n", label, err_name(errno));
		return;
	}
	number = strstr(text, "/#");
	if (number) {
		end = number + 2 + strspn(number + 2, "0123456789");
		memmove(number + 2, end, strlen(end) + 1);
	}
	printf("%s: %s\n", label, strncmp(text, T, strlen(T)) ? text : text + strlen(T));
}

static void links(void)
{
	static const struct { const char *name; int flags; } opens[] = {
		{ "hello.txt", O_RDONLY }, { "hello.txt", O_RDWR }, { "links/rel", O_RDONLY }, { "links/rel", O_PATH | O_NOFOLLOW },
		{ "links/dirlink/one/../file", O_RDONLY }, { "dir", O_RDONLY }, { "links/dirlink", O_PATH }, { "sizes/s3145745", O_RDONLY },
		{ "hard/b", O_RDWR }, { "odd/\xff\xfe", O_RDONLY }, { "", O_RDONLY }, { "dir", O_TMPFILE | O_RDWR },
	};
	char buf[8], text[PATH_MAX];
	int fd, low;

	section("readlink");
	for (size_t i = 0; i < COUNT(opens); i++) {
		fd = sys(open, P(opens[i].name), opens[i].flags, 0600);
		low = dup(fd);
		show_link(opens[i].name, fd_name("/proc/self/fd", fd, ""));
		show_link("  dup", fd_name("/dev/fd", low, ""));
		show_link("  slash", fd_name("/dev/fd", low, "/"));
		close(fd);
		close(low);
	}
	fd = sys(open, P("hello.txt"), O_RDONLY);
	SHOW(sys(readlink, fd_name("/proc/self/fd", fd, ""), buf, 1));
	SHOW(sys(readlink, name, buf, 0));
	SHOW(sys(readlink, name, BAD_LOW, 8));
	SHOW(sys(rename, P("hello.txt"), P("dir/moved")));
	show_link("moved", name);
	SHOW(sys(rename, P("dir"), P("folder")));
	show_link("its directory too", name);
	SHOW(sys(unlink, P("folder/moved")));
	show_link("removed", name);
	snprintf(name, sizeof(name), "/proc/%d/task/%d/fd/%d", (int)getpid(), (int)getpid(), fd);
	show_link("by numbers", name);
	snprintf(name, sizeof(name), "/proc//self/./fd//%d", fd);
	show_link("odd", name);
	SHOW(chdir("/proc/self/fd"));
	snprintf(text, sizeof(text), "%d", fd);
	show_link("relative", text);
	SHOW(chdir("/"));
	fd = sys(open, P("folder/empty"), O_RDONLY);
	SHOW(sys(rmdir, P("folder/empty")));
	show_link("removed directory", fd_name("/proc/self/fd", fd, ""));
	SHOW(sys(rename, P("folder"), P("dir")));
}

static void behind(void)
{
	int dir = sys(open, P("dir"), O_RDONLY), path = sys(open, P("deep"), O_PATH), fd;
	struct stat st;

	section("behind a link");
	SHOW(sys(stat, fd_name("/proc/self/fd", dir, "/file"), &st));
	printf("%lld bytes\n", (long long)st.st_size);
	SHOW(sys(stat, fd_name("/dev/fd", path, "/a/leaf"), &st));
	SHOW(sys(stat, fd_name("/dev/fd", path, "/a/missing"), &st));
	SHOW(sys(stat, fd_name("/dev/fd", path, "/../hello.txt"), &st));
	SHOW(sys(stat, fd_name("/dev/fd", path, "/../lines.txt"), &st));
	SHOW(sys(lstat, fd_name("/dev/fd", path, ""), &st));
	printf("a link: %d\n", S_ISLNK(st.st_mode));
	SHOW(sys(lstat, fd_name("/dev/fd", path, "/"), &st));
	printf("a directory: %d\n", S_ISDIR(st.st_mode));
	SHOW(sys(mkdir, fd_name("/proc/self/fd", dir, "/made"), 0700));
	SHOW(sys(rename, fd_name("/proc/self/fd", dir, "/made"), P("dir/made2")));
	SHOW(sys(symlink, "x", fd_name("/proc/self/fd", dir, "/symlink")));
	fd = SHOWFD(sys(open, fd_name("/proc/self/fd", dir, "/new"), O_CREAT | O_RDWR, 0600));
	SHOW(sys(truncate, fd_name("/proc/self/fd", fd, ""), 100));
	close(fd);
	fd = SHOWFD(sys(open, P("dir/new"), O_RDONLY)); /* what it is open for is nothing to a path */
	SHOW(sys(truncate, fd_name("/proc/self/fd", fd, ""), 200));
	SHOW(sys(stat, fd_name("/proc/self/fd", fd, "/"), &st));
	SHOW(sys(stat, fd_name("/proc/self/fd", fd, "/x"), &st));
	stat_path("dir/new");
	SHOW(sys(linkat, AT_FDCWD, fd_name("/proc/self/fd", fd, ""), dir, "linked", AT_SYMLINK_FOLLOW));
	SHOW(sys(unlink, fd_name("/proc/self/fd", dir, "/new")));
	SHOW(sys(rmdir, fd_name("/proc/self/fd", dir, "/made2")));
	stat_path("dir/linked");
	SHOW(sys(mkdir, fd_name("/proc/self/fd", dir, ""), 0700));
	SHOW(sys(unlink, fd_name("/proc/self/fd", 0, "/x")) == -1);
}

static void cwd(void)
{
	char text[PATH_MAX];
	int dir = sys(open, P("deep/a"), O_RDONLY);
	pid_t pid;
	struct stat st;

	section("cwd");
	SHOW(sys(chdir, fd_name("/proc/self/fd", dir, "/b")));
	show_link("cwd", "/proc/self/cwd");
	SHOW(sys(chdir, fd_name("/dev/fd", dir, "")));
	show_link("cwd", "/proc/thread-self/cwd");
	SHOW(sys(stat, "/proc/self/cwd/leaf", &st));
	SHOW(sys(stat, "/proc/self/cwd/../a/b/leaf", &st));
	SHOW(sys(chdir, "/proc/self/cwd/b/c"));
	show_link("cwd", "/proc/self/cwd");
	snprintf(text, sizeof(text), "/proc/%d/cwd", (int)getpid());
	pid = fork_clean();
	if (!pid) {
		chdir("/");
		show_link("my parent's cwd", text);
		printf("%s\n", sys(access, strcat(text, "/leaf"), R_OK) < 0 ? err_name(errno) : "readable");
		snprintf(text, sizeof(text), "/proc/%d/fd/%d", (int)getppid(), dir);
		show_link("my parent's descriptor", text);
		_exit(0);
	}
	wait_child("child", pid);
	snprintf(text, sizeof(text), "../../../../../../../../../../proc/self/fd/%d/leaf", dir); /* up to the root from a remote directory */
	SHOW(sys(stat, text, &st));
	SHOW(sys(stat, "../../../../../../../../../../proc/self/status", &st));
	SHOW(sys(rename, P("deep"), P("shallow")));
	show_link("moved", "/proc/self/cwd");
	SHOW(sys(chdir, "d"));
	SHOW(sys(unlink, "leaf"));
	SHOW(sys(chdir, ".."));
	chdir("/");
}

static void open_links(void)
{
	struct { uint64_t flags, mode, resolve; } how = { O_RDONLY, 0, 0 };
	int fd = sys(open, P("lines.txt"), O_RDONLY), dir = sys(open, P("links"), O_RDONLY);

	section("openat2");
	fd_name("/proc/self/fd", fd, "");
	for (int bit = 0; bit < 5; bit++) {
		how.resolve = 1 << bit;
		printf("resolve %x: ", 1 << bit);
		fflush(stdout);
		printf("%s ", sys(openat2, AT_FDCWD, fd_name("/proc/self/fd", fd, ""), &how, sizeof(how)) < 0 ? err_name(errno) : "fd");
		puts(sys(openat2, AT_FDCWD, fd_name("/proc/self/fd", dir, "/rel"), &how, sizeof(how)) < 0 ? err_name(errno) : "fd");
	}
	SHOWFD(sys(open, fd_name("/proc/self/fd", fd, ""), O_RDONLY | O_NOFOLLOW));
	SHOWFD(sys(open, name, O_RDONLY | O_EXCL));
	SHOWFD(sys(open, name, O_RDONLY | O_CREAT | O_EXCL, 0600));
	SHOWFD(sys(open, name, O_RDONLY | O_CREAT, 0600));
	SHOWFD(sys(open, fd_name("/proc/self/fd", dir, "/rel"), O_RDONLY | O_NOFOLLOW));
}

int main(int argc, char **argv)
{
	guest_init(argc, argv);
	links();
	behind();
	cwd();
	open_links();
	return 0;
}
