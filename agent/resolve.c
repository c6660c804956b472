#include "resolve.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "attr.h"
#include "handle.h"
#include "walk.h"

#define RESOLVE_RACES 200

int place_get(struct op *op, bool present, const rfs_Where *where, struct place *p)
{
	p->agent = op->agent;
	p->dir = NULL;
	p->path[0] = '\0';
	if (!present)
		return -EINVAL;
	if (memchr(where->path.bytes, '\0', where->path.size))
		return -ENOENT;
	if (where->path.size >= sizeof(p->path))
		return -ENAMETOOLONG;
	memcpy(p->path, where->path.bytes, where->path.size);
	p->path[where->path.size] = '\0';
	if (where->dir == 0)
		return 0;
	return handle_get_before(op->agent->handles, op->opening, where->dir, &p->dir);
}

void place_put(struct place *p)
{
	if (p->dir)
		handle_put(p->agent->handles, p->dir);
	p->dir = NULL;
}

int place_fd(const struct place *p)
{
	return p->dir ? p->dir->fd : p->agent->root.fd;
}

static int resolve_call(const struct root *root, int base, const char *path, int flags, mode_t mode,
			uint64_t resolve)
{
	struct open_how how = {
		.flags = flags | O_CLOEXEC,
		.mode = flags & (O_CREAT | OPEN_UNNAMED) ? mode : 0,
		.resolve = resolve,
	};
	int fd, races = 0;

	if (!root->use_openat2)
		return walk_open(base, path, flags, mode, resolve, NULL);
	/* EAGAIN: a rename or mount somewhere raced with a `..`, openat2(2) says to try again. */
	do {
		fd = syscall(SYS_openat2, base, path, &how, sizeof(how));
		if (fd < 0 && errno == EAGAIN)
			sched_yield();
	} while (fd < 0 && errno == EAGAIN && !(resolve & RESOLVE_CACHED) && ++races < RESOLVE_RACES);
	return fd < 0 ? -errno : fd;
}

/*
 * From the root, with links in the program's view. A path without links is the usual case, and openat2 tells whether
 * there are any; it knows nothing of views.
 */
static int resolve_in_root(const struct root *root, const char *path, int flags, mode_t mode, uint64_t resolve)
{
	int fd = -ELOOP;

	if (!root->at || resolve & RESOLVE_NO_SYMLINKS)
		return resolve_call(root, root->fd, path, flags, mode, resolve | RESOLVE_IN_ROOT);
	if (root->use_openat2)
		fd = resolve_call(root, root->fd, path, flags, mode, resolve | RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS);
	return fd == -ELOOP ? walk_open(root->fd, path, flags, mode, resolve | RESOLVE_IN_ROOT, root) : fd;
}

static char *resolve_view_part(const pb_byte_t *bytes, size_t size)
{
	while (size > 0 && bytes[size - 1] == '/')
		size--;
	return memchr(bytes, '\0', size) || (size && bytes[0] != '/') ? NULL : strndup((const char *)bytes, size);
}

bool resolve_set_view(struct root *root, const rfs_Hello_at_t *at, const rfs_Hello_sub_t *sub)
{
	char *from = resolve_view_part(at->bytes, at->size), *to = resolve_view_part(sub->bytes, sub->size);
	bool ok = from && to;

	if (ok && strcmp(from, to)) {
		root->at = from;
		root->sub = to;
		return true;
	}
	free(from);
	free(to);
	return ok;
}

