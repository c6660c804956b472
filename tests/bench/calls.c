/*
 * calls KIND FILE COUNT: opens FILE, makes COUNT calls of one kind and prints what one of them took, in
 * nanoseconds. The calls are made by number: the C library's fstat, for one, is another call than it says.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define BLOCK 4096
#define SPAN (1l << 20) /* read and write start again here: within any file that the bench makes for them */

struct target {
	const char *path;
	int fd;
	long at;
};

static char block[BLOCK];

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static long call_fstat(struct target *t)
{
	struct stat st;

	return syscall(SYS_fstat, t->fd, &st);
}

/* What glibc 2.33 to 2.38 does for fstat. */
static long call_fstatat(struct target *t)
{
	struct stat st;

	return syscall(SYS_newfstatat, t->fd, "", &st, AT_EMPTY_PATH);
}

static long call_pread(struct target *t)
{
	return syscall(SYS_pread64, t->fd, block, 1l, 100l) - 1;
}

static long call_pread4k(struct target *t)
{
	return syscall(SYS_pread64, t->fd, block, (long)BLOCK, 0l) - BLOCK;
}

static long call_stat(struct target *t)
{
	struct stat st;

	return syscall(SYS_stat, t->path, &st);
}

static long call_open(struct target *t)
{
	long fd = syscall(SYS_open, t->path, O_RDONLY | O_CLOEXEC, 0);

	return fd < 0 ? fd : syscall(SYS_close, fd);
}

static void rewind_at_span(struct target *t)
{
	t->at += BLOCK;
	if (t->at > SPAN - BLOCK) {
		t->at = 0;
		lseek(t->fd, 0, SEEK_SET);
	}
}

static long call_read(struct target *t)
{
	long n = syscall(SYS_read, t->fd, block, (long)BLOCK);

	rewind_at_span(t);
	return n - BLOCK;
}

static long call_write(struct target *t)
{
	long n = syscall(SYS_write, t->fd, block, (long)BLOCK);

	rewind_at_span(t);
	return n - BLOCK;
}

static const struct kind {
	const char *name;
	long (*call)(struct target *t);
} kinds[] = {
	{"fstat", call_fstat},	     {"fstatat", call_fstatat}, {"pread", call_pread}, {"pread4k", call_pread4k},
	{"stat", call_stat},	     {"open", call_open},	{"read", call_read},   {"write", call_write},
};

static const struct kind *find_kind(const char *name)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (!strcmp(kinds[i].name, name))
			return &kinds[i];
	fprintf(stderr, "calls: unknown kind %s\n", name);
	exit(2);
}

static void repeat(const struct kind *k, struct target *t, long count)
{
	for (long i = 0; i < count; i++) {
		errno = 0;
		if (k->call(t)) {
			fprintf(stderr, "calls: %s of %s: %s\n", k->name, t->path,
				errno ? strerror(errno) : "too short");
			exit(1);
		}
	}
}

int main(int argc, char **argv)
{
	if (argc != 5) {
		fprintf(stderr, "usage: calls KIND ro|rw FILE COUNT\n");
		return 2;
	}
	const struct kind *k = find_kind(argv[1]);
	struct target t = {.path = argv[3]};
	long count = atol(argv[4]);

	/* Opened for writing too, a remote file is emulated; read only and small, it is a native copy. */
	t.fd = open(t.path, strcmp(argv[2], "rw") ? O_RDONLY : O_RDWR);
	if (t.fd < 0) {
		perror(t.path);
		return 1;
	}
	repeat(k, &t, count / 10 + 1);
	double start = now();
	repeat(k, &t, count);
	printf("%.0f\n", count ? (now() - start) / (double)count : 0);
	return 0;
}
