/* name_to_handle_at, open_by_handle_at. A handle's bytes have an inode number in them, so they are only compared. */
#include "guest.h"

#ifndef MAX_HANDLE_SZ
#define MAX_HANDLE_SZ 128
#endif
#ifndef AT_HANDLE_FID
#define AT_HANDLE_FID 0x200
#endif
#define UNIQUE 0x001
#define CONNECTABLE 0x002

struct whole { struct file_handle head; unsigned char bytes[160]; };

static struct whole get(const char *name, int flags)
{
	struct whole h = { .head.handle_bytes = MAX_HANDLE_SZ };
	uint64_t mount[2] = { -1, -1 };
	long r = sys(name_to_handle_at, AT_FDCWD, P(name), &h, mount, flags);

	if (r < 0)
		printf("%s %x: %s\n", name, flags, err_name(errno));
	else
		printf("%s %x: %u bytes type %d, mount %s\n", name, flags, h.head.handle_bytes, h.head.handle_type,
		       mount[0] == UINT64_MAX ? "none" : mount[0] >> 32 == UINT32_MAX ? "int" : "long");
	return h;
}

static bool same(const struct whole *a, const struct whole *b)
{
	return a->head.handle_bytes == b->head.handle_bytes && a->head.handle_type == b->head.handle_type &&
	       !memcmp(a->head.f_handle, b->head.f_handle, a->head.handle_bytes);
}

static void names(void)
{
	static const char *const names[] = { "hello.txt", "dir", "dir/", "links/rel", "links/dangling", "links/dirlink/", "missing", "hello.txt/",
					     "modes/m0000", "modes/d0000", "modes/d0000/x", "", "odd/\xff\xfe" };
	struct whole a, b;

	section("names");
	for (size_t i = 0; i < COUNT(names); i++) {
		get(names[i], 0);
		get(names[i], AT_SYMLINK_FOLLOW);
	}
	a = get("hard/a", 0);
	b = get("hard/b", 0);
	printf("two names: %d\n", same(&a, &b));
	a = get("links/rel", AT_SYMLINK_FOLLOW);
	b = get("hello.txt", 0);
	printf("by a link: %d\n", same(&a, &b));
	for (int bit = 0; bit < 16; bit++)
		get("hello.txt", 1 << bit);
	get("hello.txt", AT_HANDLE_FID | CONNECTABLE);
	get("missing", AT_HANDLE_FID | CONNECTABLE);
	get("hello.txt", CONNECTABLE | AT_EMPTY_PATH);
	get("missing", CONNECTABLE | AT_EMPTY_PATH);
	get("dir", CONNECTABLE | UNIQUE);
}

static void sizes(void)
{
	struct whole h;
	int mount, dir = sys(open, P("dir"), O_PATH), file = sys(open, P("hello.txt"), O_RDONLY);

	section("sizes");
	for (unsigned n = 0; n <= 136; n += 4) {
		memset(&h, 0, sizeof(h));
		h.head.handle_bytes = n;
		mount = -1;
		printf("%u: %s", n, sys(name_to_handle_at, AT_FDCWD, P("lines.txt"), &h, &mount, 0) < 0 ? err_name(errno) : "ok");
		printf(" %u type %d mount %d\n", h.head.handle_bytes, h.head.handle_type, mount != -1);
	}
	h.head.handle_bytes = 128;
	SHOW(sys(name_to_handle_at, AT_FDCWD, P("lines.txt"), BAD_LOW, &mount, 0));
	SHOW(sys(name_to_handle_at, AT_FDCWD, P("missing"), BAD_LOW, &mount, 0));
	SHOW(sys(name_to_handle_at, AT_FDCWD, P("lines.txt"), &h, BAD_LOW, 0));
	SHOW(sys(name_to_handle_at, AT_FDCWD, BAD_LOW, &h, &mount, 0));
	h.head.handle_bytes = 128;
	SHOW(sys(name_to_handle_at, dir, "file", &h, &mount, 0));
	h.head.handle_bytes = 128;
	SHOW(sys(name_to_handle_at, dir, "", &h, &mount, 0));
	SHOW(sys(name_to_handle_at, dir, "", &h, &mount, AT_EMPTY_PATH));
	h.head.handle_bytes = 128;
	SHOW(sys(name_to_handle_at, file, "", &h, &mount, AT_EMPTY_PATH));
	h.head.handle_bytes = 128;
	SHOW(sys(name_to_handle_at, file, NULL, &h, &mount, AT_EMPTY_PATH));
	SHOW(sys(name_to_handle_at, file, "x", &h, &mount, 0));
	SHOW(sys(name_to_handle_at, -1, "x", &h, &mount, 0));
	SHOW(sys(name_to_handle_at, -1, "", &h, &mount, AT_EMPTY_PATH));
	close(dir);
	close(file);
}

