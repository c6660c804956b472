/* forks TREE COUNT: generations of processes that share descriptors and close them in every order. */
#include "../guests/guest.h"

static int generation(int depth, int fd, int big)
{
	char buf[64];
	int bad = 0, status;
	pid_t pids[3];

	for (int i = 0; i < 3; i++) {
		pids[i] = depth > 0 ? fork() : -1;
		if (pids[i] == 0) {
			if (i == 1 && fd != big)
				sys(close, fd);
			bad = sys(pread64, big, buf, sizeof(buf), depth * 1000) != sizeof(buf);
			bad += generation(depth - 1, i == 1 ? big : fd, big);
			if (i == 2)
				sys(close, big);
			_exit(bad);
		}
	}
	if (depth & 1)
		bad += sys(pread64, fd, buf, 10, 0) != 10;
	for (int i = 0; i < 3; i++)
		if (pids[i] > 0 && (waitpid(pids[i], &status, 0) < 0 || status))
			bad++;
	return bad;
}

int main(int argc, char **argv)
{
	int count = argc > 2 ? atoi(argv[2]) : 3, bad = 0;

	guest_init(argc, argv);
	for (int i = 0; i < count; i++) {
		int fd = sys(open, P("hello.txt"), i & 1 ? O_RDONLY : O_RDWR), big = sys(open, P("sizes/s3145745"), O_RDONLY);

		bad += generation(3, fd, big);
		sys(close, fd);
		sys(close, big);
	}
	printf("%d rounds, %d bad\n", count, bad);
	return bad;
}
