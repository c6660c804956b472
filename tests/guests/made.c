/* Names that the program makes in directories that it has listed or made, and what it then sees of them. */
#include "guest.h"

#include <dirent.h>

struct how { uint64_t flags, mode, resolve; };
#define IN_ROOT 16

static void list(const char *path)
{
	DIR *d = opendir(P(path));
	int count = 0;

	while (d && readdir(d))
		count++;
	if (d)
		closedir(d);
	printf("%s has %d names\n", path, count);
}

static void look(const char *name)
{
	struct stat st;
	char path[128];

	if (stat(P(name), &st) < 0)
		printf("%s: stat %s\n", name, err_name(errno));
	else
		printf("%s: mode %o links %d size %d\n", name, st.st_mode, (int)st.st_nlink, S_ISDIR(st.st_mode) ? 0 : (int)st.st_size);
	printf("  lstat %d access %d open %d", lstat(P(name), &st), access(P(name), R_OK), 0);
	int fd = open(P(name), O_RDONLY | O_NONBLOCK);
	printf(" %s\n", fd < 0 ? err_name(errno) : "ok");
	if (fd >= 0)
		close(fd);
	snprintf(path, sizeof(path), "%s/", name);
	printf("  with a slash: stat %s", stat(P(path), &st) < 0 ? err_name(errno) : "ok");
	printf(" mkdir %s", mkdir(P(path), 0755) < 0 ? err_name(errno) : "ok");
	printf(" unlink %s\n", unlink(P(path)) < 0 ? err_name(errno) : "ok");
	snprintf(path, sizeof(path), "%s-not", name);
	printf("  its neighbour: stat %s", stat(P(path), &st) < 0 ? err_name(errno) : "ok");
	printf(" unlink %s", unlink(P(path)) < 0 ? err_name(errno) : "ok");
	printf(" rmdir %s\n", rmdir(P(path)) < 0 ? err_name(errno) : "ok");
}

static int make_file(int dir, const char *name, int flags)
{
	int fd = (int)SHOWFD(sys(openat, dir, name, flags | O_WRONLY, 0644));

	if (fd >= 0) {
		SHOW(sys(write, fd, "some bytes", 10));
		SHOW(sys(close, fd));
	}
	return fd;
}

#define NAME(n) (snprintf(name, sizeof(name), "%s/%s", dir, n), name)

static void make_files(const char *dir, int fd)
{
	const struct how in_root = { O_CREAT | O_WRONLY, 0640, IN_ROOT };
	char name[64];

	make_file(fd, "plain", O_CREAT);
	look(NAME("plain"));
	make_file(fd, "excl", O_CREAT | O_EXCL);
	make_file(fd, "excl", O_CREAT | O_EXCL);
	look(NAME("excl"));
	make_file(fd, "trunc", O_CREAT | O_TRUNC);
	make_file(fd, "trunc", O_CREAT | O_TRUNC);
	look(NAME("trunc"));
	make_file(fd, "slash/", O_CREAT);
	make_file(fd, "./dot", O_CREAT);
	look(NAME("dot"));
	make_file(fd, "../up", O_CREAT);
	look("up");
	int beneath = SHOWFD(raw_syscall(437, fd, (long)"scoped", (long)&in_root, sizeof(in_root), 0, 0));
	SHOW(sys(close, beneath));
	look(NAME("scoped"));
}

static void make_others(const char *dir, int fd)
{
	char name[64];

	SHOW(sys(mkdirat, fd, "sub", 0755));
	SHOW(sys(mkdirat, fd, "sub", 0755));
	look(NAME("sub"));
	SHOW(sys(mkdirat, fd, "sub2/", 0700));
	look(NAME("sub2"));
	make_file(fd, "sub/deep", O_CREAT | O_EXCL);
	look(NAME("sub/deep"));
	SHOW(sys(symlinkat, "plain", fd, "link"));
	look(NAME("link"));
	SHOW(sys(symlinkat, "nowhere", fd, "dangling"));
	look(NAME("dangling"));
	make_file(fd, "dangling", O_CREAT);
	look(NAME("nowhere"));
	SHOW(sys(symlinkat, "sub", fd, "dirlink"));
	make_file(fd, "dirlink/through", O_CREAT);
	look(NAME("sub/through"));
	SHOW(sys(linkat, fd, "plain", fd, "hard", 0));
	look(NAME("hard"));
	look(NAME("plain"));
	SHOW(sys(mknodat, fd, "fifo", S_IFIFO | 0600, 0));
	look(NAME("fifo"));
}

