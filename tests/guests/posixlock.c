/* POSIX record locks between processes: ranges, who holds what, and everything that gives them free. */
#include <pthread.h>
#include <sched.h>

#include "lockers.h"

static struct locker *a, *b;

static void both(int mode_a, int mode_b)
{
	a = locker_start();
	b = locker_start();
	locker_do(a, "open", ORDER(OPEN_(1, "lines.txt", mode_a)));
	locker_do(b, "open", ORDER(OPEN_(1, "lines.txt", mode_b)));
}

static void ranges(void)
{
	section("ranges");
	both(O_RDWR, O_RDWR);
	DO(a, LOCK_(1, F_SETLK, F_WRLCK, 10, 10));
	DO(b, LOCK_(1, F_GETLK, F_RDLCK, 0, 0));
	DO(b, LOCK_(1, F_GETLK, F_WRLCK, 0, 10));
	DO(b, LOCK_(1, F_SETLK, F_RDLCK, 19, 1));
	DO(b, LOCK_(1, F_SETLK, F_RDLCK, 20, 5));
	DO(a, LOCK_(1, F_GETLK, F_WRLCK, 0, 0));
	DO(a, LOCK_(1, F_GETLK, F_RDLCK, 0, 0));
	/* split, merge, and a piece of another type in the middle */
	DO(a, LOCK_(1, F_SETLK, F_UNLCK, 13, 3));
	DO(b, LOCK_(1, F_GETLK, F_WRLCK, 0, 0));
	DO(b, LOCK_(1, F_GETLK, F_WRLCK, 13, 0));
	DO(b, LOCK_(1, F_GETLK, F_WRLCK, 13, 3));
	DO(a, LOCK_(1, F_SETLK, F_WRLCK, 13, 3));
	DO(b, LOCK_(1, F_GETLK, F_WRLCK, 0, 0));
	DO(a, LOCK_(1, F_SETLK, F_RDLCK, 12, 2));
	DO(b, LOCK_(1, F_GETLK, F_RDLCK, 11, 0));
	DO(b, LOCK_(1, F_GETLK, F_WRLCK, 12, 0));
	DO(b, LOCK_(1, F_GETLK, F_RDLCK, 12, 2));
	DO(b, LOCK_(1, F_SETLK, F_RDLCK, 12, 2));
	/* what cannot be upgraded stays as it was */
	DO(a, LOCK_(1, F_SETLK, F_WRLCK, 12, 2));
	DO(b, LOCK_(1, F_GETLK, F_WRLCK, 12, 1));
	DO(b, LOCK_(1, F_SETLK, F_UNLCK, 0, 0));
	DO(a, LOCK_(1, F_SETLK, F_WRLCK, 12, 2));
	DO(b, LOCK_(1, F_GETLK, F_WRLCK, 0, 0));
	DO(a, LOCK_(1, F_SETLK, F_UNLCK, 0, 0));
	DO(b, LOCK_(1, F_GETLK, F_WRLCK, 0, 0));
	lockers_stop();
}

/* Of several that have the same, who began last is named last. */
static void turns(void)
{
	section("turns");
	both(O_RDWR, O_RDWR);
	struct locker *c = locker_start();
	locker_do(c, "open", ORDER(OPEN_(1, "lines.txt", O_RDWR)));
	DO(a, LOCK_(1, F_SETLK, F_RDLCK, 0, 10));
	DO(a, LOCK_(1, F_SETLK, F_UNLCK, 0, 10));
	DO(b, LOCK_(1, F_SETLK, F_RDLCK, 0, 10));
	DO(a, LOCK_(1, F_SETLK, F_RDLCK, 0, 10));
	DO(c, LOCK_(1, F_GETLK, F_WRLCK, 0, 10));
	DO(b, LOCK_(1, F_SETLK, F_UNLCK, 0, 10));
	DO(b, LOCK_(1, F_SETLK, F_RDLCK, 0, 10));
	DO(c, LOCK_(1, F_GETLK, F_WRLCK, 0, 10));
	lockers_stop();
}

