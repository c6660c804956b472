/* mkdir, rmdir, unlink, rename and their *at forms. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "apart.h"
#include "cache.h"
#include "call.h"
#include "foretold.h"
#include "handlers.h"
#include "known.h"
#include "link.h"
#include "ofd.h"
#include "overlay.h"
#include "overlay_name.h"
#include "place.h"
#include "rules.h"

/* REQ takes P away, perhaps to OTHER. It is answered by its errno alone; whatever came of it, the name is known no longer. */
static long ask(struct call *c, const struct place *p, const struct place *other, const rfs_Request *req, bool subtree)
{
	struct link_reply rep;
	int rc = foretold_rpc(c, p, other, req, NULL, 0, &rep);

	if (!rc)
		link_reply_free(&rep);
	cache_forget_name(p->mount, *p->key ? p->key : "/", subtree || !*p->key);
	node_names_changed(p->mount, p->key);
	return rc;
}

/* What is known of the directory that REP, of a Mkdir of P that was asked for at SINCE, tells of. */
static void learn_made(const struct place *p, struct link_reply *rep, uint64_t since)
{
	const rfs_OpenReply *r = rep->msg.which_op == rfs_Reply_open_tag && rep->msg.op.open.has_attr ? &rep->msg.op.open : NULL;
	bool told = r && r->coherent & rfs_Coherent_NAME;

	node_names_changed(p->mount, p->key);
	if (!*p->key) {
		cache_forget_name(p->mount, "/", true);
		return;
	}
	cache_made(p->mount, p->key, DT_DIR, told ? &r->attr : NULL, since);
	if (told && known_keep(p, 0, rep, cache_now()))
		cache_mark(p->mount, p->key, CACHE_OURS, true);
}

static long make_directory(struct call *c, const struct place *p, rfs_Request *req)
{
	uint64_t since = cache_now();
	struct link_reply rep;

	/* filename_create() of fs/namei.c says so before it says anything of the file system. */
	if (*p->key && !p->mount->overlay && cache_exists(p->mount, p->key)) {
		call_remote(c, p->mount);
		return -EEXIST;
	}
	if (foretold_mkdir(c, p, req))
		return 0;
	req->own = place_owns(p);
	int rc = foretold_rpc(c, p, NULL, req, NULL, 0, &rep);
	if (rc) {
		cache_forget_name(p->mount, *p->key ? p->key : "/", true);
		node_names_changed(p->mount, p->key);
		return rc;
	}
	learn_made(p, &rep, since);
	link_reply_free(&rep);
	return 0;
}

static long mkdir_common(struct call *c, int dirfd, uint64_t path, unsigned mode)
{
	PLACE_ON_STACK(p);
	rfs_Request req = { .which_op = rfs_Request_mkdir_tag };
	long rc = place_resolve(c, dirfd, path, PLACE_MAKE, &p);

	if (rc || (!p.mount && !p.behalf))
		return rc ? rc : CALL_CONTINUE;
	if (p.behalf)
		return mkdir(p.local, mode) < 0 ? -errno : 0;
	req.op.mkdir.has_where = true;
	req.op.mkdir.mode = mode & 07777;
	req.op.mkdir.umask = call_umask(c);
	place_where(&p, &req.op.mkdir.where);
	return make_directory(c, &p, &req);
}

long sys_mkdir(struct call *c)
{
	return mkdir_common(c, AT_FDCWD, c->arg[0], (unsigned)c->arg[1]);
}

long sys_mkdirat(struct call *c)
{
	return mkdir_common(c, (int)c->arg[0], c->arg[1], (unsigned)c->arg[2]);
}

struct gone { const struct mount *mount; const char *path; };

static void mark_gone(struct ofd *o, void *arg)
{
	const struct gone *g = arg;

	/* Its name is not its own any more, and what was listed is not there. */
	if (o->mount == g->mount && path_within(o->path, g->path)) {
		ofd_moved(o);
		o->list_known = false;
	}
}

static void forget_open(const struct place *p)
{
	struct gone g = { .mount = p->mount, .path = *p->key ? p->key : "/" };

	ofd_each(mark_gone, &g);
}

/* Whether it is known that P is not there, in a directory in which we have made names. */
static bool known_missing(const struct place *p)
{
	char dir[PATH_MAX];
	rfs_Attr attr;

	return path_parent(p->key, dir) && cache_marked(p->mount, dir, CACHE_OURS) && cache_find(p->mount, p->key, &attr) == -ENOENT;
}