static void move(const char *dir, int fd)
{
	char name[64];

	SHOW(sys(renameat, fd, "excl", fd, "moved"));
	look(NAME("excl"));
	look(NAME("moved"));
	make_file(fd, "excl", O_CREAT | O_EXCL);
	look(NAME("excl"));
	SHOW(sys(unlinkat, fd, "excl", 0));
	look(NAME("excl"));
	SHOW(sys(renameat, fd, "sub", fd, "sub3"));
	look(NAME("sub/deep"));
	look(NAME("sub3/deep"));
	make_file(fd, "sub/deep", O_CREAT);
	SHOW(sys(mkdirat, fd, "sub", 0755));
	look(NAME("sub/deep"));
}

/* DIR, which the program knows, gets names in all ways that there are. */
static void ways(const char *dir)
{
	int fd = SHOWFD(sys(open, P(dir), O_RDONLY | O_DIRECTORY));
	char name[64];

	section(dir);
	make_files(dir, fd);
	make_others(dir, fd);
	move(dir, fd);
	list(dir);
	list(NAME("sub3"));
	SHOW(sys(close, fd));
}

static bool later(struct timespec a, struct timespec b)
{
	return b.tv_sec > a.tv_sec || (b.tv_sec == a.tv_sec && b.tv_nsec > a.tv_nsec);
}

/* What changes nothing but the time of the change. */
static void idle(const char *name)
{
	const struct timespec pause = { 0, 20000000 };
	struct stat a, b;

	stat(P(name), &a);
#define IDLE(call)                                                                                             \
	nanosleep(&pause, NULL);                                                                               \
	SHOW(call);                                                                                            \
	stat(P(name), &b);                                                                                     \
	printf("mode %o, changed later: %d, modified later: %d\n", b.st_mode, later(a.st_ctim, b.st_ctim), later(a.st_mtim, b.st_mtim)); \
	a = b

	IDLE(sys(chmod, P(name), a.st_mode & 07777));
	IDLE(sys(chown, P(name), a.st_uid, a.st_gid));
	IDLE(sys(chown, P(name), -1, -1));
	IDLE(sys(chmod, P(name), 06755));
	IDLE(sys(chown, P(name), a.st_uid, a.st_gid));
	IDLE(sys(chmod, P(name), 0100700 | (a.st_mode & 07777)));
	const struct timespec times[2] = { a.st_atim, a.st_mtim };
	IDLE(sys(utimensat, AT_FDCWD, P(name), times, 0));
	int fd = (int)sys(open, P(name), O_PATH | O_NOFOLLOW);
	char proc[64];
	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
	fstat(fd, &b);
	printf("O_PATH: mode %o\n", b.st_mode);
	IDLE(chmod(proc, 0710));
	IDLE(chmod(proc, 0710));
	fstat(fd, &b);
	printf("O_PATH: mode %o\n", b.st_mode);
	SHOW(fchmod(fd, 0700));
	SHOW(close(fd));
}

/* The directory's own times and links, with each name. */
static void above(void)
{
	const struct timespec pause = { 0, 20000000 };
	struct stat a, b;
	char name[32];

	section("the directory");
	SHOW(sys(mkdir, P("counted"), 0755));
	stat(P("counted"), &a);
	for (int i = 0; i < 4; i++) {
		nanosleep(&pause, NULL);
		snprintf(name, sizeof(name), "counted/%d", i);
		if (i % 2)
			close(open(P(name), O_CREAT | O_WRONLY, 0644));
		else
			mkdir(P(name), 0755);
		stat(P("counted"), &b);
		printf("%d: links %d, later: %d\n", i, (int)b.st_nlink, later(a.st_mtim, b.st_mtim));
		a = b;
	}
	list("counted");
	make_file(AT_FDCWD, P("counted/more"), O_CREAT);
	list("counted");
}

int main(int argc, char **argv)
{
	guest_init(argc, argv);
	umask(022);
	list("dir");
	ways("dir");
	SHOW(sys(mkdir, P("fresh"), 0755));
	ways("fresh");
	SHOW(sys(mkdir, P("sticky"), 01777));
	SHOW(sys(chmod, P("sticky"), 02775));
	ways("sticky");
	section("idle changes");
	make_file(AT_FDCWD, P("fresh/idle"), O_CREAT);
	idle("fresh/idle");
	idle("fresh/sub3");
	idle("fresh");
	above();
	return 0;
}
