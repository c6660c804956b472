/* Operations on what is in files. */
#include <linux/falloc.h>

#include "fuzz.h"

static void fill(size_t len)
{
	uint64_t x = draw();

	for (size_t i = 0; i < len; i++)
		buffer[i] = (char)((x >> (i % 8 * 8)) + i / 8);
}

/* The first bytes of a buffer, if they can be looked at. */
static void say_read(const void *buf, long n, size_t len)
{
	/* EISDIR, or EINVAL where a directory's own offset is too large for the count. */
	say_result(n < 0 && errno == EISDIR ? (errno = EINVAL, n) : n);
	if (buf == buffer && n <= (long)len)
		say_data(buf, n);
}

static void run_read(void)
{
	bool positioned = chance(400);

	say("%s(", positioned ? "pread64" : "read");
	int fd = pick_fd();
	say(", ");
	size_t len = pick_size();
	say(", ");
	void *buf = pick_buffer(len);
	say(", ");
	int64_t off = positioned ? pick_far_offset() : 0;
	say(")");
	say_read(buf, positioned ? sys(pread64, fd, buf, len, off) : sys(read, fd, buf, len), len);
}

/*
 * What a write that fails with EFAULT leaves behind (README's limits): a new mtime, and (6.18) a file that reaches to where it
 * would have begun. Undoes it: SIZE is what the file had.
 */
static void undo_fault(int fd, long r, int64_t size)
{
	if (r < 0 && errno == EFAULT && size >= 0) {
		sys(ftruncate, fd, size);
		errno = EFAULT;
	}
}

/* The size of a regular file, else -1. */
static int64_t file_size(int fd)
{
	struct stat st;

	return !sys(fstat, fd, &st) && S_ISREG(st.st_mode) ? st.st_size : -1;
}

static void run_write(void)
{
	bool positioned = chance(400);

	say("%s(", positioned ? "pwrite64" : "write");
	int fd = pick_fd();
	say(", ");
	size_t len = pick_size();
	fill(len);
	say(", ");
	void *buf = pick_buffer(len);
	say(", ");
	int64_t off = positioned ? pick_offset() : 0;
	say(")");
	int64_t size = buf == buffer ? -1 : file_size(fd);
	long r = positioned ? sys(pwrite64, fd, buf, len, off) : sys(write, fd, buf, len);
	undo_fault(fd, r, size);
	say_result(r);
}

static unsigned pick_vector(struct iovec *iov, size_t *sum, bool *bad)
{
	unsigned n = below(4);

	*sum = 0;
	*bad = false;
	for (unsigned i = 0; i < n; i++) {
		iov[i].iov_len = (size_t)PICK(0, 1, 10, 100, 4096, 5000);
		iov[i].iov_base = buffer + *sum;
		*sum += iov[i].iov_len;
		say("%s%zu", i ? "+" : "", iov[i].iov_len);
		if (chance(10)) {
			say("BAD");
			iov[i].iov_base = BAD_LOW;
			*bad = true;
		}
	}
	return chance(990) ? n : (unsigned)PICK(1025, -1);
}

static const struct flag rwf_flags[] = {
	FLAG(RWF_HIPRI), FLAG(RWF_DSYNC), FLAG(RWF_SYNC), FLAG(RWF_APPEND), { 0x20, "RWF_NOAPPEND" }, { 0x4000, "RWF_bad" },
};

static void run_vector(void)
{
	static const struct {
		const char *name;
		long nr;
		bool writes, positioned, flagged;
	} calls[] = {
		{ "readv", SYS_readv, false, false, false },	  { "writev", SYS_writev, true, false, false },
		{ "preadv", SYS_preadv, false, true, false },	  { "pwritev", SYS_pwritev, true, true, false },
		{ "preadv2", SYS_preadv2, false, true, true },	  { "pwritev2", SYS_pwritev2, true, true, true },
	};
	unsigned i = below(families & FAM_COPY ? COUNT(calls) : 4);
	struct iovec iov[4] = { 0 };
	size_t sum;
	bool bad;

	say("%s(", calls[i].name);
	int fd = pick_fd();
	say(", ");
	unsigned n = pick_vector(iov, &sum, &bad);
	say(", ");
	if (calls[i].writes)
		fill(sum);
	int64_t off = calls[i].positioned ? pick_offset() : 0;
	say(", ");
	long flags = calls[i].flagged ? PICK_FLAGS(rwf_flags, 80) : 0;
	say(")");
	int64_t size = calls[i].writes && bad ? file_size(fd) : -1;
	long r = raw_syscall(calls[i].nr, fd, (long)iov, (int)n, off, 0, flags);
	undo_fault(fd, r, size);
	if (calls[i].writes)
		say_result(r);
	else
		say_read(buffer, r, sum);
}

/* Not SEEK_DATA and SEEK_HOLE: what is written natively may fill holes with zeros (guests/seekhole.c has the rest). */
static const struct flag whences[] = { FLAG(SEEK_SET), FLAG(SEEK_SET), FLAG(SEEK_CUR), FLAG(SEEK_END), { 5, "5" }, { -1, "-1" } };

