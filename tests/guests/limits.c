/* RLIMIT_NOFILE as a program sets and reads it, and descriptors of its own after unshare. */
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>

#include "guest.h"

static void show_limit(const char *label)
{
	struct rlimit a = { 1, 1 }, b = { 2, 2 };

	SHOW(sys(getrlimit, RLIMIT_NOFILE, &a));
	SHOW(sys(prlimit64, 0, RLIMIT_NOFILE, NULL, &b));
	printf("%s: %lu/%lu %lu/%lu\n", label, (long)a.rlim_cur, (long)a.rlim_max, (long)b.rlim_cur, (long)b.rlim_max);
}

static void limits(void)
{
	struct rlimit low = { 50, 60 }, wrong = { 61, 60 }, old;
	pid_t pid;

	section("limits");
	SHOW(sys(setrlimit, RLIMIT_NOFILE, &low));
	show_limit("set");
	SHOW(sys(setrlimit, RLIMIT_NOFILE, &wrong));
	SHOW(sys(setrlimit, RLIMIT_NOFILE, BAD_LOW));
	SHOW(sys(getrlimit, RLIMIT_NOFILE, BAD_LOW));
	SHOW(sys(prlimit64, 0, RLIMIT_NOFILE, BAD_LOW, NULL));
	SHOW(sys(getrlimit, 99, &old));
	low.rlim_cur = 40;
	SHOW(sys(prlimit64, getpid(), RLIMIT_NOFILE, &low, &old));
	printf("old %lu/%lu\n", (long)old.rlim_cur, (long)old.rlim_max);
	show_limit("again");
	pid = fork_clean();
	if (!pid) {
		show_limit("child");
		low.rlim_cur = 30;
		SHOW(sys(prlimit64, 0, RLIMIT_NOFILE, &low, NULL));
		show_limit("child's own");
		fflush(stdout);
		_exit(0);
	}
	wait_child("child", pid);
	show_limit("parent");
}

/* A child that shares our descriptors until it has its own. */
static int unsharing(void *arg)
{
	int fd = *(int *)arg, more;
	char buf[6] = "";

	SHOW(sys(unshare, 0));
	SHOW(sys(unshare, 1));
	SHOW(sys(unshare, CLONE_FILES));
	SHOW(sys(read, fd, buf, 5));
	show_data("read", buf, 5);
	SHOW(sys(close, fd));
	more = SHOWFD(sys(open, P("lines.txt"), O_RDWR));
	SHOW(sys(pread64, more, buf, 5, 0));
	SHOW(sys(unshare, CLONE_FS));
	SHOW(sys(chdir, P("dir")));
	stat_path("dir");
	return 0;
}

static void shared(int mode)
{
	static char stack[65536] __attribute__((aligned(16)));
	int fd = SHOWFD(sys(open, P("hello.txt"), mode)), status = 0;
	char buf[6] = "";

	section("unshare %o", mode);
	fflush(stdout);
	pid_t pid = clone(unsharing, stack + sizeof(stack), CLONE_VM | CLONE_FILES | CLONE_FS | SIGCHLD, &fd);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	show_status("child", status);
	SHOW(sys(read, fd, buf, 5)); /* the offset is shared still, and so is not what the child closed */
	show_data("read", buf, 5);
	SHOW(sys(close, fd));
}

int main(int argc, char **argv)
{
	guest_init(argc, argv);
	shared(O_RDONLY);
	shared(O_RDWR);
	limits();
	return 0;
}
