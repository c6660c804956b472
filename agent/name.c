/* Changing names: mkdir, unlink, rename; and what they say under a read-only root. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

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
	int r = place_get(op->agent, present, where, &n->place);

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

	/* mkdir(2) keeps the sticky bit of a mode, and nothing else above 0777. */
	if (!r && mkdirat(n.dir, n.last, umask_for(req->mode, req->umask)))
		r = -errno;
	name_put(&n);
	return r;
}

int op_mkdir_refuse(struct op *op)
{
	const rfs_Mkdir *req = &op->req->op.mkdir;
	struct name n;
	struct stat st;
	int r = name_get(op, req->has_where, &req->where, &n);

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
			r = -EROFS;
	}
	name_put(&n);
	return r;
}

int op_unlink(struct op *op)
{
	const rfs_Unlink *req = &op->req->op.unlink;
	struct name n;
	int r;

	if (req->flags & ~AT_REMOVEDIR)
		return -EINVAL;
	r = name_get(op, req->has_where, &req->where, &n);
	if (!r && unlinkat(n.dir, n.last, req->flags))
		r = -errno;
	name_put(&n);
	return r;
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

static int rename_names(const struct name *from, const struct name *to, uint32_t flags)
{
	if (!syscall(SYS_renameat2, from->dir, from->last, to->dir, to->last, flags))
		return 0;
	if (errno == ENOSYS && !flags && !renameat(from->dir, from->last, to->dir, to->last))
		return 0;
	return -errno;
}

/* do_renameat2 of fs/namei.c up to the point where it asks for write access. */
static int rename_refuse(const struct name *from, const struct name *to, uint32_t flags)
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

static int rename_with(struct op *op, int (*act)(const struct name *, const struct name *, uint32_t))
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
			r = act(&from, &to, req->flags);
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
