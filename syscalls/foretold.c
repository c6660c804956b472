#include "foretold.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/stat.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "aim.h"
#include "behind.h"
#include "cache.h"
#include "call.h"
#include "link.h"
#include "listing.h"
#include "log.h"
#include "ofd.h"
#include "place.h"
#include "rules.h"
#include "util.h"

#ifndef STATX_ATTR_IMMUTABLE
#define STATX_ATTR_IMMUTABLE 0x10
#define STATX_ATTR_APPEND 0x20
#endif

#define FIXED (STATX_ATTR_IMMUTABLE | STATX_ATTR_APPEND)

/* ---- rights ---- */

static bool is_time(uint32_t nsec)
{
	return nsec != UINT32_MAX;
}

bool foretold_rights(const struct mount *m, const rfs_Attr *attr, const rfs_Request *req)
{
	const struct link_agent *agent = link_agent(m->link);
	bool owner = agent->owns_all || attr->uid == agent->uid;

	if (!owner || attr->attributes & FIXED)
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

/* ---- what went wrong ---- */

/* In which directories. */
struct failure {
	struct failure *next;
	const struct mount *mount;
	char *dir;
	int error;
};

static struct failure *failures;

int foretold_error(const struct ofd *o)
{
	for (struct failure *f, **at = &failures; (f = *at); at = &f->next) {
		int error = f->error;

		if (f->mount != o->mount || strcmp(f->dir, o->path))
			continue;
		*at = f->next;
		free(f->dir);
		free(f);
		return error;
	}
	return 0;
}

static void note_failure(const struct mount *m, const char *path, int error)
{
	char dir[PATH_MAX];
	struct failure *f = failures;

	if (!path_parent(path, dir))
		return;
	while (f && (f->mount != m || strcmp(f->dir, dir)))
		f = f->next;
	if (f)
		return;
	f = xcalloc(1, sizeof(*f));
	*f = (struct failure){ failures, m, xstrdup(dir), error };
	failures = f;
}

/* The program goes on as if PATH had been made, or changed (WHAT). */
static void tell(const struct mount *m, const char *path, const char *what, int error)
{
	char shown[PATH_MAX];

	log_error("%s %s: %s (the program's call had returned: --sync)",
		  path_to_program(m, path, shown, sizeof(shown)) ? path : shown, what, strerror(-error));
	note_failure(m, path, error);
}

/* ---- names that others are at ---- */

/* P is one of these; on the stack of the call that waits. */
struct doubt { struct doubt *next; const struct place *p; };

static struct doubt *doubts;

static void doubt(struct doubt *d, const struct place *p)
{
	*d = (struct doubt){ doubts, p };
	doubts = d;
}

static void trust(const struct doubt *d)
{
	struct doubt **at = &doubts;

	while (*at != d)
		at = &(*at)->next;
	*at = d->next;
}

static bool is_doubtful(const struct mount *m, const char *path)
{
	const struct doubt *d = doubts;

	while (d && (d->p->mount != m || (*d->p->key && !path_within(path, d->p->key))))
		d = d->next;
	return d;
}

int foretold_rpc(struct call *c, const struct place *p, const struct place *other, const rfs_Request *req, const void *payload, size_t len,
		 struct link_reply *rep)
{
	struct doubt first, second;

	doubt(&first, p);
	if (other)
		doubt(&second, other);
	int rc = call_rpc(c, p->mount, req, payload, len, rep);
	if (other)
		trust(&second);
	trust(&first);
	return rc;
}

/* ---- names ---- */

/*
 * Whether nothing stands in the way of P's being made: the directory, whose attributes go to DIR, is known with all its names, P is not
 * among them, and we have made others there, so its file system can be written to.
 */
static bool can_make(struct call *c, const struct place *p, rfs_Attr *dir)
{
	const struct link_agent *agent = link_agent(p->mount->link);
	char above[PATH_MAX];
	rfs_Attr attr;

	behind_room(c, p->mount);
	if (!*p->key || !p->mount->writable || p->mount->overlay || !behind_may_names(p->mount, BEHIND_FSYNC))
		return false;
	if (!path_parent(p->key, above) || strlen(strrchr(p->key, '/') + 1) > NAME_MAX || is_doubtful(p->mount, p->key))
		return false;
	if (!cache_marked(p->mount, above, CACHE_OURS) || cache_find(p->mount, p->key, &attr) != -ENOENT)
		return false;
	if (!cache_last(p->mount, above, dir) || dir->attributes & FIXED)
		return false;
	return (agent->owns_all && !agent->uid) || (dir->uid == agent->uid && (dir->mode & 0300) == 0300);
}

/* What will be in the directory DIR; MODE has the type. Of the group only a setgid directory tells. */
static rfs_Attr guess(const struct mount *m, const rfs_Attr *dir, mode_t mode)
{
	bool inherits = dir->mode & S_ISGID;

	return (rfs_Attr){ .mode = mode | (inherits && S_ISDIR(mode) ? S_ISGID : 0), .nlink = 1, .blksize = 4096,
			   .uid = link_agent(m->link)->uid, .gid = inherits ? dir->gid : UINT32_MAX };
}

/* A name that is being made. */
struct making { const struct mount *mount; uint64_t since; char path[]; };

static struct making *making(const struct mount *m, const char *path)
{
	struct making *k = xcalloc(1, sizeof(*k) + strlen(path) + 1);

	k->mount = m;
	strcpy(k->path, path);
	return k;
}

static void unmade(const struct mount *m, const char *path)
{
	cache_forget_name(m, path, true);
	node_names_changed(m, path);
}

static bool send_making(struct call *c, const struct place *p, rfs_Request *req, const char *text, unsigned type, call_then *then)
{
	struct making *k = making(p->mount, p->key);

	req->own = req->ordered = true;
	if (behind_ask(c, p->mount, req, text, text ? strlen(text) : 0, then, k)) {
		free(k);
		return false;
	}
	node_names_changed(p->mount, p->key);
	cache_made(p->mount, p->key, type, NULL, cache_now());
	k->since = cache_now();
	return true;
}

static void named(struct link_reply *rep, int rc, void *arg)
{
	struct making *k = arg;

	if (rc) {
		unmade(k->mount, k->path);
		tell(k->mount, k->path, "was not made", rc);
	}
	free(k);
}

bool foretold_name(struct call *c, const struct place *p, rfs_Request *req, const char *text, unsigned type)
{
	mode_t mode = type == DT_LNK ? S_IFLNK | 0777 : req->op.mknod.mode & ~req->op.mknod.umask;
	rfs_Attr dir;

	mode |= mode & S_IFMT ? 0 : S_IFREG;
	if (S_ISCHR(mode) || S_ISBLK(mode)) /* a right of its own */
		return false;
	if (!can_make(c, p, &dir) || !send_making(c, p, req, text, IFTODT(mode), named))
		return false;
	const rfs_Attr attr = guess(p->mount, &dir, mode);
	cache_assume(p->mount, p->key, &attr);
	return true;
}

/* Whether the listing in REP has the directory itself, and that above it, and no more. */
static bool is_empty(const struct link_reply *rep)
{
	bool searched = false;
	rfs_Entry e;

	for (size_t at = 0; listing_next(rep->payload, rep->payload_len, &at, &e) > 0;) {
		if (e.name.bytes[0] != '.' || e.name.size > 2 || (e.name.size == 2 && e.name.bytes[1] != '.'))
			return false;
		searched |= e.name.size == 1 && e.has_attr;
	}
	return searched;
}

/* What the agent says of a directory in which the program may have made names since. */
static void directory_made(struct link_reply *rep, int rc, void *arg)
{
	struct making *k = arg;
	const rfs_OpenReply *r = &rep->msg.op.open;

	if (rc) {
		unmade(k->mount, k->path);
		tell(k->mount, k->path, "was not made", rc);
	} else if (rep->msg.which_op == rfs_Reply_open_tag && r->has_attr && r->complete && r->coherent & rfs_Coherent_NAME && is_empty(rep)) {
		cache_confirm(k->mount, k->path, &r->attr, k->since);
	} else {
		cache_forget(k->mount, k->path, true);
	}
	free(k);
}

bool foretold_mkdir(struct call *c, const struct place *p, rfs_Request *req)
{
	const rfs_Mkdir *mk = &req->op.mkdir;
	rfs_Attr dir;

	if (!can_make(c, p, &dir) || !send_making(c, p, req, NULL, DT_DIR, directory_made))
		return false;
	const rfs_Attr attr = guess(p->mount, &dir, S_IFDIR | (mk->mode & ~mk->umask & 01777));
	cache_expect(p->mount, p->key, &attr);
	return true;
}

/* ---- files ---- */

#define PLAIN_FLAGS                                                                                                     \
	(O_ACCMODE | O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_APPEND | O_NONBLOCK | 0100000 /* O_LARGEFILE */ | O_NOFOLLOW | \
	 O_NOATIME | O_CLOEXEC)

static void file_made(struct ofd *o, const rfs_OpenReply *r, int rc)
{
	if (rc) {
		o->unmade = rc;
		o->coherent = 0;
		o->released = true; /* its number is nobody's */
		unmade(o->mount, o->path);
		return;
	}
	o->coherent = r->coherent;
	/* Somebody else had made it, and it is open here by another name: what is known of it by two ways does not agree. */
	if (o->node && !node_identify(o->node, &r->attr))
		o->coherent = 0;
}

struct ofd *foretold_open(struct call *c, const struct place *p, int flags, rfs_Request *req)
{
	rfs_Open *op = &req->op.open;
	int access = flags & O_ACCMODE;
	rfs_Attr dir;

	if (!(flags & O_CREAT) || flags & ~PLAIN_FLAGS || (access != O_WRONLY && access != O_RDWR) || op->resolve || !can_make(c, p, &dir))
		return NULL;
	rfs_Attr attr = guess(p->mount, &dir, S_IFREG | (op->mode & ~op->umask & 07777));
	/* No file's number until the agent has told it. */
	attr.ino = op->handle;
	attr.dev_major = attr.dev_minor = UINT32_MAX;
	op->prefetch = 0;
	req->own = true;
	struct ofd *o = ofd_new(p->mount, op->handle, p->key, flags & ~(O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC), &attr);
	o->coherent = rfs_Coherent_NAME | rfs_Coherent_HANDLE;
	node_set_attr(o->node, &attr, false);
	if (behind_open(c, o, req, file_made)) {
		o->released = true;
		ofd_unref(o);
		return NULL;
	}
	node_names_changed(p->mount, p->key);
	cache_made(p->mount, p->key, DT_REG, NULL, cache_now());
	return o;
}

/* ---- attributes ---- */

/* What ATTR becomes with REQ. */
static rfs_Attr changed(const rfs_Attr *attr, const rfs_Request *req)
{
	rfs_Attr a = *attr;

	if (req->which_op == rfs_Request_chmod_tag)
		a.mode = (a.mode & S_IFMT) | (req->op.chmod.mode & 07777);
	if (req->which_op == rfs_Request_chown_tag && req->op.chown.uid != UINT32_MAX)
		a.uid = req->op.chown.uid;
	if (req->which_op == rfs_Request_chown_tag && req->op.chown.gid != UINT32_MAX)
		a.gid = req->op.chown.gid;
	return a;
}

/* Nothing but the time of change will be another. */
static bool is_idle(const rfs_Attr *attr, const rfs_Request *req)
{
	rfs_Attr a = changed(attr, req);

	if (req->which_op == rfs_Request_utimes_tag)
		return false;
	/* chown takes these bits off a file. */
	if (req->which_op == rfs_Request_chown_tag && !S_ISDIR(attr->mode) && attr->mode & (S_ISUID | S_ISGID))
		return false;
	return a.mode == attr->mode && a.uid == attr->uid && a.gid == attr->gid;
}

static bool follows(const rfs_Request *req)
{
	return !(req->which_op == rfs_Request_chmod_tag   ? req->op.chmod.nofollow :
		 req->which_op == rfs_Request_chown_tag ? req->op.chown.nofollow :
							  req->op.utimes.nofollow);
}

static const char *name_of(const struct place *p)
{
	const struct ofd *o = p->self ? p->dir : NULL;

	if (*p->key)
		return p->key;
	return o && S_ISDIR(o->node->attr.mode) && !o->path_stale && !o->lost && o->coherent & rfs_Coherent_NAME ? o->path : NULL;
}

/* Whether REQ changes PATH of M as far as can be told; *ATTR is what that is then. */
static bool can_change(const struct mount *m, const char *path, const rfs_Request *req, rfs_Attr *attr)
{
	char dir[PATH_MAX];

	if (!m->writable || m->overlay || !cache_last(m, path, attr) || !path_parent(path, dir) || !cache_marked(m, dir, CACHE_OURS) ||
	    is_doubtful(m, path))
		return false;
	bool idle = cache_find(m, path, attr) > 0 && is_idle(attr, req);
	if (!foretold_rights(m, attr, req))
		return false;
	/* Most file systems refuse to change a link's mode, since Linux 6.6 all do. */
	if (S_ISLNK(attr->mode) && (follows(req) || req->which_op == rfs_Request_chmod_tag))
		return false;
	const rfs_Attr after = changed(attr, req);
	if (S_ISDIR(attr->mode) && !aim_reaches(m, &after))
		return false;
	*attr = after;
	return behind_may_names(m, idle ? BEHIND_CLOSE : BEHIND_FSYNC);
}

static void attributes_changed(struct link_reply *rep, int rc, void *arg)
{
	struct making *k = arg;
	const rfs_StatReply *r = &rep->msg.op.stat;

	if (rc)
		tell(k->mount, k->path, "keeps its mode, owner or times", rc);
	if (!rc && rep->msg.which_op == rfs_Reply_stat_tag && r->has_attr && r->coherent & rfs_Coherent_NAME)
		cache_put(k->mount, k->path, &r->attr, k->since);
	else
		cache_forget(k->mount, k->path, true);
	free(k);
}

struct named { const struct mount *mount; const char *path; };

static void outdate(struct ofd *o, void *arg)
{
	const struct named *n = arg;

	if (o->mount == n->mount && !strcmp(o->path, n->path))
		node_changed(o->node);
}

bool foretold_change(struct call *c, const struct place *p, const rfs_Request *req)
{
	rfs_Attr attr;

	behind_room(c, p->mount);
	const char *path = name_of(p);
	if (!path || !can_change(p->mount, path, req, &attr))
		return false;
	struct making *k = making(p->mount, path);
	rfs_Request copy = *req;
	copy.own = copy.ordered = true;
	if (behind_ask(c, p->mount, &copy, NULL, 0, attributes_changed, k)) {
		free(k);
		return false;
	}
	struct named n = { p->mount, k->path };
	struct node *node = node_find(p->mount, &attr);
	ofd_each(outdate, &n);
	if (node)
		node_changed(node);
	cache_changed(p->mount, k->path);
	cache_assume(p->mount, k->path, &attr);
	k->since = cache_now();
	return true;
}
