/* filtertime COUNT: what building (not installing) the seccomp filter takes, in microseconds, and its length. */
#include <linux/filter.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "filter.h"
#include "ofd.h"
#include "util.h"

static double now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

int main(int argc, char **argv)
{
	int count = argc > 1 ? atoi(argv[1]) : 20;
	struct sock_fprog program;

	fd_range_init(20000);
	double start = now_us();
	for (int i = 0; i < count; i++) {
		if (filter_build(&program) < 0)
			return 1;
		free(program.filter);
	}
	printf("%.0f %d\n", (now_us() - start) / count, program.len);
	return 0;
}
