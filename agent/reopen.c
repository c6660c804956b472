/*
 * Reopen: another agent than the one that opened a file, which has ended with all its descriptors, is to have it open
 * again. A file handle finds it wherever it was moved, but that takes CAP_DAC_READ_SEARCH and a file system that has
 * handles; its path is the second way, the other names in its directory the third. Whatever is found is looked at (ticket.c) before it is opened.
 */
#include "reopen.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "attr.h"
#include "channel.h"
#include "handle.h"
#include "ops.h"
#include "resolve.h"
#include "ticket.h"

/* linux/mount.h of 5.2, which glibc's sys/mount.h does not stand beside */
#define TREE_CLONE 1

#define LOOK_FLAGS (O_PATH | O_NOFOLLOW | O_CLOEXEC)
#define DELETED " (deleted)"

/* Entries of directories that are looked at for what has been renamed, in all: about a second's. */
#define REOPEN_ENTRIES (1 << 20)

/* One mount that a handle is tried on. */
struct mount_at {
	int fd;              /* a directory of it, not O_PATH: open_by_handle_at(2) takes none */
	char path[PATH_MAX]; /* below the root */
	rfs_Attr attr;
};

static bool reopen_same(int a, int b)
{
	struct stat x, y;

	return !fstat(a, &x) && !fstat(b, &y) && x.st_ino == y.st_ino && x.st_dev == y.st_dev;
}

/* What of PATH is behind DIR ("" when they are the same), or NULL: it is not below DIR. */
static const char *path_behind(const char *path, const char *dir)
{
	size_t len = strcmp(dir, "/") ? strlen(dir) : 0;

	return strncmp(path, dir, len) || (path[len] && path[len] != '/') ? NULL : path + len;
}

/*
 * What another mount covers cannot be walked to. A copy of the mount M that nothing is mounted on can be walked: it begins at M's
 * directory, so what is found in it is below that. Takes CAP_SYS_ADMIN.
 */
static bool reopen_is_covered(const struct root *root, const struct mount_at *m, int fd)
{
	struct root copy = { .use_openat2 = root->use_openat2 };
	char path[PATH_MAX];
	const char *rest;
	bool same = false;
	int there;

	if (resolve_path_of(root, fd, path) || !(rest = path_behind(path, m->path)))
		return false;
	copy.fd = (int)syscall(SYS_open_tree, m->fd, "", AT_EMPTY_PATH | TREE_CLONE | O_CLOEXEC);
	if (copy.fd < 0)
		return false;
	there = resolve_exact(&copy, *rest ? rest : "/", O_NOFOLLOW);
	if (there >= 0) {
		same = reopen_same(there, fd);
		close(there);
	}
	close(copy.fd);
	return same;
}

/*
 * What has no name any more has only the text of where it was, which follows directories that are renamed. Of what is not below
 * the top of the mount that it was opened on, and of what the kernel knows no place, it is "/ (deleted)".
 */
static bool reopen_is_deleted(const struct root *root, int fd)
{
	char path[PATH_MAX];
	struct stat st;

	return !fstat(fd, &st) && !st.st_nlink && !resolve_text_of(root, fd, path) && strcmp(path, "/" DELETED);
}

static bool reopen_is_inside(const struct root *root, const struct mount_at *m, int fd)
{
	char path[PATH_MAX];

	return !resolve_below(root, fd, path) || reopen_is_covered(root, m, fd) || reopen_is_deleted(root, fd);
}

