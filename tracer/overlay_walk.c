/* The way of a path through the merged tree, name by name as the kernel goes. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cache.h"
#include "call.h"
#include "frame.h"
#include "overlay.h"
#include "path.h"
#include "place.h"
#include "rules.h"
#include "upper.h"
#include "util.h"

#define LINKS_MAX 40 /* MAXSYMLINKS of the kernel */

struct walk {
	struct call *c;
	struct overlay *ov;
	int flags;
	bool follow;           /* a link that is the last name */
	bool slash_follows;    /* … when a slash is behind it */
	unsigned links;
	size_t scope;          /* the length of the path that nothing leads above */
	int dir;               /* O_PATH: the directory AT in the upper layer, or -1 */
	char at[PATH_MAX];     /* where the walk is: "" or "/a/b" */
	char lower[PATH_MAX];  /* the lower directory that is part of AT, "" when none is */
	char *rest;            /* allocated: each of the links may add its text */
	char *next;            /* in REST */
};

int overlay_lower_attr(struct call *c, struct overlay *ov, const char *path, rfs_Attr *attr)
{
	rfs_Request req = { .which_op = rfs_Request_stat_tag, .op.stat = { .has_where = true, .nofollow = true, .no_links = true } };
	uint64_t since = cache_now();
	struct link_reply rep;
	int known = cache_find(ov->lower, path, attr);

	if (known)
		return known < 0 ? known : 0;
	BYTES_PUT(req.op.stat.where.path, path);
	int rc = call_rpc(c, ov->lower, &req, NULL, 0, &rep);
	bool told = rep.msg.which_op == rfs_Reply_stat_tag && rep.msg.op.stat.coherent & rfs_Coherent_NAME;
	if (rc == -ENOENT && told)
		cache_put(ov->lower, path, NULL, since);
	if (rc)
		return rc;
	if (rep.msg.which_op == rfs_Reply_stat_tag && rep.msg.op.stat.has_attr)
		*attr = rep.msg.op.stat.attr;
	else
		rc = -EPROTO;
	if (!rc && told)
		cache_put(ov->lower, path, attr, since);
	link_reply_free(&rep);
	return rc;
}

/* DIR, a copy of what FROM says, is where the walk is; what was below it before is not. */
static int walk_into(struct walk *w, int dir)
{
	close_fd(&w->dir);
	w->dir = dir;
	w->lower[0] = '\0';
	int rc = upper_from(dir, w->lower);
	return rc < 0 ? rc : 0;
}

