/* cached TREE: 1000 fstats and 1-byte preads of one descriptor, small and emulated; they must cost nothing. */
#include "guest.h"

static void many(const char *name, int mode)
{
	int fd = open(P(name), mode), bad = 0;
	struct stat st;
	char c;

	for (int i = 0; i < 1000; i++) {
		bad += sys(fstat, fd, &st) != 0;
		bad += sys(pread64, fd, &c, 1, i) != 1;
	}
	printf("%s: %d bad\n", name, bad);
	close(fd);
}

int main(int argc, char **argv)
{
	guest_init(argc, argv);
	many(argc > 2 ? argv[2] : "sizes/s4096", argc > 3 ? O_RDWR : O_RDONLY);
	return 0;
}
