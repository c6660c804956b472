/* Which layer of an overlay a path argument leads to, and what has to be brought there first. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "call.h"
#include "ofd.h"
#include "overlay.h"
#include "overlay_int.h"
#include "place.h"
#include "rules.h"
#include "util.h"

#define INTENTS (PLACE_CHANGE | PLACE_MAKE | PLACE_TAKE)

/* P is PATH of M from here on; what its text demanded behind that it still demands. */
static long set_place(struct place *p, const struct mount *m, const char *path, const struct overlay_found *f)
{
	place_release(p);
	p->mount = m;
	if (snprintf(p->path, sizeof(p->path), "%s%s", path, *f->dot ? f->dot : f->slash ? "/" : "") >= (int)sizeof(p->path))
		return -ENAMETOOLONG;
	p->key[0] = '\0';
	if (strcmp(f->dot, "/.."))
		strcpy(p->key, path);
	p->local[0] = '\0';
	return 0;
}

static long set_upper(struct place *p, const struct overlay *ov, const struct overlay_found *f)
{
	char path[PATH_MAX];

	if (snprintf(path, sizeof(path), OVERLAY_UPPER "%s", f->path) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	return set_place(p, ov->upper, path, f);
}

static long set_lower(struct place *p, const struct overlay *ov, const struct overlay_found *f)
{
	char usual[PATH_MAX];
	long rc = set_place(p, ov->lower, f->lower, f);

	/* What lies below a renamed directory is not where its name says. */
	if (!path_join(ov->lower->sub, f->path, usual, sizeof(usual)) && strcmp(usual, f->lower))
		strcpy(p->local, f->path);
	return rc;
}

/* Brings what F is to the upper layer. */
static long bring(struct call *c, struct overlay *ov, struct place *p, struct overlay_found *f)
{
	overlay_own(c);
	int rc = overlay_bring(c, ov, f->path);
	return rc ? rc : set_upper(p, ov, f);
}

/* The directory that F is to be made in. */
static long bring_parent(struct call *c, struct overlay *ov, struct place *p, struct overlay_found *f)
{
	char parent[PATH_MAX];
	const char *name = strrchr(f->path, '/');

	snprintf(parent, sizeof(parent), "%.*s", (int)(name - f->path), f->path);
	CLEANUP_FD int dir = overlay_bring_dir(c, ov, parent);
	return dir < 0 ? dir : set_upper(p, ov, f);
}

static long place_found(struct call *c, struct overlay *ov, struct place *p, int flags, struct overlay_found *f)
{
	bool makes = flags & PLACE_MAKE;

	if (f->outside) {
		/* Nothing of it is merged, and the agent of the lower layer changes nothing. */
		place_release(p);
		p->mount = ov->lower;
		p->key[0] = '\0';
		strcpy(p->path, f->lower);
		return 0;
	}
	if (f->where == OVERLAY_IN_UPPER)
		return set_upper(p, ov, f);
	if (f->where == OVERLAY_NOTHING && makes)
		return bring_parent(c, ov, p, f);
	if (f->where == OVERLAY_NOTHING)
		return !(flags & PLACE_TAKE) ? -ENOENT : f->in_upper_dir ? set_upper(p, ov, f) : set_lower(p, ov, f);
	if (flags & PLACE_TAKE && !*f->dot)
		return set_lower(p, ov, f);
	if (makes && !*f->dot && (!(flags & PLACE_OPEN) || flags & PLACE_EXCL))
		return -EEXIST;
	/* Who writes to a FIFO must meet who reads it; a name of a file that another name's copy stands for is that copy. */
	if (flags & INTENTS || (flags & PLACE_OPEN && S_ISFIFO(f->mode)) || overlay_indexed(ov, &f->attr))
		return bring(c, ov, p, f);
	return set_lower(p, ov, f);
}

static long place_self(struct call *c, struct place *p, int flags)
{
	if (!(flags & INTENTS) || p->link)
		return 0;
	int rc = overlay_bring_ofd(c, p->dir);
	p->mount = p->dir->mount;
	return rc;
}

/* Whether something must be found in the directory where TEXT begins: in one that has no name any more nothing is, in either layer. */
static bool needs_name(const char *text, int flags)
{
	size_t n = strcspn(text, "/");
	bool dots = n <= 2 && strspn(text, ".") >= n;

	return !dots && (text[n + strspn(text + n, "/")] || !(flags & (PLACE_MAKE | PLACE_TAKE)));
}

long overlay_place(struct call *c, struct place *p, int flags)
{
	struct overlay *ov = p->mount->overlay;
	char base[PATH_MAX] = "";
	const char *text = p->path;
	struct overlay_found f;
	int rc;

	if (p->self)
		return place_self(c, p, flags);
	if (!ov->dirty && !(flags & INTENTS))
		return 0;
	if (flags & INTENTS)
		overlay_own(c);
	else
		overlay_share(c);
	rc = overlay_begin(c, ov);
	if (rc)
		return rc;
	if (p->dir) {
		p->mount = p->dir->mount; /* that may have changed while we waited */
		if (*text == '/' && flags & PLACE_BENEATH)
			return -EXDEV;
		if (!S_ISDIR(p->dir->node->attr.mode))
			return -ENOTDIR;
		rc = overlay_name(c, p->dir, base);
		if (rc)
			return rc != -ENOENT ? rc : needs_name(text, flags) ? -ENOENT : 0;
	} else if (p->mount->sub[1]) {
		text += strlen(p->mount->sub);
	}
	rc = overlay_find(c, ov, base, *text ? text : "/", flags, &f);
	return rc ? rc : place_found(c, ov, p, flags, &f);
}
