/*
 * The log's notation, held against strace itself: this program run under strace makes calls and logs each
 * of them, and both must have written the same line. Its own memory is the tracee's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>
#include <cmocka.h>

#include "log.h"
#include "stub_handlers.h"

/* What strace writes for the call that stands before each one that is compared. */
#define GUEST_MARK "getpgid(-77770)"

static long guest_call(int nr, long a, long b, long c, long d, long e, long f)
{
	struct call call = {.row = table_row(nr),
			    .nr = nr,
			    .tid = (pid_t)syscall(SYS_gettid),
			    .start_ns = now_ns(),
			    .arg = {(uint64_t)a, (uint64_t)b, (uint64_t)c, (uint64_t)d, (uint64_t)e, (uint64_t)f}};

	syscall(SYS_getpgid, -77770);
	long r = syscall(nr, a, b, c, d, e, f);
	log_call(&call, r < 0 ? -errno : r);
	return r;
}

#define CALL_(nr, a, b, c, d, e, f, ...)                                                                               \
	guest_call(nr, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))
#define CALL(name, ...) CALL_(SYS_##name, ##__VA_ARGS__, 0, 0, 0, 0, 0, 0, 0)
#define CALL_NR(nr, ...) CALL_(nr, ##__VA_ARGS__, 0, 0, 0, 0, 0, 0, 0)

