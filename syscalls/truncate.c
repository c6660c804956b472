/* truncate, ftruncate. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cache.h"
#include "call.h"
#include "fsize.h"
#include "handlers.h"
#include "link.h"
#include "ofd.h"
#include "place.h"
#include "remote.h"
#include "rules.h"
#include "sync.h"

static int ask_truncate(struct call *c, const struct mount *m, rfs_Request *req)
{
	struct link_reply rep = { 0 };

	sync_hold();
	uint64_t since = node_clock();
	int rc = call_rpc(c, m, req, NULL, 0, &rep);
	if (!rc && rep.msg.which_op == rfs_Reply_stat_tag && rep.msg.op.stat.has_attr)
		remote_resized(m, &rep.msg.op.stat.attr, since);
	sync_release();
	link_reply_free(&rep);
	return rc;
}

long sys_ftruncate(struct call *c)
{
	struct ofd *o = ofd_by_fd(c->tid, (int)c->arg[0]);
	int64_t length = (int64_t)c->arg[1];

	if (!o)
		return CALL_CONTINUE;
	call_remote(c, o->mount);
	if (o->flags & O_PATH)
		return length < 0 ? -EINVAL : -EBADF;
	if (o->channel)
		return -EINVAL;
	/* What is wrong with the descriptor or the length is wrong with the placeholder too. */
	if (length < 0 || (o->flags & O_ACCMODE) == O_RDONLY || !S_ISREG(o->node->attr.mode))
		return CALL_CONTINUE;
	rfs_Request req = { .which_op = rfs_Request_truncate_tag, .op.truncate = { .handle = o->handle, .length = length } };
	ofd_ref(o);
	int rc = sync_flush(c, o->image, 0, UINT64_MAX);
	rc = rc ? rc : remote_check_size(c, o, (uint64_t)length);
	rc = rc ? rc : ask_truncate(c, o->mount, &req);
	cache_forget(o->mount, o->path, false);
	ofd_unref(o);
	return rc;
}

/* As remote_check_size. What else is wrong with the place, the truncation says. */
static int check_length(struct call *c, struct place *p, uint64_t length)
{
	rfs_Request req = { .which_op = rfs_Request_stat_tag, .op.stat.has_where = true };
	struct link_reply rep;
	int rc = 0;

	if (!fsize_limited(c))
		return 0;
	place_where(p, &req.op.stat.where);
	if (call_rpc(c, p->mount, &req, NULL, 0, &rep))
		return 0;
	if (rep.msg.which_op == rfs_Reply_stat_tag && S_ISREG(rep.msg.op.stat.attr.mode) &&
	    length > rep.msg.op.stat.attr.size)
		rc = fsize_check(c, length);
	link_reply_free(&rep);
	return rc;
}

long sys_truncate(struct call *c)
{
	PLACE_ON_STACK(p);
	rfs_Request req = { .which_op = rfs_Request_truncate_tag, .op.truncate = { .length = (int64_t)c->arg[1] } };

	if ((int64_t)c->arg[1] < 0)
		return CALL_CONTINUE; /* EINVAL, whatever the path is */
	long rc = place_resolve(c, AT_FDCWD, c->arg[0], PLACE_FOLLOW | PLACE_CHANGE, &p);
	if (rc || (!p.mount && !p.behalf))
		return rc ? rc : CALL_CONTINUE;
	if (p.behalf)
		return truncate(p.local, (off_t)c->arg[1]) < 0 ? -errno : 0;
	req.op.truncate.has_where = true;
	place_where(&p, &req.op.truncate.where);
	rc = check_length(c, &p, (uint64_t)c->arg[1]);
	rc = rc ? rc : ask_truncate(c, p.mount, &req);
	if (*p.key)
		cache_forget(p.mount, p.key, false);
	return rc;
}
