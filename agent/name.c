/* Changing names: mkdir, unlink, rename, link, symlink, mknod; and what they say under a read-only root. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "doubt.h"
#include "ops.h"
#include "resolve.h"

/* A place, the directory of its last component, and that component. */
struct name {
	struct place place;
	const char *last;
	int dir;
};

static int name_get(struct op *op, bool present, const rfs_Where *where, struct name *n)
{
	int r = place_get(op, present, where, &n->place);

	n->dir = -1;
	if (!r)
		n->dir = resolve_parent(&n->place, &n->last);
	return r ? r : n->dir < 0 ? n->dir : 0;
}

static void name_put(struct name *n)
{
	if (n->dir >= 0)
		close(n->dir);
	place_put(&n->place);
}

/* The last component is the root, `.` or `..`: LAST_NORM of fs/namei.c is not its type. */
static bool name_is(const struct name *n, const char *what)
{
	size_t len = strcspn(n->last, "/");

	return len == strlen(what) && !strncmp(n->last, what, len);
}

static bool name_is_special(const struct name *n)
{
	return name_is(n, "") || name_is(n, ".") || name_is(n, "..");
}

int op_mkdir(struct op *op)
{
	const rfs_Mkdir *req = &op->req->op.mkdir;
	struct name n;
	int r = name_get(op, req->has_where, &req->where, &n);

	r = r ? r : doubt_create(op, n.dir, n.last, S_IFDIR);
	/* mkdir(2) keeps the sticky bit of a mode, and nothing else above 0777. */
	if (!r && mkdirat(n.dir, n.last, umask_for(req->mode, req->umask)))
		r = -errno;
	name_put(&n);
	return r > 0 ? 0 : r;
}

int create_refuse(struct op *op, bool present, const rfs_Where *where, bool dir)
{
	struct name n;
	struct stat st;
	int r = name_get(op, present, where, &n);

	if (!r && name_is_special(&n))
		r = -EEXIST;
	else if (!r && strcspn(n.last, "/") > NAME_MAX)
		r = -ENAMETOOLONG;
	if (!r) {
		char last[NAME_MAX + 1] = "";

		/* Without its slashes: with them a link would be followed. */
		memcpy(last, n.last, strcspn(n.last, "/"));
		r = fstatat(n.dir, last, &st, AT_SYMLINK_NOFOLLOW) ? -errno : -EEXIST;
		if (r == -ENOENT)
			r = !dir && n.last[strlen(last)] ? -ENOENT : -EROFS;
	}
	name_put(&n);
	return r;
}

int op_mkdir_refuse(struct op *op)
{
	return create_refuse(op, op->req->op.mkdir.has_where, &op->req->op.mkdir.where, true);
}

int op_unlink(struct op *op)
{
	const rfs_Unlink *req = &op->req->op.unlink;
	struct name n;
	int r;

	if (req->flags & ~AT_REMOVEDIR)
		return -EINVAL;
	r = name_get(op, req->has_where, &req->where, &n);
	r = r ? r : doubt_remove(op, n.dir, n.last);
	if (!r && unlinkat(n.dir, n.last, req->flags))
		r = -errno;
	name_put(&n);
	return r > 0 ? 0 : r;
}

/* do_unlinkat and do_rmdir of fs/namei.c ask for write access before they look for the name. */
int op_unlink_refuse(struct op *op)
{
	const rfs_Unlink *req = &op->req->op.unlink;
	struct name n;
	int r;

	if (req->flags & ~AT_REMOVEDIR)
		return -EINVAL;
	r = name_get(op, req->has_where, &req->where, &n);
	if (!r && !(req->flags & AT_REMOVEDIR))
		r = name_is_special(&n) ? -EISDIR : -EROFS;
	else if (!r)
		r = name_is(&n, "..") ? -ENOTEMPTY : name_is(&n, ".") ? -EINVAL : name_is(&n, "") ? -EBUSY : -EROFS;
	name_put(&n);
	return r;
}

static int rename_names(struct op *op, const struct name *from, const struct name *to, uint32_t flags)
{
	int r;

	/* "/" would be the machine's root to the kernel, which may be on another mount than ours. */
	if (name_is(from, ""))
		return -EBUSY;
	if (name_is(to, ""))
		return flags & RENAME_NOREPLACE ? -EEXIST : -EBUSY;
	r = doubt_rename(op, from->dir, from->last, to->dir, to->last);
	if (!r && syscall(SYS_renameat2, from->dir, from->last, to->dir, to->last, flags))
		r = errno != ENOSYS || flags || renameat(from->dir, from->last, to->dir, to->last) ? -errno : 0;
	if (r < 0)
		return r;
	moved_tell(op, to->dir, to->last);
	if (flags & RENAME_EXCHANGE)
		moved_tell(op, from->dir, from->last);
	return 0;
}

/* do_renameat2 of fs/namei.c up to the point where it asks for write access. */
static int rename_refuse(struct op *op, const struct name *from, const struct name *to, uint32_t flags)
{
	struct stat a, b;

	if (fstat(from->dir, &a) || fstat(to->dir, &b))
		return -errno;
	if (a.st_dev != b.st_dev)
		return -EXDEV;
	if (name_is_special(from))
		return -EBUSY;
	if (name_is_special(to))
		return flags & RENAME_NOREPLACE ? -EEXIST : -EBUSY;
	return -EROFS;
}

