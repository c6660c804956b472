/*
 * What every guest shares. A guest is run twice, natively and under the tracer, on two identical trees at
 * the same path; what it prints must be equal. So nothing here prints a descriptor's number, an inode's
 * number or a time that depends on when the tree was made: those are printed by what they are related to.
 */
#ifndef GUEST_H
#define GUEST_H

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/wait.h>

#define UNUSED __attribute__((unused))
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* A raw syscall with every argument widened to a register: libc hides no call and truncates no offset. */
#define sys(name, ...) sys_pick(SYS_##name, ##__VA_ARGS__, 0, 0, 0, 0, 0, 0)
#define sys_pick(nr, a, b, c, d, e, f, ...) \
	raw_syscall(nr, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

/* Evaluates a call, prints "call = value" or "call = -1 ENOENT"; its value is the call's. */
#define SHOW(call) show_result(#call, (long)(call))
/* As SHOW for a call that makes a descriptor, whose number is not printed. */
#define SHOWFD(call) show_fd(#call, (long)(call))

/* Pointers that no call may take. */
#define BAD_LOW ((void *)1)
#define BAD_KERNEL ((void *)0xffff888000000000UL)

static const char *T;  /* the tree: argv[1] */
static time_t started;

static inline long raw_syscall(long nr, long a, long b, long c, long d, long e, long f)
{
	return syscall(nr, a, b, c, d, e, f);
}

static UNUSED const char *err_name(int e)
{
	static const struct { int e; const char *name; } names[] = {
#define E(x) { x, #x }
		E(EPERM), E(ENOENT), E(ESRCH), E(EINTR), E(EIO), E(ENXIO), E(E2BIG), E(ENOEXEC), E(EBADF),
		E(ECHILD), E(EAGAIN), E(ENOMEM), E(EACCES), E(EFAULT), E(ENOTBLK), E(EBUSY), E(EEXIST), E(EXDEV),
		E(ENODEV), E(ENOTDIR), E(EISDIR), E(EINVAL), E(ENFILE), E(EMFILE), E(ENOTTY), E(ETXTBSY),
		E(EFBIG), E(ENOSPC), E(ESPIPE), E(EROFS), E(EMLINK), E(EPIPE), E(EDOM), E(ERANGE), E(EDEADLK),
		E(ENAMETOOLONG), E(ENOLCK), E(ENOSYS), E(ENOTEMPTY), E(ELOOP), E(ENODATA), E(EOVERFLOW),
		E(EOPNOTSUPP), E(ESTALE), E(EDQUOT), E(ECANCELED), E(ETIMEDOUT), E(ENOTSOCK),
#undef E
	};
	static char other[32];

	for (size_t i = 0; i < COUNT(names); i++)
		if (names[i].e == e)
			return names[i].name;
	snprintf(other, sizeof(other), "errno %d", e);
	return other;
}

static UNUSED long show_result(const char *expr, long r)
{
	int e = errno;

	if (r == -1)
		printf("%s = -1 %s\n", expr, err_name(e));
	else
		printf("%s = %ld\n", expr, r);
	errno = e;
	return r;
}

static UNUSED int show_fd(const char *expr, long r)
{
	int e = errno;

	if (r < 0)
		printf("%s = -1 %s\n", expr, err_name(e));
	else
		printf("%s = fd\n", expr);
	errno = e;
	return r;
}

/* TREE/name. The last eight results stay valid. */
static UNUSED const char *P(const char *name)
{
	static char ring[8][PATH_MAX * 2];
	static unsigned next;
	char *buf = ring[next++ % 8];

	snprintf(buf, sizeof(ring[0]), "%s/%s", T, name);
	return buf;
}

static UNUSED void section(const char *format, ...)
{
	va_list ap;

	fputs("-- ", stdout);
	va_start(ap, format);
	vprintf(format, ap);
	va_end(ap);
	putchar('\n');
}

static UNUSED uint64_t hash_more(uint64_t h, const void *data, size_t len)
{
	const unsigned char *p = data;

	for (size_t i = 0; i < len; i++)
		h = (h ^ p[i]) * 0x100000001b3ULL;
	return h;
}

static UNUSED uint64_t hash(const void *data, size_t len)
{
	return hash_more(0xcbf29ce484222325ULL, data, len);
}

/* Prints bytes: short ones readably, long ones by hash. */
static UNUSED void show_data(const char *label, const void *data, long len)
{
	const unsigned char *p = data;

	if (len < 0) {
		printf("%s: no data\n", label);
		return;
	}
	printf("%s: %ld bytes hash %016llx", label, len, (unsigned long long)hash(data, len));
	if (len <= 80) {
		fputs(" \"", stdout);
		for (long i = 0; i < len; i++)
			printf(p[i] >= ' ' && p[i] < 127 ? "%c" : "\\x%02x", p[i]);
		putchar('"');
	}
	putchar('\n');
}

/* A time of this run differs between two runs; any other one is the tree's and must be exact. */
static UNUSED void show_time(const char *label, int64_t sec, long nsec)
{
	if (sec > started - 600 && sec < started + 600)
		printf(" %s=recent", label);
	else
		printf(" %s=%lld.%09ld", label, (long long)sec, nsec);
}

static UNUSED void show_stat(const char *label, const struct stat *st)
{
	printf("%s: mode=%o nlink=%ld uid=%d gid=%d rdev=%lx blksize=%ld", label, st->st_mode, (long)st->st_nlink,
	       (int)st->st_uid, (int)st->st_gid, (long)st->st_rdev, (long)st->st_blksize);
	if (!S_ISDIR(st->st_mode))
		printf(" size=%lld blocks=%lld", (long long)st->st_size, (long long)st->st_blocks);
	show_time("mtime", st->st_mtim.tv_sec, st->st_mtim.tv_nsec);
	show_time("ctime", st->st_ctim.tv_sec, st->st_ctim.tv_nsec);
	putchar('\n');
}

/* stat by a raw call and print, or print the error. */
static UNUSED void stat_path(const char *name)
{
	struct stat st;

	if (sys(newfstatat, AT_FDCWD, P(name), &st, AT_SYMLINK_NOFOLLOW) < 0)
		printf("%s: -1 %s\n", name, err_name(errno));
	else
		show_stat(name, &st);
}

static UNUSED void stat_fd(const char *label, int fd)
{
	struct stat st;

	if (sys(fstat, fd, &st) < 0)
		printf("%s: -1 %s\n", label, err_name(errno));
	else
		show_stat(label, &st);
}

/* Prints a file's size and contents as a fresh open sees them. */
static UNUSED void show_file(const char *name)
{
	static char buf[65536];
	uint64_t h = hash("", 0);
	long n, total = 0;
	int fd = sys(open, P(name), O_RDONLY);

	if (fd < 0) {
		printf("file %s: -1 %s\n", name, err_name(errno));
		return;
	}
	while ((n = sys(read, fd, buf, sizeof(buf))) > 0) {
		if (!total && n <= 64)
			show_data(name, buf, n);
		h = hash_more(h, buf, n);
		total += n;
	}
	printf("file %s: %ld bytes hash %016llx%s\n", name, total, (unsigned long long)h, n < 0 ? " ERROR" : "");
	close(fd);
}

/* The address N bytes before a page that is not there. */
static UNUSED char *edge(size_t n)
{
	size_t pages = (n + 4095) / 4096 * 4096;
	char *p = mmap(NULL, pages + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED || munmap(p + pages, 4096) < 0 ||
	    mmap(p + pages, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED) {
		puts("no memory for edge()");
		exit(99);
	}
	memset(p, 'e', pages);
	return p + pages - n;
}

/* A page that can be read but not written. */
static UNUSED char *readonly_page(void)
{
	char *p = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static UNUSED void show_status(const char *label, int status)
{
	if (WIFEXITED(status))
		printf("%s: exit %d\n", label, WEXITSTATUS(status));
	else if (WIFSIGNALED(status))
		printf("%s: signal %d\n", label, WTERMSIG(status));
	else
		printf("%s: status %x\n", label, status);
}

/* Forks with nothing left in stdio's buffer that both sides would print. */
static UNUSED pid_t fork_clean(void)
{
	fflush(stdout);
	return fork();
}

static UNUSED void wait_child(const char *label, pid_t pid)
{
	int status = 0;

	fflush(stdout);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	show_status(label, status);
}

/* Contents that differ at every offset, so that a misplaced byte shows. */
static UNUSED void fill_pattern(char *buf, size_t len, uint64_t offset)
{
	for (size_t i = 0; i < len; i++) {
		uint64_t x = (offset + i) * 0x9e3779b97f4a7c15ULL;

		buf[i] = (char)(x >> 56);
	}
}

/* Names for what is to be made: in every way there, not there, or not a name. */
static UNUSED const char *const new_names[] = {
	"n1", "n1", "n2/", "n3//", "n4/.", "n5/..", ".", "..", "", "dir", "dir/", "hello.txt", "hello.txt/", "hello.txt/x",
	"missing/x", "missing/", "links/rel", "links/rel/", "links/dangling", "links/dangling/", "links/self", "links/self/x",
	"links/dirlink", "links/dirlink/new", "links/l41/x", "dir/../n6", "n7/../n8", "./n9", "odd/\xfe\n", "modes/d0000/x",
	"modes/d2775/x",
};

/* Descriptors whose file a call may or may not work on. */
static UNUSED const struct { const char *name; int flags; } open_ways[] = {
	{ "hello.txt", O_RDONLY }, { "hello.txt", O_RDWR }, { "hello.txt", O_WRONLY }, { "dir", O_RDONLY | O_DIRECTORY },
	{ "hello.txt", O_PATH }, { "sizes/s3145745", O_RDONLY }, { "sizes/s3145745", O_RDWR },
};

static UNUSED void guest_init(int argc, char **argv)
{
	if (argc < 2) {
		fprintf(stderr, "usage: %s TREE\n", argv[0]);
		exit(98);
	}
	T = argv[1];
	started = time(NULL);
	umask(022);
	/* Line by line: what a crash leaves behind must be seen. */
	setvbuf(stdout, NULL, _IOLBF, 8192);
}

#endif