static void ends(void)
{
	section("ends and offsets");
	both(O_RDWR, O_RDWR);
	DO(a, LOCK_(1, F_SETLK, F_WRLCK, 100, 0));
	DO(b, LOCK_(1, F_GETLK, F_WRLCK, 0, 0));
	DO(b, LOCK_(1, F_GETLK, F_WRLCK, INT64_MAX, 1));
	DO(b, LOCK_(1, F_GETLK, F_WRLCK, INT64_MAX, 2));
	DO(b, LOCK_(1, F_GETLK, F_WRLCK, 5, INT64_MAX));
	DO(b, LOCK_(1, F_SETLK, F_WRLCK, 50, -20));
	DO(a, LOCK_(1, F_GETLK, F_WRLCK, 0, 0));
	DO(b, LOCK_(1, F_SETLK, F_WRLCK, 10, -11));
	DO(b, LOCK_(1, F_SETLK, F_WRLCK, -1, 0));
	DO(b, LOCK_W(1, F_SETLK, F_WRLCK, SEEK_END, -5, 5));
	DO(b, LOCK_W(1, F_SETLK, F_WRLCK, SEEK_END, INT64_MAX, 1));
	DO(a, LOCK_(1, F_SETLK, F_UNLCK, 0, 0));
	DO(b, LOCK_W(1, F_SETLK, F_WRLCK, SEEK_END, -5, 5));
	DO(a, LOCK_(1, F_GETLK, F_WRLCK, 60, 0));
	DO(b, LOCK_W(1, F_SETLK, F_WRLCK, SEEK_CUR, 3, 2));
	DO(a, LOCK_(1, F_GETLK, F_WRLCK, 0, 10));
	DO(b, LOCK_W(1, F_SETLK, F_WRLCK, SEEK_CUR, -1, 2));
	DO(b, LOCK_W(1, F_SETLK, F_WRLCK, 7, 0, 2));
	DO(b, LOCK_(1, F_SETLK, F_WRLCK, INT64_MAX, 0));
	DO(a, LOCK_(1, F_GETLK, F_WRLCK, INT64_MAX, 0));
	DO(b, LOCK_(1, F_SETLK, 9, 0, 0));
	DO(b, LOCK_(1, F_GETLK, F_UNLCK, 0, 0));
	DO(b, LOCK_W(1, F_GETLK, F_UNLCK, 7, 0, 0));
	DO(b, LOCK_W(1, F_SETLK, 9, 7, 0, 0));
	DO(b, LOCK_(1, F_OFD_GETLK, F_WRLCK, 0, 0));
	lockers_stop();
}

static void modes(void)
{
	section("modes");
	both(O_RDONLY, O_WRONLY);
	DO(a, LOCK_(1, F_SETLK, F_WRLCK, 0, 1));
	DO(a, LOCK_(1, F_SETLKW, F_WRLCK, -1, 1));
	DO(a, LOCK_(1, F_SETLK, F_WRLCK, -1, 1));
	DO(a, LOCK_(1, F_SETLK, F_RDLCK, 0, 1));
	DO(a, LOCK_(1, F_GETLK, F_WRLCK, 0, 1));
	DO(b, LOCK_(1, F_SETLK, F_RDLCK, 0, 1));
	DO(b, LOCK_(1, F_GETLK, F_WRLCK, 0, 0));
	DO(b, LOCK_(1, F_SETLK, F_WRLCK, 0, 2));
	DO(b, LOCK_(1, F_SETLK, F_WRLCK, 1, 2));
	DO(a, LOCK_(1, F_GETLK, F_RDLCK, 0, 0));
	/* the same process with another mode */
	DO(a, OPEN_(2, "lines.txt", O_RDWR));
	DO(a, LOCK_(2, F_SETLK, F_WRLCK, 0, 1));
	DO(b, LOCK_(1, F_GETLK, F_WRLCK, 0, 0));
	DO(a, CLOSE_(1));
	DO(b, LOCK_(1, F_GETLK, F_WRLCK, 0, 0));
	DO(a, OPEN_(1, "lines.txt", O_PATH));
	DO(a, LOCK_(1, F_SETLK, F_RDLCK, 0, 1));
	DO(a, LOCK_(1, F_SETLK, 9, 0, 1));
	DO(a, OPEN_(3, "dir", O_RDONLY));
	DO(a, LOCK_(3, F_SETLK, F_RDLCK, 0, 1));
	DO(a, LOCK_(3, F_SETLK, F_WRLCK, 0, 1));
	DO(b, OPEN_(3, "dir", O_RDONLY));
	DO(b, LOCK_(3, F_GETLK, F_WRLCK, 0, 1));
	lockers_stop();
}

