/* What file systems answer by ioctl: flags, attributes, extents; file_getattr and file_setattr. */
#include <sys/ioctl.h>

#include "guest.h"

/* linux/fs.h and linux/fiemap.h, which musl-gcc does not find. */
#define FIBMAP _IO(0, 1)
#define FIGETBSZ _IO(0, 2)
#define FS_IOC_GETFLAGS _IOR('f', 1, long)
#define FS_IOC_SETFLAGS _IOW('f', 2, long)
#define FS_IOC_GETVERSION _IOR('v', 1, long)
#define FS_IOC_FSGETXATTR _IOR('X', 31, struct fsxattr)
#define FS_IOC_FSSETXATTR _IOW('X', 32, struct fsxattr)
#define FS_IOC_GETFSLABEL _IOR(0x94, 49, char[256])
#define FS_IOC_FIEMAP _IOWR('f', 11, struct fiemap)
#undef FIOQSIZE
#define FIOQSIZE 0x5460
#define FS_IMMUTABLE_FL 0x10
#define FS_APPEND_FL 0x20
#define FS_NODUMP_FL 0x40
#define FS_NOATIME_FL 0x80
#define FS_XFLAG_NODUMP 0x80
#define FIEMAP_FLAG_SYNC 1

struct fsxattr { uint32_t fsx_xflags, extsize, nextents, projid, cowextsize; char pad[8]; };
struct fiemap_extent { uint64_t fe_logical, fe_physical, fe_length, reserved64[2]; uint32_t fe_flags, reserved[3]; };
struct fiemap {
	uint64_t fm_start, fm_length;
	uint32_t fm_flags, fm_mapped_extents, fm_extent_count, reserved;
	struct fiemap_extent fm_extents[];
};

#define file_getattr(...) raw_syscall(468, __VA_ARGS__, 0)
#define file_setattr(...) raw_syscall(469, __VA_ARGS__, 0)
#define A(x) ((long)(x))

struct attr { uint64_t xflags; uint32_t extsize, nextents, projid, cowextsize; uint64_t more; };

static void ask_all(const char *name, int flags)
{
	static const struct { const char *name; unsigned long nr; size_t show; } asks[] = {
		{ "GETFLAGS", FS_IOC_GETFLAGS, 4 }, { "FSGETXATTR", FS_IOC_FSGETXATTR, 12 }, { "GETVERSION", FS_IOC_GETVERSION, 0 },
		{ "FIGETBSZ", FIGETBSZ, 4 }, { "FIOQSIZE", FIOQSIZE, 8 }, { "GETFSLABEL", FS_IOC_GETFSLABEL, 256 }, { "FIBMAP", FIBMAP, 0 },
		{ "uuid", _IOR(0x15, 0, char[17]), 17 }, { "sysfs path", _IOR(0x15, 1, char[129]), 0 },
		{ "none", _IO('f', 99), 0 }, { "none", _IO('X', 99), 0 }, { "none", _IO(0x94, 250), 0 }, { "none", 0x12345678, 0 },
	};
	int fd = sys(open, P(name), flags), low = flags & O_PATH ? -1 : dup2(fd, 70);
	bool dir = !strcmp(name, "dir");
	char buf[512];

	section("%s %o", name, flags);
	for (size_t i = 0; i < COUNT(asks); i++) {
		memset(buf, 0, sizeof(buf));
		printf("%s: ", asks[i].name);
		printf("%s", sys(ioctl, fd, asks[i].nr, buf) < 0 ? err_name(errno) : "ok");
		if (asks[i].show && !(dir && asks[i].nr == FIOQSIZE))
			printf(" %016llx", (unsigned long long)hash(buf, asks[i].show));
		printf(" %s", sys(ioctl, low, asks[i].nr, buf) < 0 ? err_name(errno) : "ok");
		printf(" %s\n", sys(ioctl, fd, asks[i].nr, BAD_LOW) < 0 ? err_name(errno) : "ok");
	}
	close(fd);
	close(low);
}

static void set_flags(void)
{
	int fd = sys(open, P("lines.txt"), O_RDONLY), flags = 0;
	struct fsxattr x;

	section("setting");
	SHOW(sys(ioctl, fd, FS_IOC_GETFLAGS, &flags));
	flags |= FS_NODUMP_FL | FS_NOATIME_FL;
	SHOW(sys(ioctl, fd, FS_IOC_SETFLAGS, &flags));
	SHOW(sys(ioctl, fd, FS_IOC_GETFLAGS, &flags));
	printf("%x\n", flags & (FS_NODUMP_FL | FS_NOATIME_FL));
	flags = (flags & ~FS_NOATIME_FL) | FS_APPEND_FL;
	SHOW(sys(ioctl, fd, FS_IOC_SETFLAGS, &flags));
	SHOWFD(sys(open, P("lines.txt"), O_WRONLY));
	stat_path("lines.txt");
	stat_fd("open", fd);
	flags &= ~FS_APPEND_FL;
	SHOW(sys(ioctl, fd, FS_IOC_SETFLAGS, &flags));
	flags = FS_IMMUTABLE_FL;
	SHOW(sys(ioctl, fd, FS_IOC_SETFLAGS, &flags));
	SHOW(sys(unlink, P("lines.txt")));
	SHOW(sys(chmod, P("lines.txt"), 0600));
	flags = 0;
	SHOW(sys(ioctl, fd, FS_IOC_SETFLAGS, &flags));
	SHOW(sys(ioctl, fd, FS_IOC_SETFLAGS, BAD_LOW));
	memset(&x, 0, sizeof(x));
	SHOW(sys(ioctl, fd, FS_IOC_FSGETXATTR, &x));
	x.fsx_xflags |= FS_XFLAG_NODUMP;
	SHOW(sys(ioctl, fd, FS_IOC_FSSETXATTR, &x));
	SHOW(sys(ioctl, fd, FS_IOC_FSGETXATTR, &x));
	printf("%x\n", x.fsx_xflags & FS_XFLAG_NODUMP);
	SHOW(sys(ioctl, fd, FS_IOC_FSSETXATTR, BAD_LOW));
	x.fsx_xflags = 1u << 30;
	SHOW(sys(ioctl, fd, FS_IOC_FSSETXATTR, &x));
	close(fd);
}