static int rename_with(struct op *op, int (*act)(struct op *, const struct name *, const struct name *, uint32_t))
{
	const rfs_Rename *req = &op->req->op.rename;
	struct name from, to;
	int r;

	if (req->flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT) ||
	    (req->flags & RENAME_EXCHANGE && req->flags & (RENAME_NOREPLACE | RENAME_WHITEOUT)))
		return -EINVAL;
	r = name_get(op, req->has_from, &req->from, &from);
	if (!r) {
		r = name_get(op, req->has_to, &req->to, &to);
		if (!r)
			r = act(op, &from, &to, req->flags);
		/* The kernel had asked for the right to search the old name's directory before it went to the new one's. */
		else if (faccessat(from.dir, ".", F_OK, AT_EACCESS) && errno == EACCES)
			r = -EACCES;
		name_put(&to);
	}
	name_put(&from);
	return r;
}

int op_rename(struct op *op)
{
	return rename_with(op, rename_names);
}

int op_rename_refuse(struct op *op)
{
	return rename_with(op, rename_refuse);
}

/* linkat(2) from an O_PATH descriptor needs a right for AT_EMPTY_PATH; through /proc it does not. */
static int link_fd(int fd, const struct name *to)
{
	char proc[32];

	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
	return linkat(AT_FDCWD, proc, to->dir, to->last, AT_SYMLINK_FOLLOW) ? -errno : 0;
}

static bool name_has_slash(const struct place *p)
{
	size_t len = strlen(p->path);

	return len && p->path[len - 1] == '/';
}

static int link_source(struct op *op, const rfs_Link *req, struct name *from, struct name *to)
{
	int r = place_get(op, req->has_from, &req->from, &from->place), fd;

	from->dir = -1;
	if (r)
		return r;
	/*
	 * The name itself, so that a link in its last component is not followed. With a slash behind it the kernel would
	 * follow it, out of the root.
	 */
	if (from->place.path[0] && !name_has_slash(&from->place) && !(req->flags & AT_SYMLINK_FOLLOW)) {
		from->dir = resolve_parent(&from->place, &from->last);
		if (from->dir < 0)
			return from->dir;
		return linkat(from->dir, from->last, to->dir, to->last, 0) ? -errno : 0;
	}
	if (!from->place.path[0])
		return link_fd(place_fd(&from->place), to);
	fd = resolve_open(&from->place, O_PATH, 0, 0);
	if (fd < 0)
		return fd;
	r = link_fd(fd, to);
	close(fd);
	return r;
}

/* What is wrong with the source of a link, which do_linkat says before it looks at the other name. 0 if nothing is. */
static int link_source_error(struct op *op, const rfs_Link *req)
{
	struct place from;
	int fd = place_get(op, req->has_from, &req->from, &from);

	fd = fd ? fd : resolve_open(&from, O_PATH | (req->flags & AT_SYMLINK_FOLLOW ? 0 : O_NOFOLLOW), 0, 0);
	place_put(&from);
	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

int op_link(struct op *op)
{
	const rfs_Link *req = &op->req->op.link;
	struct name from = { .dir = -1 }, to;
	int r = name_get(op, req->has_to, &req->to, &to);

	if (r) {
		int wrong = link_source_error(op, req);

		r = wrong ? wrong : r;
	} else {
		r = doubt_create(op, to.dir, to.last, 0);
		r = r ? r : link_source(op, req, &from, &to);
		if (r >= 0)
			moved_tell(op, to.dir, to.last);
		name_put(&from);
	}
	name_put(&to);
	return r > 0 ? 0 : r;
}

int op_link_refuse(struct op *op)
{
	const rfs_Link *req = &op->req->op.link;
	int r = link_source_error(op, req);

	return r ? r : create_refuse(op, req->has_to, &req->to, false);
}

int op_symlink(struct op *op)
{
	const rfs_Symlink *req = &op->req->op.symlink;
	char text[PATH_MAX];
	struct name n;
	int r;

	if (!op->data_len || op->data_len >= sizeof(text) || memchr(op->data, 0, op->data_len))
		return op->data_len >= sizeof(text) ? -ENAMETOOLONG : -ENOENT;
	memcpy(text, op->data, op->data_len);
	text[op->data_len] = '\0';
	r = name_get(op, req->has_where, &req->where, &n);
	r = r ? r : doubt_create(op, n.dir, n.last, S_IFLNK);
	if (!r && symlinkat(text, n.dir, n.last))
		r = -errno;
	name_put(&n);
	return r > 0 ? 0 : r;
}

int op_symlink_refuse(struct op *op)
{
	return create_refuse(op, op->req->op.symlink.has_where, &op->req->op.symlink.where, false);
}

int op_mknod(struct op *op)
{
	const rfs_Mknod *req = &op->req->op.mknod;
	struct name n;
	int r = name_get(op, req->has_where, &req->where, &n);

	r = r ? r : doubt_create(op, n.dir, n.last, req->mode & S_IFMT ? req->mode & S_IFMT : S_IFREG);
	if (!r && mknodat(n.dir, n.last, (req->mode & S_IFMT) | umask_for(req->mode & 07777, req->umask),
			  makedev(req->major, req->minor)))
		r = -errno;
	name_put(&n);
	return r > 0 ? 0 : r;
}

int op_mknod_refuse(struct op *op)
{
	return create_refuse(op, op->req->op.mknod.has_where, &op->req->op.mknod.where, false);
}