/* Any descriptor of the file: its close ends all the locks of its process. */
static void closes(int mode)
{
	section("closes %o", mode);
	both(O_RDWR, O_RDWR);
	locker_do(a, "open again", &(struct order_msg){ OPEN_(2, "lines.txt", mode) });
	DO(a, LOCK_(1, F_SETLK, F_WRLCK, 0, 10));
	DO(b, LOCK_(1, F_GETLK, F_WRLCK, 0, 0));
	DO(a, CLOSE_(2));
	DO(b, LOCK_(1, F_GETLK, F_WRLCK, 0, 0));
	/* opened while locked */
	DO(a, LOCK_(1, F_SETLK, F_WRLCK, 0, 10));
	locker_do(a, "open again", &(struct order_msg){ OPEN_(2, "lines.txt", mode) });
	DO(b, LOCK_(1, F_SETLK, F_WRLCK, 5, 1));
	DO(a, CLOSE_(2));
	DO(b, LOCK_(1, F_SETLK, F_WRLCK, 5, 1));
	DO(b, LOCK_(1, F_SETLK, F_UNLCK, 5, 1));
	/* a copy */
	DO(a, LOCK_(1, F_SETLK, F_WRLCK, 0, 10));
	DO(a, DUP_TO(1, 3));
	DO(b, LOCK_(1, F_GETLK, F_WRLCK, 0, 0));
	DO(a, CLOSE_(3));
	DO(b, LOCK_(1, F_GETLK, F_WRLCK, 0, 0));
	/* another file in its place */
	locker_do(a, "open again", &(struct order_msg){ OPEN_(2, "lines.txt", mode) });
	DO(a, OPEN_(4, "hello.txt", O_RDONLY));
	DO(a, LOCK_(1, F_SETLK, F_WRLCK, 0, 10));
	DO(b, LOCK_(1, F_GETLK, F_WRLCK, 0, 0));
	DO(a, DUP_OVER(4, 2));
	DO(b, LOCK_(1, F_GETLK, F_WRLCK, 0, 0));
	/* another file's close ends nothing */
	DO(a, LOCK_(1, F_SETLK, F_WRLCK, 0, 10));
	DO(a, CLOSE_(4));
	DO(b, LOCK_(1, F_GETLK, F_WRLCK, 0, 0));
	DO(a, CLOSE_(1));
	DO(b, LOCK_(1, F_GETLK, F_WRLCK, 0, 0));
	lockers_stop();
}

static void deaths(void)
{
	section("deaths");
	both(O_RDWR, O_RDWR);
	DO(a, LOCK_(1, F_SETLK, F_WRLCK, 0, 10));
	DO(b, LOCK_(1, F_SETLK, F_RDLCK, 0, 10));
	locker_stop(a, SIGKILL);
	DO(b, LOCK_(1, F_SETLK, F_RDLCK, 0, 10));
	a = locker_start();
	DO(a, OPEN_(1, "lines.txt", O_RDONLY));
	DO(a, LOCK_(1, F_SETLK, F_RDLCK, 5, 10));
	locker_stop(b, 0);
	b = locker_start();
	DO(b, OPEN_(1, "lines.txt", O_WRONLY));
	DO(b, LOCK_(1, F_GETLK, F_WRLCK, 0, 0));
	locker_stop(a, 0);
	DO(b, LOCK_(1, F_SETLK, F_WRLCK, 0, 0));
	lockers_stop();
}

static long lock(int fd, int type, long start, long len)
{
	struct flock fl = { .l_type = (short)type, .l_whence = SEEK_SET, .l_start = start, .l_len = len };

	return fcntl(fd, F_SETLK, &fl);
}

/* What the locker sees of our locks. */
#define SEEN() DO(b, LOCK_(1, F_GETLK, F_WRLCK, 0, 0))

