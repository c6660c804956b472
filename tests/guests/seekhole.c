/* lseek SEEK_DATA and SEEK_HOLE, and reading where nothing was written. */
#include "guest.h"

static void map_of(const char *name, int flags)
{
	int fd = sys(open, P(name), flags);
	static const long offsets[] = { 0, 1, 4096, 5000, 1 << 20, (1 << 20) + 5000, 5 << 20, (5 << 20) + 3, 1L << 40, -1 };

	section("%s", name);
	for (size_t i = 0; i < COUNT(offsets); i++) {
		printf("at %ld: ", offsets[i]);
		SHOW(sys(lseek, fd, offsets[i], SEEK_DATA));
		SHOW(sys(lseek, fd, offsets[i], SEEK_HOLE));
	}
	SHOW(sys(lseek, fd, 0, SEEK_CUR));
	close(fd);
}

int main(int argc, char **argv)
{
	static char buf[70000];
	int fd;

	guest_init(argc, argv);
	map_of("sparse", O_RDONLY);
	map_of("sparse", O_RDWR);
	map_of("hello.txt", O_RDONLY);
	map_of("empty", O_RDONLY);
	map_of("sizes/s131073", O_RDONLY);
	section("reading holes");
	show_file("sparse");
	fd = SHOWFD(sys(open, P("sparse"), O_RDONLY));
	SHOW(sys(pread64, fd, buf, sizeof(buf), 0));
	show_data("start", buf, sizeof(buf));
	SHOW(sys(pread64, fd, buf, sizeof(buf), (1 << 20) - 3));
	show_data("middle", buf, sizeof(buf));
	close(fd);
	return 0;
}
