/* statx: masks, flags and every field. */
#include "guest.h"

#define MTIME 0x40u
#define CTIME 0x80u
#define BTIME 0x800u
#define BASIC 0x7ffu

/* The kernel's struct statx; musl and glibc lag behind it in what they name. */
struct kstatx {
	uint32_t mask, blksize;
	uint64_t attributes;
	uint32_t nlink, uid, gid;
	uint16_t mode, pad1;
	uint64_t ino, size, blocks, attributes_mask;
	struct { int64_t sec; uint32_t nsec; int32_t pad; } atime, btime, ctime, mtime;
	uint32_t rdev_major, rdev_minor, dev_major, dev_minor;
	uint64_t mnt_id;
	uint64_t spare[13];
};

static void show(const char *label, const struct kstatx *s, unsigned asked)
{
	/* A kernel may fill in more than was asked for; what was asked for it must. */
	printf("%s: mask %x blksize %u attr %llx/%llx nlink %u %u:%u mode %o rdev %u:%u dev %u:%u", label,
	       s->mask & asked, s->blksize, (unsigned long long)s->attributes, (unsigned long long)s->attributes_mask,
	       s->nlink, s->uid, s->gid, s->mode, s->rdev_major, s->rdev_minor, s->dev_major, s->dev_minor);
	if (!S_ISDIR(s->mode))
		printf(" size %llu blocks %llu", (unsigned long long)s->size, (unsigned long long)s->blocks);
	if (asked & MTIME)
		show_time("mtime", s->mtime.sec, s->mtime.nsec);
	if (asked & CTIME)
		show_time("ctime", s->ctime.sec, s->ctime.nsec);
	if (asked & s->mask & BTIME)
		show_time("btime", s->btime.sec, s->btime.nsec);
	putchar('\n');
}

static void try(int dir, const char *path, unsigned flags, unsigned mask)
{
	struct kstatx s;
	char label[120];

	memset(&s, 0x55, sizeof(s));
	snprintf(label, sizeof(label), "%.60s flags %x asked %x", path[0] == '/' ? path + strlen(T) : path, flags, mask);
	if (sys(statx, dir, path, flags, mask, &s) < 0)
		printf("%s: %s\n", label, err_name(errno));
	else
		show(label, &s, mask & 0xfff);
}

static void same_as_stat(const char *name)
{
	struct kstatx s;
	struct stat st;

	if (sys(statx, AT_FDCWD, P(name), 0, BASIC, &s) < 0 || stat(P(name), &st) < 0) {
		printf("%s: %s\n", name, err_name(errno));
		return;
	}
	printf("%s as stat: ino %d size %d mtime %d ctime %d dev %d\n", name, s.ino == st.st_ino,
	       s.size == (uint64_t)st.st_size, s.mtime.nsec == st.st_mtim.tv_nsec, s.ctime.nsec == st.st_ctim.tv_nsec,
	       (s.dev_major << 8 | s.dev_minor) == st.st_dev);
}

int main(int argc, char **argv)
{
	static const char *const names[] = {
		"", "hello.txt", "dir", "links/rel", "links/dirlink", "links/dangling", "sparse", "sizes/s131073",
		"modes/m4755", "modes/d1777", "missing", "hello.txt/x", "links/self",
	};
	struct kstatx s;
	int dir, file, path;

	guest_init(argc, argv);
	for (size_t i = 0; i < COUNT(names); i++) {
		try(AT_FDCWD, P(names[i]), 0, BASIC | BTIME);
		try(AT_FDCWD, P(names[i]), AT_SYMLINK_NOFOLLOW, BASIC);
		try(AT_FDCWD, P(names[i]), 0, 0x200);
		try(AT_FDCWD, P(names[i]), 0, 0);
	}
	same_as_stat("hello.txt");
	same_as_stat("dir");
	same_as_stat("sizes/s3145745");

	section("descriptors");
	dir = SHOWFD(sys(open, P("dir"), O_RDONLY));
	file = SHOWFD(sys(open, P("hello.txt"), O_RDWR));
	path = SHOWFD(sys(open, P("links/rel"), O_PATH | O_NOFOLLOW));
	try(dir, "file", 0, BASIC);
	try(dir, "", 0, BASIC);
	try(dir, "", AT_EMPTY_PATH, BASIC);
	try(file, "", AT_EMPTY_PATH, BASIC | BTIME);
	try(path, "", AT_EMPTY_PATH, BASIC);
	try(file, "x", 0, BASIC);
	try(-1, "x", 0, BASIC);
	try(-1, "", AT_EMPTY_PATH, BASIC);

	section("flags");
	try(AT_FDCWD, P("hello.txt"), 0x2000, BASIC);
	try(AT_FDCWD, P("hello.txt"), 0x4000, BASIC);
	try(AT_FDCWD, P("hello.txt"), 0x6000, BASIC);
	try(AT_FDCWD, P("hello.txt"), 0x800, BASIC);
	try(AT_FDCWD, P("hello.txt"), 1 << 20, BASIC);
	try(AT_FDCWD, P("hello.txt"), 0, 1u << 31);
	SHOW(sys(statx, AT_FDCWD, NULL, 0, BASIC, &s));
	SHOW(sys(statx, AT_FDCWD, BAD_KERNEL, 0, BASIC, &s));
	SHOW(sys(statx, AT_FDCWD, P("hello.txt"), 0, BASIC, NULL));
	SHOW(sys(statx, AT_FDCWD, P("hello.txt"), 0, BASIC, edge(sizeof(s))));
	SHOW(sys(statx, AT_FDCWD, P("hello.txt"), 0, BASIC, edge(sizeof(s) - 8)));
	SHOW(sys(statx, file, NULL, AT_EMPTY_PATH, BASIC, &s));
	return 0;
}
