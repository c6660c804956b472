/* Extended attributes: the twelve calls of old and the four *xattrat of 6.13; ACLs, which ride on them. */
#include <sys/xattr.h>

#include "guest.h"

#ifndef SYS_setxattrat
#define SYS_setxattrat 463
#define SYS_getxattrat 464
#define SYS_listxattrat 465
#define SYS_removexattrat 466
#endif
#define ACL_ACCESS "system.posix_acl_access"
#define ACL_DEFAULT "system.posix_acl_default"

struct at_args { uint64_t value; uint32_t size, flags; };

static char big[65537];

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* File systems differ in the order of names; a run on one does not. */
static void show_names(const char *label, char *list, long n)
{
	char *names[64];
	size_t count = 0;

	printf("%s: %ld", label, n);
	for (char *p = list; p < list + n && count < COUNT(names); p += strlen(p) + 1)
		names[count++] = p;
	qsort(names, count, sizeof(*names), by_name);
	for (size_t i = 0; i < count; i++)
		printf(" %s", names[i]);
	puts(n < 0 ? err_name(errno) : "");
}

static void list(const char *name)
{
	char buf[4096] = "";

	show_names(name, buf, sys(llistxattr, P(name), buf, sizeof(buf)));
}

static void get(const char *name, const char *attr)
{
	char buf[4096];
	long n = sys(lgetxattr, P(name), attr, buf, sizeof(buf));

	printf("%s %s: ", name, attr);
	if (n < 0)
		puts(err_name(errno));
	else
		show_data("value", buf, n);
}

static void names_and_values(void)
{
	static const char *const attrs[] = { "user.a", "user.", "user", "", ".", "user.a b\n\xff", "USER.a", "trusted.t", "trusted.",
					     "security.s", "security.capability", "security.selinux", "system.none", "none.a", "os2.x",
					     "btrfs.x" };
	static const char *const files[] = { "hello.txt", "dir", "links/rel", "links/dangling", "modes/m0444", "modes/m0000", "modes/d1777" };

	for (size_t f = 0; f < COUNT(files); f++) {
		section("%s", files[f]);
		for (size_t a = 0; a < COUNT(attrs); a++) {
			printf("set %s: ", attrs[a]);
			puts(sys(lsetxattr, P(files[f]), attrs[a], "value", 5, 0) < 0 ? err_name(errno) : "ok");
			get(files[f], attrs[a]);
		}
		list(files[f]);
		SHOW(sys(setxattr, P(files[f]), "user.follow", "f", 1, 0));
		list("hello.txt");
		for (size_t a = 0; a < COUNT(attrs); a++) {
			printf("remove %s: ", attrs[a]);
			puts(sys(lremovexattr, P(files[f]), attrs[a]) < 0 ? err_name(errno) : "ok");
		}
		SHOW(sys(removexattr, P(files[f]), "user.follow"));
		list(files[f]);
	}
}

