#include "late.h"

#include <linux/stat.h>
#include <stdlib.h>

#include "behind.h"
#include "call.h"
#include "fsize.h"
#include "io.h"
#include "link.h"
#include "ofd.h"
#include "place.h"
#include "rules.h"
#include "util.h"

#ifndef STATX_ATTR_IMMUTABLE
#define STATX_ATTR_IMMUTABLE 0x10
#define STATX_ATTR_APPEND 0x20
#endif

bool late_may_write(const struct call *c, const struct ofd *o, uint64_t off, uint64_t count)
{
	/* What goes farther than every file system does would fail at once. */
	return behind_may(o) && off < PLAIN_OFFSET && count < PLAIN_OFFSET && !fsize_limited(c);
}

int late_send(struct call *c, struct ofd *o, const void *data, size_t len, uint64_t off, bool append, bool moves)
{
	rfs_Request req = { .which_op = rfs_Request_write_tag,
			    .op.write = { .handle = o->handle, .offset = off, .append = append } };

	return behind_send(c, o, &req, data, len, moves);
}

/* ---- what the file is ---- */

static bool is_time(uint32_t nsec)
{
	return nsec != UINT32_MAX;
}

/* Whether REQ will succeed, as far as the rights of O's agent over its file tell. */
static bool is_foretold(const struct ofd *o, const rfs_Request *req)
{
	const struct link_agent *agent = link_agent(o->mount->link);
	const rfs_Attr *attr = &o->node->attr;
	bool owner = agent->owns_all || attr->uid == agent->uid;

	if (!owner || attr->attributes & (STATX_ATTR_IMMUTABLE | STATX_ATTR_APPEND))
		return false;
	if (req->which_op == rfs_Request_chmod_tag)
		return true;
	if (req->which_op == rfs_Request_utimes_tag)
		return is_time(req->op.utimes.atime_nsec) && is_time(req->op.utimes.mtime_nsec);
	if (req->which_op != rfs_Request_chown_tag)
		return false;
	uint32_t uid = req->op.chown.uid, gid = req->op.chown.gid;
	return agent->gives_away || ((uid == UINT32_MAX || uid == attr->uid) && (gid == UINT32_MAX || gid == attr->gid));
}

bool late_change(struct call *c, const struct place *p, const rfs_Request *req)
{
	struct ofd *o = p->self ? p->dir : NULL;

	if (!o || !behind_may(o) || !is_foretold(o, req))
		return false;
	return behind_send(c, o, req, NULL, 0, false) == 0;
}
