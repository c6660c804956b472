#include "own.h"

#include <string.h>
#include <sys/inotify.h>
#include <sys/types.h>

#include "agent.h"
#include "ops.h"
#include "resolve.h"

/* Where an own change is, and which events tell of nothing else. */
struct change {
	bool has_where;
	const rfs_Where *where;
	uint32_t mask;
	bool nofollow;
};

#define CHANGE(name, where_, mask_, nofollow_)                                                     \
	case rfs_Request_##name##_tag:                                                             \
		*c = (struct change){ req->op.name.has_##where_, &req->op.name.where_, mask_, nofollow_ }; \
		return true

static bool change_of(const rfs_Request *req, struct change *c)
{
	switch (req->which_op) {
		CHANGE(open, where, IN_CREATE, false);
		CHANGE(mkdir, where, IN_CREATE, true);
		CHANGE(symlink, where, IN_CREATE, true);
		CHANGE(mknod, where, IN_CREATE, true);
		CHANGE(link, to, IN_CREATE, true);
		CHANGE(chmod, where, IN_ATTRIB, req->op.chmod.nofollow);
		CHANGE(chown, where, IN_ATTRIB, req->op.chown.nofollow);
		/* A time of two is told as access or as modification (fsnotify_change of linux/fsnotify.h). */
		CHANGE(utimes, where, IN_ATTRIB | IN_MODIFY, req->op.utimes.nofollow);
	}
	return false;
}

bool own_applies(const struct op *op)
{
	struct change c;

	return op->req->own && change_of(op->req, &c);
}

static bool is_meta(const rfs_Request *req)
{
	return req->which_op == rfs_Request_chmod_tag || req->which_op == rfs_Request_chown_tag ||
	       req->which_op == rfs_Request_utimes_tag;
}

/* What it came to. That is a gift: a failure only leaves it out. */
static void own_look(struct op *op, const struct change *c)
{
	rfs_Reply before = *op->reply;
	int r = 0;

	if (op->req->which_op == rfs_Request_mkdir_tag)
		r = fetch_where(op, c->has_where, c->where, PATH_MAX);
	else if (is_meta(op->req))
		r = stat_where(op, c->has_where, c->where, c->nofollow, false);
	if (!r)
		return;
	*op->reply = before;
	op->out_len = 0;
}

int own_run(struct op *op, int (*fn)(struct op *op))
{
	struct watch_own own;
	struct change c;
	struct place p;

	change_of(op->req, &c);
	bool known = !place_get(op, c.has_where, c.where, &p) && resolve_canonical(&p, own.path);
	place_put(&p);
	if (!known)
		return fn(op);
	watch_own_begin(op->agent->watcher, &own, c.mask);
	int r = fn(op);
	watch_own_end(op->agent->watcher, &own, r < 0);
	if (!r)
		own_look(op, &c);
	return r;
}