static void sizes(void)
{
	char buf[65], *end = edge(8), name[300];

	section("sizes");
	SHOW(sys(setxattr, P("hello.txt"), "user.nothing", NULL, 0, 0));
	SHOW(sys(setxattr, P("hello.txt"), "user.ten", "0123456789", 10, 0));
	SHOW(sys(getxattr, P("hello.txt"), "user.ten", NULL, 0));
	SHOW(sys(getxattr, P("hello.txt"), "user.ten", BAD_LOW, 0));
	SHOW(sys(getxattr, P("hello.txt"), "user.ten", buf, 9));
	SHOW(sys(getxattr, P("hello.txt"), "user.ten", buf, 10));
	SHOW(sys(getxattr, P("hello.txt"), "user.ten", buf, (size_t)-1));
	SHOW(sys(getxattr, P("hello.txt"), "user.ten", end, 64));
	SHOW(sys(getxattr, P("hello.txt"), "user.ten", BAD_LOW, 64));
	SHOW(sys(getxattr, P("hello.txt"), "user.ten", BAD_LOW, 2));
	SHOW(sys(getxattr, P("hello.txt"), "user.ten", readonly_page(), 64));
	SHOW(sys(getxattr, P("hello.txt"), "user.nothing", BAD_LOW, 2));
	SHOW(sys(listxattr, P("hello.txt"), NULL, 0));
	SHOW(sys(listxattr, P("hello.txt"), BAD_LOW, 0));
	SHOW(sys(listxattr, P("hello.txt"), BAD_LOW, 64));
	SHOW(sys(listxattr, P("hello.txt"), buf, 1));
	SHOW(sys(listxattr, P("hello.txt"), end, 64));
	SHOW(sys(listxattr, P("lines.txt"), BAD_LOW, 64));
	SHOW(sys(setxattr, P("hello.txt"), "user.x", BAD_LOW, 4, 0));
	SHOW(sys(setxattr, P("hello.txt"), "user.x", end, 9, 0));
	SHOW(sys(setxattr, P("hello.txt"), "user.x", end, 8, 0));
	SHOW(sys(setxattr, P("hello.txt"), "user.x", big, 65537, 0));
	SHOW(sys(setxattr, P("missing"), "user.x", big, 65537, 0));
	SHOW(sys(setxattr, P("missing"), "user.x", BAD_LOW, 65536, 0));
	memset(big, 'v', sizeof(big));
	SHOW(sys(setxattr, P("lines.txt"), "user.half", big, 2000, 0));
	SHOW(sys(setxattr, P("lines.txt"), "user.full", big, 65536, 0));
	SHOW(sys(getxattr, P("lines.txt"), "user.full", big, 65536));
	get("lines.txt", "user.half");
	memset(name, 'n', sizeof(name));
	memcpy(name, "user.", 5);
	for (int len = 254; len <= 257; len++) {
		name[len] = 0;
		printf("a name of %d: ", len);
		printf("%s ", sys(setxattr, P("empty"), name, "v", 1, 0) < 0 ? err_name(errno) : "ok");
		printf("%s ", sys(getxattr, P("empty"), name, buf, 2) < 0 ? err_name(errno) : "ok");
		puts(sys(removexattr, P("empty"), name) < 0 ? err_name(errno) : "ok");
		name[len] = 'n';
	}
	SHOW(sys(setxattr, P("empty"), BAD_LOW, "v", 1, 0));
	SHOW(sys(getxattr, P("empty"), NULL, buf, 1));
	SHOW(sys(removexattr, P("empty"), BAD_KERNEL));
}

static void flags(void)
{
	section("flags");
	SHOW(sys(setxattr, P("ro"), "user.f", "1", 1, XATTR_REPLACE));
	SHOW(sys(setxattr, P("ro"), "user.f", "1", 1, XATTR_CREATE));
	SHOW(sys(setxattr, P("ro"), "user.f", "2", 1, XATTR_CREATE));
	SHOW(sys(setxattr, P("ro"), "user.f", "3", 1, XATTR_REPLACE));
	SHOW(sys(setxattr, P("ro"), "user.f", "4", 1, XATTR_REPLACE | XATTR_CREATE));
	SHOW(sys(setxattr, P("ro"), "user.g", "4", 1, XATTR_REPLACE | XATTR_CREATE));
	SHOW(sys(setxattr, P("ro"), "user.f", "5", 1, 4));
	SHOW(sys(setxattr, P("missing"), "user.f", "5", 1, 4));
	SHOW(sys(setxattr, P("missing"), "", "5", 1, 0));
	SHOW(sys(setxattr, BAD_LOW, "user.f", "5", 1, 0));
	get("ro", "user.f");
}

static void shapes(void)
{
	static const char *const names[] = { "", ".", "dir/", "hello.txt/", "hello.txt/x", "missing", "missing/", "links/rel", "links/rel/",
					     "links/dangling", "links/self", "links/l41", "links/dirlink", "links/dirlink/",
					     "links/through", "odd/\xff\xfe", "dir/../hello.txt", "modes/d0000", "modes/d0000/x" };
	char buf[64];

	section("shapes");
	for (size_t i = 0; i < COUNT(names); i++) {
		printf("%s: ", names[i]);
		printf("%s ", sys(setxattr, P(names[i]), "user.s", names[i], strlen(names[i]), 0) < 0 ? err_name(errno) : "ok");
		printf("%s ", sys(lsetxattr, P(names[i]), "user.l", "l", 1, 0) < 0 ? err_name(errno) : "ok");
		printf("%ld ", sys(getxattr, P(names[i]), "user.s", buf, sizeof(buf)));
		printf("%ld ", sys(lgetxattr, P(names[i]), "user.l", buf, sizeof(buf)));
		printf("%s ", sys(listxattr, P(names[i]), NULL, 0) < 0 ? err_name(errno) : "ok");
		printf("%s ", sys(removexattr, P(names[i]), "user.s") < 0 ? err_name(errno) : "ok");
		puts(sys(lremovexattr, P(names[i]), "user.l") < 0 ? err_name(errno) : "ok");
	}
	SHOW(sys(getxattr, "", "user.s", buf, sizeof(buf)));
	SHOW(sys(listxattr, NULL, buf, sizeof(buf)));
	SHOW(sys(chdir, P("dir")));
	SHOW(sys(setxattr, "file", "user.rel", "r", 1, 0));
	SHOW(sys(getxattr, "../dir/file", "user.rel", buf, sizeof(buf)));
	SHOW(sys(chdir, "/"));
}

