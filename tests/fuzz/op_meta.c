/* Operations on attributes. */
#include <linux/stat.h>
#include <sys/time.h>
#include <sys/vfs.h>
#include <utime.h>

#include "fuzz.h"

#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif

static const struct flag stat_flags[] = {
	FLAG(AT_SYMLINK_NOFOLLOW), FLAG(AT_EMPTY_PATH), FLAG(AT_NO_AUTOMOUNT), { 0x2000, "FORCE_SYNC" }, { 0x4000, "DONT_SYNC" },
};

static void *pick_result(void *good)
{
	if (!chance(10))
		return good;
	say("BAD");
	return BAD_LOW;
}

static void run_stat(void)
{
	unsigned which = below(4);
	struct stat st;

	say("%s(", which == 0 ? "stat" : which == 1 ? "lstat" : which == 2 ? "fstat" : "newfstatat");
	struct where w = { -1, NULL };
	if (which == 2)
		w.fd = pick_fd();
	else
		w = pick_where(which < 2);
	say(", ");
	long flags = which == 3 ? PICK_FLAGS(stat_flags, 200) & ~0x6000l : 0;
	void *out = pick_result(&st);
	say(")");
	long r = which == 0 ? sys(stat, w.path, out) : which == 1 ? sys(lstat, w.path, out) :
		 which == 2 ? sys(fstat, w.fd, out) : sys(newfstatat, w.fd, w.path, out, flags);
	if (!say_result(r))
		say_stat(&st);
}

static void run_statx(void)
{
	struct statx x;

	say("statx(");
	struct where w = pick_where(false);
	say(", ");
	long flags = PICK_FLAGS(stat_flags, 150);
	long mask = PICK(STATX_BASIC_STATS, STATX_ALL, 0, STATX_SIZE, STATX_MODE | STATX_BTIME, 0x80000000);
	void *out = pick_result(&x);
	say(", %lx)", mask);
	if (say_result(sys(statx, w.fd, w.path, flags, mask, out)))
		return;
	say(" %x %o n%u %u:%u", x.stx_mask & 0xfff, S_ISLNK(x.stx_mode) ? S_IFLNK : x.stx_mode, x.stx_nlink, x.stx_uid, x.stx_gid);
	if (!S_ISDIR(x.stx_mode))
		say(" size=%llu", (unsigned long long)x.stx_size);
	say_time("mtime", x.stx_mtime.tv_sec, x.stx_mtime.tv_nsec);
	say(" attributes %llx/%llx", (unsigned long long)x.stx_attributes, (unsigned long long)x.stx_attributes_mask);
}

/* Whether a path and a descriptor are one file. */
static void run_same(void)
{
	struct stat a, b;

	say("same(");
	int fd = pick_fd();
	say(", ");
	struct where w = pick_where(true);
	say(")");
	if (sys(fstat, fd, &a) < 0 || sys(stat, w.path, &b) < 0)
		say_result(-1);
	else
		say(" = %d", a.st_ino == b.st_ino && a.st_dev == b.st_dev);
}

static const struct flag access_flags[] = { FLAG(AT_EACCESS), FLAG(AT_SYMLINK_NOFOLLOW), FLAG(AT_EMPTY_PATH), { 0x8000, "bad" } };

static void run_access(void)
{
	unsigned which = below(3);

	say("%s(", which == 0 ? "access" : which == 1 ? "faccessat" : "faccessat2");
	struct where w = pick_where(which == 0);
	long mode = PICK(F_OK, R_OK, W_OK, X_OK, R_OK | W_OK, R_OK | W_OK | X_OK, 8);
	say(", %ld, ", mode);
	long flags = which == 2 ? PICK_FLAGS(access_flags, 150) : 0;
	say(")");
	/* What a link in /proc lets its descriptor do shows for O_PATH that there is a placeholder behind it. */
	if (flags & AT_SYMLINK_NOFOLLOW && is_in_proc(w.path))
		return;
	say_result(which == 0 ? sys(access, w.path, mode) : which == 1 ? sys(faccessat, w.fd, w.path, mode) :
								    sys(faccessat2, w.fd, w.path, mode, flags));
}

static const struct flag at_flags[] = { FLAG(AT_SYMLINK_NOFOLLOW), FLAG(AT_EMPTY_PATH), { 0x8000, "bad" } };

