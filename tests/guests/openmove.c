/* A file that is known is opened, and its name is gone, another's or forbidden at once: the descriptor is of what was opened. */
#include "guest.h"

#include <sys/file.h>

#define TIMES 150

static unsigned wrong;

static void check(const char *what, bool good)
{
	if (!good && wrong++ < 5)
		printf("%s: %s\n", what, err_name(errno));
}

static void make(const char *path, const char *text)
{
	int fd = sys(open, path, O_CREAT | O_TRUNC | O_WRONLY, 0644);

	check("write", sys(write, fd, text, strlen(text)) == (long)strlen(text));
	close(fd);
}

/* Opened and read to its end, it is known. */
static void learn(const char *path)
{
	char buf[64];

	for (int i = 0; i < 2; i++) {
		int fd = sys(open, path, O_RDONLY);

		while (sys(read, fd, buf, sizeof(buf)) > 0)
			;
		close(fd);
	}
}

static bool unlink_it(const char *path, const char *other)
{
	return !sys(unlink, path) && other;
}

static bool rename_it(const char *path, const char *other)
{
	return !sys(rename, path, other);
}

static bool replace_it(const char *path, const char *other)
{
	make(other, "another");
	return !sys(rename, other, path);
}

static bool forbid_it(const char *path, const char *other)
{
	return !sys(chmod, path, 0) && other;
}

/* Renames the directory that PATH is in. */
static bool move_above(const char *path, const char *other)
{
	char from[PATH_MAX], to[PATH_MAX];

	snprintf(from, sizeof(from), "%.*s", (int)(strrchr(path, '/') - path), path);
	snprintf(to, sizeof(to), "%s.dir", other);
	bool good = !sys(rename, from, to);
	int fd = sys(open, to, O_RDONLY | O_DIRECTORY);

	good = good && fd >= 0 && !sys(rename, to, from);
	close(fd);
	return good;
}

static void use(int fd, nlink_t links)
{
	struct stat st = { 0 };
	char buf[64];

	check("fchmod", !sys(fchmod, fd, 0600));
	check("flock", !sys(flock, fd, LOCK_EX));
	check("fstat", !sys(fstat, fd, &st) && (st.st_mode & 07777) == 0600 && st.st_nlink == links);
	check("pread", sys(pread64, fd, buf, sizeof(buf), 0) == 5 && !memcmp(buf, "hello", 5));
	sprintf(buf, "/proc/self/fd/%d", fd);
	int again = sys(open, buf, O_RDONLY);
	check("open again", again >= 0);
	close(again);
}

static void each(const char *label, bool (*change)(const char *path, const char *other), nlink_t links)
{
	char path[PATH_MAX], other[PATH_MAX];

	section("%s", label);
	wrong = 0;
	SHOW(sys(mkdir, P("opened"), 0700));
	for (int i = 0; i < TIMES; i++) {
		snprintf(path, sizeof(path), "%s/opened/f%d", T, i);
		snprintf(other, sizeof(other), "%s/other%d", T, i);
		make(path, "hello");
		learn(path);
		int fd = sys(open, path, O_RDONLY);
		check(label, change(path, other));
		use(fd, links);
		close(fd);
		sys(unlink, path);
		sys(unlink, other);
	}
	SHOW(sys(rmdir, P("opened")));
	printf("%u of %d wrong\n", wrong, TIMES);
}

int main(int argc, char **argv)
{
	guest_init(argc, argv);
	each("unlink", unlink_it, 0);
	each("rename", rename_it, 1);
	each("replace", replace_it, 0);
	each("chmod", forbid_it, 1);
	each("rename the directory", move_above, 1);
	return 0;
}
