/* Times one kind of call: calls KIND FILE COUNT prints nanoseconds a call. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int call(const char *kind, int fd, const char *path)
{
	struct stat st;
	char byte;

	if (!strcmp(kind, "fstat"))
		return fstat(fd, &st);
	if (!strcmp(kind, "pread"))
		return pread(fd, &byte, 1, 100) == 1 ? 0 : -1;
	if (!strcmp(kind, "stat"))
		return stat(path, &st);
	if (!strcmp(kind, "openclose")) {
		int again = open(path, O_RDONLY);
		return again < 0 ? -1 : close(again);
	}
	fprintf(stderr, "calls: unknown kind %s\n", kind);
	exit(2);
}

int main(int argc, char **argv)
{
	if (argc != 4) {
		fprintf(stderr, "usage: calls fstat|pread|stat|openclose FILE COUNT\n");
		return 2;
	}
	long count = atol(argv[3]);
	/* Open for writing too, so that it is emulated and not a native copy. */
	int fd = open(argv[2], O_RDWR);
	if (fd < 0)
		fd = open(argv[2], O_RDONLY);
	if (fd < 0 || call(argv[1], fd, argv[2])) {
		perror(argv[2]);
		return 1;
	}
	double start = now();
	for (long i = 0; i < count; i++)
		if (call(argv[1], fd, argv[2])) {
			perror(argv[1]);
			return 1;
		}
	printf("%.0f\n", (now() - start) / (double)count);
	return 0;
}
