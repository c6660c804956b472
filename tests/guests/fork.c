/* fork, vfork, clone: what parents and children share; exit statuses. */
#include <sched.h>
#include <signal.h>

#include "guest.h"

static int shared_fd;
static char stack[65536] __attribute__((aligned(16)));

static void offsets(const char *name, int mode)
{
	char buf[8];
	int fd = sys(open, P(name), mode);

	section("%s %o", name, mode);
	for (int i = 0; i < 4; i++) {
		pid_t pid = fork_clean();

		if (!pid) {
			long n = sys(read, fd, buf, 5);

			show_data("child read", buf, n);
			if (mode & O_RDWR)
				sys(write, fd, "W", 1);
			if (i == 2)
				sys(close, fd);
			fflush(stdout);
			_exit(i);
		}
		wait_child("child", pid);
		SHOW(sys(lseek, fd, 0, SEEK_CUR));
	}
	SHOW(sys(read, fd, buf, 5));
	show_data("parent read", buf, 5);
	close(fd);
}

static void grandchildren(void)
{
	int fd = sys(open, P("lines.txt"), O_RDONLY), pipes[2];
	pid_t pid;
	char buf[200];
	long n, total = 0;

	section("grandchildren");
	if (pipe(pipes) < 0)
		return;
	pid = fork_clean();
	if (!pid) {
		if (!fork()) {
			/* The orphan still shares the offset, and outlives its parent. */
			usleep(50000);
			n = sys(read, fd, buf, 7);
			sys(write, pipes[1], buf, n);
			_exit(0);
		}
		_exit(3);
	}
	wait_child("middle", pid);
	close(pipes[1]);
	while ((n = read(pipes[0], buf + total, sizeof(buf) - total)) > 0)
		total += n;
	show_data("the orphan read", buf, total);
	SHOW(sys(lseek, fd, 0, SEEK_CUR));
	close(pipes[0]);
	close(fd);
}

static int clone_child(void *arg)
{
	shared_fd = sys(open, P("hello.txt"), O_RDWR);
	sys(chdir, P("dir"));
	return 4;
}

static void clones(void)
{
	static const struct { const char *name; int flags; } how[] = {
		{ "CLONE_VM|FILES|FS", CLONE_VM | CLONE_FILES | CLONE_FS }, { "CLONE_VM", CLONE_VM },
		{ "CLONE_VM|FILES", CLONE_VM | CLONE_FILES }, { "CLONE_VM|FS", CLONE_VM | CLONE_FS },
	};

	for (size_t i = 0; i < COUNT(how); i++) {
		char buf[6] = "";
		pid_t pid;

		section("%s", how[i].name);
		sys(chdir, T);
		fflush(stdout);
		pid = clone(clone_child, stack + sizeof(stack), how[i].flags | SIGCHLD, NULL);
		wait_child("clone", pid);
		/* Only a shared table holds the child's descriptor, only a shared cwd moved. */
		SHOW(sys(pread64, shared_fd, buf, 5, 0));
		SHOW(sys(access, "one/only", F_OK));
		if (how[i].flags & CLONE_FILES)
			SHOW(sys(close, shared_fd));
	}
}

static void vforks(void)
{
	int fd = sys(open, P("hello.txt"), O_RDWR);
	volatile long got = 0;
	pid_t pid;

	section("vfork");
	fflush(stdout);
	pid = vfork();
	if (!pid) {
		static char buf[8];

		got = sys(read, fd, buf, 4);
		_exit(got);
	}
	wait_child("vfork", pid);
	SHOW(sys(lseek, fd, 0, SEEK_CUR));
	close(fd);
}

static void statuses(void)
{
	static const int sigs[] = { SIGKILL, SIGSEGV, SIGTERM, SIGABRT };

	section("statuses");
	for (size_t i = 0; i < COUNT(sigs); i++) {
		pid_t pid = fork_clean();

		if (!pid) {
			sys(open, P("hello.txt"), O_RDWR);
			raise(sigs[i]);
			_exit(0);
		}
		wait_child("killed", pid);
	}
	for (int i = 0; i < 30; i++) {
		pid_t pid = fork_clean();
		int status;

		if (!pid)
			_exit(sys(open, P("hello.txt"), O_RDONLY) >= 0 ? i : 255);
		if (waitpid(pid, &status, 0) != pid || WEXITSTATUS(status) != i)
			printf("child %d: %x\n", i, status);
	}
}

int main(int argc, char **argv)
{
	guest_init(argc, argv);
	offsets("lines.txt", O_RDONLY);
	offsets("lines.txt", O_RDWR);
	offsets("sizes/s3145745", O_RDONLY);
	grandchildren();
	clones();
	vforks();
	statuses();
	return 42;
}
