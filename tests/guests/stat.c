/* stat, lstat, fstat, newfstatat: every field of every kind of file, and errors. */
#include "guest.h"

#ifndef AT_NO_AUTOMOUNT
#define AT_NO_AUTOMOUNT 0x800
#endif

static const char *const names[] = {
	"", "hello.txt", "empty", "ro", "exec.sh", "dir", "dir/one/only", "hard/a", "hard/b", "sizes/s1", "sizes/s4096",
	"sizes/s131073", "sizes/s3145745", "sparse", "links/rel", "links/dirlink", "links/dangling", "links/long",
	"modes/m0000", "modes/m4755", "modes/m2755", "modes/d1777", "modes/d2775", "modes/d0000", "odd/\xff\xfe",
};

static void every_way(const char *name)
{
	struct stat by_path, by_at, by_fd, by_empty, by_link;
	int fd = sys(open, P(name), O_RDONLY);

	memset(&by_path, 0x55, sizeof(by_path));
	if (sys(stat, P(name), &by_path) < 0)
		printf("stat %s: %s\n", name, err_name(errno));
	else
		show_stat(name, &by_path);
	if (sys(lstat, P(name), &by_link) == 0)
		show_stat("   lstat", &by_link);
	if (sys(newfstatat, AT_FDCWD, P(name), &by_at, AT_NO_AUTOMOUNT) < 0)
		printf("   newfstatat: %s\n", err_name(errno));
	if (fd < 0)
		return;
	SHOW(sys(fstat, fd, &by_fd));
	SHOW(sys(newfstatat, fd, "", &by_empty, AT_EMPTY_PATH));
	printf("   same: at %d fd %d empty %d padding %lx%lx%lx\n", by_path.st_ino == by_at.st_ino,
	       by_path.st_ino == by_fd.st_ino && by_path.st_dev == by_fd.st_dev && by_path.st_size == by_fd.st_size &&
	       by_path.st_mtim.tv_nsec == by_fd.st_mtim.tv_nsec && by_path.st_ctim.tv_nsec == by_fd.st_ctim.tv_nsec,
	       !memcmp(&by_fd, &by_empty, sizeof(by_fd)), ((long *)&by_path)[15], ((long *)&by_path)[16],
	       ((long *)&by_path)[17]);
	close(fd);
}

static void identity(void)
{
	struct stat a, b, c, root, dir;

	section("identity");
	SHOW(sys(stat, P("hard/a"), &a));
	SHOW(sys(stat, P("hard/b"), &b));
	SHOW(sys(stat, P("hello.txt"), &c));
	SHOW(sys(stat, T, &root));
	SHOW(sys(stat, P("dir"), &dir));
	printf("hard links same %d, others %d, one device %d %d, root's %lx\n", a.st_ino == b.st_ino,
	       a.st_ino == c.st_ino, a.st_dev == c.st_dev, root.st_dev == dir.st_dev, (long)root.st_dev);
}

static void at(void)
{
	struct stat st;
	int dir = SHOWFD(sys(open, P("dir"), O_RDONLY));
	int file = SHOWFD(sys(open, P("hello.txt"), O_RDONLY));

	section("newfstatat");
	SHOW(sys(newfstatat, dir, "file", &st, 0));
	SHOW(sys(newfstatat, dir, "../links/rel", &st, AT_SYMLINK_NOFOLLOW));
	show_stat("link", &st);
	SHOW(sys(newfstatat, dir, "", &st, 0));
	SHOW(sys(newfstatat, dir, "", &st, AT_EMPTY_PATH));
	show_stat("dir", &st);
	SHOW(sys(newfstatat, file, "", &st, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW));
	SHOW(sys(newfstatat, file, NULL, &st, AT_EMPTY_PATH));
	SHOW(sys(newfstatat, file, NULL, &st, 0));
	SHOW(sys(newfstatat, file, "x", &st, 0));
	SHOW(sys(newfstatat, file, "x", &st, AT_EMPTY_PATH));
	SHOW(sys(newfstatat, -1, "hello.txt", &st, 0));
	SHOW(sys(newfstatat, -1, P("hello.txt"), &st, 0));
	SHOW(sys(newfstatat, -1, "", &st, AT_EMPTY_PATH));
	SHOW(sys(newfstatat, 999999, "", &st, AT_EMPTY_PATH));
	SHOW(sys(newfstatat, AT_FDCWD, "", &st, AT_EMPTY_PATH));
	SHOW(chdir(P("dir")));
	SHOW(sys(newfstatat, AT_FDCWD, "", &st, AT_EMPTY_PATH));
	show_stat("cwd", &st);
	SHOW(sys(newfstatat, AT_FDCWD, P("hello.txt"), &st, 1));
	SHOW(sys(newfstatat, AT_FDCWD, P("hello.txt"), &st, 1 << 20));
	SHOW(sys(newfstatat, AT_FDCWD, P("hello.txt"), &st, 0x6000));
	close(dir);
	SHOW(sys(newfstatat, dir, "file", &st, 0));
	SHOW(sys(newfstatat, dir, "", &st, AT_EMPTY_PATH));
	close(file);
}

static void errors(void)
{
	struct stat st;
	int fd = SHOWFD(sys(open, P("hello.txt"), O_RDONLY)), big = SHOWFD(sys(open, P("sizes/s3145745"), O_RDWR));
	char *end = edge(sizeof(st));

	section("errors");
	SHOW(sys(stat, NULL, &st));
	SHOW(sys(stat, BAD_LOW, &st));
	SHOW(sys(stat, BAD_KERNEL, &st));
	SHOW(sys(stat, P("hello.txt"), NULL));
	SHOW(sys(stat, P("hello.txt"), BAD_KERNEL));
	SHOW(sys(stat, P("missing"), NULL));
	SHOW(sys(stat, P("hello.txt"), end));
	SHOW(sys(stat, P("hello.txt"), end + 1));
	SHOW(sys(stat, P("hello.txt"), readonly_page()));
	SHOW(sys(lstat, P("links/rel"), NULL));
	SHOW(sys(lstat, NULL, &st));
	SHOW(sys(fstat, fd, NULL));
	SHOW(sys(fstat, fd, end));
	SHOW(sys(fstat, fd, end + 8));
	SHOW(sys(fstat, big, end + 8));
	SHOW(sys(fstat, -1, NULL));
	SHOW(sys(fstat, -1, &st));
	SHOW(sys(fstat, 999999, &st));
	SHOW(sys(fstat, AT_FDCWD, &st));
	SHOW(sys(newfstatat, AT_FDCWD, P("hello.txt"), NULL, 0));
	SHOW(sys(newfstatat, fd, "", BAD_LOW, AT_EMPTY_PATH));
	SHOW(sys(newfstatat, AT_FDCWD, P("hello.txt"), NULL, 1 << 20));
}

int main(int argc, char **argv)
{
	guest_init(argc, argv);
	for (size_t i = 0; i < COUNT(names); i++)
		every_way(names[i]);
	identity();
	at();
	errors();
	return 0;
}
