/* Path shapes through every call that looks one up, in every style of naming a place. */
#include "guest.h"

struct style { const char *name; int dirfd; const char *prefix; };

static struct style styles[6];
static size_t style_count;
static char long_name[257], dots[3000];

static const char *paths[] = {
	"hello.txt", "", ".", "..", "./", "../", "dir", "dir/", "dir//", "dir/.", "dir/..", "dir/../", "dir//file",
	"dir/./file", "dir/file/", "dir/file/.", "dir/file/..", "dir/file/../file", "missing", "missing/", "missing/..",
	"missing/../hello.txt", "hello.txt/x", "hello.txt/", "hello.txt/..", "links/rel", "links/rel/", "links/dirlink",
	"links/dirlink/", "links/dirlink/.", "links/dirlink/..", "links/dirlink/../hello.txt", "links/dangling",
	"links/dangling/", "links/loop1", "links/self", "links/self/", "links/through", "links/slash", "links/slash/",
	"links/up", "links/up/", "links/up/up", "links/dot/dot/dot/rel", "links/l39", "links/l40", "links/l41",
	"links/long", "links/abs", "links/absdir", "links/absdir/", "links/absdir/..", "links/out", "deep/a/b/c/d/e/f/g/h/leaf",
	"deep/a/../../deep/a/b/../leaf", "odd/new\nline", "odd/\xff\xfe", "odd/ space ", "odd/...", "modes/d0000/x",
	"modes/m0000", "../t", "../t/hello.txt", "../t/../t/hello.txt", ".//./hello.txt", long_name, dots,
};

static void add_style(const char *name, int dirfd, const char *prefix)
{
	styles[style_count++] = (struct style){ name, dirfd, prefix };
}

static const char *result(long r)
{
	return r < 0 ? err_name(errno) : "ok";
}

static void kind(long r, const struct stat *st)
{
	if (r < 0)
		printf(" %s", err_name(errno));
	else
		printf(" %o/%lld", st->st_mode, S_ISDIR(st->st_mode) ? 0LL : (long long)st->st_size);
}

static void lookups(const struct style *s, const char *path)
{
	static char full[PATH_MAX * 2], link[PATH_MAX];
	struct stat st;
	long r;
	int fd;

	snprintf(full, sizeof(full), "%s%s", s->prefix, path);
	kind(sys(newfstatat, s->dirfd, full, &st, 0), &st);
	kind(sys(newfstatat, s->dirfd, full, &st, AT_SYMLINK_NOFOLLOW), &st);
	printf(" %s", result(sys(faccessat, s->dirfd, full, R_OK)));
	r = sys(readlinkat, s->dirfd, full, link, sizeof(link));
	/* The text of links/abs holds the tree's path; it is the same in both runs. */
	printf(" %s", r < 0 ? err_name(errno) : (link[r < 40 ? r : 40] = 0, link));
	fd = sys(openat, s->dirfd, full, O_RDONLY);
	printf(" open:%s", result(fd));
	close(fd);
	fd = sys(openat, s->dirfd, full, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
	printf(" dir:%s", result(fd));
	close(fd);
	fd = sys(openat, s->dirfd, full, O_PATH | O_NOFOLLOW);
	printf(" path:%s", result(fd));
	close(fd);
	if (s->dirfd == AT_FDCWD) {
		kind(sys(stat, full, &st), &st);
		kind(sys(lstat, full, &st), &st);
		printf(" %s", result(sys(access, full, F_OK)));
		printf(" %ld", sys(readlink, full, link, 1));
	}
}

int main(int argc, char **argv)
{
	static char sub[PATH_MAX];

	guest_init(argc, argv);
	memset(long_name, 'L', 256);
	for (size_t i = 0; i + 2 < sizeof(dots); i += 2)
		memcpy(dots + i, "./", 2);
	snprintf(sub, sizeof(sub), "%s/", T);
	add_style("absolute", AT_FDCWD, sub);
	add_style("dirfd", open(T, O_RDONLY | O_DIRECTORY), "");
	add_style("O_PATH dirfd", open(T, O_PATH), "");
	add_style("below dirfd", open(P("dir/one"), O_RDONLY), "../../");
	if (chdir(T) < 0)
		return 1;
	add_style("cwd", AT_FDCWD, "");
	for (size_t s = 0; s < style_count; s++) {
		section("%s", styles[s].name);
		for (size_t i = 0; i < COUNT(paths); i++) {
			printf("%.30s:", paths[i]);
			lookups(&styles[s], paths[i]);
			putchar('\n');
		}
	}
	return 0;
}
