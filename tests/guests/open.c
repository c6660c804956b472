/* open, openat, creat: flags, creation modes, errors. */
#include "guest.h"

static const struct { const char *name; int flags; } flag_sets[] = {
	{ "O_RDONLY", O_RDONLY }, { "O_WRONLY", O_WRONLY }, { "O_RDWR", O_RDWR }, { "O_ACCMODE", O_ACCMODE },
	{ "O_DIRECTORY", O_DIRECTORY }, { "O_DIRECTORY|O_RDWR", O_DIRECTORY | O_RDWR },
	{ "O_NOFOLLOW", O_NOFOLLOW }, { "O_NOFOLLOW|O_DIRECTORY", O_NOFOLLOW | O_DIRECTORY },
	{ "O_CREAT|O_EXCL", O_CREAT | O_EXCL }, { "O_CREAT|O_DIRECTORY", O_CREAT | O_DIRECTORY },
	{ "O_CLOEXEC", O_CLOEXEC }, { "O_APPEND|O_WRONLY", O_APPEND | O_WRONLY }, { "O_NONBLOCK", O_NONBLOCK },
	{ "O_SYNC|O_RDWR", O_SYNC | O_RDWR }, { "O_NOCTTY", O_NOCTTY }, { "O_PATH", O_PATH },
	{ "O_PATH|O_NOFOLLOW", O_PATH | O_NOFOLLOW }, { "O_LARGEFILE", 0100000 }, { "unknown bit", 1 << 30 },
};

static const char *const targets[] = {
	"hello.txt", "dir", "missing", "missing/below", "hello.txt/below", "links/rel", "links/dirlink",
	"links/dangling", "links/loop1", "links/self", "links/through", "links/missingdir", "modes/m0000", "ro",
};

/* What F_GETFL says: the kernel drops the flags that only matter while opening. */
static void show_flags(int fd)
{
	printf("   getfl %o getfd %d\n", fcntl(fd, F_GETFL) & ~0100000, fcntl(fd, F_GETFD));
}

static void every_flag(void)
{
	for (size_t t = 0; t < COUNT(targets); t++) {
		section("%s", targets[t]);
		for (size_t f = 0; f < COUNT(flag_sets); f++) {
			int fd = sys(open, P(targets[t]), flag_sets[f].flags, 0644);

			printf("%s %s: %s\n", targets[t], flag_sets[f].name, fd < 0 ? err_name(errno) : "fd");
			if (fd >= 0) {
				show_flags(fd);
				sys(close, fd);
			}
		}
	}
}

static void creation(void)
{
	static const mode_t masks[] = { 0, 022, 077, 0777 };
	static const mode_t modes[] = { 0, 0400, 0644, 0777, 04755, 07777, 0100644 };
	char name[64];

	section("creation modes");
	for (size_t m = 0; m < COUNT(masks); m++) {
		umask(masks[m]);
		for (size_t i = 0; i < COUNT(modes); i++) {
			int fd;

			snprintf(name, sizeof(name), "new-%o-%o", masks[m], modes[i]);
			fd = sys(open, P(name), O_CREAT | O_RDWR | (i & 1 ? O_EXCL : 0), modes[i]);
			printf("create %s: %s\n", name, fd < 0 ? err_name(errno) : "fd");
			if (fd < 0)
				continue;
			stat_fd(name, fd);
			SHOW(sys(write, fd, "x", 1));
			sys(close, fd);
			fd = sys(open, P(name), O_CREAT | O_RDONLY, 0777);
			printf("open again: %s\n", fd < 0 ? err_name(errno) : "fd");
			stat_path(name);
			sys(close, fd);
		}
	}
	umask(022);
}

static void creat_and_truncate(void)
{
	int fd, other;

	section("creat");
	fd = SHOWFD(sys(creat, P("created"), 0640));
	SHOW(sys(write, fd, "12345", 5));
	SHOW(sys(read, fd, (char[4]){ 0 }, 4));
	other = SHOWFD(sys(open, P("created"), O_RDONLY));
	close(SHOWFD(sys(creat, P("created"), 0777)));
	stat_fd("truncated under a reader", other);
	SHOW(sys(read, other, (char[4]){ 0 }, 4));
	sys(close, fd);
	sys(close, other);
	SHOWFD(sys(creat, P("dir"), 0644));
	SHOWFD(sys(creat, P("missing/x"), 0644));

	section("O_TRUNC");
	close(SHOWFD(sys(open, P("hard/a"), O_WRONLY | O_TRUNC)));
	show_file("hard/b");
	close(SHOWFD(sys(open, P("hello.txt"), O_RDONLY | O_TRUNC)));
	show_file("hello.txt");
	SHOWFD(sys(open, P("dir"), O_RDONLY | O_TRUNC));
	SHOWFD(sys(open, P("dir"), O_RDWR | O_CREAT | O_TRUNC, 0600));
	SHOWFD(sys(open, P("missing"), O_RDWR | O_TRUNC));

	section("O_CREAT through links");
	close(SHOWFD(sys(open, P("links/dangling"), O_CREAT | O_WRONLY, 0600)));
	stat_path("links/nowhere");
	SHOWFD(sys(open, P("links/missingdir"), O_CREAT | O_WRONLY, 0600));
	SHOWFD(sys(open, P("links/loop1"), O_CREAT | O_WRONLY, 0600));
	SHOWFD(sys(open, P("links/rel"), O_CREAT | O_EXCL | O_WRONLY, 0600));
	SHOWFD(sys(open, P("links/self"), O_CREAT | O_EXCL | O_WRONLY, 0600));
	SHOWFD(sys(open, P("links/dangling"), O_CREAT | O_NOFOLLOW | O_WRONLY, 0600));
}