static void descriptors(void)
{
	static const struct { const char *name; int flags; } opens[] = {
		{ "hello.txt", O_RDONLY }, { "hello.txt", O_RDWR }, { "sizes/s3145745", O_WRONLY }, { "dir", O_RDONLY | O_DIRECTORY },
		{ "hello.txt", O_PATH }, { "links/rel", O_PATH | O_NOFOLLOW },
	};
	char buf[256], proc[64];

	for (size_t i = 0; i < COUNT(opens); i++) {
		int fd = sys(open, P(opens[i].name), opens[i].flags), copy = dup(fd);

		section("%s %o: %s", opens[i].name, opens[i].flags, fd < 0 ? err_name(errno) : "fd");
		SHOW(sys(fsetxattr, fd, "user.fd", "by fd", 5, 0));
		SHOW(sys(fsetxattr, fd, "", "by fd", 5, 0));
		SHOW(sys(fsetxattr, fd, "user.fd", "by fd", 5, 8));
		SHOW(sys(fgetxattr, copy, "user.fd", buf, sizeof(buf)));
		SHOW(sys(fgetxattr, copy, "user.fd", buf, 1));
		show_names("flistxattr", buf, sys(flistxattr, fd, buf, sizeof(buf)));
		snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
		SHOW(sys(getxattr, proc, "user.fd", buf, sizeof(buf)));
		SHOW(sys(lgetxattr, proc, "user.fd", buf, sizeof(buf)));
		SHOW(sys(fremovexattr, fd, "user.fd"));
		SHOW(sys(setxattr, proc, "user.proc", "p", 1, 0));
		SHOW(sys(fremovexattr, copy, "user.proc"));
		SHOW(sys(close, fd));
		SHOW(sys(fgetxattr, fd, "user.fd", buf, sizeof(buf)));
		close(copy);
	}
	SHOW(sys(fsetxattr, -1, "user.fd", "x", 1, 0));
	SHOW(sys(fgetxattr, 9999, "user.fd", buf, 1));
	SHOW(sys(flistxattr, -1, buf, 1));
	SHOW(sys(fremovexattr, -1, "user.fd"));
	SHOW(sys(fremovexattr, -1, ""));
}

static void removed(void)
{
	int fd = sys(open, P("sizes/s4096"), O_RDWR);
	char buf[16];

	section("removed");
	SHOW(sys(unlink, P("sizes/s4096")));
	SHOW(sys(fsetxattr, fd, "user.gone", "x", 1, 0));
	SHOW(sys(fgetxattr, fd, "user.gone", buf, sizeof(buf)));
	close(fd);
}

static long at_call(long nr, int dir, const char *path, int at, const char *attr, void *value, size_t size, int how)
{
	struct at_args args = { (uintptr_t)value, size, how };

	return raw_syscall(nr, dir, (long)path, at, (long)attr, (long)&args, sizeof(args));
}
#define AT(name, ...) at_call(SYS_##name##xattrat, __VA_ARGS__)