/* Opens PATH, a directory or regular file below the root, for a handle to be tried on. 0 or a negative errno. */
static int mount_open(const struct root *root, const char *path, struct mount_at *m)
{
	int fd = resolve_exact(root, path, O_NOFOLLOW), r;
	char proc[32];

	if (fd < 0)
		return fd;
	r = attr_of(fd, &m->attr);
	if (!r && !S_ISDIR(m->attr.mode) && !S_ISREG(m->attr.mode))
		r = -ENOTDIR;
	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
	if (!r) {
		m->fd = open(proc, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
		r = m->fd < 0 ? -errno : 0;
	}
	if (!r)
		snprintf(m->path, sizeof(m->path), "%s", path);
	close(fd);
	return r;
}

/* Whether T's handle can be of M's file system. Of btrfs each subvolume has another device. */
static bool mount_may_have(const struct mount_at *m, const rfs_Ticket *t)
{
	struct statfs fs;

	if (m->attr.dev_major == t->dev_major && m->attr.dev_minor == t->dev_minor)
		return true;
	return t->fsid && !fstatfs(m->fd, &fs) && fs.f_type == BTRFS_SUPER_MAGIC;
}

/* T's file by its handle on the mount of PATH. A descriptor, -EPERM if that is not allowed at all, or a negative errno. */
static int reopen_on(const struct root *root, const char *path, const rfs_Ticket *t)
{
	struct {
		struct file_handle head;
		unsigned char bytes[sizeof(t->handle.bytes)];
	} h = { .head = { .handle_bytes = t->handle.size, .handle_type = (int)t->handle_type } };
	struct mount_at m;
	int fd, r = mount_open(root, path, &m);

	if (r)
		return -ESTALE;
	memcpy(h.head.f_handle, t->handle.bytes, t->handle.size);
	fd = -ESTALE;
	if (mount_may_have(&m, t)) {
		fd = open_by_handle_at(m.fd, &h.head, LOOK_FLAGS);
		fd = fd < 0 ? -errno : fd;
	}
	if (fd >= 0 && (ticket_check(root, fd, t) || !reopen_is_inside(root, &m, fd))) {
		close(fd);
		fd = -ESTALE;
	}
	close(m.fd);
	return fd;
}

/* Where the mount of the line of mountinfo at *AT is; *AT is moved behind it. False: there is none. */
static bool mount_next(char **at, char **point)
{
	char *line, *field[5];
	int n;

	while ((line = strsep(at, "\n")) && *line) {
		for (n = 0; n < 5 && (field[n] = strsep(&line, " ")); n++)
			;
		if (n < 5)
			continue;
		*point = field[4];
		return true;
	}
	return false;
}

/* All of /proc/self/mountinfo, to be freed, or NULL. */
static char *mounts_read(void)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	char *text = NULL;
	size_t size = 0;
	ssize_t n = f ? getdelim(&text, &size, '\0', f) : -1;

	if (f)
		fclose(f);
	if (n > 0)
		return text;
	free(text);
	return NULL;
}

/* In mountinfo, blanks, newlines and backslashes of paths are \ooo. */
static void mount_unescape(char *text)
{
	char *to = text;

	for (; *text; to++) {
		if (text[0] == '\\' && text[1] && text[2] && text[3]) {
			*to = (char)((text[1] - '0') << 6 | (text[2] - '0') << 3 | (text[3] - '0'));
			text += 4;
		} else {
			*to = *text++;
		}
	}
	*to = '\0';
}

/* On every mount below the root. */
static int reopen_on_any(const struct root *root, const rfs_Ticket *t)
{
	char *text = mounts_read(), *at = text, *point, proc[32], top[PATH_MAX];
	const char *rest;
	int fd = -ESTALE;

	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", root->fd);
	ssize_t n = readlink(proc, top, sizeof(top) - 1);
	top[n > 0 ? n : 0] = '\0';
	while (n > 0 && fd == -ESTALE && at && mount_next(&at, &point)) {
		mount_unescape(point);
		rest = path_behind(point, top);
		if (rest && *rest)
			fd = reopen_on(root, rest, t);
	}
	free(text);
	return fd;
}

/* The mount that it was on is most likely that of the directory that it was in. */
static int reopen_by_handle(const struct root *root, const rfs_Ticket *t)
{
	char path[PATH_MAX], *slash;
	int fd = -ESTALE, there = -ENOENT;

	memcpy(path, t->path.bytes, t->path.size);
	path[t->path.size] = '\0';
	while (there == -ENOENT && (slash = strrchr(path, '/')) && slash != path) {
		*slash = '\0';
		there = resolve_exact(root, path, O_DIRECTORY | O_NOFOLLOW);
	}
	if (there >= 0) {
		close(there);
		fd = reopen_on(root, path, t);
	}
	if (fd == -ESTALE)
		fd = reopen_on(root, "/", t);
	return fd == -ESTALE ? reopen_on_any(root, t) : fd;
}

static int reopen_at(const struct root *root, const char *path, const rfs_Ticket *t)
{
	int fd = resolve_exact(root, path, O_NOFOLLOW);
	int r = fd < 0 ? -ESTALE : ticket_check(root, fd, t);

	if (fd >= 0 && r) {
		close(fd);
		fd = r;
	}
	return r ? r : fd;
}

