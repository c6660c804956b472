/* access, faccessat, faccessat2. */
#include "guest.h"

#ifndef AT_EACCESS
#define AT_EACCESS 0x200
#endif
#define SYS_faccessat2_ 439

static long faccessat2_(int dir, const char *path, int mode, int flags)
{
	return raw_syscall(SYS_faccessat2_, dir, (long)path, mode, flags, 0, 0);
}

static const char *why(long r)
{
	return r < 0 ? err_name(errno) : "yes";
}

int main(int argc, char **argv)
{
	static const char *const names[] = {
		"", "hello.txt", "exec.sh", "ro", "dir", "missing", "missing/x", "hello.txt/x", "dir/", "hello.txt/",
		"links/rel", "links/dangling", "links/loop1", "links/dirlink/", "modes/m0000", "modes/m0111", "modes/m0222",
		"modes/m0444", "modes/m0777", "modes/d0000", "modes/d0000/x", "modes/d1777", "odd/new\nline",
	};
	static const int flags[] = { 0, AT_SYMLINK_NOFOLLOW, AT_EACCESS, AT_EMPTY_PATH, 1 };
	int dir, file;

	guest_init(argc, argv);
	for (size_t i = 0; i < COUNT(names); i++) {
		printf("%s:", names[i]);
		for (int mode = 0; mode <= 8; mode++)
			printf(" %s", why(sys(access, P(names[i]), mode)));
		putchar('\n');
		for (size_t f = 0; f < COUNT(flags); f++) {
			printf("   %x:", flags[f]);
			for (int mode = 0; mode <= 7; mode += 1 + !mode)
				printf(" %s", why(faccessat2_(AT_FDCWD, P(names[i]), mode, flags[f])));
			putchar('\n');
		}
	}
	dir = SHOWFD(sys(open, P("dir"), O_RDONLY));
	file = SHOWFD(sys(open, P("modes/m0444"), O_RDONLY));
	SHOW(sys(faccessat, dir, "file", R_OK | W_OK));
	SHOW(sys(faccessat, dir, "file", X_OK));
	SHOW(sys(faccessat, dir, "../hello.txt", F_OK));
	SHOW(sys(faccessat, dir, "", F_OK));
	SHOW(sys(faccessat, file, "x", F_OK));
	SHOW(sys(faccessat, -1, "file", F_OK));
	SHOW(sys(faccessat, -1, P("hello.txt"), F_OK));
	SHOW(sys(faccessat, dir, "file", -1));
	SHOW(faccessat2_(dir, "", R_OK, AT_EMPTY_PATH));
	SHOW(faccessat2_(file, "", W_OK, AT_EMPTY_PATH));
	SHOW(faccessat2_(file, "", R_OK, AT_EMPTY_PATH));
	SHOW(faccessat2_(file, "", R_OK, 0));
	SHOW(faccessat2_(-1, "", R_OK, AT_EMPTY_PATH));
	SHOW(sys(access, NULL, F_OK));
	SHOW(sys(access, BAD_LOW, R_OK));
	SHOW(sys(access, BAD_KERNEL, R_OK));
	SHOW(sys(access, "", F_OK));
	SHOW(sys(access, NULL, 8));
	SHOW(faccessat2_(AT_FDCWD, NULL, F_OK, 0));
	SHOW(chdir(P("dir")));
	SHOW(sys(access, "file", F_OK));
	SHOW(sys(access, "../hello.txt", R_OK));
	SHOW(sys(faccessat, AT_FDCWD, "one/only", R_OK));
	return 0;
}
