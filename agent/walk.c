#include "walk.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "agent.h"

#define WALK_DEPTH 256 /* directories held open at once */
#define WALK_LINKS 40  /* MAXSYMLINKS of the kernel */
#define WALK_RACES 64
#define PROC_TOP_INODE 1 /* PROC_ROOT_INO */

/* What `..` goes back to is the directory that was walked through, so a rename cannot lead out of BASE. */
struct walk {
	int fd[WALK_DEPTH];  /* fd[0] is the caller's */
	int depth;
	int links;
	char *rest;          /* what is still to be walked; owned, replaced when a link is followed */
	char *at;            /* the next component in REST */
	int flags;
	mode_t mode;
	uint64_t resolve;
	dev_t dev;           /* of BASE, for RESOLVE_NO_XDEV */
	const struct root *view; /* NULL: absolute links lead from BASE */
};

static int walk_top(const struct walk *w)
{
	return w->fd[w->depth];
}

static void walk_pop_to(struct walk *w, int depth)
{
	while (w->depth > depth)
		close(w->fd[w->depth--]);
}

static int walk_push(struct walk *w, int fd)
{
	if (w->depth + 1 == WALK_DEPTH) {
		close(fd);
		return -ENAMETOOLONG;
	}
	w->fd[++w->depth] = fd;
	return 0;
}

static int walk_leave_base(struct walk *w)
{
	if (w->resolve & RESOLVE_BENEATH)
		return -EXDEV;
	walk_pop_to(w, 0);
	return 0;
}

