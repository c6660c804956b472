#include "inode.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/sysmacros.h>

#include "attrs.h"
#include "util.h"

#define COPY_SIZE (1 << 20)

struct inode_rights inode_rights_take(const struct inode_at *at, mode_t wanted)
{
	struct inode_at now = *at;
	bool lacks = geteuid() && at->st.st_uid == geteuid() && !S_ISLNK(at->st.st_mode) && ~at->st.st_mode & wanted;

	/* Somebody farther out may have taken some already. */
	if (!lacks || inode_look(&now) || !(~now.st.st_mode & wanted) ||
	    fchmodat(at->dir, at->name, (now.st.st_mode & 07777) | wanted, 0) < 0)
		return (struct inode_rights){ NULL, 0 };
	return (struct inode_rights){ at, now.st.st_mode & 07777 };
}

void inode_rights_back(struct inode_rights *r)
{
	if (r->at)
		fchmodat(r->at->dir, r->at->name, r->mode, 0);
}

int inode_look(struct inode_at *at)
{
	return fstatat(at->dir, at->name, &at->st, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

int inode_open_dir(int dir, const char *name)
{
	int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* Opens a file or directory for reading. */
static int open_to_read(const struct inode_at *at)
{
	int fd = openat(at->dir, at->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* ---- comparing ---- */

struct text {
	char *buf;
	size_t len, used;
};

static void add(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add(struct text *t, const char *format, ...)
{
	va_list ap;

	if (t->used && t->used + 2 < t->len)
		t->used += (size_t)snprintf(t->buf + t->used, t->len - t->used, ", ");
	va_start(ap, format);
	int n = vsnprintf(t->buf + t->used, t->len - t->used, format, ap);
	va_end(ap);
	t->used = t->used + (size_t)n < t->len ? t->used + (size_t)n : t->len - 1;
}

/* 1 if the SIZE bytes of A and B differ. */
static int bytes_differ(int a, int b, off_t size)
{
	CLEANUP_FREE char *left = xcalloc(2, COPY_SIZE);
	char *right = left + COPY_SIZE;

	for (off_t at = 0; at < size;) {
		ssize_t n = pread(a, left, COPY_SIZE, at);
		if (n <= 0)
			return n < 0 ? -errno : 1;
		for (ssize_t got = 0, m; got < n; got += m) {
			m = pread(b, right + got, (size_t)(n - got), at + got);
			if (m <= 0)
				return m < 0 ? -errno : 1;
		}
		if (memcmp(left, right, (size_t)n))
			return 1;
		at += n;
	}
	return 0;
}

static int link_text(const struct inode_at *at, char text[PATH_MAX])
{
	ssize_t n = readlinkat(at->dir, at->name, text, PATH_MAX - 1);

	if (n < 0)
		return -errno;
	text[n] = 0;
	return 0;
}

static int links_differ(const struct inode_at *a, const struct inode_at *b)
{
	char left[PATH_MAX], right[PATH_MAX];
	int rc = link_text(a, left);

	rc = rc ? rc : link_text(b, right);
	return rc ? rc : strcmp(left, right) != 0;
}

/* 1 if the contents differ, which is told in T. A and B are descriptors of files. */
static int contents_differ(const struct inode_at *was, const struct inode_at *is, int a, int b, struct text *t)
{
	int rc = 0;

	switch (is->st.st_mode & S_IFMT) {
	case S_IFREG:
		if (was->st.st_size != is->st.st_size) {
			add(t, "size %lld -> %lld", (long long)was->st.st_size, (long long)is->st.st_size);
			return 1;
		}
		rc = bytes_differ(a, b, is->st.st_size);
		break;
	case S_IFLNK:
		rc = links_differ(was, is);
		break;
	case S_IFCHR:
	case S_IFBLK:
		rc = was->st.st_rdev != is->st.st_rdev;
		break;
	}
	if (rc > 0)
		add(t, S_ISREG(is->st.st_mode) ? "content" : S_ISLNK(is->st.st_mode) ? "text" : "device");
	return rc;
}

static bool modes_differ(const struct inode_at *was, const struct inode_at *is, struct text *t)
{
	bool mode = was->st.st_mode != is->st.st_mode;
	bool owner = !geteuid() && (was->st.st_uid != is->st.st_uid || was->st.st_gid != is->st.st_gid);

	if (mode)
		add(t, "mode %o -> %o", was->st.st_mode & 07777, is->st.st_mode & 07777);
	if (owner)
		add(t, "owner %u:%u -> %u:%u", was->st.st_uid, was->st.st_gid, is->st.st_uid, is->st.st_gid);
	return mode || owner;
}

static int attrs_differ(int a, int b, struct text *t)
{
	struct attrs was, is;
	char names[256];
	int rc = attrs_read(a, &was);

	rc = rc ? rc : attrs_read(b, &is);
	if (rc)
		return rc;
	rc = attrs_compare(&was, &is, names, sizeof(names));
	if (rc)
		add(t, "xattr %s", names);
	attrs_free(&was);
	attrs_free(&is);
	return rc;
}

static bool times_differ(const struct inode_at *was, const struct inode_at *is)
{
	return was->st.st_mtim.tv_sec != is->st.st_mtim.tv_sec || was->st.st_mtim.tv_nsec != is->st.st_mtim.tv_nsec;
}

int inode_compare(const struct inode_at *was, const struct inode_at *is, char *text, size_t len)
{
	struct text t = { text, len, 0 };
	bool opened = S_ISREG(is->st.st_mode) || S_ISDIR(is->st.st_mode);
	INODE_RIGHTS(old, was, opened ? S_IRUSR : 0);
	INODE_RIGHTS(new, is, opened ? S_IRUSR : 0);
	CLEANUP_FD int a = opened ? open_to_read(was) : -1;
	CLEANUP_FD int b = opened ? open_to_read(is) : -1;
	int set = 0, rc;

	*text = 0;
	/* Of a directory that cannot be read a copy has no attributes either. */
	if (a == -EACCES && S_ISDIR(is->st.st_mode))
		opened = false;
	if (opened && (a < 0 || b < 0))
		return a < 0 ? a : b;
	rc = contents_differ(was, is, a, b, &t);
	if (rc < 0)
		return rc;
	set |= rc ? INODE_CONTENT : 0;
	if (modes_differ(was, is, &t))
		set |= INODE_META;
	rc = opened ? attrs_differ(a, b, &t) : 0;
	if (rc < 0)
		return rc;
	set |= rc ? INODE_META : 0;
	if (!S_ISDIR(is->st.st_mode) && times_differ(was, is)) {
		/* After "content" it would say nothing new. */
		if (!(set & INODE_CONTENT))
			add(&t, "mtime");
		set |= INODE_META;
	}
	return set;
}

/* ---- copying ---- */

static int write_all(int fd, const char *data, size_t size, off_t at)
{
	while (size) {
		ssize_t n = pwrite(fd, data, size, at);
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		data += n;
		size -= (size_t)n;
		at += n;
	}
	return 0;
}

static int copy_range(int from, int to, off_t at, off_t end, char *buf)
{
	while (at < end) {
		ssize_t n = pread(from, buf, end - at < COPY_SIZE ? (size_t)(end - at) : COPY_SIZE, at);
		int rc = n < 0 ? -errno : n == 0 ? -EIO : write_all(to, buf, (size_t)n, at);
		if (rc)
			return rc;
		at += n;
	}
	return 0;
}

/* Only what is not a hole, then the size. */
static int copy_bytes(int from, int to, off_t size)
{
	CLEANUP_FREE char *buf = xcalloc(1, COPY_SIZE);
	off_t at = 0;
	int rc = 0;

	while (!rc && (at = lseek(from, at, SEEK_DATA)) >= 0 && at < size) {
		off_t end = lseek(from, at, SEEK_HOLE);
		rc = end < 0 ? -errno : copy_range(from, to, at, end < size ? end : size, buf);
		at = end;
	}
	if (!rc && at < 0 && errno != ENXIO)
		return -errno;
	return rc ? rc : ftruncate(to, size) < 0 ? -errno : 0;
}

/* What is given to whom, as far as anything has to be given. */
static int give(int dir, const char *name, const struct stat *now, uid_t uid, gid_t gid)
{
	if (now->st_uid == uid && now->st_gid == gid)
		return 0;
	return fchownat(dir, name, uid, gid, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

static int copy_attrs(const struct inode_at *from, const struct inode_at *to)
{
	/* A user's attributes want the rights when they are read or written, whatever the file is open for. */
	INODE_RIGHTS(source, from, S_IRUSR);
	INODE_RIGHTS(target, to, S_IRUSR | S_IWUSR);
	CLEANUP_FD int a = open_to_read(from);
	CLEANUP_FD int b = a >= 0 ? open_to_read(to) : -1;

	return a < 0 ? a : b < 0 ? b : attrs_copy(a, b);
}

static int set_times(const struct inode_at *from, const struct inode_at *to)
{
	const struct timespec times[2] = { from->st.st_atim, from->st.st_mtim };

	return utimensat(to->dir, to->name, times, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

/* The owner first: chown takes set-user-ID bits away. */
int inode_copy_meta(const struct inode_at *from, const struct inode_at *to, bool times)
{
	bool opened = S_ISREG(from->st.st_mode) || S_ISDIR(from->st.st_mode);
	bool moded = !S_ISLNK(from->st.st_mode);
	int rc = geteuid() ? 0 : give(to->dir, to->name, &to->st, from->st.st_uid, from->st.st_gid);

	if (!rc && opened)
		rc = copy_attrs(from, to);
	if (!rc && moded && fchmodat(to->dir, to->name, from->st.st_mode & 07777, 0) < 0)
		rc = -errno;
	return rc || !times ? rc : set_times(from, to);
}

void inode_keep_owner(struct inode_at *like, const struct stat *made)
{
	if (!made->st_uid)
		return;
	like->st.st_uid = made->st_uid;
	like->st.st_gid = made->st_gid;
}

static int make_empty(const struct inode_at *from, int dir, const char *name)
{
	char text[PATH_MAX];
	int rc;

	switch (from->st.st_mode & S_IFMT) {
	case S_IFLNK:
		rc = link_text(from, text);
		return rc ? rc : symlinkat(text, dir, name) < 0 ? -errno : 0;
	case S_IFREG:
		return mknodat(dir, name, S_IFREG | 0600, 0) < 0 ? -errno : 0;
	default:
		return mknodat(dir, name, (from->st.st_mode & S_IFMT) | 0600, from->st.st_rdev) < 0 ? -errno : 0;
	}
}

static int fill(const struct inode_at *from, int dir, const char *name)
{
	INODE_RIGHTS(source, from, S_IRUSR);
	CLEANUP_FD int a = open_to_read(from);
	CLEANUP_FD int b = a >= 0 ? openat(dir, name, O_WRONLY | O_NOFOLLOW | O_CLOEXEC) : -1;

	if (a < 0 || b < 0)
		return a < 0 ? a : -errno;
	return copy_bytes(a, b, from->st.st_size);
}

static int to_disk(int dir, const char *name)
{
	struct inode_at at = { dir, name, { 0 } };
	int rc = inode_look(&at);

	if (rc)
		return rc;
	INODE_RIGHTS(now, &at, S_IRUSR);
	CLEANUP_FD int fd = open_to_read(&at);
	return fd < 0 ? fd : fsync(fd) < 0 ? -errno : 0;
}

int inode_copy(const struct inode_at *from, int dir, const char *name, const struct stat *owner)
{
	struct inode_at to = { dir, name, { 0 } }, like = *from;
	int rc = make_empty(from, dir, name);

	if (!rc && S_ISREG(from->st.st_mode))
		rc = fill(from, dir, name);
	rc = rc ? rc : inode_look(&to);
	if (!rc && owner)
		rc = give(dir, name, &to.st, owner->st_uid, owner->st_gid);
	rc = rc ? rc : inode_look(&to);
	if (!owner)
		inode_keep_owner(&like, &to.st);
	rc = rc ? rc : inode_copy_meta(&like, &to, true);
	return rc || !S_ISREG(from->st.st_mode) ? rc : to_disk(dir, name);
}

/* ---- removing ---- */

static int remove_entries(int fd)
{
	CLEANUP_FD int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	DIR *d = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *e;
	int rc = 0;

	if (!d)
		return -errno;
	copy = -1;
	while (!rc && (errno = 0, e = readdir(d)))
		if (strcmp(e->d_name, ".") && strcmp(e->d_name, ".."))
			rc = inode_remove(fd, e->d_name);
	rc = rc ? rc : -errno;
	closedir(d);
	return rc;
}

int inode_remove(int dir, const char *name)
{
	struct inode_at at = { dir, name, { 0 } };
	int rc = inode_look(&at);

	if (rc)
		return rc == -ENOENT ? 0 : rc;
	if (!S_ISDIR(at.st.st_mode))
		return unlinkat(dir, name, 0) < 0 ? -errno : 0;
	if (at.st.st_uid == geteuid() && (at.st.st_mode & 0700) != 0700)
		fchmodat(dir, name, 0700, 0);
	CLEANUP_FD int fd = inode_open_dir(dir, name);
	rc = fd < 0 ? fd : remove_entries(fd);
	return rc ? rc : unlinkat(dir, name, AT_REMOVEDIR) < 0 ? -errno : 0;
}
