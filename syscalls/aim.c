#include "aim.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "cache.h"
#include "call.h"
#include "foretold.h"
#include "late.h"
#include "link.h"
#include "mem.h"
#include "ofd.h"
#include "overlay.h"
#include "rules.h"

static long aim_at(struct call *c, int dirfd, uint64_t path, int flags, int how, struct place *p)
{
	how |= (flags & AIM_CHANGE ? PLACE_CHANGE : 0) | (flags & AIM_MAKE ? PLACE_MAKE : 0);
	long rc = place_resolve(c, dirfd, path, place_flags(flags) | how, p);

	if (rc || p->behalf)
		return rc;
	if (!p->mount)
		return CALL_CONTINUE;
	call_remote(c, p->mount);
	return 0;
}

long aim_path(struct call *c, int dirfd, uint64_t path, int flags, struct place *p)
{
	return aim_at(c, dirfd, path, flags, 0, p);
}

long aim_fd(struct call *c, int fd, int flags, struct place *p)
{
	struct ofd *o = ofd_by_fd(c->tid, fd);
	int rc;

	p->behalf = false;
	if (!o)
		return CALL_CONTINUE;
	call_remote(c, o->mount);
	if (o->flags & O_PATH)
		return -EBADF;
	p->dir = ofd_ref(o);
	rc = flags & AIM_CHANGE ? overlay_bring_ofd(c, o) : 0;
	if (rc)
		return rc;
	p->mount = o->mount;
	p->self = true;
	p->path[0] = p->key[0] = '\0';
	return 0;
}

long aim_path_or_fd(struct call *c, int dirfd, uint64_t path, int flags, struct place *p)
{
	char text[2];

	if (flags & AT_EMPTY_PATH && dirfd != AT_FDCWD && (!path || !mem_read_string(c->tid, path, text, sizeof(text))))
		return aim_fd(c, dirfd, flags, p);
	return aim_at(c, dirfd, path, flags, flags & AT_EMPTY_PATH ? PLACE_NULL_OK : 0, p);
}

bool aim_reaches(const struct mount *m, const rfs_Attr *attr)
{
	const struct link_agent *agent = link_agent(m->link);

	return (agent->owns_all && !agent->uid) || (attr->uid == agent->uid && (attr->mode & S_IRWXU) == S_IRWXU);
}

/*
 * PATH of M ("": it has no such name) was changed to what R says by what was asked for at SINCE (cache_now). If R has the agent's promise, it tells of
 * that in no other way.
 */
static void learn(const struct mount *m, const char *path, const rfs_StatReply *r, uint64_t since)
{
	const rfs_Attr *attr = &r->attr;
	struct node *n = node_find(m, attr);
	bool told = *path && r->coherent & rfs_Coherent_NAME && cache_is_current(m, path, attr, since);

	if (n)
		node_changed(n);
	else
		cache_forget_inode(m, attr->dev_major, attr->dev_minor, attr->ino);
	if (!*path)
		return;
	if (!told || (S_ISDIR(attr->mode) && !aim_reaches(m, attr))) {
		cache_forget(m, path, S_ISDIR(attr->mode));
		return;
	}
	cache_changed(m, path);
	cache_put(m, path, attr, cache_now());
}

long aim_change(struct call *c, const struct place *p, const rfs_Request *req, const void *payload, size_t len)
{
	uint64_t since = cache_now();
	struct link_reply rep;

	if (late_change(c, p, req) || foretold_change(c, p, req))
		return 0;
	int rc = call_rpc(c, p->mount, req, payload, len, &rep);

	if (rc) {
		/* A link that was followed, if to nothing, has another atime; and it may be in a listing that is on its way. */
		if (*p->key)
			cache_forget(p->mount, p->key, false);
		return rc;
	}
	if (rep.msg.which_op == rfs_Reply_stat_tag && rep.msg.op.stat.has_attr)
		learn(p->mount, p->key, &rep.msg.op.stat, since);
	link_reply_free(&rep);
	return 0;
}

long aim_look(struct call *c, const struct place *p, bool nofollow, uint64_t *nlink)
{
	rfs_Request req = { .which_op = rfs_Request_stat_tag, .op.stat = { .has_where = true, .nofollow = nofollow } };
	struct link_reply rep;

	place_where(p, &req.op.stat.where);
	int rc = call_rpc(c, p->mount, &req, NULL, 0, &rep);
	if (rc)
		return rc;
	if (nlink)
		*nlink = rep.msg.op.stat.attr.nlink;
	link_reply_free(&rep);
	return 0;
}

long aim_done(long r)
{
	return r < 0 ? -errno : r;
}
