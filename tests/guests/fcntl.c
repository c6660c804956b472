/* fcntl flags, and record locks between processes and open files. */
#include <sys/ioctl.h>

#include "guest.h"

#ifndef F_OFD_GETLK
#define F_OFD_GETLK 36
#define F_OFD_SETLK 37
#endif

static void flags(const char *name, int mode)
{
	int fd = sys(open, P(name), mode);

	section("%s %o", name, mode);
	printf("getfl %o\n", fcntl(fd, F_GETFL) & ~0100000);
	SHOW(sys(fcntl, fd, F_SETFL, O_NONBLOCK | O_APPEND | O_WRONLY | O_TRUNC));
	printf("getfl %o\n", fcntl(fd, F_GETFL) & ~0100000);
	SHOW(sys(fcntl, fd, F_SETFL, 0));
	printf("getfl %o\n", fcntl(fd, F_GETFL) & ~0100000);
	SHOW(sys(fcntl, fd, F_GETFD));
	SHOW(sys(fcntl, fd, F_SETFD, 0xff));
	SHOW(sys(fcntl, fd, F_GETFD));
	SHOW(sys(fcntl, fd, 9999));
	SHOW(sys(fcntl, fd, F_GETOWN));
	close(fd);
	SHOW(sys(fcntl, fd, F_GETFL));
	SHOW(sys(fcntl, -1, F_GETFD));
	SHOW(sys(fcntl, 999999, F_SETFD, 1));
}

/* O_ASYNC is kept from open(2) on by files that can do nothing with it; only fcntl(2) takes it from them. */
static void async(const char *name)
{
	int fd = sys(open, P(name), O_RDWR | O_ASYNC), off = 0, on = 1;

	section("O_ASYNC of %s", name);
	SHOW(sys(ioctl, fd, FIOASYNC, &on));
	SHOW(sys(ioctl, fd, FIOASYNC, &off));
	SHOW(sys(fcntl, fd, F_SETFL, O_APPEND));
	printf("getfl %o\n", fcntl(fd, F_GETFL) & ~0100000);
	SHOW(sys(dup2, fd, 60));
	printf("getfl %o\n", fcntl(60, F_GETFL) & ~0100000);
	close(fd);
	close(60);
}

static long lock(int fd, int cmd, int type, long start, long len)
{
	struct flock fl = { .l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len };
	long r = sys(fcntl, fd, cmd, &fl);

	if (r == 0 && (cmd == F_GETLK || cmd == F_OFD_GETLK))
		printf("   blocker: type %d start %ld len %ld pid %s\n", fl.l_type, (long)fl.l_start, (long)fl.l_len,
		       fl.l_type == F_UNLCK ? "none" : "some");
	return r;
}

static void child_tries(const char *name, int cmd)
{
	int fd = open(P(name), O_RDWR);

	SHOW(lock(fd, cmd, F_RDLCK, 0, 10));
	SHOW(lock(fd, cmd, F_WRLCK, 0, 10));
	SHOW(lock(fd, cmd, F_WRLCK, 100, 10));
	SHOW(lock(fd, cmd, F_UNLCK, 100, 10));
	SHOW(lock(fd, cmd == F_SETLK ? F_GETLK : F_OFD_GETLK, F_WRLCK, 0, 0));
	SHOW(lock(fd, cmd == F_SETLK ? F_GETLK : F_OFD_GETLK, F_RDLCK, 30, 5));
	fflush(stdout);
	_exit(0);
}

static void records(const char *name, int cmd)
{
	int fd = sys(open, P(name), O_RDWR), other = sys(open, P(name), O_RDWR);
	pid_t pid;

	section("%s locks on %s", cmd == F_SETLK ? "process" : "open file", name);
	SHOW(lock(fd, cmd, F_RDLCK, 0, 5));
	SHOW(lock(fd, cmd, F_WRLCK, 20, 20));
	SHOW(lock(other, cmd, F_WRLCK, 25, 1));
	SHOW(lock(other, cmd == F_SETLK ? F_GETLK : F_OFD_GETLK, F_WRLCK, 0, 100));
	pid = fork_clean();
	if (!pid)
		child_tries(name, cmd);
	wait_child("child", pid);
	SHOW(lock(fd, cmd, F_UNLCK, 0, 0));
	pid = fork_clean();
	if (!pid)
		child_tries(name, cmd);
	wait_child("child after unlock", pid);
	SHOW(lock(fd, cmd, F_WRLCK, 0, 0));
	/* A process would lose its locks on the file here; an open file does not. */
	if (cmd == F_OFD_SETLK)
		SHOW(close(other));
	pid = fork_clean();
	if (!pid)
		child_tries(name, cmd);
	wait_child("child after close", pid);
	close(fd);
	pid = fork_clean();
	if (!pid)
		child_tries(name, cmd);
	wait_child("child after last close", pid);
	if (cmd != F_OFD_SETLK)
		close(other);
}