static long unlink_common(struct call *c, int dirfd, uint64_t path, int flags)
{
	PLACE_ON_STACK(p);
	struct overlay_taking taking = { .dir = -1 };
	rfs_Request req = { .which_op = rfs_Request_unlink_tag };
	long rc = place_resolve(c, dirfd, path, PLACE_TAKE, &p);

	if (flags & ~AT_REMOVEDIR)
		return CALL_CONTINUE;
	if (rc || (!p.mount && !p.behalf))
		return rc ? rc : CALL_CONTINUE;
	if (p.behalf)
		return unlinkat(AT_FDCWD, p.local, flags) < 0 ? -errno : 0;
	if (p.mount->overlay && !p.dir)
		rc = overlay_unlink(c, &p, flags & AT_REMOVEDIR, &taking);
	/* A file system that cannot be written to says so first (do_unlinkat of fs/namei.c), so only where we have made names. */
	if (!p.mount->overlay && known_missing(&p)) {
		call_remote(c, p.mount);
		return -ENOENT;
	}
	if (!rc) {
		req.op.unlink.has_where = true;
		req.op.unlink.flags = (uint32_t)flags;
		place_where(&p, &req.op.unlink.where);
		rc = ask(c, &p, NULL, &req, flags & AT_REMOVEDIR);
		if (!rc)
			forget_open(&p);
	}
	overlay_taken(&taking, rc >= 0);
	return rc < 0 ? rc : 0;
}

long sys_unlink(struct call *c)
{
	return unlink_common(c, AT_FDCWD, c->arg[0], 0);
}

long sys_rmdir(struct call *c)
{
	return unlink_common(c, AT_FDCWD, c->arg[0], AT_REMOVEDIR);
}

long sys_unlinkat(struct call *c)
{
	return unlink_common(c, (int)c->arg[0], c->arg[1], (int)c->arg[2]);
}

static long rename_places(struct call *c, const struct place *from, const struct place *to, unsigned flags)
{
	rfs_Request req = { .which_op = rfs_Request_rename_tag,
			    .op.rename = { .has_from = true, .has_to = true, .flags = flags } };

	place_where(from, &req.op.rename.from);
	place_where(to, &req.op.rename.to);
	long rc = ask(c, from, to, &req, true);
	cache_forget_name(to->mount, *to->key ? to->key : "/", true);
	node_names_changed(to->mount, to->key);
	if (!rc) {
		forget_open(from);
		forget_open(to);
	}
	return rc;
}

static long rename_layers(struct call *c, struct place *from, struct place *to, unsigned flags)
{
	struct overlay_taking taking = { .dir = -1 };
	long rc = overlay_rename(c, from, to, flags, &taking);

	rc = rc ? rc : rename_places(c, from, to, flags);
	if (!rc)
		overlay_renamed(c, from, to, flags);
	overlay_taken(&taking, !rc);
	return rc;
}

static long rename_common(struct call *c, int olddir, uint64_t oldpath, int newdir, uint64_t newpath, unsigned flags)
{
	PLACE_ON_STACK(from);
	PLACE_ON_STACK(to);
	const unsigned known = RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT;

	if (flags & ~known || (flags & RENAME_EXCHANGE && flags & ~(unsigned)RENAME_EXCHANGE))
		return CALL_CONTINUE; /* EINVAL, whatever the names are */
	const struct apart_name old = { olddir, oldpath, &from, place_resolve(c, olddir, oldpath, PLACE_TAKE, &from) };
	const struct apart_name new = { newdir, newpath, &to, place_resolve(c, newdir, newpath, PLACE_TAKE, &to) };
	const struct mount *m = from.mount ? from.mount : to.mount;

	long rc = apart_refused(c, &old, &new, APART_RENAME);
	if (rc)
		return rc;
	if (m)
		call_remote(c, m);
	if (!overlay_same(from.mount, to.mount))
		return apart_rename(c, &old, &new);
	if (m && m->overlay)
		return rename_layers(c, &from, &to, flags);
	if (m)
		return rename_places(c, &from, &to, flags);
	return from.behalf || to.behalf ? apart_rename_here(c, &old, &new, flags) : CALL_CONTINUE;
}

long sys_rename(struct call *c)
{
	return rename_common(c, AT_FDCWD, c->arg[0], AT_FDCWD, c->arg[1], 0);
}

long sys_renameat(struct call *c)
{
	return rename_common(c, (int)c->arg[0], c->arg[1], (int)c->arg[2], c->arg[3], 0);
}

long sys_renameat2(struct call *c)
{
	return rename_common(c, (int)c->arg[0], c->arg[1], (int)c->arg[2], c->arg[3], (unsigned)c->arg[4]);
}
