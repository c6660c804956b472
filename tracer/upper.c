#include "upper.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util.h"

#define DIR_FLAGS (O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

static void set_mode(int dir, unsigned mode)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", dir);
	chmod(path, mode & 07777);
}

struct upper_rights upper_rights_take(int dir)
{
	struct upper_rights r = { .dir = dir };
	struct stat st;

	if (!geteuid() || fstat(dir, &st) < 0 || (st.st_mode & S_IRWXU) == S_IRWXU || !S_ISDIR(st.st_mode))
		return r;
	r.mode = st.st_mode;
	r.given = true;
	set_mode(dir, st.st_mode | S_IRWXU);
	return r;
}

void upper_rights_back(struct upper_rights *r)
{
	if (r->given)
		set_mode(r->dir, r->mode);
}

bool upper_is_reserved(const char *name)
{
	return !strcmp(name, UPPER_FROM) || !strcmp(name, UPPER_GONE);
}

static int fail(int rc, char *err, size_t err_len, const char *what, const char *why)
{
	snprintf(err, err_len, "%s: %s", what, why);
	return rc;
}

/* 0 when INFO is of an overlay of TARGET; one that is empty becomes that. */
static int check_info(int info, const char *target, const char *from, const char *dir, char *err, size_t err_len)
{
	char want[PATH_MAX * 2 + 64], have[sizeof(want)];
	int n = snprintf(want, sizeof(want), UPPER_INFO_HEAD "\n%s\n%s\n", target, from);
	ssize_t got = pread(info, have, sizeof(have) - 1, 0);

	if (got < 0 || n >= (int)sizeof(want))
		return fail(got < 0 ? -errno : -ENAMETOOLONG, err, err_len, dir, "its info cannot be read");
	have[got] = '\0';
	if (!got)
		return pwrite(info, want, (size_t)n, 0) == n ? 0 : fail(-EIO, err, err_len, dir, strerror(errno));
	if (!strcmp(have, want))
		return 0;
	if (strncmp(have, UPPER_INFO_HEAD "\n", sizeof(UPPER_INFO_HEAD)))
		return fail(-EINVAL, err, err_len, dir, "is an overlay of another version, or none: give an empty directory");
	snprintf(err, err_len, "%s: is the overlay of another target (%.*s): give this one a directory of its own", dir,
		 (int)strcspn(have + sizeof(UPPER_INFO_HEAD), "\n"), have + sizeof(UPPER_INFO_HEAD));
	return -EINVAL;
}

static DIR *list(int dir)
{
	int fd = openat(dir, ".", O_RDONLY | DIR_FLAGS);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (!d && fd >= 0)
		close(fd);
	return d;
}

static bool is_empty(int dir)
{
	DIR *d = list(dir);
	int n = 0;

	if (!d)
		return false;
	while (n <= 2 && readdir(d))
		n++;
	closedir(d);
	return n <= 2;
}

static int make_parts(int top, const char *from)
{
	static const char *const parts[] = { "work", "index", "upper" };
	char text[PATH_MAX];

	for (int i = 0; i < 3; i++)
		if (mkdirat(top, parts[i], i == 2 ? 0755 : 0700) < 0 && errno != EEXIST)
			return -errno;
	CLEANUP_FD int upper = openat(top, "upper", O_PATH | DIR_FLAGS);
	int rc = upper < 0 ? -errno : upper_from(upper, text);
	return rc ? (rc < 0 ? rc : 0) : upper_mark(upper, from);
}

