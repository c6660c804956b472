/* Looking at names: stat, access, readlink, and the path of an open file. */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "attr.h"
#include "handle.h"
#include "ops.h"
#include "resolve.h"

int stat_open(struct op *op, const struct place *p, int flags, mode_t mode, uint64_t resolve,
	      uint32_t *coherent)
{
	enum watch_state state = WATCH_NO;
	char path[PATH_MAX];
	int fd;

	*coherent = rfs_Coherent_NONE;
	if (!p->path[0] || resolve & ~RESOLVE_NO_SYMLINKS || !resolve_canonical(p, path))
		return resolve_open(p, flags, mode, resolve);
	promise_name(op->agent->watcher, &op->promise, path, false);
	state = watch_name(op->agent->watcher, path, false);
	if (state == WATCH_NO)
		return resolve_open(p, flags, mode, resolve);
	/* With a link in it the text is not where the file is, and the watches are in the wrong place. */
	fd = resolve_open(p, flags, mode, resolve | RESOLVE_NO_SYMLINKS);
	if (fd == -ELOOP && !(resolve & RESOLVE_NO_SYMLINKS))
		return resolve_open(p, flags, mode, resolve);
	if (fd == -ENOENT || (fd >= 0 && state == WATCH_YES))
		*coherent = rfs_Coherent_NAME;
	return fd;
}

/*
 * Another link's directory, or the one a file was bind-mounted from (as container runtimes do with
 * /etc/hosts), is not watched.
 */
bool stat_escapes(const rfs_Attr *attr)
{
	if (S_ISDIR(attr->mode))
		return false;
	return attr->nlink != 1 || attr->attributes & STATX_ATTR_MOUNT_ROOT;
}

/* fstat: of an open file. */
static int stat_handle(struct op *op, const struct place *p)
{
	rfs_StatReply *reply = &op->reply->op.stat;

	if (p->dir)
		promise_handle(op->agent->watcher, &op->promise, p->dir);
	reply->has_attr = true;
	if (op->promise.handle)
		reply->coherent = rfs_Coherent_HANDLE;
	return attr_of(place_fd(p), &reply->attr);
}

/* With NO_LINKS as RESOLVE_NO_SYMLINKS. */
static int stat_place(struct op *op, const struct place *p, bool nofollow, bool no_links)
{
	rfs_StatReply *reply = &op->reply->op.stat;
	int flags = O_PATH | (nofollow ? O_NOFOLLOW : 0);
	int r, fd;

	if (!p->path[0])
		return stat_handle(op, p);
	fd = stat_open(op, p, flags, 0, no_links ? RESOLVE_NO_SYMLINKS : 0, &reply->coherent);
	if (fd < 0)
		return fd;
	r = attr_of(fd, &reply->attr);
	if (!r && S_ISDIR(reply->attr.mode) && reply->coherent &&
	    watch_name(op->agent->watcher, op->promise.path, true) == WATCH_YES)
		r = attr_of(fd, &reply->attr); /* once more, now that its own changes are noticed */
	else if (!r && (S_ISDIR(reply->attr.mode) || stat_escapes(&reply->attr)))
		reply->coherent = rfs_Coherent_NONE;
	reply->has_attr = r == 0;
	close(fd);
	return r;
}

int stat_where(struct op *op, bool present, const rfs_Where *where, bool nofollow, bool no_links)
{
	struct place p;
	int r = place_get(op, present, where, &p);

	memset(&op->reply->op, 0, sizeof(op->reply->op));
	op->reply->which_op = rfs_Reply_stat_tag;
	if (!r)
		r = stat_place(op, &p, nofollow, no_links);
	place_put(&p);
	return r;
}

int op_stat(struct op *op)
{
	const rfs_Stat *req = &op->req->op.stat;

	return stat_where(op, req->has_where, &req->where, req->nofollow, req->no_links);
}

/* faccessat2(2) on an open file. It is of 5.8; before, only the real ids could be asked about, as here. */
static int access_fd(int fd, int mode, int flags)
{
	char proc[32];

	if (!syscall(SYS_faccessat2, fd, "", mode, flags | AT_EMPTY_PATH))
		return 0;
	if (errno != ENOSYS && errno != EPERM)
		return -errno;
	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
	return faccessat(AT_FDCWD, proc, mode, 0) ? -errno : 0;
}

/* faccessat(2): a special file on a read-only mount may be written to. */
static int access_read_only(int fd)
{
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	return S_ISREG(st.st_mode) || S_ISDIR(st.st_mode) || S_ISLNK(st.st_mode) ? -EROFS : 0;
}

static int access_place(struct op *op, const struct place *p)
{
	const rfs_Access *req = &op->req->op.access;
	int fd, r, nofollow = req->flags & AT_SYMLINK_NOFOLLOW ? O_NOFOLLOW : 0;

	if (req->mode & ~(R_OK | W_OK | X_OK) || req->flags & ~(AT_EACCESS | AT_SYMLINK_NOFOLLOW))
		return -EINVAL;
	fd = resolve_open(p, O_PATH | nofollow, 0, 0);
	if (fd < 0)
		return fd;
	r = access_fd(fd, req->mode, req->flags & AT_EACCESS);
	if (!r && req->mode & W_OK && op->agent->root.read_only)
		r = access_read_only(fd);
	close(fd);
	return r;
}

int op_access(struct op *op)
{
	struct place p;
	int r = place_get(op, op->req->op.access.has_where, &op->req->op.access.where, &p);

	if (!r)
		r = access_place(op, &p);
	place_put(&p);
	return r;
}

static int readlink_place(struct op *op, const struct place *p)
{
	int fd = resolve_open(p, O_PATH | O_NOFOLLOW, 0, 0);
	struct stat st;
	ssize_t n = 0;
	int r = 0;

	if (fd < 0)
		return fd;
	op->out = malloc(PATH_MAX);
	if (!op->out)
		r = -ENOMEM;
	/* readlinkat(2) with an empty path says ENOENT, not EINVAL, of what is no link. */
	else if (fstat(fd, &st))
		r = -errno;
	else if (!S_ISLNK(st.st_mode))
		r = -EINVAL;
	else
		n = readlinkat(fd, "", (char *)op->out, PATH_MAX);
	if (n < 0)
		r = -errno;
	op->out_len = n > 0 ? n : 0;
	close(fd);
	return r;
}

int op_readlink(struct op *op)
{
	struct place p;
	int r = place_get(op, op->req->op.readlink.has_where, &op->req->op.readlink.where, &p);

	/* The descriptor of an open link is itself what readlinkat(fd, "") reads. */
	if (!r && !p.path[0] && p.dir) {
		op->out = malloc(PATH_MAX);
		ssize_t n = op->out ? readlinkat(p.dir->fd, "", (char *)op->out, PATH_MAX) : -1;

		r = n < 0 ? (op->out ? -errno : -ENOMEM) : 0;
		op->out_len = n > 0 ? n : 0;
	} else if (!r) {
		r = readlink_place(op, &p);
	}
	place_put(&p);
	return r;
}

int op_path(struct op *op)
{
	struct handle *h;
	int r = handle_get(op->agent->handles, op->req->op.path.handle, &h);

	if (r)
		return r;
	op->out = malloc(PATH_MAX);
	if (!op->out)
		r = -ENOMEM;
	else if (op->req->op.path.marked)
		r = resolve_text_of(&op->agent->root, h->fd, (char *)op->out);
	else
		r = resolve_path_of(&op->agent->root, h->fd, (char *)op->out);
	op->out_len = r ? 0 : strlen((char *)op->out);
	handle_put(op->agent->handles, h);
	return r;
}
