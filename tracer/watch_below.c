#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "call.h"
#include "link.h"
#include "ofd.h"
#include "overlay.h"
#include "place.h"
#include "rules.h"
#include "upper.h"
#include "util.h"
#include "watch_int.h"

/* What others do to it. That a file is opened or read is as well our own doing, for a copy. */
#define BELOW_EVENTS (IN_MODIFY | IN_ATTRIB | IN_CLOSE_WRITE | IN_MOVED_FROM | IN_MOVED_TO | IN_CREATE | IN_DELETE)

/* The directory of OV's upper layer that P, a place in it, is; O_PATH. A negative errno: it is something else. */
static int open_upper(const struct overlay *ov, const struct place *p)
{
	const char *path = p->self ? p->dir->path : p->path;
	char norm[PATH_MAX];
	size_t top = strlen(OVERLAY_UPPER);

	if (path_normalise(path, norm, sizeof(norm)) < 0 || !path_within(norm, OVERLAY_UPPER))
		return -ENOENT;
	return upper_walk(ov->top, norm[top] ? norm + top : "/");
}

static int ask(struct call *c, const struct mount *m, uint64_t number, const char *path, uint32_t mask)
{
	rfs_Request req = { .which_op = rfs_Request_watch_tag, .op.watch = { .has_where = true, .instance = number, .mask = mask } };
	size_t len = strlen(path);
	struct link_reply rep;

	memcpy(req.op.watch.where.path.bytes, path, len);
	req.op.watch.where.path.size = (pb_size_t)len;
	int rc = call_rpc(c, m, &req, NULL, 0, &rep);
	if (rc)
		return rc;
	rc = rep.msg.which_op == rfs_Reply_watch_tag && rep.msg.op.watch.wd > 0 ? rep.msg.op.watch.wd : -EPROTO;
	link_reply_free(&rep);
	return rc;
}

static void unwatch(const struct mount *m, uint64_t number, int wd)
{
	rfs_Request req = { .which_op = rfs_Request_unwatch_tag, .op.unwatch = { .instance = number, .wd = wd } };

	call_send(m, &req);
}

void below_listen(struct call *c, struct watch *w, uint64_t number, const struct place *p)
{
	struct overlay *ov = p->mount->overlay;
	char path[PATH_MAX];

	if (!w || !w->carrier.directory || !(w->mask & BELOW_EVENTS))
		return;
	CLEANUP_FD int dir = open_upper(ov, p);
	if (dir < 0 || upper_from(dir, path) != 1)
		return;
	const struct mount *upper = w->mount;
	int upper_wd = w->remote_wd;
	int wd = ask(c, ov->lower, number, path, (w->mask & BELOW_EVENTS) | IN_ONLYDIR | IN_DONT_FOLLOW);
	/* Another thread may have removed it meanwhile. */
	w = watch_known(number, upper, upper_wd);
	if (wd >= 0 && !w)
		unwatch(ov->lower, number, wd);
	if (wd < 0 || !w)
		return;
	below_forget(w);
	w->below.mount = ov->lower;
	w->below.wd = wd;
	w->below.dir = dir;
	dir = -1;
}

bool below_hides(const struct watch *w, const struct mount *m, const char *name)
{
	struct stat st;

	if (m != w->below.mount)
		return false;
	/* What is changed of the directory itself, its copy does not follow. */
	return !*name || fstatat(w->below.dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 || upper_is_gone(w->below.dir, name);
}

void below_forget(struct watch *w)
{
	if (w->below.mount)
		close_fd(&w->below.dir);
	w->below.mount = NULL;
}

void below_end(struct watch *w, uint64_t number)
{
	if (w->below.mount)
		unwatch(w->below.mount, number, w->below.wd);
	below_forget(w);
}