static void *locking_thread(void *arg)
{
	int fd = *(int *)arg;

	SHOW(lock(fd, F_WRLCK, 0, 20));
	SHOW(lock(fd, F_UNLCK, 5, 5));
	return NULL;
}

static void *closing_thread(void *arg)
{
	close(*(int *)arg);
	return NULL;
}

static void run(void *(*fn)(void *), void *arg)
{
	pthread_t t;

	pthread_create(&t, NULL, fn, arg);
	pthread_join(t, NULL);
}

static void threads(void)
{
	int fd = open(P("lines.txt"), O_RDWR), other = open(P("lines.txt"), O_RDONLY);

	section("threads share");
	SHOW(lock(fd, F_WRLCK, 0, 10));
	run(locking_thread, &fd);
	SEEN();
	run(closing_thread, &other);
	SEEN();
	close(fd);
}

static int locking_clone(void *arg)
{
	int fd = *(int *)arg;

	return lock(fd, F_WRLCK, 2, 3) ? errno : 0;
}

static void clones(int flags)
{
	static char stack[65536] __attribute__((aligned(16)));
	int fd = open(P("lines.txt"), O_RDWR);

	section("a child %s", flags & CLONE_FILES ? "that shares descriptors" : "with its own descriptors");
	SHOW(lock(fd, F_WRLCK, 0, 10));
	fflush(stdout);
	pid_t pid = clone(locking_clone, stack + sizeof(stack), flags | SIGCHLD, &fd);
	wait_child("clone", pid);
	SEEN();
	SHOW(lock(fd, F_UNLCK, 0, 0));
	fflush(stdout);
	pid = clone(locking_clone, stack + sizeof(stack), flags | SIGCHLD, &fd);
	wait_child("clone", pid);
	SHOW(lock(fd, F_RDLCK, 20, 1));
	DO(b, LOCK_(1, F_SETLK, F_WRLCK, 0, 10));
	DO(b, LOCK_(1, F_SETLK, F_UNLCK, 0, 10));
	close(fd);
	SEEN();
}

static void forks(void)
{
	int fd = open(P("lines.txt"), O_RDWR);

	section("fork");
	SHOW(lock(fd, F_WRLCK, 0, 10));
	pid_t pid = fork_clean();
	if (!pid) {
		SHOW(lock(fd, F_WRLCK, 5, 1));
		SHOW(lock(fd, F_WRLCK, 50, 1));
		SHOW(close(fd));
		SEEN();
		fflush(stdout);
		_exit(0);
	}
	wait_child("child", pid);
	SEEN();
	/* The child keeps the file open; the lock is ours. */
	int hold[2];
	SHOW(pipe(hold));
	pid = fork_clean();
	if (!pid) {
		char c;

		close(hold[1]);
		_exit(read(hold[0], &c, 1) != 0);
	}
	close(hold[0]);
	SHOW(close(fd));
	SEEN();
	close(hold[1]);
	wait_child("child", pid);
}

/* F_OFD_GETLK with F_UNLCK: what the open file itself has locked, which is no process's though one has locked the same. */
static void own_of_file(void)
{
	int fd = open(P("lines.txt"), O_RDWR);
	struct flock fl = { .l_type = F_RDLCK, .l_len = 10 };

	section("an open file's own");
	SHOW(sys(fcntl, fd, F_OFD_SETLK, &fl));
	SHOW(lock(fd, F_RDLCK, 0, 10));
	fl.l_type = F_UNLCK;
	SHOW(sys(fcntl, fd, F_OFD_GETLK, &fl));
	printf("type %d start %lld len %lld of %s\n", fl.l_type, (long long)fl.l_start, (long long)fl.l_len, who(fl.l_pid));
	fl.l_type = F_WRLCK;
	fl.l_pid = 0;
	SHOW(sys(fcntl, fd, F_OFD_GETLK, &fl));
	printf("type %d start %lld len %lld of %s\n", fl.l_type, (long long)fl.l_start, (long long)fl.l_len, who(fl.l_pid));
	close(fd);
}

