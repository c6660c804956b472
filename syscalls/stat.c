/* stat, lstat, fstat, newfstatat, statx, access, faccessat, faccessat2, readlink, readlinkat. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "ahead.h"
#include "cache.h"
#include "call.h"
#include "handlers.h"
#include "link.h"
#include "ofd.h"
#include "place.h"
#include "remote.h"
#include "rules.h"
#include "util.h"

/* ---- the two shapes ---- */

static void to_stat(const rfs_Attr *a, struct stat *st)
{
	memset(st, 0, sizeof(*st));
	st->st_dev = makedev(a->dev_major, a->dev_minor);
	st->st_ino = a->ino;
	st->st_nlink = a->nlink;
	st->st_mode = a->mode;
	st->st_uid = a->uid;
	st->st_gid = a->gid;
	st->st_rdev = makedev(a->rdev_major, a->rdev_minor);
	st->st_size = (off_t)a->size;
	st->st_blksize = a->blksize;
	st->st_blocks = (blkcnt_t)a->blocks;
	st->st_atim = (struct timespec){ a->atime_sec, a->atime_nsec };
	st->st_mtim = (struct timespec){ a->mtime_sec, a->mtime_nsec };
	st->st_ctim = (struct timespec){ a->ctime_sec, a->ctime_nsec };
}

static struct statx_timestamp to_time(int64_t sec, uint32_t nsec)
{
	return (struct statx_timestamp){ .tv_sec = sec, .tv_nsec = nsec };
}

#define STATX_MNT_ID_ 0x1000u
#define STATX_DIOALIGN_ 0x2000u

/* Offsets of what Debian 12's struct statx has no names for (6.1: stx_dio_mem_align, stx_dio_offset_align). */
static void put_dio(struct statx *x, const rfs_Attr *a)
{
	memcpy((char *)x + 0x98, &a->dio_mem_align, 4);
	memcpy((char *)x + 0x9c, &a->dio_offset_align, 4);
}

static void to_statx(const rfs_Attr *a, unsigned mask, struct statx *x)
{
	memset(x, 0, sizeof(*x));
	/* The kernel always gives the basic ones and the mount, the others as they were asked for. */
	x->stx_mask = a->mask & (STATX_BASIC_STATS | STATX_MNT_ID_ | mask);
	/* Since 6.13 (multigrain timestamps) these two come together, or not at all when nobody asked. */
	if (!(mask & (STATX_MTIME | STATX_CTIME)))
		x->stx_mask &= ~(STATX_MTIME | STATX_CTIME);
	x->stx_blksize = a->blksize;
	x->stx_attributes = a->attributes;
	x->stx_attributes_mask = a->attributes_mask;
	x->stx_nlink = a->nlink;
	x->stx_uid = a->uid;
	x->stx_gid = a->gid;
	x->stx_mode = (uint16_t)a->mode;
	x->stx_ino = a->ino;
	x->stx_size = a->size;
	x->stx_blocks = a->blocks;
	x->stx_atime = to_time(a->atime_sec, a->atime_nsec);
	if (x->stx_mask & (STATX_MTIME | STATX_CTIME)) {
		x->stx_mtime = to_time(a->mtime_sec, a->mtime_nsec);
		x->stx_ctime = to_time(a->ctime_sec, a->ctime_nsec);
	}
	if (x->stx_mask & STATX_BTIME)
		x->stx_btime = to_time(a->btime_sec, a->btime_nsec);
	x->stx_rdev_major = a->rdev_major;
	x->stx_rdev_minor = a->rdev_minor;
	x->stx_dev_major = a->dev_major;
	x->stx_dev_minor = a->dev_minor;
	memcpy((char *)x + 0x90, &a->mnt_id, 8);
	if (x->stx_mask & STATX_DIOALIGN_)
		put_dio(x, a);
}

/* ---- attributes of a place ---- */

static int ask_stat(struct call *c, const struct place *p, bool nofollow, rfs_Attr *attr)
{
	rfs_Request req = { .which_op = rfs_Request_stat_tag, .op.stat = { .has_where = true, .nofollow = nofollow } };
	struct link_reply rep;
	uint64_t since = cache_now();

	place_where(p, &req.op.stat.where);
	int rc = call_rpc(c, p->mount, &req, NULL, 0, &rep);
	bool told = rep.msg.which_op == rfs_Reply_stat_tag && rep.msg.op.stat.coherent & rfs_Coherent_NAME && *p->key;

	if (rc == -ENOENT && told)
		cache_put(p->mount, p->key, NULL, since);
	else if (rc == -ENOENT && *p->key && nofollow) /* else what a link leads to may be missing */
		cache_lease(p->mount, p->key, NULL, since);
	if (*p->key)
		ahead_asked(p->mount, p->key);
	if (rc)
		return rc;
	if (rep.msg.which_op != rfs_Reply_stat_tag || !rep.msg.op.stat.has_attr)
		rc = -EPROTO;
	else
		*attr = rep.msg.op.stat.attr;
	if (!rc && told)
		cache_put(p->mount, p->key, attr, since);
	else if (!rc && *p->key && nofollow)
		cache_lease(p->mount, p->key, attr, since);
	link_reply_free(&rep);
	return rc;
}