/* `..`: search permission is wanted of the directory that is left, as the kernel does. */
static int walk_up(struct walk *w)
{
	int fd;

	if (w->depth == 0)
		return walk_leave_base(w);
	fd = openat(walk_top(w), ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	close(fd);
	walk_pop_to(w, w->depth - 1);
	return 0;
}

/* An absolute link's text as the program means it: what it sees at AT is SUB. TEXT has room for 4096 bytes more. */
static ssize_t walk_view(const struct walk *w, char *text, ssize_t n)
{
	size_t at = w->view ? strlen(w->view->at) : 0, sub;

	if (!w->view || (size_t)n < at || memcmp(text, w->view->at, at) || ((size_t)n > at && text[at] != '/'))
		return n;
	sub = strlen(w->view->sub);
	memmove(text + sub, text + at, (size_t)n - at);
	memcpy(text, w->view->sub, sub);
	n += (ssize_t)sub - (ssize_t)at;
	if (n == 0)
		text[n++] = '/';
	return n;
}

/*
 * Whether the link FD, of TEXT_LEN bytes, leads where its text need not: RESOLVE_NO_MAGICLINKS. They are all on procfs,
 * below its top (/proc/self is none), and are made without a size or, /proc/PID/fd, without rights for others.
 */
static bool walk_is_magic(const struct walk *w, int fd, ssize_t text_len)
{
	struct statfs fs;
	struct stat dir, st;

	if (fstatfs(fd, &fs) || fs.f_type != PROC_SUPER_MAGIC || fstat(walk_top(w), &dir) || fstat(fd, &st))
		return false;
	if (dir.st_dev == st.st_dev && dir.st_ino == PROC_TOP_INODE)
		return false;
	return st.st_size != text_len || (st.st_mode & 0777) != 0777;
}

/* Puts the text of the link FD in front of what is still to be walked. Closes FD. */
static int walk_link(struct walk *w, int fd)
{
	size_t left = strlen(w->at);
	char *rest = malloc(2 * 4096 + left + 1);
	ssize_t n = rest ? readlinkat(fd, "", rest, 4096) : -1;
	int r = !rest ? -ENOMEM : n < 0 ? -errno : 0;

	if (!r && w->resolve & RESOLVE_NO_MAGICLINKS && walk_is_magic(w, fd, n))
		r = -ELOOP;
	close(fd);
	if (!r && n == 0)
		r = -ENOENT;
	if (!r && (w->resolve & RESOLVE_NO_SYMLINKS || ++w->links > WALK_LINKS))
		r = -ELOOP;
	if (!r && rest[0] == '/') {
		n = walk_view(w, rest, n);
		r = walk_leave_base(w);
	}
	if (r) {
		free(rest);
		return r;
	}
	memcpy(rest + n, w->at, left + 1);
	free(w->rest);
	w->rest = w->at = rest;
	return 0;
}

/* Opens NAME without following it. */
static int walk_peek(struct walk *w, const char *name, struct stat *st)
{
	int r, fd = openat(walk_top(w), name, O_PATH | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	r = fstat(fd, st) ? -errno : 0;
	if (!r && w->resolve & RESOLVE_NO_XDEV && st->st_dev != w->dev)
		r = -EXDEV;
	if (!r)
		return fd;
	close(fd);
	return r;
}

/* One component that is not the last. */
static int walk_step(struct walk *w, const char *name)
{
	struct stat st;
	int fd;

	if (!strcmp(name, ".") || !strcmp(name, "..")) {
		fd = openat(walk_top(w), ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0)
			return -errno;
		close(fd);
		return name[1] ? walk_up(w) : 0;
	}
	fd = walk_peek(w, name, &st);
	if (fd < 0)
		return fd;
	if (S_ISLNK(st.st_mode))
		return walk_link(w, fd);
	if (!S_ISDIR(st.st_mode)) {
		close(fd);
		return -ENOTDIR;
	}
	return walk_push(w, fd);
}

static int walk_openat(int dir, const char *name, int flags, mode_t mode)
{
	int fd = openat(dir, name, flags | O_CLOEXEC, mode);

	return fd < 0 ? -errno : fd;
}

/*
 * The last component. Returns a descriptor, a negative errno, or -ERESTART when a link was put in its
 * place (or came into its place in a race) and the walk goes on. SLASH: NAME had one behind it. The
 * kernel would follow a link through such a slash in spite of O_NOFOLLOW, so it never sees the slash.
 */
static int walk_last(struct walk *w, const char *name, bool slash)
{
	bool create = w->flags & O_CREAT, follow = slash || !(w->flags & O_NOFOLLOW);
	int fd, r, flags = w->flags | O_NOFOLLOW | (slash ? O_DIRECTORY : 0);
	struct stat st;

	if (create && slash)
		return -EISDIR;
	if (create && w->flags & O_EXCL)
		follow = false;
	fd = walk_peek(w, name, &st);
	if (fd < 0)
		return fd == -ENOENT && create ? walk_openat(walk_top(w), name, flags, w->mode) : fd;
	if (S_ISLNK(st.st_mode) && follow) {
		r = walk_link(w, fd);
		return r ? r : -ERESTART;
	}
	if (w->flags & O_PATH) {
		if ((flags & O_DIRECTORY) && !S_ISDIR(st.st_mode)) {
			close(fd);
			return -ENOTDIR;
		}
		return fd;
	}
	close(fd);
	fd = walk_openat(walk_top(w), name, flags, w->mode);
	if (fd == -ELOOP && !S_ISLNK(st.st_mode) && follow) {
		w->at -= strlen(name); /* a link has just come into its place: look again */
		return -ERESTART;
	}
	return fd;
}

/* Takes the next component off into NAME. Returns its length, 0 at the end, or a negative errno. */
static int walk_take(struct walk *w, char name[256])
{
	size_t len;

	w->at += strspn(w->at, "/");
	len = strcspn(w->at, "/");
	if (len > 255)
		return -ENAMETOOLONG;
	memcpy(name, w->at, len);
	name[len] = '\0';
	w->at += len;
	return len;
}

/* Walks on until something is open. */
static int walk_run(struct walk *w)
{
	int r, races = 0;
	char name[256];

	for (;;) {
		r = walk_take(w, name);
		if (r < 0)
			return r;
		if (r == 0)
			return walk_openat(walk_top(w), ".", w->flags & ~O_NOFOLLOW, w->mode);
		if (w->at[strspn(w->at, "/")] || !strcmp(name, ".") || !strcmp(name, "..")) {
			r = walk_step(w, name);
			if (r)
				return r;
			continue;
		}
		r = walk_last(w, name, *w->at == '/');
		if (r != -ERESTART)
			return r;
		if (++races > WALK_RACES)
			return -ELOOP;
	}
}

int walk_open(int base, const char *path, int flags, mode_t mode, uint64_t resolve, const struct root *view)
{
	struct walk w = { .fd = { base }, .flags = flags, .mode = mode, .resolve = resolve, .view = view };
	struct stat st;
	int r = 0;

	if (!*path)
		return -ENOENT;
	if (strlen(path) >= 4096)
		return -ENAMETOOLONG;
	if (resolve & RESOLVE_CACHED)
		return -EAGAIN;
	if (path[0] == '/' && resolve & RESOLVE_BENEATH)
		return -EXDEV;
	if (fstat(base, &st))
		return -errno;
	w.dev = st.st_dev;
	w.rest = w.at = strdup(path);
	if (!w.rest)
		return -ENOMEM;
	r = walk_run(&w);
	walk_pop_to(&w, 0);
	free(w.rest);
	return r;
}
