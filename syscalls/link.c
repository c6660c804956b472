/* link, symlink, mknod and their *at forms: new names. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "aim.h"
#include "apart.h"
#include "cache.h"
#include "call.h"
#include "foretold.h"
#include "handlers.h"
#include "link.h"
#include "mem.h"
#include "ofd.h"
#include "overlay.h"
#include "place.h"
#include "remote.h"
#include "rules.h"

/* TYPE: DT_* of what REQ makes; 0: not known. */
static long made(struct call *c, const struct place *p, rfs_Request *req, const char *payload, unsigned type)
{
	uint64_t since = cache_now();
	struct link_reply rep;

	if (req->which_op != rfs_Request_link_tag && foretold_name(c, p, req, payload, type))
		return 0;
	req->own = place_owns(p);
	int rc = foretold_rpc(c, p, NULL, req, payload, payload ? strlen(payload) : 0, &rep);
	if (!rc)
		link_reply_free(&rep);
	if (!rc && *p->key)
		cache_made(p->mount, p->key, type, NULL, since);
	else
		cache_forget_name(p->mount, *p->key ? p->key : "/", true);
	node_names_changed(p->mount, p->key);
	return rc;
}

static long link_places(struct call *c, const struct place *from, const struct place *to, int flags)
{
	rfs_Request req = { .which_op = rfs_Request_link_tag,
			    .op.link = { .has_from = true, .has_to = true, .flags = (uint32_t)(flags & AT_SYMLINK_FOLLOW) } };

	place_where(from, &req.op.link.from);
	place_where(to, &req.op.link.to);
	long rc = made(c, to, &req, NULL, 0);
	if (*from->key)
		cache_forget(from->mount, from->key, false); /* its link count */
	return rc;
}

static long link_common(struct call *c, int olddir, uint64_t oldpath, int newdir, uint64_t newpath, int flags)
{
	PLACE_ON_STACK(from);
	PLACE_ON_STACK(to);

	if (flags & ~(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH))
		return CALL_CONTINUE;
	int how = (flags & AT_EMPTY_PATH ? PLACE_EMPTY_OK : 0) | (flags & AT_SYMLINK_FOLLOW ? PLACE_FOLLOW : 0);
	const struct apart_name old = { olddir, oldpath, &from, place_resolve(c, olddir, oldpath, how | PLACE_CHANGE, &from) };
	const struct apart_name new = { newdir, newpath, &to, place_resolve(c, newdir, newpath, PLACE_MAKE, &to) };
	const struct mount *m = from.mount ? from.mount : to.mount;

	long rc = apart_refused(c, &old, &new, flags);
	if (rc)
		return rc;
	if (m)
		call_remote(c, m);
	if (!overlay_same(from.mount, to.mount))
		return apart_link(c, &old, &new, flags);
	if (m)
		return link_places(c, &from, &to, flags);
	return from.behalf || to.behalf ? apart_link_here(c, &old, &new, flags) : CALL_CONTINUE;
}

long sys_link(struct call *c)
{
	return link_common(c, AT_FDCWD, c->arg[0], AT_FDCWD, c->arg[1], 0);
}

long sys_linkat(struct call *c)
{
	return link_common(c, (int)c->arg[0], c->arg[1], (int)c->arg[2], c->arg[3], (int)c->arg[4]);
}

static long symlink_common(struct call *c, uint64_t text_addr, int dirfd, uint64_t path)
{
	PLACE_ON_STACK(p);
	rfs_Request req = { .which_op = rfs_Request_symlink_tag, .op.symlink.has_where = true };
	char text[PATH_MAX];

	/* The kernel finds what is wrong with the text before it looks at the path. */
	if (mem_read_string(c->tid, text_addr, text, sizeof(text)) <= 0)
		return CALL_CONTINUE;
	long rc = aim_path(c, dirfd, path, AT_SYMLINK_NOFOLLOW | AIM_MAKE, &p);
	if (rc)
		return rc;
	if (p.behalf)
		return symlink(text, p.local) < 0 ? -errno : 0;
	place_where(&p, &req.op.symlink.where);
	return made(c, &p, &req, text, DT_LNK);
}

long sys_symlink(struct call *c)
{
	return symlink_common(c, c->arg[0], AT_FDCWD, c->arg[1]);
}

long sys_symlinkat(struct call *c)
{
	return symlink_common(c, c->arg[0], (int)c->arg[1], c->arg[2]);
}

static long mknod_common(struct call *c, int dirfd, uint64_t path, unsigned mode, unsigned dev)
{
	PLACE_ON_STACK(p);
	rfs_Request req = { .which_op = rfs_Request_mknod_tag, .op.mknod.has_where = true };
	unsigned type = mode & S_IFMT;

	/* may_mknod() of fs/namei.c: refused by the type alone, before the path is looked at. */
	if (type && type != S_IFREG && type != S_IFIFO && type != S_IFSOCK && type != S_IFCHR && type != S_IFBLK)
		return CALL_CONTINUE;
	long rc = aim_path(c, dirfd, path, AT_SYMLINK_NOFOLLOW | AIM_MAKE, &p);
	if (rc)
		return rc;
	req.op.mknod.mode = mode;
	req.op.mknod.umask = call_umask(c);
	/* new_decode_dev() of linux/kdev_t.h */
	req.op.mknod.major = (dev & 0xfff00) >> 8;
	req.op.mknod.minor = (dev & 0xff) | ((dev >> 12) & 0xfff00);
	if (p.behalf)
		return mknod(p.local, mode, makedev(req.op.mknod.major, req.op.mknod.minor)) < 0 ?
			       -errno : 0;
	place_where(&p, &req.op.mknod.where);
	return made(c, &p, &req, NULL, 0);
}

long sys_mknod(struct call *c)
{
	return mknod_common(c, AT_FDCWD, c->arg[0], (unsigned)c->arg[1], (unsigned)c->arg[2]);
}

long sys_mknodat(struct call *c)
{
	return mknod_common(c, (int)c->arg[0], c->arg[1], (unsigned)c->arg[2], (unsigned)c->arg[3]);
}
