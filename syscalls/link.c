/* link, symlink, mknod and their *at forms: new names. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "cache.h"
#include "call.h"
#include "handlers.h"
#include "link.h"
#include "mem.h"
#include "ofd.h"
#include "place.h"
#include "remote.h"
#include "rules.h"

static long made(struct call *c, const struct place *p, const rfs_Request *req, const char *payload)
{
	struct link_reply rep;
	int rc = call_rpc(c, p->mount, req, payload, payload ? strlen(payload) : 0, &rep);

	if (!rc)
		link_reply_free(&rep);
	cache_forget_name(p->mount, *p->key ? p->key : "/", true);
	node_names_changed(p->mount);
	return rc;
}

/* A path in which something is to be made. CALL_CONTINUE: the kernel makes it. */
static long aim(struct call *c, int dirfd, uint64_t path, int flags, struct place *p)
{
	long rc = place_resolve(c, dirfd, path, flags, p);

	if (rc)
		return rc;
	if (p->behalf)
		return call_unsupported(c, NULL);
	if (!p->mount)
		return CALL_CONTINUE;
	call_remote(c, p->mount);
	return 0;
}

static long link_common(struct call *c, int olddir, uint64_t oldpath, int newdir, uint64_t newpath, int flags)
{
	PLACE_ON_STACK(from);
	PLACE_ON_STACK(to);
	rfs_Request req = { .which_op = rfs_Request_link_tag,
			    .op.link = { .has_from = true, .has_to = true, .flags = (uint32_t)(flags & AT_SYMLINK_FOLLOW) } };

	if (flags & ~(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH))
		return CALL_CONTINUE;
	long rc = aim(c, olddir, oldpath, flags & AT_EMPTY_PATH ? PLACE_EMPTY_OK : 0, &from);
	long rc2 = rc && rc != CALL_CONTINUE ? rc : aim(c, newdir, newpath, 0, &to);
	if (rc == CALL_CONTINUE && rc2 == CALL_CONTINUE)
		return CALL_CONTINUE;
	if ((rc && rc != CALL_CONTINUE) || (rc2 && rc2 != CALL_CONTINUE))
		return rc && rc != CALL_CONTINUE ? rc : rc2;
	if (from.mount != to.mount)
		return -EXDEV;
	place_where(&from, &req.op.link.from);
	place_where(&to, &req.op.link.to);
	rc = made(c, &to, &req, NULL);
	if (*from.key)
		cache_forget(from.mount, from.key, false); /* its link count */
	return rc;
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
	long rc = aim(c, dirfd, path, 0, &p);
	if (rc)
		return rc;
	place_where(&p, &req.op.symlink.where);
	return made(c, &p, &req, text);
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
	long rc = aim(c, dirfd, path, 0, &p);

	if (rc)
		return rc;
	req.op.mknod.mode = mode;
	req.op.mknod.umask = call_umask(c);
	/* new_decode_dev() of linux/kdev_t.h */
	req.op.mknod.major = (dev & 0xfff00) >> 8;
	req.op.mknod.minor = (dev & 0xff) | ((dev >> 12) & 0xfff00);
	place_where(&p, &req.op.mknod.where);
	return made(c, &p, &req, NULL);
}

long sys_mknod(struct call *c)
{
	return mknod_common(c, AT_FDCWD, c->arg[0], (unsigned)c->arg[1], (unsigned)c->arg[2]);
}

long sys_mknodat(struct call *c)
{
	return mknod_common(c, (int)c->arg[0], c->arg[1], (unsigned)c->arg[2], (unsigned)c->arg[3]);
}
