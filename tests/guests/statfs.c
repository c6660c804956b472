/* statfs, fstatfs. What others do on the same file system changes its free counts, and they are only compared loosely. */
#include <sys/vfs.h>

#include "guest.h"

static void show(const char *label, const struct statfs *st)
{
	printf("%s: type=%lx bsize=%ld namelen=%ld frsize=%ld flags=%lx some=%d%d%d spare=%d\n", label, (long)st->f_type,
	       (long)st->f_bsize, (long)st->f_namelen, (long)st->f_frsize, (long)st->f_flags, st->f_blocks >= st->f_bfree,
	       st->f_bfree >= st->f_bavail, st->f_files >= st->f_ffree,
	       st->f_spare[0] == 0 && st->f_spare[sizeof(st->f_spare) / sizeof(st->f_spare[0]) - 1] == 0);
}

static void one(const char *name)
{
	struct statfs st;

	memset(&st, 0xee, sizeof(st));
	if (sys(statfs, P(name), &st) < 0)
		printf("%s: -1 %s\n", name, err_name(errno));
	else
		show(name, &st);
}

static void shapes(void)
{
	static const char *const names[] = {
		"", ".", "dir", "dir/", "hello.txt", "hello.txt/", "hello.txt/x", "missing", "missing/", "missing/x", "links/rel",
		"links/rel/", "links/dangling", "links/self", "links/l40", "links/l41", "links/dirlink/", "links/through", "links/long",
		"odd/\xff\xfe", "dir/../hello.txt", "modes/m0000", "modes/d0000",
	};
	char long_name[257];

	for (size_t i = 0; i < COUNT(names); i++)
		one(names[i]);
	memset(long_name, 'd', 256);
	long_name[256] = 0;
	one(long_name);
}

static void bad_memory(void)
{
	struct statfs st;
	char *end = edge(sizeof(st)), *shorter = edge(sizeof(st) - 1);

	section("memory");
	SHOW(sys(statfs, NULL, &st));
	SHOW(sys(statfs, BAD_LOW, &st));
	SHOW(sys(statfs, "", &st));
	SHOW(sys(statfs, P("hello.txt"), NULL));
	SHOW(sys(statfs, P("hello.txt"), BAD_KERNEL));
	SHOW(sys(statfs, P("missing"), NULL));
	SHOW(sys(statfs, P("hello.txt"), end));
	SHOW(sys(statfs, P("hello.txt"), shorter));
	SHOW(sys(statfs, P("hello.txt"), readonly_page()));
	SHOW(sys(fstatfs, -1, NULL));
}

static void descriptors(void)
{
	static const struct { const char *name; int flags; } opens[] = {
		{ "hello.txt", O_RDONLY }, { "hello.txt", O_WRONLY }, { "dir", O_RDONLY }, { "hello.txt", O_PATH }, { "dir", O_PATH },
		{ "links/rel", O_PATH | O_NOFOLLOW }, { "sizes/s3145745", O_RDWR },
	};
	struct statfs st, by_name;

	section("fstatfs");
	for (size_t i = 0; i < COUNT(opens); i++) {
		int fd = SHOWFD(sys(open, P(opens[i].name), opens[i].flags));

		memset(&st, 0xee, sizeof(st));
		SHOW(sys(fstatfs, fd, &st));
		show(opens[i].name, &st);
		SHOW(sys(statfs, P(opens[i].name), &by_name));
		printf("the same: %d %d %d\n", !memcmp(&st.f_fsid, &by_name.f_fsid, sizeof(st.f_fsid)), st.f_blocks == by_name.f_blocks,
		       st.f_files == by_name.f_files);
		SHOW(sys(fstatfs, fd, NULL));
		SHOW(sys(fstatfs, fd, BAD_LOW));
		SHOW(sys(close, fd));
		SHOW(sys(fstatfs, fd, &st));
	}
	SHOW(sys(fstatfs, -1, &st));
	SHOW(sys(chdir, P("dir")));
	SHOW(sys(statfs, ".", &st));
	show(".", &st);
	SHOW(sys(statfs, "../hello.txt", &st));
	SHOW(sys(statfs, "missing", &st));
	section("after its name is gone");
	int fd = SHOWFD(sys(open, P("lines.txt"), O_RDONLY));
	SHOW(sys(unlink, P("lines.txt")));
	SHOW(sys(fstatfs, fd, &st));
	show("removed", &st);
}

int main(int argc, char **argv)
{
	guest_init(argc, argv);
	shapes();
	bad_memory();
	descriptors();
	return 0;
}
