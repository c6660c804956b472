/* flock: whole-file locks that belong to the open file. */
#include <sys/file.h>

#include "guest.h"

static void child(const char *name)
{
	int fd = open(P(name), O_RDONLY);

	SHOW(sys(flock, fd, LOCK_SH | LOCK_NB));
	SHOW(sys(flock, fd, LOCK_EX | LOCK_NB));
	fflush(stdout);
	_exit(0);
}

static void try_in_child(const char *label, const char *name)
{
	pid_t pid = fork_clean();

	if (!pid)
		child(name);
	wait_child(label, pid);
}

static void of(const char *name, int mode)
{
	int a = sys(open, P(name), mode), b = sys(open, P(name), mode), copy = dup(a);

	section("%s %o", name, mode);
	SHOW(sys(flock, a, LOCK_SH));
	SHOW(sys(flock, b, LOCK_SH));
	SHOW(sys(flock, b, LOCK_EX | LOCK_NB));
	try_in_child("shared", name);
	SHOW(sys(flock, b, LOCK_UN));
	SHOW(sys(flock, copy, LOCK_EX | LOCK_NB));
	SHOW(sys(flock, b, LOCK_SH | LOCK_NB));
	try_in_child("exclusive", name);
	SHOW(close(a));
	try_in_child("a copy is left", name);
	SHOW(close(copy));
	try_in_child("closed", name);
	SHOW(sys(flock, b, 77));
	SHOW(sys(flock, b, 0));
	close(b);
	SHOW(sys(flock, b, LOCK_SH));
}

/* Who is in a directory has not got it open. */
static void of_cwd(void)
{
	int a = sys(open, P("dir"), O_RDONLY), b = sys(open, P("dir"), O_RDONLY);

	section("cwd");
	SHOW(sys(flock, a, LOCK_EX));
	SHOW(fchdir(a));
	SHOW(sys(flock, b, LOCK_SH | LOCK_NB));
	close(a);
	SHOW(sys(flock, b, LOCK_EX | LOCK_NB));
	SHOW(chdir("/"));
	try_in_child("exclusive", "dir");
	close(b);
}

int main(int argc, char **argv)
{
	int path;

	guest_init(argc, argv);
	of("hello.txt", O_RDONLY);
	of("hello.txt", O_RDWR);
	of("sizes/s3145745", O_RDONLY);
	of("dir", O_RDONLY);
	of_cwd();
	path = SHOWFD(sys(open, P("hello.txt"), O_PATH));
	SHOW(sys(flock, path, LOCK_SH));
	SHOW(sys(flock, -1, LOCK_SH));
	return 0;
}