static void at(void)
{
	int dir = sys(open, P("dir"), O_RDONLY), file = sys(open, P("hello.txt"), O_RDONLY), path = sys(open, P("dir"), O_PATH);
	char buf[256];
	struct { struct at_args args; uint64_t more; } longer = { { (uintptr_t)buf, sizeof(buf), 0 }, 0 };

	section("*at");
	SHOW(AT(set, dir, "file", 0, "user.at", "value", 5, 0));
	SHOW(AT(set, dir, "file", 0, "user.at", "value", 5, XATTR_CREATE));
	SHOW(AT(set, dir, "file", 0, "user.at", "value", 5, 4));
	SHOW(AT(set, dir, "file", 1, "user.at", "value", 5, 0));
	SHOW(AT(set, dir, "../links/rel", AT_SYMLINK_NOFOLLOW, "user.at", "value", 5, 0));
	SHOW(AT(set, path, "file", 0, "user.path", "v", 1, 0));
	SHOW(AT(set, dir, "", 0, "user.self", "v", 1, 0));
	SHOW(AT(set, dir, "", AT_EMPTY_PATH, "user.self", "v", 1, 0));
	SHOW(AT(set, dir, NULL, AT_EMPTY_PATH, "user.null", "v", 1, 0));
	SHOW(AT(set, dir, NULL, 0, "user.null", "v", 1, 0));
	SHOW(AT(set, path, "", AT_EMPTY_PATH, "user.self", "v", 1, 0));
	SHOW(AT(set, file, "", AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW, "user.self", "v", 1, 0));
	SHOW(AT(set, file, "x", 0, "user.self", "v", 1, 0));
	SHOW(AT(set, -1, "x", 0, "user.self", "v", 1, 0));
	SHOW(AT(set, -1, "", AT_EMPTY_PATH, "user.self", "v", 1, 0));
	SHOW(AT(set, -1, P("empty"), 0, "user.abs", "v", 1, 0));
	SHOW(AT(get, dir, "file", 0, "user.at", buf, sizeof(buf), 0));
	SHOW(AT(get, dir, "file", 0, "user.at", buf, sizeof(buf), XATTR_CREATE));
	SHOW(AT(get, dir, "file", 0, "user.at", NULL, 0, 0));
	SHOW(AT(get, dir, "", AT_EMPTY_PATH, "user.self", buf, sizeof(buf), 0));
	SHOW(AT(get, path, "", AT_EMPTY_PATH, "user.self", buf, sizeof(buf), 0));
	SHOW(AT(get, dir, "missing", 0, "user.self", buf, sizeof(buf), 0));
	SHOW(AT(get, AT_FDCWD, P("empty"), 0, "user.abs", buf, sizeof(buf), 0));
	SHOW(AT(get, dir, "missing", 0, "user.at", buf, sizeof(buf), 9));
	SHOW(sys(getxattrat, dir, "file", 0, "user.at", &longer, 8));
	SHOW(sys(getxattrat, dir, "file", 0, "user.at", &longer, 24));
	longer.more = 1;
	SHOW(sys(getxattrat, dir, "file", 0, "user.at", &longer, 24));
	SHOW(sys(getxattrat, dir, "file", 0, "user.at", &longer, 5000));
	SHOW(sys(getxattrat, dir, "file", 0, "user.at", BAD_LOW, 16));
	SHOW(sys(setxattrat, dir, "file", 0, "user.at", BAD_LOW, 16));
	SHOW(sys(setxattrat, dir, "file", 0, "user.at", &longer, 0));
	show_names("listxattrat", buf, sys(listxattrat, dir, "file", 0, buf, sizeof(buf)));
	SHOW(sys(listxattrat, dir, "", AT_EMPTY_PATH, NULL, 0));
	SHOW(sys(listxattrat, dir, "", 0, NULL, 0));
	SHOW(sys(listxattrat, dir, "file", 0x4000, NULL, 0));
	SHOW(sys(listxattrat, path, "", AT_EMPTY_PATH, NULL, 0));
	SHOW(sys(removexattrat, dir, "file", 0, "user.at"));
	SHOW(sys(removexattrat, dir, "file", 0, "user.at"));
	SHOW(sys(removexattrat, dir, "", AT_EMPTY_PATH, "user.self"));
	SHOW(sys(removexattrat, path, "", AT_EMPTY_PATH, "user.null"));
	SHOW(sys(removexattrat, dir, "file", 1, "user.at"));
	SHOW(sys(chdir, P("dir")));
	SHOW(AT(set, AT_FDCWD, "", AT_EMPTY_PATH, "user.cwd", "v", 1, 0));
	SHOW(AT(get, AT_FDCWD, "", AT_EMPTY_PATH, "user.cwd", buf, sizeof(buf), 0));
	SHOW(AT(set, AT_FDCWD, "file", AT_EMPTY_PATH, "user.cwd", "v", 1, 0));
	SHOW(sys(chdir, "/"));
	close(dir);
	close(file);
	close(path);
}

/* struct posix_acl_xattr_header and its entries. */
struct acl {
	uint32_t version;
	struct { uint16_t tag, perm; uint32_t id; } entry[6];
};

static size_t acl_make(struct acl *a, unsigned user, unsigned user_perm, unsigned mask)
{
	a->version = 2;
	a->entry[0].tag = 1, a->entry[0].perm = 7, a->entry[0].id = -1;
	a->entry[1].tag = 2, a->entry[1].perm = user_perm, a->entry[1].id = user;
	a->entry[2].tag = 4, a->entry[2].perm = 5, a->entry[2].id = -1;
	a->entry[3].tag = 0x10, a->entry[3].perm = mask, a->entry[3].id = -1;
	a->entry[4].tag = 0x20, a->entry[4].perm = 0, a->entry[4].id = -1;
	return 4 + 5 * 8;
}