static void run_chmod(void)
{
	unsigned which = below(4);
	struct where w = { -1, NULL };

	say("%s(", which == 0 ? "chmod" : which == 1 ? "fchmod" : which == 2 ? "fchmodat" : "fchmodat2");
	if (which == 1)
		w.fd = pick_fd();
	else
		w = pick_where(which == 0);
	say(", ");
	long mode = pick_mode();
	say(", ");
	long flags = which == 3 ? PICK_FLAGS(at_flags, 150) : 0;
	say(")");
	say_result(which == 0 ? sys(chmod, w.path, mode) : which == 1 ? sys(fchmod, w.fd, mode) :
		   which == 2 ? sys(fchmodat, w.fd, w.path, mode) : sys(fchmodat2, w.fd, w.path, mode, flags));
}

static void run_chown(void)
{
	unsigned which = below(4);
	struct where w = { -1, NULL };

	say("%s(", which == 0 ? "chown" : which == 1 ? "fchown" : which == 2 ? "lchown" : "fchownat");
	if (which == 1)
		w.fd = pick_fd();
	else
		w = pick_where(which != 3);
	long uid = PICK(-1, 0, 1, 1000, 65534), gid = PICK(-1, 0, 1, 1000, 65534);
	say(", %ld, %ld, ", uid, gid);
	long flags = which == 3 ? PICK_FLAGS(at_flags, 150) : 0;
	say(")");
	say_result(which == 0 ? sys(chown, w.path, uid, gid) : which == 1 ? sys(fchown, w.fd, uid, gid) :
		   which == 2 ? sys(lchown, w.path, uid, gid) : sys(fchownat, w.fd, w.path, uid, gid, flags));
}

static long set_times(unsigned which, struct where w, long a, long b, long nsec, long flags)
{
	struct utimbuf u = { a, b };
	struct timeval tv[2] = { { a, nsec / 1000 }, { b, nsec / 1000 } };
	struct timespec ts[2] = { { a, nsec }, { b, nsec } };

	switch (which) {
	case 0: return sys(utime, w.path, a < 0 ? NULL : &u);
	case 1: return sys(utimes, w.path, a < 0 ? NULL : tv);
	case 2: return sys(futimesat, w.fd, w.path, tv);
	default: return sys(utimensat, w.fd, w.path, a < 0 ? NULL : ts, flags);
	}
}

static void run_utimes(void)
{
	unsigned which = below(5);
	struct where w;

	say("%s(", which == 0 ? "utime" : which == 1 ? "utimes" : which == 2 ? "futimesat" : "utimensat");
	if (which == 4) {
		w = (struct where){ pick_fd(), NULL };
		say(", NULL");
	} else {
		w = pick_where(which < 2);
	}
	long a = PICK(-1, 0, 1, 1000000000, 1234567890), b = PICK(0, 5, 1000000000, 1400000000);
	long nsec = PICK(0, 0, 999999999, 123456789, UTIME_NOW, UTIME_OMIT, 1000000000);
	say(", %ld, %ld, %ld, ", a, b, nsec);
	long flags = which == 3 ? PICK_FLAGS(at_flags, 150) : 0;
	say(")");
	say_result(set_times(which, w, a, b, nsec, flags));
}

static void run_umask(void)
{
	long mask = PICK(0, 022, 022, 027, 077, 0777);

	say("umask(%lo)", mask);
	say(" = %lo", sys(umask, mask));
}

static void run_statfs(void)
{
	bool by_path = chance(500);
	struct statfs fs;
	struct where w = { -1, NULL };

	say("%s(", by_path ? "statfs" : "fstatfs");
	if (by_path)
		w = pick_where(true);
	else
		w.fd = pick_fd();
	void *out = pick_result(&fs);
	say(")");
	if (!say_result(by_path ? sys(statfs, w.path, out) : sys(fstatfs, w.fd, out)))
		say(" %lx %ld %ld %lx", (long)fs.f_type, (long)fs.f_bsize, (long)fs.f_namelen, (long)fs.f_flags);
}

const struct op meta_ops[] = {
	{ "stat", FAM_META, 60, run_stat },
	{ "statx", FAM_META, 25, run_statx },
	{ "same", FAM_META, 15, run_same },
	{ "access", FAM_META, 25, run_access },
	{ "chmod", FAM_META, 30, run_chmod },
	{ "chown", FAM_META, 25, run_chown },
	{ "utimes", FAM_META, 25, run_utimes },
	{ "umask", FAM_META, 6, run_umask },
	{ "statfs", FAM_META, 6, run_statfs },
	{ 0 },
};
