/* tail TREE NAME SIZE: opens a file, then waits until read and fstat both show that it has grown to SIZE. */
#include "guest.h"

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	static char buf[1 << 16];
	long want, got = 0, n;
	struct stat st;
	double end;
	int fd;

	if (argc < 4)
		return 98;
	guest_init(argc, argv);
	want = atol(argv[3]);
	fd = open(P(argv[2]), O_RDONLY);
	while ((n = sys(read, fd, buf, sizeof(buf))) > 0)
		got += n;
	sys(fstat, fd, &st);
	printf("open at %ld of %lld\n", got, (long long)st.st_size);
	end = now() + 10;
	do {
		while ((n = sys(read, fd, buf, sizeof(buf))) > 0) {
			show_data("grown", buf, n);
			got += n;
		}
		sys(fstat, fd, &st);
		if (got >= want && st.st_size >= want) {
			printf("all %ld of %lld\n", got, (long long)st.st_size);
			return 0;
		}
		usleep(10000);
	} while (now() < end);
	printf("only %ld, fstat says %lld\n", got, (long long)st.st_size);
	return 1;
}
