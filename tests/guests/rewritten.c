/*
 * rewritten TREE NAME: opens and maps a file, says so, and waits until another process's new bytes show in
 * read, fstat and the mapping.
 */
#include "guest.h"

int main(int argc, char **argv)
{
	char buf[64];
	struct stat st;
	char *map;
	int fd;

	if (argc < 3)
		return 98;
	guest_init(argc, argv);
	fd = open(P(argv[2]), O_RDONLY);
	map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
	show_data("at first", buf, sys(pread64, fd, buf, sizeof(buf), 0));
	for (int i = 0; i < 1000; i++) {
		long n = sys(pread64, fd, buf, sizeof(buf), 0);

		sys(fstat, fd, &st);
		if (n == 10 && !memcmp(buf, "rewritten\n", 10) && st.st_size == 10 && !memcmp(map, "rewritten\n", 10)) {
			puts("all new");
			return 0;
		}
		usleep(10000);
	}
	show_data("read", buf, sys(pread64, fd, buf, sizeof(buf), 0));
	show_data("mapped", map, 10);
	printf("size %lld\n", (long long)st.st_size);
	return 1;
}