/* From the top to AT, of which each name is known to be a directory. */
static int walk_enter(struct walk *w)
{
	char name[NAME_MAX + 1];
	int top = openat(w->ov->top, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int rc = top < 0 ? -errno : walk_into(w, top);

	for (const char *p = w->at; !rc && *p;) {
		size_t n = strcspn(++p, "/");

		snprintf(name, sizeof(name), "%.*s", (int)n, p);
		int next = w->dir < 0 ? -ENOENT : upper_enter(w->dir, name);
		if (next >= 0) {
			rc = walk_into(w, next);
		} else if (next != -ENOENT) {
			rc = next;
		} else {
			close_fd(&w->dir);
			rc = path_append(w->lower, name, n);
		}
		p += n;
	}
	return rc;
}

/* ".." of the top, which only a part of the target's tree has: 1, what is left of the path is the target's alone. */
static int walk_out(const struct walk *w, struct overlay_found *f)
{
	const char *sub = w->ov->lower->sub;

	if (w->flags & PLACE_BENEATH)
		return -EXDEV;
	if (w->flags & PLACE_SCOPED || !sub[1])
		return 0;
	if (snprintf(f->lower, sizeof(f->lower), "%s/..%s", sub, w->next) >= (int)sizeof(f->lower))
		return -ENAMETOOLONG;
	f->outside = true;
	return 1;
}

static int walk_up(struct walk *w, struct overlay_found *f)
{
	char *slash = strrchr(w->at, '/');

	if (strlen(w->at) <= w->scope)
		return walk_out(w, f);
	*slash = '\0';
	return walk_enter(w);
}

/*
 * The absolute TEXT of a link as the program means it, in the merged tree; or what it leads to outside of that: true. See
 * walk_view in agent/walk.c.
 */
static bool leads_out(const struct walk *w, const char **text)
{
	const struct mount *m = w->ov->lower;

	if (m->at[1] && path_within(*text, m->at))
		*text += strlen(m->at);
	else if (m->sub[1] && path_within(*text, m->sub))
		*text += strlen(m->sub);
	else
		return m->sub[1];
	return false;
}

/* TEXT, of a link, comes before what is still to be walked, which begins at LEFT. */
static int walk_link(struct walk *w, const char *text, const char *left, struct overlay_found *f)
{
	CLEANUP_FREE char *rest = NULL;
	bool absolute = *text == '/';

	if (w->flags & PLACE_NO_LINKS || ++w->links > LINKS_MAX)
		return -ELOOP;
	if (absolute && w->flags & PLACE_BENEATH)
		return -EXDEV;
	if (!*text)
		return -ENOENT;
	f->outside = absolute && !(w->flags & PLACE_SCOPED) && leads_out(w, &text);
	/* A link to the mount itself is a directory as much as "/" is. */
	if (asprintf(&rest, "%s%s", *text ? text : "/", left) < 0)
		die("out of memory");
	if (f->outside)
		return snprintf(f->lower, sizeof(f->lower), "%s", rest) >= (int)sizeof(f->lower) ? -ENAMETOOLONG : 1;
	char *old = w->rest;
	w->next = w->rest = rest;
	rest = old;
	if (absolute)
		w->at[w->scope] = '\0';
	return walk_enter(w);
}

/* ---- what is found ---- */

static int found(struct walk *w, struct overlay_found *f, enum overlay_where where, const char *name, size_t n)
{
	f->where = where;
	f->in_upper_dir = w->dir >= 0;
	strcpy(f->path, w->at);
	if (where != OVERLAY_IN_LOWER)
		strcpy(f->lower, w->lower);
	int rc = n ? path_append(f->path, name, n) : 0;
	if (!rc && n && where != OVERLAY_IN_LOWER && *f->lower)
		rc = path_append(f->lower, name, n);
	return rc < 0 ? rc : 1;
}

/* The path ends at the directory where the walk is. */
static int found_dir(struct walk *w, struct overlay_found *f)
{
	struct stat st;

	f->mode = S_IFDIR;
	if (w->dir < 0) {
		strcpy(f->lower, w->lower);
		int rc = overlay_lower_attr(w->c, w->ov, w->lower, &f->attr);
		return rc ? rc : found(w, f, OVERLAY_IN_LOWER, "", 0);
	}
	if (!fstat(w->dir, &st))
		f->mode = st.st_mode;
	return found(w, f, OVERLAY_IN_UPPER, "", 0);
}

/*
 * NAME is not in the directory where the walk is. That it is too long is found by its file system last of all: for who makes or takes names, after
 * the other name's directory has been looked at, too.
 */
static int found_nothing(struct walk *w, struct overlay_found *f, const char *name, size_t n, bool last)
{
	bool two = w->flags & (PLACE_MAKE | PLACE_TAKE) && !(w->flags & PLACE_OPEN);

	if (n > NAME_MAX && !(last && two))
		return -ENAMETOOLONG;
	return last ? found(w, f, OVERLAY_NOTHING, name, n) : -ENOENT;
}

/* O_CREAT of a name with a slash behind it is an error whatever is there (open_last_lookups of fs/namei.c). */
static bool creates(const struct walk *w)
{
	return w->flags & PLACE_OPEN && w->flags & PLACE_MAKE;
}

/* ---- the upper layer ---- */

static int upper_link(struct walk *w, const char *name, const char *left, struct overlay_found *f)
{
	char text[PATH_MAX];
	ssize_t n = readlinkat(w->dir, name, text, sizeof(text) - 1);

	if (n < 0)
		return -errno;
	text[n] = '\0';
	return walk_link(w, text, left, f);
}

/* What the upper layer has at NAME, whose N bytes are the last ones if LAST. 1: found; 0: the walk goes on; negative errno. */
static int upper_step(struct walk *w, const char *name, size_t n, bool last, const struct stat *st, struct overlay_found *f)
{
	const char *left = w->next + n;

	if (last && f->slash && creates(w))
		return -EISDIR;
	if (S_ISLNK(st->st_mode) && (!last || w->follow || (f->slash && w->slash_follows)))
		return upper_link(w, name, left, f);
	if (!last && !S_ISDIR(st->st_mode))
		return -ENOTDIR;
	if (last && f->slash && w->slash_follows && !S_ISDIR(st->st_mode))
		return -ENOTDIR;
	f->mode = st->st_mode;
	if (last)
		return found(w, f, OVERLAY_IN_UPPER, name, n);
	int dir = openat(w->dir, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int rc = dir < 0 ? -errno : path_append(w->at, name, n);
	w->next += n;
	return rc ? rc : walk_into(w, dir);
}

/* ---- the lower layer ---- */

/* The names in the LEN bytes at NEXT have been walked: directories of the lower layer only. */
static int lower_descend(struct walk *w, size_t len)
{
	char at[PATH_MAX], lower[PATH_MAX];
	int rc = path_add_names(w->at, w->next, len, at);

	rc = rc ? rc : path_add_names(w->lower, w->next, len, lower);
	if (rc || !len)
		return rc;
	close_fd(&w->dir);
	strcpy(w->at, at);
	strcpy(w->lower, lower);
	w->next += len;
	return 0;
}

static int lower_link(struct walk *w, const char *path, const char *left, struct overlay_found *f)
{
	rfs_Request req = { .which_op = rfs_Request_readlink_tag, .op.readlink.has_where = true };
	char text[PATH_MAX];
	struct link_reply rep;

	BYTES_PUT(req.op.readlink.where.path, path);
	int rc = call_rpc(w->c, w->ov->lower, &req, NULL, 0, &rep);
	if (rc)
		return rc;
	snprintf(text, sizeof(text), "%.*s", (int)rep.payload_len, rep.payload ? (const char *)rep.payload : "");
	link_reply_free(&rep);
	return walk_link(w, text, left, f);
}

/* One of the names in the LEN bytes at NEXT is a link, the first of which is followed. */
static int lower_first_link(struct walk *w, size_t len, struct overlay_found *f)
{
	char path[PATH_MAX];
	rfs_Attr attr;
	size_t before = 0;

	for (size_t i = 0; i < len;) {
		i += strspn(w->next + i, "/");
		i += strcspn(w->next + i, "/");
		int rc = path_add_names(w->lower, w->next, i, path);
		rc = rc ? rc : overlay_lower_attr(w->c, w->ov, path, &attr);
		if (rc)
			return rc;
		if (S_ISLNK(attr.mode)) {
			rc = lower_descend(w, before);
			return rc ? rc : lower_link(w, path, w->next + (i - before), f);
		}
		before = i;
	}
	return -ELOOP;
}

/* Whether what the last of the names in LEN bytes is to be in is there: then that is what was found. */
static int lower_absent(struct walk *w, size_t len, struct overlay_found *f)
{
	char path[PATH_MAX];
	size_t parent = path_but_last(w->next, len), last = parent + strspn(w->next + parent, "/");
	rfs_Attr attr;

	if (parent) {
		int rc = path_add_names(w->lower, w->next, parent, path);
		rc = rc ? rc : overlay_lower_attr(w->c, w->ov, path, &attr);
		if (rc == -ELOOP || (!rc && S_ISLNK(attr.mode)))
			return lower_first_link(w, parent, f);
		if (rc || !S_ISDIR(attr.mode))
			return rc ? rc : -ENOTDIR;
		rc = lower_descend(w, parent);
		if (rc)
			return rc;
		last -= parent;
		len -= parent;
	}
	return found_nothing(w, f, w->next + last, len - last, !w->next[len + strspn(w->next + len, "/")]);
}

/* How many bytes of names at NEXT the lower layer is asked about at once; PATH is theirs there. 0 or a negative errno. */
static int lower_run(struct walk *w, char *path, size_t *len)
{
	*len = path_plain_names(w->next);
	int rc = path_add_names(w->lower, w->next, *len, path);
	/* The kernel goes name by name: what is too long, of itself or by links, matters only when it gets there. */
	for (size_t fewer; rc == -ENAMETOOLONG && (fewer = path_but_last(w->next, *len)); *len = fewer)
		rc = path_add_names(w->lower, w->next, fewer, path);
	return rc;
}

/* The names from NEXT on are looked up in the lower layer, as many as there are before a "..". */
static int lower_step(struct walk *w, struct overlay_found *f)
{
	char path[PATH_MAX];
	rfs_Attr attr;
	size_t len;
	int rc = lower_run(w, path, &len);
	bool last = !w->next[len + strspn(w->next + len, "/")];

	f->slash = w->next[len] == '/';
	rc = rc ? rc : overlay_lower_attr(w->c, w->ov, path, &attr);
	if (!rc && last && f->slash && creates(w))
		return -EISDIR;
	if (rc == -ELOOP)
		return lower_first_link(w, len, f);
	if (rc == -ENOENT && last)
		return lower_absent(w, len, f);
	if (rc)
		return rc;
	if (S_ISLNK(attr.mode) && (!last || w->follow || (f->slash && w->slash_follows)))
		return lower_first_link(w, len, f);
	if (!S_ISDIR(attr.mode) && (!last || (f->slash && w->slash_follows)))
		return -ENOTDIR;
	if (!last)
		return lower_descend(w, len);
	f->mode = attr.mode;
	f->attr = attr;
	strcpy(f->lower, path);
	strcpy(path, w->at);
	rc = path_add_names(path, w->next, len, w->at);
	return rc ? rc : found(w, f, OVERLAY_IN_LOWER, "", 0);
}

/* ---- the walk ---- */

/* -EACCES when the program may not look for a name where the walk is, else 0. */
static int may_search(struct walk *w)
{
	const struct link_agent *agent = link_agent(w->ov->lower->link);
	rfs_Request req = { .which_op = rfs_Request_access_tag, .op.access = { .has_where = true, .mode = X_OK, .flags = AT_EACCESS } };
	struct link_reply rep;
	rfs_Attr attr;

	if (w->dir >= 0)
		return faccessat(w->dir, ".", F_OK, AT_EACCESS) < 0 && errno == EACCES ? -EACCES : 0;
	if ((agent->owns_all && !agent->uid) || overlay_lower_attr(w->c, w->ov, w->lower, &attr) || (attr.mode & 0111) == 0111)
		return 0;
	BYTES_PUT(req.op.access.where.path, w->lower);
	int rc = call_rpc(w->c, w->ov->lower, &req, NULL, 0, &rep);
	if (!rc)
		link_reply_free(&rep);
	return rc == -EACCES ? rc : 0;
}

/* "." and "..", which are no names, and are looked for as well. */
static int dot_step(struct walk *w, size_t n, bool last, struct overlay_found *f)
{
	int may = may_search(w);

	if (may)
		return may;
	w->next += n;
	if (!last)
		return n == 2 ? walk_up(w, f) : 0;
	/* As the last one it is for the call to judge; until then it is part of the text. */
	f->dot = n == 2 ? "/.." : "/.";
	if (n == 2 && !(w->flags & (PLACE_MAKE | PLACE_TAKE))) {
		int rc = walk_up(w, f);
		if (rc)
			return rc;
		f->dot = "/.";
	}
	return found_dir(w, f);
}

static int walk_step(struct walk *w, struct overlay_found *f)
{
	char name[NAME_MAX + 1];
	struct stat st;

	w->next += strspn(w->next, "/");
	size_t n = strcspn(w->next, "/");
	bool last = !w->next[n + strspn(w->next + n, "/")];

	if (!n)
		return found_dir(w, f);
	if (n > NAME_MAX) {
		int may = may_search(w);
		f->slash = w->next[n] == '/';
		return may ? may : found_nothing(w, f, w->next, n, last);
	}
	snprintf(name, sizeof(name), "%.*s", (int)n, w->next);
	if (!strcmp(name, ".") || !strcmp(name, ".."))
		return dot_step(w, n, last, f);
	if (upper_is_reserved(name))
		return -EPERM;
	if (w->dir < 0)
		return lower_step(w, f);
	f->slash = w->next[n] == '/';
	if (!fstatat(w->dir, name, &st, AT_SYMLINK_NOFOLLOW))
		return upper_step(w, name, n, last, &st, f);
	if (errno != ENOENT)
		return -errno;
	if (*w->lower && !upper_is_gone(w->dir, name))
		return lower_step(w, f);
	return found_nothing(w, f, name, n, last);
}

int overlay_find(struct call *c, struct overlay *ov, const char *base, const char *text, int flags, struct overlay_found *f)
{
	struct walk w = { .c = c, .ov = ov, .flags = flags, .dir = -1 };
	bool makes = flags & (PLACE_MAKE | PLACE_TAKE) && !(flags & PLACE_OPEN);

	memset(f, 0, offsetof(struct overlay_found, path));
	f->dot = "";
	f->path[0] = f->lower[0] = '\0';
	w.follow = flags & (PLACE_FOLLOW | PLACE_LAST);
	w.slash_follows = !makes;
	w.next = w.rest = xstrdup(text);
	if (flags & PLACE_SCOPED || *text != '/')
		strcpy(w.at, base);
	w.scope = flags & PLACE_SCOPED ? strlen(base) : 0;
	int rc = *text == '/' && flags & PLACE_BENEATH ? -EXDEV : walk_enter(&w);
	while (!rc)
		rc = walk_step(&w, f);
	close_fd(&w.dir);
	free(w.rest);
	return rc < 0 ? rc : 0;
}

int overlay_lower_of(struct call *c, struct overlay *ov, const char *path, char *lower, rfs_Attr *attr)
{
	struct walk w = { .c = c, .ov = ov, .dir = -1 };
	const char *name = strrchr(path, '/');
	int rc = 0;

	if (!name) {
		strcpy(lower, ov->lower->sub);
		return overlay_lower_attr(c, ov, lower, attr);
	}
	memcpy(w.at, path, (size_t)(name - path));
	rc = walk_enter(&w);
	if (!rc && (!*w.lower || (w.dir >= 0 && upper_is_gone(w.dir, name + 1))))
		rc = -ENOENT;
	strcpy(lower, w.lower);
	close_fd(&w.dir);
	rc = rc ? rc : path_append(lower, name + 1, strlen(name + 1));
	return rc ? rc : overlay_lower_attr(c, ov, lower, attr);
}