static void opening(void)
{
	static const char *const names[] = { "hello.txt", "dir", "links/rel", "sizes/s3145745", "modes/m0000", "hard/b" };
	static const int flags[] = { O_RDONLY, O_RDWR, O_PATH, O_RDONLY | O_DIRECTORY, O_WRONLY | O_TRUNC, O_RDONLY | O_NOFOLLOW };
	int mount = sys(open, P(""), O_RDONLY), fd;
	struct whole h;
	char buf[16];

	section("opening");
	for (size_t i = 0; i < COUNT(names); i++) {
		h = get(names[i], 0);
		for (size_t f = 0; f < COUNT(flags); f++) {
			fd = sys(open_by_handle_at, mount, &h, flags[f]);
			printf("%s %o: %s\n", names[i], flags[f], fd < 0 ? err_name(errno) : "fd");
			if (fd >= 0 && (flags[f] & O_ACCMODE) != O_WRONLY && !(flags[f] & O_PATH))
				show_data("bytes", buf, sys(pread64, fd, buf, 13, 0));
			if (fd >= 0)
				stat_fd("by handle", fd);
			close(fd);
		}
	}
	h = get("dir/file", 0);
	SHOW(sys(open_by_handle_at, -1, &h, O_RDONLY));
	fd = sys(open, P("dir"), O_PATH);
	SHOW(sys(open_by_handle_at, fd, &h, O_RDONLY));
	SHOW(sys(open_by_handle_at, fd, BAD_LOW, O_RDONLY));
	close(fd);
	fd = sys(open, P("sizes/s4096"), O_WRONLY);
	SHOWFD(sys(open_by_handle_at, fd, &h, O_RDONLY));
	close(fd);
	SHOW(sys(open_by_handle_at, mount, BAD_LOW, O_RDONLY));
	SHOW(sys(open_by_handle_at, -1, BAD_LOW, O_RDONLY));
	h.head.handle_bytes = 0;
	SHOW(sys(open_by_handle_at, mount, &h, O_RDONLY));
	h.head.handle_bytes = 129;
	SHOW(sys(open_by_handle_at, mount, &h, O_RDONLY));
	h.head.handle_bytes = 4;
	SHOW(sys(open_by_handle_at, mount, &h, O_RDONLY));
	h = get("dir/file", 0);
	SHOW(chdir(P("deep")));
	SHOWFD(sys(open_by_handle_at, AT_FDCWD, &h, O_RDONLY));
	SHOW(chdir("/"));
	SHOW(sys(rename, P("dir/file"), P("elsewhere")));
	SHOWFD(sys(open_by_handle_at, mount, &h, O_RDONLY));
	SHOW(sys(unlink, P("elsewhere")));
	h = get("dir/empty", 0);
	SHOW(sys(rmdir, P("dir/empty")));
	h.bytes[0] ^= 0xff;
	h.bytes[5] ^= 0xff;
	SHOW(sys(open_by_handle_at, mount, &h, O_RDONLY));
	close(mount);
}

int main(int argc, char **argv)
{
	guest_init(argc, argv);
	names();
	sizes();
	opening();
	return 0;
}
