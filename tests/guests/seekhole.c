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

/* At a low number, where the kernel has the file's bytes, but not its holes. */
static void low(int flags)
{
	char buf[100] = "";
	int fd = SHOWFD(sys(open, P("little"), flags));

	section("low %o", flags);
	SHOW(sys(dup2, fd, 70));
	for (long off = 0; off <= 40960; off += 4095) {
		printf("at %ld: ", off);
		SHOW(sys(lseek, 70, off, SEEK_DATA));
		SHOW(sys(read, 70, buf, 1));
		SHOW(sys(lseek, 70, off, SEEK_HOLE));
		SHOW(sys(lseek, fd, 0, SEEK_CUR));
	}
	if (flags == O_RDWR) {
		SHOW(sys(pwrite64, 70, "written", 7, 30000));
		SHOW(sys(lseek, 70, 20480, SEEK_DATA));
		SHOW(sys(lseek, 70, 30000, SEEK_HOLE));
	}
	close(70);
	close(fd);
}

/* The same bytes once more: the file is a changed one, and its holes are as large as before. */
static void same_again(const char *name, long off, const char *data)
{
	struct timespec old[2] = { { 1000000000, 0 }, { 1000000000, 0 } };
	int fd = SHOWFD(sys(open, P(name), O_RDWR));

	section("same again %s", name);
	SHOW(sys(pwrite64, fd, data, strlen(data), off));
	SHOW(sys(utimensat, AT_FDCWD, P(name), old, 0));
	SHOW(sys(dup2, fd, 70));
	SHOW(sys(pwrite64, 70, data, strlen(data), off));
	close(70);
	close(fd);
	stat_path(name);
	fd = SHOWFD(sys(open, P(name), O_RDONLY));
	SHOW(sys(lseek, fd, 0, SEEK_DATA));
	close(fd);
}

static void little(void)
{
	int fd = SHOWFD(sys(open, P("little"), O_RDWR | O_CREAT, 0600));

	SHOW(sys(pwrite64, fd, "zeros", 6, 8192));
	SHOW(sys(pwrite64, fd, "", 1, 16384));
	SHOW(sys(ftruncate, fd, 40000));
	SHOW(sys(fsync, fd));
	close(fd);
	low(O_RDONLY);
	low(O_RDWR);
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
	little();
	same_again("little", 8192, "zeros");
	same_again("sparse", 2 << 20, "more");
	return 0;
}
