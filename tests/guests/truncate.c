/* truncate, ftruncate, and what other descriptors see. */
#include "guest.h"

static char buf[1 << 16];

static void sizes(const char *name)
{
	static const long lengths[] = { 5, 0, 3, 4096, 10000, 131073, 2000000, 7, -1, LONG_MIN };
	int fd = sys(open, P(name), O_RDWR), reader = sys(open, P(name), O_RDONLY);

	section("%s", name);
	for (size_t i = 0; i < COUNT(lengths); i++) {
		printf("to %ld: ", lengths[i]);
		SHOW(i & 1 ? sys(ftruncate, fd, lengths[i]) : sys(truncate, P(name), lengths[i]));
		stat_fd("reader", reader);
		SHOW(sys(pread64, reader, buf, sizeof(buf), 0));
		SHOW(sys(lseek, reader, 0, SEEK_END));
	}
	SHOW(sys(lseek, fd, 1000, SEEK_SET));
	SHOW(sys(ftruncate, fd, 10));
	SHOW(sys(lseek, fd, 0, SEEK_CUR));
	SHOW(sys(read, fd, buf, 10));
	SHOW(sys(write, fd, "x", 1));
	close(fd);
	close(reader);
	show_file(name);
}

int main(int argc, char **argv)
{
	char long_name[257];
	int fd, path, dir;

	guest_init(argc, argv);
	sizes("hello.txt");
	sizes("sizes/s131073");
	sizes("sizes/s3145745");
	sizes("links/l1");

	section("errors");
	SHOW(sys(truncate, P("missing"), 0));
	SHOW(sys(truncate, P("dir"), 0));
	SHOW(sys(truncate, P("dir/"), 0));
	SHOW(sys(truncate, P("hello.txt/"), 0));
	SHOW(sys(truncate, P("hello.txt/x"), 0));
	SHOW(sys(truncate, P("links/dangling"), 0));
	SHOW(sys(truncate, P("links/self"), 0));
	SHOW(sys(truncate, P("links/dirlink"), 0));
	SHOW(sys(truncate, "", 0));
	SHOW(sys(truncate, NULL, 0));
	SHOW(sys(truncate, BAD_KERNEL, 0));
	SHOW(sys(truncate, P("missing"), -1L));
	SHOW(sys(truncate, NULL, -1L));
	SHOW(sys(truncate, P("empty"), LONG_MAX));
	memset(long_name, 't', 256);
	long_name[256] = 0;
	SHOW(sys(truncate, P(long_name), 0));
	SHOW(sys(truncate, P("ro"), 2));
	SHOW(sys(truncate, P("modes/m4755"), 2));
	stat_path("modes/m4755");
	fd = SHOWFD(sys(open, P("exec.sh"), O_RDONLY));
	path = SHOWFD(sys(open, P("exec.sh"), O_PATH));
	dir = SHOWFD(sys(open, P("dir"), O_RDONLY));
	SHOW(sys(ftruncate, fd, 0));
	SHOW(sys(ftruncate, fd, -1L));
	SHOW(sys(ftruncate, path, 0));
	SHOW(sys(ftruncate, dir, 0));
	SHOW(sys(ftruncate, -1, 0));
	SHOW(sys(ftruncate, 999999, -1L));
	SHOW(chdir(P("dir")));
	SHOW(sys(truncate, "file", 3));
	show_file("dir/file");
	return 0;
}
