/* AT_EMPTY_PATH, empty and NULL paths, AT_ flags that do nothing here, for every call that takes them. */
#include "guest.h"

#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif
#ifndef SYS_faccessat2
#define SYS_faccessat2 439
#endif
#define NO_AUTOMOUNT 0x800
#define FORCE_SYNC 0x2000
#define DONT_SYNC 0x4000

static int fds[6];
static const char *const labels[] = { "directory", "file", "large file", "O_PATH", "link", "cwd" };

static void open_all(void)
{
	fds[0] = sys(open, P("dir"), O_RDONLY);
	fds[1] = sys(open, P("hello.txt"), O_RDONLY);
	fds[2] = sys(open, P("sizes/s3145745"), O_RDWR);
	fds[3] = sys(open, P("exec.sh"), O_PATH);
	fds[4] = sys(open, P("links/rel"), O_PATH | O_NOFOLLOW);
	fds[5] = AT_FDCWD;
	chdir(P("deep"));
}

static void say(const char *what, long r)
{
	printf(" %s %s;", what, r < 0 ? err_name(errno) : "ok");
}

static void every_call(int fd, const char *path, int flags)
{
	struct timespec t[2] = { { 1, 0 }, { 2, 0 } };
	struct stat st;
	char buf[256];

	say("newfstatat", sys(newfstatat, fd, path, &st, flags));
	say("statx", sys(statx, fd, path, flags, 0x7ff, buf));
	say("faccessat2", sys(faccessat2, fd, path, R_OK, flags));
	say("fchmodat2", sys(fchmodat2, fd, path, 0755, flags));
	say("fchownat", sys(fchownat, fd, path, -1, -1, flags));
	say("utimensat", sys(utimensat, fd, path, t, flags));
	say("linkat", sys(linkat, fd, path, AT_FDCWD, P("linked"), flags));
	sys(unlink, P("linked"));
	say("readlinkat", sys(readlinkat, fd, path, buf, sizeof(buf)));
	say("unlinkat", sys(unlinkat, fd, path, flags));
	say("mkdirat", sys(mkdirat, fd, path, 0700));
	say("mknodat", sys(mknodat, fd, path, S_IFREG | 0600, 0));
	say("symlinkat", sys(symlinkat, "x", fd, path));
	say("renameat2", sys(renameat2, fd, path, AT_FDCWD, P("renamed"), 0));
	say("openat", sys(openat, fd, path, O_RDONLY));
	say("fchmodat", sys(fchmodat, fd, path, 0755));
	say("futimesat", sys(futimesat, fd, path, NULL));
	puts("");
}

static void empty(void)
{
	static const int flags[] = { 0, AT_EMPTY_PATH, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH | AT_SYMLINK_FOLLOW };

	for (size_t i = 0; i < COUNT(fds); i++)
		for (size_t f = 0; f < COUNT(flags); f++) {
			printf("%s %x:", labels[i], flags[f]);
			every_call(fds[i], "", flags[f]);
			if (flags[f] == AT_EMPTY_PATH) {
				printf("%s NULL:", labels[i]);
				every_call(fds[i], NULL, flags[f]);
			}
		}
	printf("none:");
	every_call(-1, "", AT_EMPTY_PATH);
	printf("a local one:");
	fds[0] = sys(open, "/proc/self/status", O_RDONLY);
	printf("%d\n", sys(newfstatat, fds[0], "", &(struct stat){ 0 }, AT_EMPTY_PATH) == 0);
}

static void flags(void)
{
	char buf[256];
	struct stat st;

	section("flags");
	for (int bit = 0; bit < 31; bit++) {
		printf("%x:", 1 << bit);
		say("newfstatat", sys(newfstatat, AT_FDCWD, P("links/rel"), &st, 1 << bit));
		say("statx", sys(statx, AT_FDCWD, P("links/rel"), 1 << bit, 0x7ff, buf));
		say("faccessat2", sys(faccessat2, AT_FDCWD, P("links/rel"), F_OK, 1 << bit));
		say("fchownat", sys(fchownat, AT_FDCWD, P("links/rel"), -1, -1, 1 << bit));
		say("utimensat", sys(utimensat, AT_FDCWD, P("links/rel"), NULL, 1 << bit));
		say("linkat", sys(linkat, AT_FDCWD, P("links/rel"), AT_FDCWD, P("linked"), 1 << bit));
		say("unlinkat", sys(unlinkat, AT_FDCWD, P("linked"), 1 << bit));
		say("missing", sys(newfstatat, AT_FDCWD, P("missing"), &st, 1 << bit));
		say("renameat2", sys(renameat2, AT_FDCWD, P("missing"), AT_FDCWD, P("x"), 1 << bit));
		puts("");
		sys(unlink, P("linked"));
	}
	SHOW(sys(statx, AT_FDCWD, P("hello.txt"), NO_AUTOMOUNT | FORCE_SYNC, 0x7ff, buf));
	SHOW(sys(statx, AT_FDCWD, P("hello.txt"), DONT_SYNC, 0x7ff, buf));
	SHOW(sys(statx, AT_FDCWD, P("hello.txt"), FORCE_SYNC | DONT_SYNC, 0x7ff, buf));
	SHOW(sys(statx, AT_FDCWD, P("missing"), FORCE_SYNC | DONT_SYNC, 0x7ff, buf));
	SHOW(sys(newfstatat, AT_FDCWD, P("hello.txt"), &st, FORCE_SYNC));
}

int main(int argc, char **argv)
{
	guest_init(argc, argv);
	open_all();
	empty();
	flags();
	return 0;
}