void resolve_probe(struct root *root, bool wanted)
{
	int fd;

	root->use_openat2 = wanted;
	if (!wanted)
		return;
	fd = resolve_call(root, root->fd, ".", O_PATH | O_DIRECTORY, 0, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
	if (fd < 0)
		root->use_openat2 = false;
	else
		close(fd);
}

static bool resolve_changes(int flags)
{
	if (flags & O_PATH)
		return false;
	return (flags & O_ACCMODE) != O_RDONLY || flags & (O_CREAT | O_TRUNC);
}

/* An empty path: the open file itself, once more. */
static int resolve_reopen(const struct place *p, int flags, mode_t mode)
{
	char proc[32];
	int fd;

	if (!p->dir)
		return resolve_call(&p->agent->root, p->agent->root.fd, ".", flags & ~O_NOFOLLOW, mode, RESOLVE_IN_ROOT);
	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", p->dir->fd);
	fd = open(proc, (flags & ~O_NOFOLLOW) | O_CLOEXEC, mode);
	return fd < 0 ? -errno : fd;
}

/* The way up from a removed directory still works, and leads to a place below the root or to nothing. */
static int resolve_parent_of_removed(const struct root *root, int fd, char *path)
{
	int up = openat(fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC), r;

	if (up < 0)
		return -errno;
	r = resolve_path_of(root, up, path);
	close(up);
	return r;
}

/* A path that leaves its directory upwards or by an absolute link: once more, from the root. */
static int resolve_from_root(const struct place *p, int flags, mode_t mode, uint64_t resolve)
{
	const struct root *root = &p->agent->root;
	char path[PATH_MAX];
	const char *rest = p->path;
	size_t len;
	int r = resolve_path_of(root, p->dir->fd, path);

	if (r == -ENOENT && !strncmp(rest, "..", 2) && (rest[2] == '/' || !rest[2])) {
		rest += 2;
		r = resolve_parent_of_removed(root, p->dir->fd, path);
	}
	if (r)
		return r;
	len = strlen(path);
	if (len + 1 + strlen(rest) >= sizeof(path))
		return -ENAMETOOLONG;
	path[len++] = '/';
	strcpy(path + len, rest);
	return resolve_in_root(root, path, flags, mode, resolve);
}

static bool resolve_same_mount(int a, int b)
{
	rfs_Attr x, y;

	return !attr_of(a, &x) && !attr_of(b, &y) && x.mnt_id == y.mnt_id && x.dev_major == y.dev_major &&
	       x.dev_minor == y.dev_minor;
}

/*
 * The same under RESOLVE_NO_XDEV, which is about the way from the handle, not that from the root: looks
 * where the path leads before anything is created or cut there.
 */
static int resolve_from_root_no_xdev(const struct place *p, int flags, mode_t mode, uint64_t resolve)
{
	struct place copy = *p;
	const char *name;
	bool same;
	int fd;

	resolve &= ~RESOLVE_NO_XDEV;
	fd = resolve_from_root(p, O_PATH | (flags & O_NOFOLLOW), 0, resolve);
	if (fd == -ENOENT && flags & O_CREAT)
		fd = resolve_parent(&copy, &name);
	if (fd < 0)
		return fd;
	same = resolve_same_mount(fd, p->dir->fd);
	close(fd);
	return same ? resolve_from_root(p, flags, mode, resolve) : -EXDEV;
}

static int resolve_readlink(int fd, char *out)
{
	char proc[32];
	ssize_t n;

	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
	n = readlink(proc, out, PATH_MAX);
	if (n < 0)
		return -errno;
	if (n == PATH_MAX)
		return -ENAMETOOLONG;
	out[n] = '\0';
	return 0;
}

/* As resolve_open, whatever it is. */
static int resolve_any(const struct place *p, int flags, mode_t mode, uint64_t resolve)
{
	const struct root *root = &p->agent->root;
	uint64_t confined = resolve & (RESOLVE_BENEATH | RESOLVE_IN_ROOT);
	int fd;

	if (root->read_only && resolve_changes(flags))
		return -EROFS;
	if (!*p->path)
		return resolve_reopen(p, flags, mode);
	resolve |= RESOLVE_NO_MAGICLINKS;
	if (confined)
		return resolve_call(root, place_fd(p), p->path, flags, mode, resolve);
	if (!p->dir || p->path[0] == '/')
		return resolve_in_root(root, p->path, flags, mode, resolve);
	fd = resolve_call(root, p->dir->fd, p->path, flags, mode, resolve | RESOLVE_BENEATH);
	if (fd != -EXDEV)
		return fd;
	if (resolve & RESOLVE_NO_XDEV)
		return resolve_from_root_no_xdev(p, flags, mode, resolve);
	return resolve_from_root(p, flags, mode, resolve);
}

/*
 * Whether FD is the memory of a process, or may be. Ours would be among them where procfs is in the tree, and who writes there is us, with
 * what we have open outside of the root. No other way to look there leads past it: links are not followed through procfs
 * (RESOLVE_NO_MAGICLINKS). Of a thread of ours that has just ended it is " (deleted)", and our memory all the same.
 */
static bool resolve_is_memory(int fd)
{
	static const char *const ends[] = { "/mem", "/mem (deleted)" };
	char path[PATH_MAX];
	struct statfs fs;

	if (fstatfs(fd, &fs) || fs.f_type != PROC_SUPER_MAGIC)
		return false;
	if (resolve_readlink(fd, path))
		return true;
	for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++) {
		size_t len = strlen(path), end = strlen(ends[i]);

		if (len >= end && !strcmp(path + len - end, ends[i]))
			return true;
	}
	return false;
}