int upper_open(const char *dir, const char *target, const char *from, char *err, size_t err_len)
{
	if (mkdir(dir, 0700) < 0 && errno != EEXIST) {
		int rc = -errno;
		char why[128];

		snprintf(why, sizeof(why), "the overlay cannot be made here (%s): give a directory in one that is there", strerror(-rc));
		return fail(rc, err, err_len, dir, why);
	}
	CLEANUP_FD int top = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (top < 0)
		return fail(-errno, err, err_len, dir, strerror(errno));
	if (faccessat(top, "info", F_OK, 0) < 0 && !is_empty(top))
		return fail(-EINVAL, err, err_len, dir, "is no overlay, and not empty: give an empty directory");
	CLEANUP_FD int info = openat(top, "info", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (info < 0)
		return fail(-errno, err, err_len, dir, strerror(errno));
	/* On the directory, whose descriptor lives as long as we do. */
	if (flock(top, LOCK_EX | LOCK_NB) < 0)
		return fail(-EBUSY, err, err_len, dir, "is in use by another run: wait for its end, or give another directory");
	int rc = check_info(info, target, from, dir, err, err_len);
	if (rc)
		return rc;
	rc = make_parts(top, from);
	if (rc)
		return fail(rc, err, err_len, dir, strerror(-rc));
	int fd = top;
	top = -1;
	return fd;
}

int upper_enter(int dir, const char *name)
{
	UPPER_RIGHTS(dir);
	int fd = openat(dir, name, O_PATH | DIR_FLAGS);

	return fd < 0 ? -errno : fd;
}

int upper_walk(int top, const char *path)
{
	int dir = upper_enter(top, ".");
	char name[NAME_MAX + 1];

	while (dir >= 0) {
		path += strspn(path, "/");
		size_t n = strcspn(path, "/");
		if (!n)
			return dir;
		if (n > NAME_MAX) {
			close(dir);
			return -ENAMETOOLONG;
		}
		memcpy(name, path, n);
		name[n] = '\0';
		path += n;
		int next = upper_enter(dir, name);
		close(dir);
		dir = next;
	}
	return dir;
}

int upper_from(int dir, char *text)
{
	UPPER_RIGHTS(dir);
	ssize_t n = readlinkat(dir, UPPER_FROM, text, PATH_MAX);

	if (n < 0)
		return errno == ENOENT ? 0 : -errno;
	if (n == PATH_MAX || *text != '/')
		return -EUCLEAN;
	text[n] = '\0';
	return 1;
}

int upper_mark(int dir, const char *text)
{
	UPPER_RIGHTS(dir);
	if (symlinkat(text, dir, UPPER_FROM) < 0 && errno != EEXIST)
		return -errno;
	/* Now, so that nothing happens to the directory itself when the first name goes. */
	return mkdirat(dir, UPPER_GONE, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

static int open_gone(int dir)
{
	UPPER_RIGHTS(dir);
	int fd = openat(dir, UPPER_GONE, O_PATH | DIR_FLAGS);

	return fd < 0 ? -errno : fd;
}

bool upper_is_gone(int dir, const char *name)
{
	CLEANUP_FD int gone = open_gone(dir);
	struct stat st;

	return gone >= 0 && !fstatat(gone, name, &st, AT_SYMLINK_NOFOLLOW);
}

int upper_hide(int dir, const char *name)
{
	CLEANUP_FD int gone = open_gone(dir);
	if (gone < 0)
		return gone;
	return mknodat(gone, name, S_IFREG | 0600, 0) < 0 && errno != EEXIST ? -errno : 0;
}

int upper_show(int dir, const char *name)
{
	CLEANUP_FD int gone = open_gone(dir);

	return gone < 0 ? gone : unlinkat(gone, name, 0) < 0 ? -errno : 0;
}

static bool is_dot(const char *name)
{
	return !strcmp(name, ".") || !strcmp(name, "..");
}

int upper_is_bare(int dir)
{
	UPPER_RIGHTS(dir);
	DIR *d = list(dir);
	int bare = 1;

	if (!d)
		return -errno;
	for (struct dirent *e; bare && (e = readdir(d));)
		bare = is_dot(e->d_name) || upper_is_reserved(e->d_name);
	closedir(d);
	return bare;
}

int upper_strip(int dir)
{
	UPPER_RIGHTS(dir);
	/* First nothing is below any more: then the whiteouts hide nothing. */
	if (unlinkat(dir, UPPER_FROM, 0) < 0 && errno != ENOENT)
		return -errno;
	CLEANUP_FD int gone = open_gone(dir);
	if (gone < 0)
		return gone == -ENOENT ? 0 : gone;
	DIR *d = list(gone);
	if (!d)
		return -errno;
	for (struct dirent *e; (e = readdir(d));)
		if (!is_dot(e->d_name))
			unlinkat(gone, e->d_name, 0);
	closedir(d);
	return unlinkat(dir, UPPER_GONE, AT_REMOVEDIR) < 0 ? -errno : 0;
}
