/* mknod, mknodat. Devices need a right: refused or not, it must be the same. */
#include <sys/sysmacros.h>

#include "guest.h"

static void types(void)
{
	static const mode_t masks[] = { 0, 022, 0777 };
	static const mode_t modes[] = { 0, 0666, 07777, S_IFREG | 0640, S_IFREG | 06777, S_IFIFO, S_IFIFO | 0666, S_IFIFO | 01777,
					S_IFSOCK | 0777, S_IFCHR | 0666, S_IFBLK | 0600, S_IFDIR | 0755, S_IFLNK | 0777, 0170000,
					0030000, 0200000 | 0600, 0200000 | S_IFIFO | 0600 };
	char name[48];

	section("types");
	for (size_t m = 0; m < COUNT(masks); m++) {
		umask(masks[m]);
		for (size_t i = 0; i < COUNT(modes); i++) {
			snprintf(name, sizeof(name), "m%o-%o", masks[m], modes[i]);
			printf("mknod %s: %s\n", name, sys(mknod, P(name), modes[i], makedev(1, 3)) < 0 ? err_name(errno) : "ok");
			stat_path(name);
			printf("missing: %s\n", sys(mknod, P("missing/x"), modes[i], makedev(1, 3)) < 0 ? err_name(errno) : "ok");
			printf("there: %s\n", sys(mknod, P("dir"), modes[i], makedev(1, 3)) < 0 ? err_name(errno) : "ok");
		}
	}
	umask(022);
}

static void devices(void)
{
	static const unsigned long devs[] = { 0, 1, 0x103, 0xff, 0x100, 0xfff00, 0xfffff, 0xfff00000, 0xffffffff, 0x100000103, 0x12345678 };
	char name[48];

	section("devices");
	for (size_t i = 0; i < COUNT(devs); i++) {
		snprintf(name, sizeof(name), "c%lx", devs[i]);
		printf("%s: %s\n", name, sys(mknod, P(name), S_IFCHR | 0600, devs[i]) < 0 ? err_name(errno) : "ok");
		stat_path(name);
		snprintf(name, sizeof(name), "b%lx", devs[i]);
		printf("%s: %s\n", name, sys(mknod, P(name), S_IFBLK | 0600, devs[i]) < 0 ? err_name(errno) : "ok");
		stat_path(name);
		snprintf(name, sizeof(name), "p%lx", devs[i]);
		printf("%s: %s\n", name, sys(mknod, P(name), S_IFIFO | 0600, devs[i]) < 0 ? err_name(errno) : "ok");
		stat_path(name);
	}
}

static void shapes(void)
{
	char long_name[257];
	static char long_path[PATH_MAX + 2];

	section("shapes");
	for (size_t i = 0; i < COUNT(new_names); i++)
		printf("mknod %s: %s\n", new_names[i], sys(mknod, P(new_names[i]), S_IFIFO | 0644, 0) < 0 ? err_name(errno) : "ok");
	stat_path("");
	stat_path("dir/new");
	stat_path("modes/d2775/x");
	memset(long_name, 'd', 256);
	long_name[256] = 0;
	SHOW(sys(mknod, P(long_name), S_IFREG | 0600, 0));
	SHOW(sys(mknod, P(long_name), S_IFDIR | 0600, 0));
	long_name[255] = 0;
	SHOW(sys(mknod, P(long_name), S_IFREG | 0600, 0));
	memset(long_path, '/', PATH_MAX + 1);
	SHOW(sys(mknod, long_path, S_IFREG | 0600, 0));
	SHOW(sys(mknod, NULL, S_IFREG | 0600, 0));
	SHOW(sys(mknod, BAD_LOW, S_IFDIR | 0600, 0));
	SHOW(sys(mknod, BAD_KERNEL, S_IFIFO | 0600, 0));
	SHOW(sys(mknod, "", S_IFIFO | 0600, 0));
	SHOW(sys(mknod, "", S_IFDIR | 0600, 0));
}

static void at(void)
{
	int dir = SHOWFD(sys(open, P("dir"), O_RDONLY)), file = SHOWFD(sys(open, P("hello.txt"), O_RDONLY)), fd;
	int path = SHOWFD(sys(open, P("deep"), O_PATH)), gone = SHOWFD(sys(open, P("dir/empty"), O_RDONLY));

	section("mknodat");
	stat_fd("dir", dir);
	stat_path("dir/sub");
	SHOW(sys(mknodat, dir, "sub", S_IFREG | 0644, 0));
	stat_path("dir/sub");
	stat_fd("dir", dir);
	SHOW(sys(mknodat, dir, "sub", S_IFREG | 0644, 0));
	SHOW(sys(mknodat, dir, "../up", S_IFIFO | 0640, 0));
	SHOW(sys(mknodat, path, "deep", S_IFSOCK | 0640, 0));
	stat_path("deep/deep");
	SHOW(sys(mknodat, file, "x", S_IFIFO | 0640, 0));
	SHOW(sys(mknodat, -1, "x", S_IFIFO | 0640, 0));
	SHOW(sys(mknodat, -1, "x", S_IFDIR | 0640, 0));
	SHOW(sys(mknodat, -1, P("x"), S_IFIFO | 0640, 0));
	SHOW(sys(mknodat, dir, "", S_IFIFO | 0640, 0));
	SHOW(sys(mknodat, dir, NULL, S_IFIFO | 0640, 0));
	SHOW(sys(chdir, P("dir")));
	SHOW(sys(mknod, "rel", S_IFREG | 0604, 0));
	SHOW(sys(mknodat, AT_FDCWD, "./rel2", S_IFIFO | 0604, 0));
	stat_path("dir/rel");
	stat_path("dir/rel2");
	fd = SHOWFD(sys(open, "rel", O_WRONLY));
	SHOW(sys(write, fd, "made", 4));
	show_file("dir/rel");
	close(fd);
	SHOW(sys(rmdir, P("dir/empty")));
	SHOW(sys(mknodat, gone, "x", S_IFREG | 0600, 0));
	SHOW(sys(unlink, P("dir/rel2")));
	SHOW(sys(mknod, P("dir/rel2"), S_IFREG | 0600, 0));
	stat_path("dir/rel2");
	close(gone);
	close(dir);
	close(file);
	close(path);
}

int main(int argc, char **argv)
{
	guest_init(argc, argv);
	types();
	devices();
	shapes();
	at();
	return 0;
}