static void errors(void)
{
	int fd = sys(open, P("hello.txt"), O_RDONLY), w = sys(open, P("hello.txt"), O_WRONLY);
	struct flock fl = { .l_type = F_RDLCK, .l_whence = SEEK_SET };
	static char buf[4096];

	section("errors");
	SHOW(lock(fd, F_SETLK, F_WRLCK, 0, 1));
	SHOW(lock(fd, F_SETLK, F_RDLCK, 0, 1));
	SHOW(lock(w, F_SETLK, F_RDLCK, 0, 1));
	SHOW(lock(fd, F_SETLK, 17, 0, 1));
	SHOW(lock(fd, F_SETLK, F_RDLCK, -1, 1));
	SHOW(lock(fd, F_GETLK, F_UNLCK, 0, 1));
	SHOW(sys(fcntl, fd, F_SETLK, NULL));
	SHOW(sys(fcntl, fd, F_GETLK, BAD_KERNEL));
	SHOW(sys(fcntl, fd, F_OFD_SETLK, BAD_LOW));
	fl.l_pid = 1;
	SHOW(sys(fcntl, fd, F_OFD_SETLK, &fl));
	fl.l_pid = 0;
	fl.l_whence = 9;
	SHOW(sys(fcntl, fd, F_SETLK, &fl));
	fl.l_whence = SEEK_END;
	fl.l_start = -5;
	fl.l_len = 5;
	SHOW(sys(fcntl, fd, F_SETLK, &fl));
	SHOW(sys(fcntl, -1, F_SETLK, &fl));
	w = sys(open, P("hello.txt"), 3); /* neither for reading nor for writing */
	SHOW(lock(w, F_SETLK, F_RDLCK, 0, 1));
	SHOW(lock(w, F_SETLK, F_WRLCK, 0, 1));
	SHOW(lock(w, F_OFD_SETLK, F_WRLCK, 0, 1));
	SHOW(lock(w, F_SETLK, F_UNLCK, 0, 1));
	w = sys(open, P("dir"), O_RDONLY);
	while (sys(getdents64, w, buf, sizeof(buf)) > 0)
		;
	fl.l_whence = SEEK_CUR;
	SHOW(sys(fcntl, w, F_SETLK, &fl));
	fl.l_start = 5;
	SHOW(sys(fcntl, w, F_SETLK, &fl));
}

/* A writer waits for a reader in another process, and gets the lock when that one goes. */
static void waiting(void)
{
	int ready[2];
	pid_t pid;
	char c;
	int fd = sys(open, P("hello.txt"), O_RDWR);

	section("waiting");
	SHOW(pipe(ready));
	pid = fork_clean();
	if (!pid) {
		int own = open(P("hello.txt"), O_RDWR);

		lock(own, F_SETLK, F_WRLCK, 0, 0);
		sys(write, ready[1], "x", 1);
		usleep(100000);
		sys(pwrite64, own, "J", 1, 0);
		_exit(0);
	}
	SHOW(sys(read, ready[0], &c, 1));
	SHOW(lock(fd, F_SETLK, F_WRLCK, 0, 0));
	SHOW(lock(fd, F_SETLKW, F_WRLCK, 0, 0));
	SHOW(sys(pread64, fd, &c, 1, 0));
	printf("written before: %c\n", c);
	wait_child("child", pid);
}

int main(int argc, char **argv)
{
	guest_init(argc, argv);
	flags("hello.txt", O_RDONLY);
	flags("lines.txt", O_RDWR);
	flags("dir", O_RDONLY);
	async("lines.txt");
	records("lines.txt", F_SETLK);
	records("lines.txt", F_OFD_SETLK);
	errors();
	waiting();
	return 0;
}
