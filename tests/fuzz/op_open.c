/* Operations that make descriptors from paths. */
#include <linux/openat2.h>

#include "fuzz.h"

static const struct flag access_modes[] = { FLAG(O_RDONLY), FLAG(O_RDONLY), FLAG(O_RDWR), FLAG(O_RDWR), FLAG(O_WRONLY), { 3, "3" } };
static const struct flag open_flags[] = {
	FLAG(O_CREAT), FLAG(O_CREAT), FLAG(O_CREAT), FLAG(O_EXCL), FLAG(O_TRUNC), FLAG(O_APPEND), FLAG(O_CLOEXEC), FLAG(O_CLOEXEC),
};
static const struct flag rare_flags[] = {
	FLAG(O_DIRECTORY), FLAG(O_DIRECTORY), FLAG(O_NOFOLLOW), FLAG(O_PATH), FLAG(O_NONBLOCK), FLAG(O_SYNC), FLAG(O_DSYNC), FLAG(O_NOATIME),
	FLAG(O_NOCTTY), FLAG(O_ASYNC), FLAG(O_LARGEFILE),
};
static const struct flag resolve_flags[] = {
	FLAG(RESOLVE_NO_SYMLINKS), FLAG(RESOLVE_NO_MAGICLINKS), FLAG(RESOLVE_BENEATH), FLAG(RESOLVE_IN_ROOT), { 1 << 20, "RESOLVE_bad" },
};

static long pick_open_flags(void)
{
	long flags = pick_flag(access_modes, COUNT(access_modes));

	say("|");
	flags |= PICK_FLAGS(open_flags, 180);
	say("|");
	flags |= PICK_FLAGS(rare_flags, 35);
	if (families & FAM_TMPFILE && chance(25)) {
		say("|O_TMPFILE");
		flags |= O_TMPFILE;
	}
	return flags;
}

/* A FIFO that nobody has at its other end would stop us, and so would a pipe opened again through /proc. */
static long not_waiting(struct where w, long flags)
{
	struct stat st;

	if (!sys(newfstatat, w.fd, w.path, &st, 0) && S_ISFIFO(st.st_mode))
		return flags | O_NONBLOCK;
	return flags;
}

static void run_open(void)
{
	bool legacy = pick_legacy();

	say("%s(", legacy ? "open" : "openat");
	struct where w = pick_where(legacy);
	say(", ");
	long flags = pick_open_flags();
	say(", ");
	long mode = pick_mode();
	flags = not_waiting(w, flags);
	say(")");
	keep_fd(legacy ? sys(open, w.path, flags, mode) : sys(openat, w.fd, w.path, flags, mode));
}

static void run_creat(void)
{
	say("creat(");
	struct where w = pick_where(true);
	say(", ");
	long mode = pick_mode();
	say(")");
	keep_fd(not_waiting(w, 0) ? -1 : sys(creat, w.path, mode));
}

static void run_openat2(void)
{
	struct open_how how = { 0 };

	say("openat2(");
	struct where w = pick_where(false);
	say(", ");
	how.flags = (uint64_t)pick_open_flags();
	if (chance(800))
		how.flags &= ~(uint64_t)(O_LARGEFILE);
	if (how.flags & O_CREAT || chance(50)) {
		say(", ");
		how.mode = (uint64_t)pick_mode() & (chance(900) ? 07777 : ~0ull);
	}
	say(", ");
	how.resolve = (uint64_t)PICK_FLAGS(resolve_flags, 80);
	size_t size = chance(980) ? sizeof(how) : (size_t)PICK(0, 8, 23, 25, 4096, 4097);
	how.flags = (uint64_t)not_waiting(w, (long)how.flags);
	say(", %zu)", size);
	keep_fd(sys(openat2, w.fd, w.path, &how, size > sizeof(how) ? sizeof(how) : size));
}

static void run_close(void)
{
	say("close(");
	int slot = pick_slot();
	say("s%d)", slot);
	say_result(sys(close, slots[slot]));
	slots[slot] = -1;
}

const struct op open_ops[] = {
	{ "open", FAM_OPEN, 130, run_open },
	{ "creat", FAM_OPEN, 10, run_creat },
	{ "openat2", FAM_OPEN, 30, run_openat2 },
	{ "close", FAM_OPEN, 40, run_close },
	{ 0 },
};