static void acls(void)
{
	struct acl a;
	size_t len = acl_make(&a, 1234, 6, 6);
	char buf[256];

	section("acls");
	SHOW(sys(getxattr, P("hello.txt"), ACL_ACCESS, buf, sizeof(buf)));
	SHOW(sys(setxattr, P("exec.sh"), ACL_ACCESS, &a, len, 0));
	stat_path("exec.sh");
	get("exec.sh", ACL_ACCESS);
	list("exec.sh");
	SHOW(sys(chmod, P("exec.sh"), 0711));
	get("exec.sh", ACL_ACCESS);
	SHOW(sys(setxattr, P("exec.sh"), ACL_ACCESS, &a, len - 1, 0));
	SHOW(sys(setxattr, P("exec.sh"), ACL_DEFAULT, &a, len, 0));
	SHOW(sys(setxattr, P("links/rel"), ACL_ACCESS, &a, len, 0));
	SHOW(sys(lsetxattr, P("links/rel"), ACL_ACCESS, &a, len, 0));
	stat_path("hello.txt");
	SHOW(sys(removexattr, P("exec.sh"), ACL_ACCESS));
	SHOW(sys(removexattr, P("exec.sh"), ACL_ACCESS));
	stat_path("exec.sh");
	section("a default acl instead of the umask");
	SHOW(sys(setxattr, P("dir/empty"), ACL_DEFAULT, &a, len, 0));
	umask(077);
	close(SHOWFD(sys(open, P("dir/empty/file"), O_CREAT | O_WRONLY, 0666)));
	SHOW(sys(mkdir, P("dir/empty/sub"), 0777));
	SHOW(sys(mknod, P("dir/empty/fifo"), S_IFIFO | 0666, 0));
	SHOW(sys(symlink, "file", P("dir/empty/link")));
	umask(022);
	stat_path("dir/empty/file");
	stat_path("dir/empty/sub");
	stat_path("dir/empty/fifo");
	get("dir/empty/file", ACL_ACCESS);
	get("dir/empty/sub", ACL_DEFAULT);
	a.version = 1;
	SHOW(sys(setxattr, P("dir"), ACL_DEFAULT, &a, len, 0));
	a.version = 2;
	a.entry[1].tag = 3;
	SHOW(sys(setxattr, P("dir"), ACL_DEFAULT, &a, len, 0));
	SHOW(sys(setxattr, P("dir/empty"), ACL_DEFAULT, NULL, 0, 0));
	list("dir/empty");
}

/* What an attribute changes, what is open and what was looked at before shows at once. */
static void coherent(void)
{
	struct acl a;
	size_t len = acl_make(&a, 99, 7, 7);
	int fd = sys(open, P("modes/m0666"), O_RDONLY);

	section("coherent");
	stat_path("modes/m0666");
	stat_fd("open", fd);
	SHOW(sys(setxattr, P("modes/m0666"), ACL_ACCESS, &a, len, 0));
	stat_path("modes/m0666");
	stat_fd("open", fd);
	SHOW(sys(fsetxattr, fd, "user.c", "c", 1, 0));
	stat_fd("open", fd);
	close(fd);
}

/* The working directory, which some of these find by the descriptor AT_FDCWD since 6.13. */
static void here(void)
{
	char buf[256];

	section("AT_FDCWD");
	if (chdir(P("dir")) < 0)
		return;
	SHOW(sys(fsetxattr, AT_FDCWD, "user.here", "value", 5, 0));
	SHOW(sys(fgetxattr, AT_FDCWD, "user.here", buf, sizeof(buf)));
	SHOW(AT(set, AT_FDCWD, NULL, AT_EMPTY_PATH, "user.null", "v", 1, 0));
	SHOW(AT(set, AT_FDCWD, "", AT_EMPTY_PATH, "user.empty", "v", 1, 0));
	SHOW(AT(set, AT_FDCWD, NULL, 0, "user.none", "v", 1, 0));
	show_names("flistxattr", buf, sys(flistxattr, AT_FDCWD, buf, sizeof(buf)));
	show_names("listxattr", buf, sys(listxattr, P("dir"), buf, sizeof(buf)));
	SHOW(sys(fremovexattr, AT_FDCWD, "user.here"));
	list("dir");
}

int main(int argc, char **argv)
{
	guest_init(argc, argv);
	names_and_values();
	sizes();
	flags();
	shapes();
	descriptors();
	removed();
	at();
	acls();
	coherent();
	here();
	return 0;
}