/* The directory DIR below the root, to be read, or NULL. */
static DIR *directory_open(const struct root *root, const char *dir)
{
	int fd = resolve_exact(root, *dir ? dir : "/", O_DIRECTORY | O_NOFOLLOW), readable;
	char proc[32];
	DIR *d;

	if (fd < 0)
		return NULL;
	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
	readable = open(proc, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	close(fd);
	d = readable < 0 ? NULL : fdopendir(readable);
	if (!d && readable >= 0)
		close(readable);
	return d;
}

/*
 * Its directory may have it by another name: it was renamed there, or has one more. Neither is a handle needed for that, nor that the
 * kernel still knows the name: of what a handle opens it forgets it with its caches. PATH is changed.
 */
static int reopen_beside(const struct root *root, char *path, const rfs_Ticket *t)
{
	static atomic_int left = REOPEN_ENTRIES;
	char *name = strrchr(path, '/');
	const struct dirent *e;
	int fd = -ESTALE;
	DIR *d;

	if (!name || !t->ino || t->process)
		return fd;
	*name++ = '\0';
	d = directory_open(root, path);
	name[-1] = '/';
	while (fd < 0 && d && (e = readdir(d)) && atomic_fetch_sub(&left, 1) > 0) {
		if (e->d_ino == t->ino && snprintf(name, (size_t)(path + PATH_MAX - name), "%s", e->d_name) < path + PATH_MAX - name)
			fd = reopen_at(root, path, t);
	}
	if (d)
		closedir(d);
	return fd;
}

int reopen_find(const struct root *root, const rfs_Ticket *t)
{
	char path[PATH_MAX];
	int fd = -ESTALE;

	if (t->handle.size && !t->compared_only)
		fd = reopen_by_handle(root, t);
	if (fd >= 0 || !t->path.size)
		return fd;
	memcpy(path, t->path.bytes, t->path.size);
	path[t->path.size] = '\0';
	fd = reopen_at(root, path, t);
	return fd < 0 ? reopen_beside(root, path, t) : fd;
}

int reopen_place(const struct root *root, const rfs_Ticket *t)
{
	char path[PATH_MAX];
	int fd = reopen_find(root, t);

	if (fd >= 0 || t->type != S_IFDIR || !t->path.size)
		return fd;
	memcpy(path, t->path.bytes, t->path.size);
	path[t->path.size] = '\0';
	fd = resolve_exact(root, path, O_NOFOLLOW | O_DIRECTORY);
	return fd < 0 ? -ESTALE : fd;
}

/* A writer whose readers have all gone is as it was: its next write is EPIPE. */
static int reopen_channel(int path_fd, int flags)
{
	int fd = channel_open(path_fd, flags), both;

	if (fd != -ENXIO)
		return fd;
	both = channel_open(path_fd, (flags & ~O_ACCMODE) | O_RDWR);
	if (both < 0)
		return fd;
	fd = channel_open(path_fd, flags);
	close(both);
	return fd;
}

/*
 * A FIFO whose other end was waited for, as Open does it: to read it is opened at once, to write it is PATH_FD until somebody reads.
 * It may be open by now: *PENDING is false then.
 */
static int reopen_pending(int path_fd, int flags, bool *pending)
{
	int fd = channel_open(path_fd, flags);

	*pending = fd == -ENXIO || (fd >= 0 && (flags & O_ACCMODE) == O_RDONLY);
	if (fd != -ENXIO)
		return fd;
	fd = fcntl(path_fd, F_DUPFD_CLOEXEC, 0);
	return fd < 0 ? -errno : fd;
}

/* PATH_FD, which is given away, opened with FLAGS. *PENDING: it is not, before its other end is there. */
static int reopen_open(struct op *op, int path_fd, int flags, const struct stat *st, bool *pending)
{
	struct handle found = { .fd = path_fd };
	struct place p = { .agent = op->agent, .dir = &found };
	int fd;

	if (flags & O_PATH)
		return path_fd;
	if (S_ISREG(st->st_mode) || S_ISDIR(st->st_mode))
		fd = resolve_open(&p, flags, 0, 0);
	else if (op->req->op.reopen.wait && S_ISFIFO(st->st_mode))
		fd = reopen_pending(path_fd, flags, pending);
	else
		fd = reopen_channel(path_fd, flags);
	close(path_fd);
	return fd;
}

/* What created or emptied the file is not done again. O_TMPFILE names a directory, and the file it made may have a name since. */
static int reopen_ticket(struct op *op, const rfs_Ticket *t)
{
	int flags = open_flags(op->req->op.reopen.flags) & ~(O_CREAT | O_EXCL | O_TRUNC | O_NOFOLLOW | O_TMPFILE);
	int fd = reopen_find(&op->agent->root, t);
	bool pending = false;
	struct stat st;

	if (fd >= 0 && fstat(fd, &st)) {
		close(fd);
		return -EIO;
	}
	if (fd >= 0)
		fd = reopen_open(op, fd, flags, &st, &pending);
	return fd < 0 ? fd : open_take(op, fd, flags, &st, pending);
}

/* A handle that is dead is one all the same: the client closes it when it wants to. */
static void reopen_lose(struct op *op, const rfs_Ticket *t, int why)
{
	rfs_OpenReply *reply = &op->reply->op.open;
	struct handle *h = op->opening;

	open_undo(op, h);
	h->dead = true;
	*reply = (rfs_OpenReply){ .lost = (uint32_t)-why, .path.size = t->path.size };
	memcpy(reply->path.bytes, t->path.bytes, t->path.size);
}

int op_reopen(struct op *op)
{
	rfs_Ticket t = rfs_Ticket_init_zero;
	const rfs_Reopen *req = &op->req->op.reopen;
	int r = ticket_decode(req->ticket.bytes, req->ticket.size, &t) ? reopen_ticket(op, &t) : -ESTALE;

	op->reply->which_op = rfs_Reply_open_tag;
	if (r)
		reopen_lose(op, &t, r);
	open_done(op, false);
	return 0;
}