static void extents(void)
{
	char buf[sizeof(struct fiemap) + 20 * sizeof(struct fiemap_extent)];
	struct fiemap *map = (void *)buf;
	int fd = sys(open, P("sparse"), O_RDONLY);

	section("extents");
	for (unsigned count = 0; count < 20; count += 1 + count) {
		memset(buf, 0, sizeof(buf));
		map->fm_length = ~0ULL;
		map->fm_extent_count = count;
		map->fm_flags = FIEMAP_FLAG_SYNC;
		printf("%u: %s, %u", count, sys(ioctl, fd, FS_IOC_FIEMAP, map) < 0 ? err_name(errno) : "ok", map->fm_mapped_extents);
		for (unsigned i = 0; i < map->fm_mapped_extents && i < count; i++)
			printf(" %llu+%llu/%x", (unsigned long long)map->fm_extents[i].fe_logical,
			       (unsigned long long)map->fm_extents[i].fe_length, map->fm_extents[i].fe_flags);
		puts("");
	}
	map->fm_extent_count = 0xffffffff;
	SHOW(sys(ioctl, fd, FS_IOC_FIEMAP, map));
	map->fm_extent_count = 20;
	map->fm_length = 0;
	SHOW(sys(ioctl, fd, FS_IOC_FIEMAP, map));
	map->fm_length = 1;
	map->fm_flags = 0x800;
	SHOW(sys(ioctl, fd, FS_IOC_FIEMAP, map));
	printf("flags %x\n", map->fm_flags);
	close(fd);
}

static void attrs(void)
{
	struct attr a = { 0 };
	int dir = sys(open, P("dir"), O_RDONLY), path = sys(open, P("dir"), O_PATH);

	section("file_getattr, file_setattr");
	SHOW(file_getattr(AT_FDCWD, A(P("hello.txt")), A(&a), 24, 0));
	printf("%llx\n", (unsigned long long)a.xflags);
	a.more = 5;
	SHOW(file_getattr(AT_FDCWD, A(P("hello.txt")), A(&a), 32, 0));
	printf("more %llx\n", (unsigned long long)a.more);
	SHOW(file_getattr(AT_FDCWD, A(P("hello.txt")), A(&a), 16, 0));
	SHOW(file_getattr(AT_FDCWD, A(P("hello.txt")), A(&a), 4097, 0));
	SHOW(file_getattr(AT_FDCWD, A(P("hello.txt")), A(&a), 24, 1));
	SHOW(file_getattr(AT_FDCWD, A(P("hello.txt")), A(BAD_LOW), 24, 0));
	SHOW(file_getattr(AT_FDCWD, A(P("missing")), A(BAD_LOW), 24, 0));
	SHOW(file_getattr(AT_FDCWD, A(P("links/rel")), A(&a), 24, 0));
	SHOW(file_getattr(AT_FDCWD, A(P("links/rel")), A(&a), 24, AT_SYMLINK_NOFOLLOW));
	SHOW(file_getattr(dir, A("file"), A(&a), 24, 0));
	SHOW(file_getattr(dir, A(""), A(&a), 24, 0));
	SHOW(file_getattr(dir, A(""), A(&a), 24, AT_EMPTY_PATH));
	SHOW(file_getattr(path, A(""), A(&a), 24, AT_EMPTY_PATH));
	SHOW(file_getattr(path, A("file"), A(&a), 24, AT_EMPTY_PATH));
	a.xflags |= FS_XFLAG_NODUMP;
	SHOW(file_setattr(AT_FDCWD, A(P("hello.txt")), A(&a), 24, 0));
	SHOW(file_getattr(AT_FDCWD, A(P("hello.txt")), A(&a), 24, 0));
	printf("%llx\n", (unsigned long long)a.xflags & FS_XFLAG_NODUMP);
	a.more = 1;
	SHOW(file_setattr(AT_FDCWD, A(P("hello.txt")), A(&a), 32, 0));
	a.more = 0;
	SHOW(file_setattr(AT_FDCWD, A(P("hello.txt")), A(&a), 32, 0));
	SHOW(file_setattr(AT_FDCWD, A(P("hello.txt")), A(&a), 16, 0));
	SHOW(file_setattr(AT_FDCWD, A(P("hello.txt")), A(BAD_LOW), 24, 0));
	SHOW(file_setattr(AT_FDCWD, A(P("hello.txt")), A(&a), 24, 1));
	SHOW(file_setattr(AT_FDCWD, A(P("missing")), A(&a), 24, 0));
	SHOW(file_setattr(dir, A(""), A(&a), 24, AT_EMPTY_PATH));
	SHOW(file_setattr(path, A(""), A(&a), 24, AT_EMPTY_PATH));
	a.xflags = 1ULL << 40;
	SHOW(file_setattr(AT_FDCWD, A(P("hello.txt")), A(&a), 24, 0));
	close(dir);
	close(path);
}

int main(int argc, char **argv)
{
	guest_init(argc, argv);
	ask_all("hello.txt", O_RDONLY);
	ask_all("hello.txt", O_RDWR);
	ask_all("sizes/s3145745", O_RDONLY);
	ask_all("dir", O_RDONLY);
	ask_all("hello.txt", O_PATH);
	set_flags();
	extents();
	attrs();
	return 0;
}