static void shapes(void)
{
	static const char *const names[] = {
		"new/", "new/.", "new/..", ".", "..", "./", "dir/", "dir/.", "dir/../hello.txt", "dir/../../t/ro",
		"hello.txt/", "hello.txt/.", "dir//file", "dir/./file", "links/slash", "links/dot/rel", "dir/empty/../one",
	};

	section("shapes");
	for (size_t i = 0; i < COUNT(names); i++) {
		int fd = sys(open, P(names[i]), O_RDONLY);
		int made = (printf("%s: %s", names[i], fd < 0 ? err_name(errno) : "fd"),
			    sys(open, P(names[i]), O_CREAT | O_WRONLY, 0600));

		printf(", created: %s\n", made < 0 ? err_name(errno) : "fd");
		sys(close, fd);
		sys(close, made);
	}
}

static void relative(void)
{
	int tree, sub, file, fd;

	section("openat");
	tree = SHOWFD(sys(openat, AT_FDCWD, T, O_RDONLY | O_DIRECTORY));
	sub = SHOWFD(sys(openat, tree, "dir", O_RDONLY));
	file = SHOWFD(sys(openat, sub, "../hello.txt", O_RDWR));
	close(SHOWFD(sys(openat, sub, "file", O_RDONLY)));
	close(SHOWFD(sys(openat, sub, ".", O_RDONLY)));
	close(SHOWFD(sys(openat, sub, "", O_RDONLY)));
	close(SHOWFD(sys(openat, -1, P("hello.txt"), O_RDONLY)));
	SHOWFD(sys(openat, -1, "hello.txt", O_RDONLY));
	SHOWFD(sys(openat, 9999999, "hello.txt", O_RDONLY));
	SHOWFD(sys(openat, file, "x", O_RDONLY));
	SHOWFD(sys(openat, file, "", O_RDONLY));
	fd = SHOWFD(sys(openat, sub, "made", O_CREAT | O_WRONLY | O_EXCL, 0604));
	SHOW(sys(write, fd, "by openat\n", 10));
	sys(close, fd);
	SHOWFD(sys(openat, sub, "made", O_CREAT | O_WRONLY | O_EXCL, 0604));
	stat_path("dir/made");
	SHOW(chdir(T));
	close(SHOWFD(sys(open, "hello.txt", O_RDONLY)));
	close(SHOWFD(sys(openat, AT_FDCWD, "dir/file", O_RDONLY)));
	close(SHOWFD(sys(open, "./dir/../dir/file", O_RDONLY)));
	SHOW(sys(close, file));
	SHOW(sys(close, file));
	SHOW(sys(close, sub));
	SHOW(sys(close, tree));
	SHOWFD(sys(openat, tree, "dir", O_RDONLY));
}

static void errors(void)
{
	char long_name[300], *long_path = malloc(6000);

	section("errors");
	SHOWFD(sys(open, "", O_RDONLY));
	SHOWFD(sys(open, NULL, O_RDONLY));
	SHOWFD(sys(open, BAD_LOW, O_RDONLY));
	SHOWFD(sys(open, BAD_KERNEL, O_RDONLY));
	SHOWFD(sys(openat, AT_FDCWD, NULL, O_RDONLY));
	memset(long_name, 'n', sizeof(long_name));
	long_name[255] = 0;
	SHOWFD(sys(open, P(long_name), O_RDONLY));
	long_name[255] = 'n';
	long_name[256] = 0;
	SHOWFD(sys(open, P(long_name), O_RDONLY));
	SHOWFD(sys(open, P(long_name), O_CREAT | O_RDWR, 0600));
	strcpy(long_path, T);
	while (strlen(long_path) < 4094)
		strcat(long_path, "/");
	strcpy(long_path + 4085, "hello.txt");
	SHOWFD(sys(open, long_path, O_RDONLY));
	strcpy(long_path + 4086, "hello.txt");
	SHOWFD(sys(open, long_path, O_RDONLY));
	strcpy(long_path + 4087, "hello.txt");
	SHOWFD(sys(open, long_path, O_RDONLY));
	memset(long_path + 4000, 'z', 1500);
	long_path[5500] = 0;
	SHOWFD(sys(open, long_path, O_RDONLY));
	SHOWFD(sys(open, P("links/l40"), O_RDONLY));
	SHOWFD(sys(open, P("links/l41"), O_RDONLY));
	SHOWFD(sys(open, P("links/long"), O_RDONLY));
	SHOWFD(sys(open, P("links/abs"), O_RDONLY));
	free(long_path);
}

int main(int argc, char **argv)
{
	guest_init(argc, argv);
	every_flag();
	creation();
	creat_and_truncate();
	shapes();
	relative();
	errors();
	return 0;
}
