/* Prints the monotonic clock, first thing: when a program was started. */
#include <stdio.h>
#include <time.h>

int main(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	printf("%ld.%09ld\n", (long)t.tv_sec, t.tv_nsec);
	return 0;
}