static void run_lseek(void)
{
	struct stat st;

	say("lseek(");
	int fd = pick_fd();
	say(", ");
	int64_t off = pick_offset();
	say(", ");
	long whence = PICK_FLAG(whences);
	say(")");
	/* A directory's offsets are its file system's own. */
	if (fd >= 0 && whence && !sys(fstat, fd, &st) && S_ISDIR(st.st_mode))
		say(" directory");
	else
		say_result(sys(lseek, fd, off, whence));
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The names of a listing in order, since that is the file system's own. */
static void say_entries(char *data, long len, char **names, unsigned *count)
{
	for (long at = 0; at < len && *count < 100;) {
		unsigned short reclen;

		memcpy(&reclen, data + at + 16, 2);
		data[at + 18] = (char)('A' + data[at + 18]); /* the type, before the name */
		names[(*count)++] = data + at + 18;
		at += reclen;
	}
}

static void run_getdents(void)
{
	char *names[100];
	unsigned count = 0;
	size_t used = 0;
	long n = 0;

	say("getdents64(");
	int fd = pick_fd();
	size_t size = (size_t)PICK(32768, 32768, 4096, 1024, 300, 24);
	say(", %zu)", size);
	sys(lseek, fd, 0, SEEK_SET);
	while (used + size <= BUFFER && (n = sys(getdents64, fd, buffer + used, size)) > 0) {
		say_entries(buffer + used, n, names, &count);
		used += (size_t)n;
	}
	say_result(n);
	/* What comes before a name that does not fit is the file system's own, too. */
	if (n < 0)
		count = 0;
	qsort(names, count, sizeof(*names), by_text);
	for (unsigned i = 0; i < count; i++)
		say(" %.20s", names[i]);
}

static void run_truncate(void)
{
	bool by_path = chance(400);
	struct where w = { -1, NULL };

	say("%s(", by_path ? "truncate" : "ftruncate");
	if (by_path)
		w = pick_where(true);
	else
		w.fd = pick_fd();
	say(", ");
	int64_t length = pick_far_offset();
	say(")");
	say_result(by_path ? sys(truncate, w.path, length) : sys(ftruncate, w.fd, length));
}

/* Not INSERT_RANGE: in a file that is written natively the hole that it makes is filled, see README's limits. */
static const struct flag falloc_modes[] = {
	{ 0, "0" }, { 0, "0" }, FLAG(FALLOC_FL_KEEP_SIZE), { FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, "PUNCH" },
	FLAG(FALLOC_FL_PUNCH_HOLE), FLAG(FALLOC_FL_ZERO_RANGE), { FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, "ZERO|KEEP" },
	FLAG(FALLOC_FL_COLLAPSE_RANGE), { 0x4000, "bad" },
};

static void run_fallocate(void)
{
	say("fallocate(");
	int fd = pick_fd();
	say(", ");
	long mode = PICK_FLAG(falloc_modes);
	say(", ");
	int64_t off = pick_offset();
	say(", ");
	int64_t len = chance(500) ? (int64_t)PICK(0, 4096, 8192, 65536) : pick_offset();
	say(" %lld)", (long long)len);
	if (mode == FALLOC_FL_COLLAPSE_RANGE && !has_collapses())
		say(" nothing");
	else
		say_result(sys(fallocate, fd, mode, off, len));
}

static void run_fsync(void)
{
	long nr = PICK(SYS_fsync, SYS_fdatasync);

	say("%s(", nr == SYS_fsync ? "fsync" : "fdatasync");
	int fd = pick_fd();
	say(")");
	say_result(raw_syscall(nr, fd, 0, 0, 0, 0, 0));
}

static void run_advice(void)
{
	unsigned which = below(3);

	say("%s(", which == 0 ? "fadvise64" : which == 1 ? "readahead" : "sync_file_range");
	int fd = pick_fd();
	say(", ");
	int64_t off = pick_offset();
	say(", ");
	int64_t len = pick_offset();
	long arg = which == 0 ? PICK(0, 1, 2, 3, 4, 5, 6, 100) : PICK(0, 1, 2, 4, 7, 8);
	say(", %ld)", arg);
	say_result(which == 0 ? sys(fadvise64, fd, off, len, arg) :
		   which == 1 ? sys(readahead, fd, off, len) : sys(sync_file_range, fd, off, len, arg));
}

const struct op data_ops[] = {
	{ "read", FAM_DATA, 90, run_read },
	{ "write", FAM_DATA, 90, run_write },
	{ "vector", FAM_DATA, 40, run_vector },
	{ "lseek", FAM_DATA, 40, run_lseek },
	{ "getdents", FAM_DATA, 30, run_getdents },
	{ "truncate", FAM_DATA, 30, run_truncate },
	{ "fallocate", FAM_COPY, 15, run_fallocate },
	{ "fsync", FAM_DATA, 8, run_fsync },
	{ "advice", FAM_COPY, 10, run_advice },
	{ 0 },
};
