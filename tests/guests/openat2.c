/* openat2: its flags are checked strictly, and RESOLVE_* limits the path. */
#include "guest.h"

struct how { uint64_t flags, mode, resolve; };
struct long_how { struct how how; uint64_t extra; };

#define NO_XDEV 1
#define NO_MAGICLINKS 2
#define NO_SYMLINKS 4
#define BENEATH 8
#define IN_ROOT 16
#define CACHED 32

static long openat2_(int dir, const char *path, const struct how *how, size_t size)
{
	return raw_syscall(437, dir, (long)path, (long)how, (long)size, 0, 0);
}

static void try(int dir, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve)
{
	struct how how = { flags, mode, resolve };
	int fd = openat2_(dir, path, &how, sizeof(how));

	printf("%s flags %llo mode %llo resolve %llx: %s\n", path[0] == '/' ? "/…" : path, (unsigned long long)flags,
	       (unsigned long long)mode, (unsigned long long)resolve, fd < 0 ? err_name(errno) : "fd");
	if (fd >= 0) {
		struct stat st;

		sys(fstat, fd, &st);
		printf("   mode %o\n", st.st_mode);
		close(fd);
	}
}

static void resolve(int tree)
{
	static const char *const paths[] = {
		"hello.txt", "dir/file", "dir/../hello.txt", "..", "../t/hello.txt", "links/rel", "links/dirlink",
		"links/up", "links/up/hello.txt", "missing", "", ".", "links/loop1", "links/dirlink/../hello.txt",
	};
	static const uint64_t how[] = { 0, NO_XDEV, NO_MAGICLINKS, NO_SYMLINKS, BENEATH, IN_ROOT };

	for (size_t i = 0; i < COUNT(paths); i++)
		/* A mount of ours is one to NO_XDEV as well: leaving it and coming back is EXDEV. */
		for (size_t h = 0; h < COUNT(how); h++)
			if (how[h] != NO_XDEV || strncmp(paths[i], "../", 3))
				try(tree, paths[i], O_RDONLY, 0, how[h]);
	try(tree, "hello.txt", O_RDONLY, 0, BENEATH | IN_ROOT);
	try(tree, "hello.txt", O_RDONLY, 0, 64);
	try(tree, "hello.txt", O_RDONLY, 0, 1ULL << 40);
	try(tree, T, O_RDONLY, 0, BENEATH);
	try(tree, T, O_RDONLY, 0, 0);
	try(tree, "links/rel", O_RDONLY | O_NOFOLLOW, 0, 0);
	try(tree, "links/rel", O_PATH | O_NOFOLLOW, 0, NO_SYMLINKS);
}

static void flags(int tree)
{
	section("flags");
	try(tree, "hello.txt", O_RDONLY, 0644, 0);
	try(tree, "hello.txt", 1ULL << 40, 0, 0);
	try(tree, "hello.txt", 1ULL << 30, 0, 0);
	try(tree, "made1", O_CREAT | O_RDWR, 0644, 0);
	try(tree, "made2", O_CREAT | O_RDWR, 0107777, 0);
	try(tree, "made3", O_CREAT | O_RDWR, 07777, BENEATH);
	try(tree, "made4", O_CREAT | O_RDWR | O_EXCL, 0600, IN_ROOT);
	try(tree, "../t/made5", O_CREAT | O_RDWR | O_EXCL, 0600, BENEATH);
	try(tree, "hello.txt", O_PATH | O_RDWR, 0, 0);
	try(tree, "hello.txt", O_PATH | O_APPEND, 0, 0);
	try(tree, "dir", O_PATH | O_DIRECTORY | O_CLOEXEC, 0, 0);
	try(-1, "hello.txt", O_RDONLY, 0, 0);
	try(AT_FDCWD, "hello.txt", O_RDONLY, 0, 0);
}

static void sizes(int tree)
{
	struct how how = { O_RDONLY, 0, 0 };
	struct long_how more = { how, 0 };
	char *end = edge(sizeof(how));

	section("sizes");
	memcpy(end, &how, sizeof(how));
	SHOW(openat2_(tree, "hello.txt", &how, 0));
	SHOW(openat2_(tree, "hello.txt", &how, 23));
	SHOWFD(openat2_(tree, "hello.txt", &more.how, sizeof(more)));
	more.extra = 1;
	SHOW(openat2_(tree, "hello.txt", &more.how, sizeof(more)));
	SHOW(openat2_(tree, "hello.txt", &how, 5000));
	SHOW(openat2_(tree, "hello.txt", NULL, sizeof(how)));
	SHOW(openat2_(tree, "hello.txt", BAD_KERNEL, sizeof(how)));
	SHOW(openat2_(tree, NULL, &how, sizeof(how)));
	SHOWFD(openat2_(tree, "hello.txt", (void *)end, sizeof(how)));
	SHOW(openat2_(tree, "hello.txt", (void *)end, sizeof(more)));
	SHOW(openat2_(tree, "hello.txt", (void *)(end + 1), sizeof(how)));
}

int main(int argc, char **argv)
{
	int tree;

	guest_init(argc, argv);
	tree = SHOWFD(sys(open, T, O_RDONLY));
	resolve(tree);
	flags(tree);
	sizes(tree);
	return 0;
}