/* A descriptor through which something was locked, and unlocked, and which only a child has when something is locked again. */
static void left_to_child(void)
{
	int fd = open(P("lines.txt"), O_RDWR), other = open(P("lines.txt"), O_RDWR), hold[2];

	section("left to a child");
	SHOW(lock(other, F_WRLCK, 0, 1));
	SHOW(lock(other, F_UNLCK, 0, 1));
	SHOW(pipe(hold));
	pid_t pid = fork_clean();
	if (!pid) {
		char c;

		close(hold[1]);
		_exit(read(hold[0], &c, 1) != 0);
	}
	close(hold[0]);
	close(other);
	SHOW(lock(fd, F_WRLCK, 0, 1));
	SEEN();
	close(hold[1]);
	wait_child("child", pid);
	SEEN();
	close(fd);
}

static void ranges_of_closes(void)
{
	int fd = open(P("lines.txt"), O_RDWR), other = open(P("lines.txt"), O_RDWR);

	section("close_range");
	SHOW(lock(fd, F_WRLCK, 0, 10));
	close(SHOWFD(sys(open, P("lines.txt"), O_PATH)));
	SEEN();
	SHOW(lock(fd, F_WRLCK, 0, 10));
	SHOW(sys(close_range, other, other, 4)); /* CLOSE_RANGE_CLOEXEC closes nothing */
	SEEN();
	SHOW(sys(close_range, other, other, 0));
	SEEN();
	SHOW(lock(fd, F_WRLCK, 0, 10));
	SHOW(sys(close_range, fd, fd, 99));
	SEEN();
	close(fd);
	SEEN();
}

/* Of a file with a low number, too, the close of a duplicate that was made while it was locked is heard. */
static void copies_of_low(void)
{
	int fd = open(P("lines.txt"), O_RDWR);

	section("copies of low");
	SHOW(sys(dup2, fd, 75));
	SHOW(lock(75, F_WRLCK, 0, 10));
	SEEN();
	close(SHOWFD(sys(dup, fd)));
	SEEN();
	SHOW(lock(75, F_WRLCK, 0, 10));
	close(SHOWFD(sys(fcntl, fd, F_DUPFD, 0)));
	SEEN();
	close(75);
	close(fd);
}

/* In the child: ourselves again, with a descriptor that stays and one that does not. */
static void exec_child(char **argv, int flags_locked, int flags_other)
{
	char number[16];
	int fd = open(P("lines.txt"), O_RDWR | flags_locked);

	open(P("lines.txt"), O_RDWR | flags_other);
	lock(fd, F_WRLCK, 0, 10);
	snprintf(number, sizeof(number), "%d", fd);
	execl("/proc/self/exe", argv[0], argv[1], "locked", number, NULL);
	_exit(1);
}

static void execs(char **argv, int flags_locked, int flags_other)
{
	int done[2], go[2];
	char c;

	section("exec %s %s", flags_locked ? "closes the locked one" : "keeps the locked one",
		flags_other ? "closes the other" : "keeps the other");
	pipe(done);
	pipe(go);
	pid_t pid = fork_clean();
	if (!pid) {
		dup2(done[1], 200);
		dup2(go[0], 201);
		close(go[1]);
		exec_child(argv, flags_locked, flags_other);
	}
	close(done[1]);
	SHOW(read(done[0], &c, 1));
	DO(b, LOCK_(1, F_SETLK, F_WRLCK, 0, 1));
	DO(b, LOCK_(1, F_SETLK, F_UNLCK, 0, 1));
	close(go[0]);
	close(go[1]);
	wait_child("exec", pid);
	close(done[0]);
	SEEN();
}

int main(int argc, char **argv)
{
	guest_init(argc, argv);
	if (argc > 2) {
		char c;

		if (write(200, "x", 1) != 1)
			return 1;
		return read(201, &c, 1) != 0;
	}
	ranges();
	turns();
	ends();
	modes();
	closes(O_RDWR);
	closes(O_RDONLY);
	deaths();
	b = locker_start();
	DO(b, OPEN_(1, "lines.txt", O_RDWR));
	threads();
	clones(0);
	clones(CLONE_FILES);
	forks();
	left_to_child();
	own_of_file();
	ranges_of_closes();
	copies_of_low();
	execs(argv, 0, 0);
	execs(argv, 0, O_CLOEXEC);
	execs(argv, O_CLOEXEC, 0);
	lockers_stop();
	return 0;
}
