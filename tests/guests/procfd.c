/* Descriptors by their names in /proc and /dev. */
#include "guest.h"

static char name[64];

static void stat_named(const char *path, int flags)
{
	struct stat st;

	if (sys(newfstatat, AT_FDCWD, path, &st, flags) < 0)
		printf("   stat: %s\n", err_name(errno));
	else
		printf("   stat: mode %o size %lld nlink %ld\n", st.st_mode, S_ISLNK(st.st_mode) ? 0LL : (long long)st.st_size,
		       (long)st.st_nlink);
}

static void look(const char *file, int flags)
{
	int fd = SHOWFD(sys(open, P(file), flags)), again;
	char buf[8] = "";

	section("%s %o", file, flags);
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	stat_named(name, 0);
	SHOW(sys(access, name, R_OK));
	SHOW(sys(lseek, fd, 3, SEEK_SET));
	/* A file is opened anew, with an offset of its own. */
	again = SHOWFD(sys(open, name, O_RDONLY));
	SHOW(sys(read, again, buf, 4));
	show_data("again", buf, 4);
	SHOW(sys(lseek, fd, 0, SEEK_CUR));
	close(again);
	snprintf(name, sizeof(name), "/dev/fd/%d", fd);
	again = SHOWFD(sys(open, name, O_RDWR));
	SHOW(sys(pwrite64, again, "by name", 7, 1));
	SHOW(sys(pread64, fd, buf, 4, 0));
	show_data("first", buf, 4);
	close(again);
	SHOW(sys(chmod, name, 0604));
	stat_named(P(file), 0);
	SHOW(sys(unlink, P(file)));
	again = SHOWFD(sys(open, name, O_RDONLY));
	stat_named(name, 0);
	SHOW(sys(open, name, O_RDONLY | O_DIRECTORY));
	close(again);
	close(fd);
	stat_named(name, 0);
	SHOW(sys(open, name, O_RDONLY));
}

static void standard(void)
{
	int fd = sys(open, P("lines.txt"), O_RDONLY), saved = dup(0), again;
	char buf[8] = "";

	section("standard input");
	SHOW(sys(dup2, fd, 0));
	stat_named("/dev/stdin", 0);
	again = SHOWFD(sys(open, "/dev/stdin", O_RDONLY));
	SHOW(sys(read, again, buf, 5));
	show_data("stdin", buf, 5);
	dup2(saved, 0);
}

int main(int argc, char **argv)
{
	guest_init(argc, argv);
	look("hello.txt", O_RDONLY);
	look("sizes/s3145745", O_RDONLY);
	look("sizes/s131073", O_RDWR);
	standard();
	return 0;
}
