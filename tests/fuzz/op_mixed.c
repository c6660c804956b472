/* Operations between two descriptors, and locks. */
#include <sys/file.h>

#include "fuzz.h"

/* An offset argument and where to say what became of it. */
static int64_t *pick_offset_pointer(int64_t *off)
{
	if (chance(500)) {
		say("NULL");
		return NULL;
	}
	if (chance(20)) {
		say("BAD");
		return BAD_LOW;
	}
	*off = pick_offset();
	return off;
}

static void say_offset(const int64_t *p, const int64_t *off)
{
	if (p == off)
		say(" [%lld]", (long long)*off);
}

static bool is_pipe(int fd)
{
	struct stat st;

	return !sys(fstat, fd, &st) && S_ISFIFO(st.st_mode);
}

/*
 * Pages of a file are in the pipe that FD writes to. They may change with the file, or not any more: that is nobody's
 * promise (README's limits), so what is there now is made the pipe's own. A file gets its times: they need not have changed where the
 * bytes are what was there before (also README's limits).
 */
static void settle(int fd)
{
	char link[64];
	long n;

	if (!is_pipe(fd)) {
		sys(utimensat, fd, NULL, NULL, 0);
		return;
	}
	sprintf(link, "/proc/self/fd/%d", fd);
	int reader = (int)sys(open, link, O_RDONLY | O_NONBLOCK);
	if (reader < 0)
		return;
	n = sys(read, reader, buffer, BUFFER);
	say_data(buffer, n);
	if (n > 0 && sys(write, fd, buffer, n) != n)
		say(" LOST");
	close(reader);
}

/* Where an offset among hashes of names is too far for a file, is the file system's own. */
static bool is_directory(int fd)
{
	struct stat st;

	return !sys(fstat, fd, &st) && S_ISDIR(st.st_mode);
}

/* A copy within one file: where ranges overlap, what is read depends on what was written, page by page. */
static bool same_file(int in, int out)
{
	struct stat a, b;

	return !sys(fstat, in, &a) && !sys(fstat, out, &b) && S_ISREG(a.st_mode) && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

static void run_sendfile(void)
{
	int64_t off = 0;

	say("sendfile(");
	int out = pick_fd();
	say(", ");
	int in = pick_fd();
	say(", ");
	int64_t *p = pick_offset_pointer(&off);
	say(", ");
	size_t len = pick_size();
	say(")");
	if (is_directory(in) || same_file(in, out))
		return;
	if (say_result(sys(sendfile, out, in, p, len)) > 0)
		settle(out);
	say_offset(p, &off);
}

static bool same_device(int a, int b)
{
	struct stat x, y;

	return sys(fstat, a, &x) || sys(fstat, b, &y) || !S_ISREG(x.st_mode) || !S_ISREG(y.st_mode) || x.st_dev == y.st_dev;
}

/*
 * Between file systems: EXDEV natively, but what is remote at a low number and what is local may be on one file
 * system for the kernel, and then it copies.
 */
static void run_copy(void)
{
	int64_t in_off = 0, out_off = 0;

	say("copy_file_range(");
	int in = pick_fd();
	say(", ");
	int64_t *in_p = pick_offset_pointer(&in_off);
	say(", ");
	int out = pick_fd();
	say(", ");
	int64_t *out_p = pick_offset_pointer(&out_off);
	say(", ");
	size_t len = pick_size();
	long flags = chance(30) ? 1 : 0;
	say(", %ld)", flags);
	if (!same_device(in, out))
		return;
	say_result(sys(copy_file_range, in, in_p, out, out_p, len, flags));
	say_offset(in_p, &in_off);
	say_offset(out_p, &out_off);
}

static void run_splice(void)
{
	int64_t in_off = 0, out_off = 0;

	say("splice(");
	int in = pick_fd();
	say(", ");
	int64_t *in_p = chance(600) ? NULL : pick_offset_pointer(&in_off);
	say(", ");
	int out = pick_fd();
	say(", ");
	int64_t *out_p = chance(600) ? NULL : pick_offset_pointer(&out_off);
	say(", ");
	size_t len = pick_size();
	long flags = PICK(0, 1, 2, 3, 8, 16);
	say(", %ld)", flags);
	if (say_result(sys(splice, in, in_p, out, out_p, len, flags | 2 /* SPLICE_F_NONBLOCK */)) > 0)
		settle(out);
	say_offset(in_p, &in_off);
	say_offset(out_p, &out_off);
}

static const struct flag flock_ops[] = {
	{ LOCK_SH | LOCK_NB, "SH" }, { LOCK_EX | LOCK_NB, "EX" }, FLAG(LOCK_UN), { 16 | LOCK_NB, "16" }, { LOCK_NB, "NB" },
};

static void run_flock(void)
{
	say("flock(");
	int fd = pick_fd();
	say(", ");
	long op = PICK_FLAG(flock_ops);
	say(")");
	say_result(sys(flock, fd, op));
}

static const struct flag lock_commands[] = { FLAG(F_SETLK), FLAG(F_SETLK), FLAG(F_GETLK), FLAG(F_OFD_SETLK), FLAG(F_OFD_GETLK) };

static void run_lock(void)
{
	struct flock l = { 0 };

	say("fcntl(");
	int fd = pick_fd();
	say(", ");
	long cmd = PICK_FLAG(lock_commands);
	l.l_type = (short)PICK(F_RDLCK, F_WRLCK, F_UNLCK, F_RDLCK, F_WRLCK, 7);
	l.l_whence = (short)PICK(SEEK_SET, SEEK_SET, SEEK_CUR, SEEK_END, 9);
	l.l_start = PICK(0, 0, 1, 10, 100, -1, -10);
	l.l_len = PICK(0, 0, 1, 10, 100, -5);
	l.l_pid = chance(30) ? 5 : 0;
	void *p = chance(15) ? BAD_LOW : (void *)&l;
	say(", %d %d %ld %ld)", l.l_type, l.l_whence, (long)l.l_start, (long)l.l_len);
	/* A directory's offset is the file system's own number. */
	if ((l.l_whence == SEEK_CUR && is_directory(fd)) || (cmd == F_SETLK && !has_record_locks()))
		return;
	long r = say_result(sys(fcntl, fd, cmd, p));
	if (!r && (cmd == F_GETLK || cmd == F_OFD_GETLK) && p == &l)
		say(" %d %d %ld %ld %s", l.l_type, l.l_whence, (long)l.l_start, (long)l.l_len,
		    l.l_pid == -1 ? "-1" : !l.l_pid || l.l_type == F_UNLCK ? "" : l.l_pid == getpid() ? "me" : "other");
}

const struct op mixed_ops[] = {
	{ "sendfile", FAM_COPY, 25, run_sendfile },
	{ "copy", FAM_COPY, 25, run_copy },
	{ "splice", FAM_SPLICE, 25, run_splice },
	{ "flock", FAM_LOCK, 15, run_flock },
	{ "lock", FAM_LOCK, 40, run_lock },
	{ 0 },
};
