/* Operations on descriptors and on the working directory. */
#include <sys/file.h>
#include <sys/ioctl.h>
#include <linux/fs.h>

#include "fuzz.h"

static void run_dup(void)
{
	say("dup(");
	int fd = pick_fd();
	say(")");
	keep_fd(sys(dup, has_record_locks() ? -1 : fd));
}

static bool is_device(int fd)
{
	struct stat st;

	return !sys(fstat, fd, &st) && S_ISCHR(st.st_mode);
}

/* Whether FD is of a file that its owner may not read, and is not open for that either. */
static bool is_unreadable(int fd, long status)
{
	struct stat st;

	return geteuid() && (status & O_ACCMODE) == O_WRONLY && !sys(fstat, fd, &st) && !(st.st_mode & S_IRUSR);
}

/* Onto the slot's own low number, or onto what the slot has. */
static void run_dup2(void)
{
	bool three = chance(500);
	int to = (int)below(SLOTS);
	long flags = three ? PICK(0, 0, O_CLOEXEC, 1) : 0;

	say("%s(", three ? "dup3" : "dup2");
	int fd = pick_fd();
	int number = slots[to] >= 0 && chance(400) ? slots[to] : HOME + to;
	say(", s%d%s, %lx)", to, number == slots[to] ? "" : "'s own", flags);
	/* What such descriptors are at a low number is among README's limits; that a slot's own is high, is so only supervised. */
	long status = sys(fcntl, fd, F_GETFL);
	if (has_record_locks() || is_device(fd))
		number = -1;
	if (status >= 0 && (status & O_PATH || (status & O_ACCMODE) == O_ACCMODE || is_unreadable(fd, status)))
		number = -1;
	long r = three ? sys(dup3, fd, number, flags) : sys(dup2, fd, number);
	keep_fd_at(to, r);
}

static const struct flag status_flags[] = { FLAG(O_APPEND), FLAG(O_NONBLOCK), FLAG(O_NOATIME), FLAG(O_ASYNC), FLAG(O_RDWR) };

static void set_status(int fd)
{
	long flags = PICK_FLAGS(status_flags, 250);

	say(")");
	say_result(sys(fcntl, fd, F_SETFL, flags | (may_block(fd) ? O_NONBLOCK : 0)));
}

static const struct flag simple_commands[] = {
	FLAG(F_GETFD), FLAG(F_GETFL), FLAG(F_GETFL), FLAG(F_GETOWN), FLAG(F_GETSIG), FLAG(F_GETPIPE_SZ), { 999, "999" }, FLAG(F_GET_SEALS),
};

static void run_fcntl(void)
{
	say("fcntl(");
	int fd = pick_fd();
	say(", ");
	switch (below(4)) {
	case 0:
		say("F_SETFL, ");
		set_status(fd);
		return;
	case 1: {
		long on = PICK(0, 1);
		say("F_SETFD, %ld)", on);
		say_result(sys(fcntl, fd, F_SETFD, on));
		return;
	}
	case 2: {
		bool cloexec = chance(500);
		long least = PICK(0, 10, 100, 20000, -1);
		say("%s, %ld)", cloexec ? "F_DUPFD_CLOEXEC" : "F_DUPFD", least);
		/* Where the numbers end is another limit for us. */
		if (least == 20000)
			least = -1;
		keep_fd(sys(fcntl, has_record_locks() ? -1 : fd, cloexec ? F_DUPFD_CLOEXEC : F_DUPFD, least));
		return;
	}
	default: {
		long cmd = pick_flag(simple_commands, COUNT(simple_commands) - (families & FAM_LOCK ? 0 : 1));
		say(")");
		say_result(sys(fcntl, fd, cmd, 0));
	}
	}
}

static const struct flag requests[] = { FLAG(FIONREAD), FLAG(FIGETBSZ), FLAG(FIOCLEX), FLAG(FIONCLEX), FLAG(FIOASYNC), { 0x5401, "TCGETS" }, { 0xabcd, "bad" } };

static void run_ioctl(void)
{
	int value = 0;

	say("ioctl(");
	int fd = pick_fd();
	say(", ");
	long request = PICK_FLAG(requests);
	void *arg = chance(30) ? BAD_LOW : (void *)&value;
	say(")");
	/* What a terminal or a pipe says to it is long local. */
	if (!say_result(sys(ioctl, fd, request, request == 0x5401 ? buffer : arg)) && request != 0x5401)
		say(" %d", value);
}

static void run_pipe(void)
{
	int fds[2];

	say("pipe2()");
	if (say_result(sys(pipe2, fds, O_NONBLOCK | (chance(500) ? O_CLOEXEC : 0))))
		return;
	keep_fd(fds[0]);
	keep_fd(fds[1]);
}

/*
 * Whether the cwd is not in the tree, of which getcwd has told N. Where only the tree is mounted a link's ".." may lead to a directory
 * that has no name here, and no removed one either.
 */
static bool is_outside(long n)
{
	struct stat st;

	return n > 0 ? strncmp(buffer, tree, strlen(tree)) : stat(".", &st) == 0 && st.st_nlink > 0;
}

static void say_cwd(void)
{
	long n = sys(getcwd, buffer, 4096);

	if (is_outside(n))
		say(" cwd elsewhere");
	else if (n < 0)
		say(" cwd %s", err_name(errno));
	else
		say(" cwd %s", buffer);
}

/* Out of the tree only by one step, so that no name of ours is made elsewhere. */
static void come_back(void)
{
	long n = sys(getcwd, buffer, 4096);

	if (is_outside(n) && sys(chdir, tree) < 0)
		say(" LOST");
}

static void run_chdir(void)
{
	bool by_fd = chance(350);

	if (chance(250)) {
		say("chdir(tree)");
		say_result(sys(chdir, tree));
		return;
	}
	say("%s(", by_fd ? "fchdir" : "chdir");
	long r;
	if (by_fd) {
		int fd = pick_fd();
		r = sys(fchdir, fd);
	} else {
		struct where w = pick_where(true);
		r = sys(chdir, w.path);
	}
	say(")");
	say_result(r);
	say_cwd();
	come_back();
}

static void run_getcwd(void)
{
	size_t size = (size_t)PICK(4096, 4096, 0, 1, 5, 30);

	say("getcwd(%zu)", size);
	if (say_result(sys(getcwd, buffer, size)) > 0)
		say(" %s", buffer);
}

const struct op fd_ops[] = {
	{ "dup", FAM_FD, 15, run_dup },
	{ "dup2", FAM_FD, 35, run_dup2 },
	{ "fcntl", FAM_FD, 35, run_fcntl },
	{ "ioctl", FAM_FD, 12, run_ioctl },
	{ "pipe", FAM_FD, 6, run_pipe },
	{ "chdir", FAM_CWD, 30, run_chdir },
	{ "getcwd", FAM_CWD, 10, run_getcwd },
	{ 0 },
};