int resolve_open(const struct place *p, int flags, mode_t mode, uint64_t resolve)
{
	int fd = resolve_any(p, flags, mode, resolve);

	if (fd < 0 || flags & O_PATH || !resolve_is_memory(fd))
		return fd;
	close(fd);
	return -EACCES;
}

int resolve_parent(struct place *p, const char **name)
{
	struct place dir = { .agent = p->agent, .dir = p->dir };
	size_t end = strlen(p->path);

	while (end > 0 && p->path[end - 1] == '/')
		end--;
	if (end == 0 && p->path[0]) {
		*name = p->path; /* the root: the system call refuses it by its text, without looking */
		return resolve_reopen(&(struct place){ .agent = p->agent }, O_PATH | O_DIRECTORY, 0);
	}
	while (end > 0 && p->path[end - 1] != '/')
		end--;
	*name = p->path + end;
	if (!**name)
		return -ENOENT;
	memcpy(dir.path, p->path, end);
	dir.path[end] = '\0';
	if (!end)
		strcpy(dir.path, ".");
	return resolve_open(&dir, O_PATH | O_DIRECTORY, 0, 0);
}

/* Appends PATH to OUT (which is "" or "/a/b") without empty and `.` components. False if it has `..`. */
static bool resolve_normalise(char *out, const char *path)
{
	size_t len = strlen(out), n;

	for (; *path; path += n) {
		path += strspn(path, "/");
		n = strcspn(path, "/");
		if (n == 0 || (n == 1 && path[0] == '.'))
			continue;
		if (n == 2 && path[0] == '.' && path[1] == '.')
			return false;
		if (len + 1 + n >= PATH_MAX)
			return false;
		out[len++] = '/';
		memcpy(out + len, path, n);
		len += n;
		out[len] = '\0';
	}
	return true;
}

bool resolve_canonical(const struct place *p, char *out)
{
	out[0] = '\0';
	if (p->dir && p->path[0] != '/') {
		/* The client names it by the path that it was told; the watches go by the present one. */
		if (!p->dir->path || resolve_path_of(&p->agent->root, p->dir->fd, out) || strcmp(out, p->dir->path))
			return false;
		if (!out[1])
			out[0] = '\0';
	}
	if (!resolve_normalise(out, p->path))
		return false;
	if (!out[0])
		strcpy(out, "/");
	return true;
}

/* " (deleted)" may also be the end of a real name: then the name leads to the file. */
static int resolve_not_deleted(const struct root *root, int fd, const char *path)
{
	static const char mark[] = " (deleted)";
	size_t len = strlen(path);
	struct stat a, b;
	int there, r;

	if (len < sizeof(mark) || strcmp(path + len - (sizeof(mark) - 1), mark))
		return 0;
	there = resolve_exact(root, path, O_NOFOLLOW);
	if (there < 0)
		return -ENOENT;
	r = fstat(fd, &a) || fstat(there, &b) || a.st_ino != b.st_ino || a.st_dev != b.st_dev ? -ENOENT : 0;
	close(there);
	return r;
}

int resolve_text_of(const struct root *root, int fd, char *out)
{
	char top[PATH_MAX];
	size_t len;
	int r = resolve_readlink(root->fd, top);

	if (!r)
		r = resolve_readlink(fd, out);
	if (r)
		return r;
	len = strcmp(top, "/") ? strlen(top) : 0;
	if (strncmp(out, top, len) || (out[len] && out[len] != '/'))
		return -ENOENT;
	memmove(out, out + len, strlen(out + len) + 1);
	if (!out[0])
		strcpy(out, "/");
	return 0;
}

int resolve_path_of(const struct root *root, int fd, char *out)
{
	int r = resolve_text_of(root, fd, out);

	return r ? r : resolve_not_deleted(root, fd, out);
}

int resolve_below(const struct root *root, int fd, char *out)
{
	struct stat a, b;
	int there, r = resolve_path_of(root, fd, out);

	if (r)
		return r;
	there = resolve_exact(root, out, O_NOFOLLOW);
	if (there < 0)
		return there;
	r = fstat(fd, &a) || fstat(there, &b) || a.st_ino != b.st_ino || a.st_dev != b.st_dev ? -ESTALE : 0;
	close(there);
	return r;
}

int resolve_exact(const struct root *root, const char *path, int flags)
{
	return resolve_call(root, root->fd, path, flags | O_PATH, 0,
			    RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS);
}