static void guest_read_write(void)
{
	static const char text[] = "hello\n\0\0011\377\"\\\t\177 end of it and then some more text here";
	char buf[128];
	struct iovec iov[] = {{(void *)(uintptr_t) "abc", 3}, {buf, 0}, {(void *)(uintptr_t)text, sizeof(text)}};
	struct iovec in[] = {{buf, 3}, {buf + 10, 100}, {buf, 5}};
	struct iovec *many = calloc(40, sizeof(*many));
	int fd = (int)CALL(openat, AT_FDCWD, "f", O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	int64_t off = 1;

	CALL(write, fd, text, sizeof(text));
	CALL(write, fd,
	     "\0018\0019a\1a\xff"
	     "9\v\f\r\x1b",
	     14);
	CALL(write, fd, text, 0);
	CALL(write, fd, 1, 5);
	CALL(write, -1, NULL, 5);
	CALL(lseek, fd, 0, SEEK_SET);
	CALL(read, fd, buf, 20);
	CALL(read, fd, buf, sizeof(buf));
	CALL(read, fd, buf, 5);
	CALL(read, -1, buf, 5);
	CALL(pread64, fd, buf, 5, 2);
	CALL(pread64, fd, buf, 5, -5);
	CALL(pwrite64, fd, "xy", 2, 3);
	CALL(readv, fd, in, 2);
	CALL(lseek, fd, 0, SEEK_SET);
	CALL(readv, fd, in, 3);
	CALL(readv, -1, in, 3);
	CALL(readv, fd, NULL, -1);
	CALL(writev, fd, iov, 3);
	CALL(writev, fd, 1, 3);
	CALL(writev, fd, NULL, 0);
	CALL(writev, fd, iov, 0);
	CALL(writev, fd, many, 40);
	CALL(preadv, fd, in, 3, 1, 0);
	CALL(pwritev, fd, iov, 1, 7, 0);
	CALL(preadv2, fd, in, 2, 1, 0, 0);
	CALL(pwritev2, fd, iov, 1, 3, 0, RWF_SYNC | RWF_DSYNC);
	CALL(sendfile, -1, -1, 1, 5);
	CALL(lseek, fd, 0, SEEK_SET);
	int out = (int)CALL(open, "out", O_WRONLY | O_CREAT | O_TRUNC | O_EXCL, 0666);
	CALL(sendfile, out, fd, &off, 5);
	CALL(sendfile, out, fd, NULL, 5);
	off = 100000;
	CALL(sendfile, out, fd, &off, 5);
	CALL(lseek, fd, 5, SEEK_END);
	CALL(lseek, fd, -1, SEEK_HOLE);
	CALL(lseek, fd, 0, 77);
	CALL(ftruncate, out, 10);
	CALL(truncate, "out", 3);
	CALL(fsync, out);
	CALL(close, -1);
	free(many);
}

static void guest_open(void)
{
	struct {
		uint64_t flags, mode, resolve, more;
	} how = {O_WRONLY | O_CREAT, 0644, 8, 0};
	static char longest[PATH_MAX + 10];

	CALL(openat2, AT_FDCWD, "n1", &how, 24);
	how.flags = how.mode = how.resolve = 0;
	CALL(openat2, AT_FDCWD, "n1", &how, 24);
	CALL(openat2, AT_FDCWD, "n1", &how, 32);
	how.more = 0x100;
	CALL(openat2, AT_FDCWD, "n1", &how, 32);
	CALL(openat2, AT_FDCWD, "n1", &how, 8);
	CALL(openat2, AT_FDCWD, "n1", 1, 24);
	how.resolve = 0xffffffff;
	how.mode = 5;
	CALL(openat2, AT_FDCWD, "n1", &how, 24);
	how.resolve = 0xf0000000;
	how.flags = O_TMPFILE;
	how.mode = 0;
	CALL(openat2, AT_FDCWD, "n1", &how, 24);
	memset(longest, 'x', sizeof(longest) - 1);
	CALL(open, longest, 0);
	CALL(open, 1, 0);
	CALL(open, NULL, 0);
	CALL(open, "ab\1\"\377\n<>", O_ACCMODE | 0x10000000);
	CALL(open, "n1", O_LARGEFILE | O_TMPFILE | 0100000, 7);
	CALL(openat, AT_FDCWD, "/nonexist", 0xffffffff, 0);
	CALL(openat, 99, "n1", 04010000, 0);
	CALL(openat, 99, "n1", O_DSYNC | O_NONBLOCK | O_APPEND);
	CALL(openat, AT_FDCWD, ".", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_PATH);
	CALL(creat, "n2", 0600);
	CALL(mkdir, "dd", 07777);
	CALL(mkdirat, AT_FDCWD, "dd", 0);
	CALL(rmdir, "dd");
	CALL(mknod, "node", 0177777, 0);
	CALL(mknod, "fifo", S_IFIFO | 0644, 0);
	CALL(mknod, "fifo", S_IFCHR | 04644, 0x103);
	CALL(mknodat, AT_FDCWD, "fifo", S_IFBLK | 0644, 0x7ffff12345678);
	CALL(mknod, "file", 0644, 0);
}

static void guest_stat(void)
{
	struct stat st;
	char stx[256], fs[256], dents[4096], small[3];

	CALL(stat, "f", &st);
	CALL(lstat, ".", &st);
	CALL(stat, "/dev/tty", &st);
	CALL(stat, "nope", &st);
	CALL(fstat, 0, 1);
	CALL(newfstatat, AT_FDCWD, "f", &st, AT_SYMLINK_NOFOLLOW);
	CALL(newfstatat, AT_FDCWD, "/nonexist", NULL, 0xffffffff);
	CALL(chmod, "f", 04755);
	CALL(stat, "f", &st);
	CALL(chmod, "f", 0);
	CALL(chmod, "f", 0100644);
	CALL(statx, AT_FDCWD, "f", 0, 0x7ff, stx);
	CALL(statx, AT_FDCWD, "nope", 0x900, 0xfff, stx);
	CALL(statx, AT_FDCWD, "nope", AT_STATX_DONT_SYNC, 1, stx);
	CALL(statx, AT_FDCWD, "nope", 0x6900, 0, 1);
	CALL(statx, AT_FDCWD, "nope", 0x2000, 0x17ff, NULL);
	CALL(statfs, "/proc", fs);
	CALL(statfs, "nope", fs);
	CALL(access, "f", R_OK | W_OK);
	CALL(access, "f", F_OK);
	CALL(access, "f", 0xff);
	CALL(faccessat, AT_FDCWD, "f", X_OK);
	CALL(faccessat2, AT_FDCWD, "f", R_OK, 0x200);
	CALL(faccessat2, AT_FDCWD, "f", R_OK, 0xffff);
	int fd = open("/proc/self/fdinfo", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CALL(getdents64, fd, dents, 24);
	CALL(getdents64, fd, dents, sizeof(dents));
	CALL(getdents64, fd, dents, sizeof(dents));
	CALL(getdents64, -1, dents, sizeof(dents));
	CALL(lseek, fd, 0, SEEK_SET);
	CALL(getdents, fd, dents, sizeof(dents));
	CALL(getcwd, dents, sizeof(dents));
	CALL(getcwd, small, sizeof(small));
	CALL(symlink, "a\nb", "sy");
	CALL(readlink, "sy", dents, sizeof(dents));
	CALL(readlink, "sy", small, 2);
	CALL(readlinkat, AT_FDCWD, "f", dents, 7);
	close(fd);
}

static void guest_names(void)
{
	int64_t times[4] = {1000, 0, 1000000000, 5};

	CALL(rename, "out", "o2");
	CALL(renameat, AT_FDCWD, "o2", 99, "/nonexist/x");
	CALL(renameat2, AT_FDCWD, "nope", AT_FDCWD, "b", 1);
	CALL(renameat2, AT_FDCWD, "nope", AT_FDCWD, "b", 0xff);
	CALL(renameat2, AT_FDCWD, "nope", AT_FDCWD, "b", 0);
	CALL(link, "f", "hard");
	CALL(linkat, AT_FDCWD, "nope", AT_FDCWD, "x", 0xffff);
	CALL(symlinkat, "target", AT_FDCWD, "sy2");
	CALL(unlink, "hard");
	CALL(unlinkat, AT_FDCWD, "nope", AT_REMOVEDIR);
	CALL(utimensat, AT_FDCWD, "f", times, 0);
	CALL(utimensat, AT_FDCWD, "f", NULL, 0);
	CALL(utimensat, AT_FDCWD, "f", 1, 0);
	times[1] = UTIME_NOW;
	times[3] = UTIME_OMIT;
	CALL(utimensat, AT_FDCWD, "f", times, AT_SYMLINK_NOFOLLOW);
	times[0] = -5;
	times[1] = 1;
	times[3] = 2000000000;
	CALL(utimensat, AT_FDCWD, "f", times, 0);
	CALL(utimes, "f", times);
	CALL(futimesat, AT_FDCWD, "f", times);
	CALL(utime, "f", times);
	CALL(chown, "f", -1, 0);
	CALL(fchownat, AT_FDCWD, "f", -1, -1, AT_SYMLINK_NOFOLLOW);
	CALL(fchmodat, AT_FDCWD, "f", 0640);
	CALL(setxattr, "f", "user.a", "\0\1\2", 3, 1);
	CALL(setxattr, "f", "user.b", "x", 1, 0xff);
	CALL(getxattr, "nope", "user.a", times, 8);
	CALL(chdir, "/nonexist");
	CALL(fchdir, -1);
	CALL(chroot, "/nonexist");
}

static void guest_fcntl(int fd)
{
	struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = -1, .l_len = 2};

	for (int cmd = 0; cmd < 18; cmd++)
		CALL(fcntl, -1, cmd, 2);
	for (int cmd = 36; cmd < 42; cmd++)
		CALL(fcntl, -1, cmd, 2);
	for (int cmd = 1024; cmd < 1027; cmd++)
		CALL(fcntl, -1, cmd, 2);
	for (int cmd = 1030; cmd < 1035; cmd++)
		CALL(fcntl, -1, cmd, 2);
	CALL(fcntl, -1, 9999, 5);
	CALL(fcntl, fd, F_GETFL);
	CALL(fcntl, fd, F_GETFD);
	CALL(fcntl, fd, F_SETFD, 0);
	CALL(fcntl, fd, F_GETFD);
	CALL(fcntl, -1, F_SETFL, O_APPEND | O_NONBLOCK);
	CALL(fcntl, -1, F_DUPFD_CLOEXEC, 100);
	CALL(fcntl, -1, F_SETLK, &lock);
	lock.l_start = 0;
	CALL(fcntl, fd, 5, &lock);
	lock.l_type = 9;
	lock.l_whence = 9;
	CALL(fcntl, fd, 36, &lock);
	CALL(flock, fd, 1 | 4);
	CALL(flock, fd, 8);
	CALL(flock, -1, 0);
	CALL(flock, -1, 0xf);
}

static void guest_others(int fd)
{
	uint64_t limit[2] = {2048, UINT64_MAX}, vector[3] = {(uintptr_t) "a\nb", 5, 0}, none[1] = {0};
	const char *many[50] = {0};

	for (int i = 0; i < 40; i++)
		many[i] = "xx";
	CALL(mmap, 0, 4096, 0xffffffff, 0xfffffff, -1, 0);
	CALL(mmap, 0, 4096, PROT_READ | PROT_EXEC, 0x2, -1, 0x3000);
	CALL(mmap, 0, 4096, 0, 0, -1, 0);
	CALL(mmap, 0, 4096, PROT_READ | PROT_WRITE, 0x22, -1, 0);
	CALL(mmap, 0, 4096, PROT_READ, 0x8001, fd, 0);
	CALL(dup2, -1, 5);
	CALL(dup3, -1, 5, 0x80800);
	CALL(dup3, -1, 5, 0);
	CALL(prlimit64, 0, 4, NULL, limit);
	CALL(prlimit64, 0, 99, limit, NULL);
	CALL(getrlimit, 7, NULL);
	limit[0] = 2048;
	limit[1] = 1025;
	CALL(setrlimit, 99, limit);
	CALL(fadvise64, -1, 0, 0, 2);
	CALL(fadvise64, -1, 0, 0, 77);
	CALL(fallocate, -1, 3, 0, 10);
	CALL(fallocate, -1, 0x100, 0, 10);
	CALL(ioctl, -1, 0x5401, 1);
	CALL(ioctl, -1, 0x5413, 0);
	CALL(ioctl, -1, 0x5451, 1);
	CALL(ioctl, -1, 0x12345678, 5);
	CALL(ioctl, -1, 0, 1);
	CALL(ioctl, -1, 0x80086601, 1);
	CALL(execve, "/nonexist/x", vector, none);
	vector[2] = 7;
	CALL(execve, "/nonexist/x", vector, 5);
	CALL(execve, "/nonexist/x", many, many);
	CALL(execve, "/nonexist/x", NULL, NULL);
	CALL(execveat, AT_FDCWD, "nope", NULL, NULL, AT_EMPTY_PATH);
	CALL_NR(499, 1, 2, 3, 0, 5, 6);
	CALL(fstatfs, -1, limit);
	CALL(fchmod, -1, 07777);
	CALL(fdatasync, -1);
}

/* Makes the calls in the working directory; their log goes to FILE. */
static int guest_run(const char *file)
{
	struct log_options options = {.file = file, .string_max = 32};

	setenv("TZ", "UTC", 1);
	if (log_open(&options) < 0)
		return 1;
	guest_read_write();
	guest_open();
	guest_stat();
	guest_names();
	int fd = open("f", O_RDWR | O_CLOEXEC);
	guest_fcntl(fd);
	guest_others(fd);
	log_close(&(struct link_totals){0});
	return 0;
}

/* Cuts off our tag. */
static void cut_tag(char *line)
{
	char *tag = strstr(line, " <local>\n");

	if (tag)
		strcpy(tag, "\n");
}

static void test_as_strace(void **state)
{
	char dir[] = "/tmp/test-log-XXXXXX", log_path[64];
	char strace_path[64], command[PATH_MAX + 512], ours[65536], theirs[65536], self[PATH_MAX];
	int compared = 0, skip_line = 1;

	if (system("strace -o /dev/null true 2>/dev/null") != 0)
		skip();
	assert_non_null(mkdtemp(dir));
	snprintf(log_path, sizeof(log_path), "%s/log", dir);
	snprintf(strace_path, sizeof(strace_path), "%s/strace", dir);
	self[readlink("/proc/self/exe", self, sizeof(self) - 1)] = 0;
	snprintf(command, sizeof(command),
		 "cd %s && ASAN_OPTIONS=detect_leaks=0 strace -f -o %s %s --guest %s >/dev/null", dir, strace_path,
		 self, log_path);
	assert_int_equal(system(command), 0);
	FILE *a = fopen(log_path, "re"), *b = fopen(strace_path, "re");
	assert_true(a && b);
	/* The line after each mark is the call's. */
	while (fgets(theirs, sizeof(theirs), b)) {
		if (skip_line) {
			skip_line = strstr(theirs, GUEST_MARK) == NULL;
			continue;
		}
		skip_line = 1;
		assert_non_null(fgets(ours, sizeof(ours), a));
		cut_tag(ours);
		if (strcmp(ours, theirs) != 0)
			fail_msg("ours:   %sstrace: %s", ours, theirs);
		compared++;
	}
	assert_null(fgets(ours, sizeof(ours), a));
	assert_true(compared > 150);
	fclose(a);
	fclose(b);
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	assert_int_equal(system(command), 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_as_strace)};

	if (argc == 3 && !strcmp(argv[1], "--guest"))
		return guest_run(argv[2]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