int remote_place_attr(struct call *c, const struct place *p, bool nofollow, rfs_Attr *attr)
{
	call_remote(c, p->mount);
	if (p->self)
		return remote_attr(c, p->dir, attr);
	int known = *p->key ? cache_find(p->mount, p->key, attr) : 0;
	if (*p->key && !known && ahead_await_listing(c, p->mount, p->key))
		known = cache_find(p->mount, p->key, attr);
	if (known)
		ahead_looked(p->mount, p->key);
	if (known < 0)
		return known;
	/* The cache knows what lstat says; a link's target may be anywhere. */
	if (known && (nofollow || !S_ISLNK(attr->mode)))
		return 0;
	return ask_stat(c, p, nofollow, attr);
}

static long put_stat(struct call *c, uint64_t addr, const rfs_Attr *attr)
{
	struct stat st;

	to_stat(attr, &st);
	return call_write(c, addr, &st, sizeof(st));
}

static long stat_behalf(struct call *c, const struct place *p, int flags, uint64_t addr)
{
	struct stat st;

	if (fstatat(AT_FDCWD, p->local, &st, flags & AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	return call_write(c, addr, &st, sizeof(st));
}

static long stat_common(struct call *c, int dirfd, uint64_t path, int flags, uint64_t out)
{
	PLACE_ON_STACK(p);
	rfs_Attr attr;
	long rc = place_resolve(c, dirfd, path, place_flags(flags) | (flags & AT_EMPTY_PATH ? PLACE_NULL_OK : 0), &p);

	if (rc || (!p.mount && !p.behalf))
		return rc ? rc : CALL_CONTINUE;
	if (p.behalf)
		return stat_behalf(c, &p, flags, out);
	rc = remote_place_attr(c, &p, flags & AT_SYMLINK_NOFOLLOW, &attr);
	return rc ? rc : put_stat(c, out, &attr);
}

long sys_stat(struct call *c)
{
	return stat_common(c, AT_FDCWD, c->arg[0], 0, c->arg[1]);
}

long sys_lstat(struct call *c)
{
	return stat_common(c, AT_FDCWD, c->arg[0], AT_SYMLINK_NOFOLLOW, c->arg[1]);
}

long sys_fstat(struct call *c)
{
	struct ofd *o = ofd_by_fd(c->tid, (int)c->arg[0]);
	rfs_Attr attr;

	if (!o)
		return CALL_CONTINUE;
	int rc = remote_attr(c, o, &attr);
	return rc ? rc : put_stat(c, c->arg[1], &attr);
}

#define STAT_FLAGS (AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH)

long sys_newfstatat(struct call *c)
{
	int flags = (int)c->arg[3];

	/* How fresh the answer is to be is statx's to choose, but vfs_statx() of fs/stat.c knows the flags here, too. */
	if (flags & ~(STAT_FLAGS | AT_STATX_SYNC_TYPE))
		return CALL_CONTINUE;
	return stat_common(c, (int)c->arg[0], c->arg[1], flags & ~AT_STATX_SYNC_TYPE, c->arg[2]);
}

long sys_statx(struct call *c)
{
	PLACE_ON_STACK(p);
	int flags = (int)c->arg[2];
	unsigned mask = (unsigned)c->arg[3];
	struct statx x;
	rfs_Attr attr;

	if (flags & ~(STAT_FLAGS | AT_STATX_SYNC_TYPE) || mask & STATX__RESERVED ||
	    (flags & AT_STATX_SYNC_TYPE) == AT_STATX_SYNC_TYPE)
		return CALL_CONTINUE;
	long rc = place_resolve(c, (int)c->arg[0], c->arg[1], place_flags(flags) | (flags & AT_EMPTY_PATH ? PLACE_NULL_OK : 0),
				&p);
	if (rc || (!p.mount && !p.behalf))
		return rc ? rc : CALL_CONTINUE;
	if (p.behalf) {
		if (statx(AT_FDCWD, p.local, flags & ~AT_EMPTY_PATH, mask, &x) < 0)
			return -errno;
		return call_write(c, c->arg[4], &x, sizeof(x));
	}
	rc = remote_place_attr(c, &p, flags & AT_SYMLINK_NOFOLLOW, &attr);
	if (rc)
		return rc;
	to_statx(&attr, mask, &x);
	return call_write(c, c->arg[4], &x, sizeof(x));
}

/* ---- access ---- */

/* Whether P of an overlay's lower layer could be written to as MODE asks, if it were a copy that we made. */
static long may_write(struct call *c, const struct place *p, unsigned mode, bool nofollow)
{
	rfs_Attr attr;
	long rc = mode & W_OK ? remote_place_attr(c, p, nofollow, &attr) : 0;

	if (rc || !(mode & W_OK) || !geteuid())
		return rc;
	return attr.mode & S_IWUSR ? 0 : -EACCES;
}

static long access_common(struct call *c, int dirfd, uint64_t path, unsigned mode, int flags)
{
	PLACE_ON_STACK(p);
	rfs_Request req = { .which_op = rfs_Request_access_tag,
			    .op.access = { .has_where = true,
					   .mode = mode,
					   .flags = (uint32_t)(flags & (AT_EACCESS | AT_SYMLINK_NOFOLLOW)) } };
	struct link_reply rep;
	rfs_Attr attr;

	if (mode & ~7u || flags & ~(AT_EACCESS | AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
		return CALL_CONTINUE;
	long rc = place_resolve(c, dirfd, path, place_flags(flags), &p);
	if (rc || (!p.mount && !p.behalf))
		return rc ? rc : CALL_CONTINUE;
	if (p.behalf)
		/* behalf_begin() gave us no real user, only an effective one; tasks here have no two. */
		return faccessat(AT_FDCWD, p.local, (int)mode, (flags & AT_SYMLINK_NOFOLLOW) | AT_EACCESS) < 0 ? -errno : 0;
	call_remote(c, p.mount);
	int known = *p.key ? cache_find(p.mount, p.key, &attr) : 0;
	if (known < 0 || (known && mode == F_OK && (!S_ISLNK(attr.mode) || flags & AT_SYMLINK_NOFOLLOW)))
		return known < 0 ? known : 0;
	if (p.mount->overlay && !p.mount->is_upper) {
		rc = may_write(c, &p, mode, flags & AT_SYMLINK_NOFOLLOW);
		req.op.access.mode &= ~(unsigned)W_OK;
	}
	place_where(&p, &req.op.access.where);
	rc = rc ? rc : call_rpc(c, p.mount, &req, NULL, 0, &rep);
	if (!rc)
		link_reply_free(&rep);
	if (*p.key)
		ahead_asked(p.mount, p.key);
	return rc;
}

long sys_access(struct call *c)
{
	return access_common(c, AT_FDCWD, c->arg[0], (unsigned)c->arg[1], 0);
}

long sys_faccessat(struct call *c)
{
	return access_common(c, (int)c->arg[0], c->arg[1], (unsigned)c->arg[2], 0);
}

long sys_faccessat2(struct call *c)
{
	return access_common(c, (int)c->arg[0], c->arg[1], (unsigned)c->arg[2], (int)c->arg[3]);
}

/* ---- readlink ---- */

/* As much of a link's text as the task's buffer of SIZE bytes takes. */
static long put_text(struct call *c, const void *text, size_t len, uint64_t out, int size)
{
	size_t n = len < (size_t)size ? len : (size_t)size;
	long rc = call_write(c, out, text, n);

	return rc ? rc : (long)n;
}

static long readlink_common(struct call *c, int dirfd, uint64_t path, uint64_t out, int size)
{
	PLACE_ON_STACK(p);
	rfs_Request req = { .which_op = rfs_Request_readlink_tag, .op.readlink.has_where = true };
	char text[PATH_MAX];
	struct link_reply rep;
	rfs_Attr attr;

	if (size <= 0)
		return CALL_CONTINUE;
	/* An empty path is allowed for a dirfd that is a symlink opened with O_PATH. */
	long rc = place_resolve(c, dirfd, path, PLACE_EMPTY_OK | PLACE_LINK, &p);
	if (rc || (!p.mount && !p.behalf))
		return rc ? rc : CALL_CONTINUE;
	if (p.behalf) {
		ssize_t n = readlink(p.local, text, sizeof(text));
		return n < 0 ? -errno : put_text(c, text, (size_t)n, out, size);
	}
	call_remote(c, p.mount);
	if (p.link) {
		rc = p.dir ? remote_link_text(c, p.dir, text, sizeof(text)) : path_to_program(p.mount, p.path, text, sizeof(text));
		return rc ? rc : put_text(c, text, strlen(text), out, size);
	}
	int known = *p.key && !p.self ? cache_find(p.mount, p.key, &attr) : 0;
	if (known < 0 || (known && !S_ISLNK(attr.mode)))
		return known < 0 ? known : -EINVAL;
	place_where(&p, &req.op.readlink.where);
	rc = call_rpc(c, p.mount, &req, NULL, 0, &rep);
	if (rc)
		return rc;
	rc = put_text(c, rep.payload, rep.payload_len, out, size);
	link_reply_free(&rep);
	return rc;
}

long sys_readlink(struct call *c)
{
	return readlink_common(c, AT_FDCWD, c->arg[0], c->arg[1], (int)c->arg[2]);
}

long sys_readlinkat(struct call *c)
{
	return readlink_common(c, (int)c->arg[0], c->arg[1], c->arg[2], (int)c->arg[3]);
}
