/* Names of an overlay that go away or are given to other files: whiteouts, and what must be above before. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cache.h"
#include "call.h"
#include "ofd.h"
#include "overlay.h"
#include "overlay_int.h"
#include "overlay_list.h"
#include "overlay_name.h"
#include "place.h"
#include "rules.h"
#include "upper.h"
#include "util.h"
#include "watch.h"

/* A name that a call is about to take away. */
struct taken {
	struct overlay *ov;
	char path[PATH_MAX];  /* in the merged tree, "" for its root */
	char lower[PATH_MAX];
	bool slash, dot;
	bool nowhere;         /* in a directory that has no name any more: nothing is, nor can be, in it */
	bool in_upper;
	bool below;           /* the lower layer has something at this name, which shows through if nothing hides it */
	bool exists;
	int absent;           /* without: why */
	unsigned mode;        /* of what the program sees there */
	rfs_Attr attr;        /* with below */
};

static bool ends_in_dot(const char *path)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;

	return !strcmp(name, ".") || !strcmp(name, "..");
}

/* P's path in the merged tree, without what its text demands behind. */
static void merged_path(const struct place *p, char *out)
{
	const char *sub = p->mount->sub[1] ? p->mount->sub : "", *path = *p->key ? p->key : p->path;

	if (*p->local)
		strcpy(out, p->local);
	else
		strcpy(out, strlen(path) >= strlen(sub) ? path + strlen(sub) : "");
	if (!strcmp(out, "/"))
		*out = '\0';
}

static int taken_find(struct call *c, const struct place *p, struct taken *t)
{
	char parent[PATH_MAX];
	struct stat st;
	size_t n = strlen(p->path);

	t->ov = p->mount->overlay;
	merged_path(p, t->path);
	t->slash = n && p->path[n - 1] == '/';
	t->dot = ends_in_dot(p->path);
	t->in_upper = t->below = t->exists = false;
	t->absent = -ENOENT;
	t->nowhere = p->dir;
	if (t->nowhere)
		return 0;
	const char *name = strrchr(t->path, '/');
	if (!name || t->dot) {
		t->dot = true;
		return 0;
	}
	t->absent = strlen(name + 1) > NAME_MAX ? -ENAMETOOLONG : -ENOENT;
	if (t->absent != -ENOENT)
		return 0;
	int rc = overlay_lower_of(c, t->ov, t->path, t->lower, &t->attr);
	if (rc && rc != -ENOENT && rc != -ENOTDIR && rc != -ELOOP)
		return rc;
	t->below = !rc;
	snprintf(parent, sizeof(parent), "%.*s", (int)(name - t->path), t->path);
	CLEANUP_FD int dir = upper_walk(t->ov->top, parent);
	t->in_upper = dir >= 0 && !fstatat(dir, name + 1, &st, AT_SYMLINK_NOFOLLOW);
	t->exists = t->in_upper || t->below;
	t->mode = t->in_upper ? st.st_mode : t->below ? t->attr.mode : 0;
	return 0;
}

/* The directory T is in, brought to the upper layer; -EACCES when names may not be changed there. */
static int open_parent(struct call *c, const struct taken *t, bool writable)
{
	char parent[PATH_MAX];

	snprintf(parent, sizeof(parent), "%.*s", (int)(strrchr(t->path, '/') - t->path), t->path);
	int dir = overlay_bring_dir(c, t->ov, parent);
	if (dir < 0 || !writable)
		return dir;
	/* An O_PATH descriptor's own directory: by a name in it. */
	if (!faccessat(dir, ".", W_OK | X_OK, AT_EACCESS))
		return dir;
	close(dir);
	return -EACCES;
}

static const char *last_name(const struct taken *t)
{
	return strrchr(t->path, '/') + 1;
}

static int to_upper(struct place *p, const struct taken *t)
{
	int rc = path_join(OVERLAY_UPPER, t->path, p->key, sizeof(p->key));

	place_release(p);
	p->mount = t->ov->upper;
	p->local[0] = '\0';
	return rc ? rc : path_join(p->key, t->slash ? "/" : "", p->path, sizeof(p->path));
}

static int bring(struct call *c, struct taken *t)
{
	int rc = t->in_upper ? 0 : overlay_bring(c, t->ov, t->path);

	t->in_upper |= !rc;
	return rc;
}

/* Whether somebody has T open, or another name of it is to tell of what becomes of this one. */
static bool is_known(const struct taken *t)
{
	return (!S_ISDIR(t->mode) && t->attr.nlink > 1) || node_find(t->ov->lower, &t->attr);
}

/* The directory T is about to go: it has nothing in it but what no program sees. */
static int empty(struct call *c, const struct taken *t)
{
	int rc = overlay_list_any(c, t->ov, t->path);

	if (rc)
		return rc > 0 ? -ENOTEMPTY : rc;
	CLEANUP_FD int dir = upper_walk(t->ov->top, t->path);
	struct stat st;
	if (dir < 0 || fstat(dir, &st) < 0)
		return dir < 0 ? dir : -errno;
	rc = upper_strip(dir);
	/* Who watches it would hear of that. */
	if (!watch_any())
		overlay_keep_times(dir, &st);
	return rc;
}

/* A whiteout is all that is needed. */
static void only_hidden(struct overlay *ov, int dir, const struct taken *t)
{
	const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_nsec = UTIME_NOW } };
	char path[64], key[PATH_MAX + sizeof(OVERLAY_UPPER)];

	snprintf(path, sizeof(path), "/proc/self/fd/%d/.", dir);
	utimensat(AT_FDCWD, path, times, 0);
	snprintf(key, sizeof(key), OVERLAY_UPPER "%s", t->path);
	cache_forget_name(ov->upper, key, true);
	node_names_changed(ov->upper, key);
}

static int hide(struct taken *t, int dir, struct overlay_taking *taking)
{
	int rc = 0;

	if (t->below) {
		rc = upper_hide(dir, last_name(t));
		taking->dir = rc ? -1 : dup(dir);
		snprintf(taking->name, sizeof(taking->name), "%s", last_name(t));
	}
	return rc;
}

long overlay_unlink(struct call *c, struct place *p, bool rmdir, struct overlay_taking *taking)
{
	struct taken t;
	int rc = taken_find(c, p, &t);

	if (rc)
		return rc;
	if (t.dot)
		return ends_in_dot(p->path) ? 0 : rmdir ? -EBUSY : -EISDIR;
	if (!t.exists)
		return t.absent;
	if (t.slash && !rmdir)
		return S_ISDIR(t.mode) ? -EISDIR : -ENOTDIR;
	CLEANUP_FD int dir = open_parent(c, &t, true);
	if (dir < 0)
		return dir;
	if (S_ISDIR(t.mode) != rmdir)
		return rmdir ? -ENOTDIR : -EISDIR;
	if (!t.in_upper && !rmdir && !is_known(&t)) {
		rc = hide(&t, dir, taking);
		if (!rc)
			only_hidden(t.ov, dir, &t);
		return rc ? rc : 1;
	}
	rc = bring(c, &t);
	rc = rc ? rc : hide(&t, dir, taking);
	rc = rc || !rmdir ? rc : empty(c, &t);
	return rc ? rc : to_upper(p, &t);
}

void overlay_taken(struct overlay_taking *taking, bool done)
{
	if (taking->dir < 0)
		return;
	if (!done)
		upper_show(taking->dir, taking->name);
	close(taking->dir);
	taking->dir = -1;
}

/* What the new name stands for is replaced: by the kernel's rules, which see the upper layer only. */
static int replace(struct call *c, const struct taken *from, struct taken *to, unsigned flags)
{
	if (!to->exists)
		return 0;
	if (flags & RENAME_NOREPLACE)
		return -EEXIST;
	if (!to->in_upper && (flags & RENAME_EXCHANGE || S_ISDIR(to->mode) || is_known(to))) {
		int rc = bring(c, to);
		if (rc)
			return rc;
	}
	if (!to->in_upper)
		return S_ISDIR(from->mode) ? -ENOTDIR : 0;
	if (flags & RENAME_EXCHANGE || !S_ISDIR(from->mode) || !S_ISDIR(to->mode) || !strcmp(from->path, to->path) ||
	    path_within(to->path, from->path) || path_within(from->path, to->path))
		return 0;
	return empty(c, to);
}

long overlay_rename(struct call *c, struct place *from, struct place *to, unsigned flags, struct overlay_taking *taking)
{
	struct taken a, b;
	int rc = taken_find(c, from, &a);

	rc = rc ? rc : taken_find(c, to, &b);
	if (rc)
		return rc;
	if (a.dot || b.dot)
		return !a.dot && flags & RENAME_NOREPLACE ? -EEXIST : -EBUSY;
	if (!a.exists)
		return a.absent;
	if (!b.exists && (flags & RENAME_EXCHANGE || b.nowhere || b.absent != -ENOENT))
		return b.absent;
	if (b.exists && flags & RENAME_NOREPLACE)
		return -EEXIST;
	if (!S_ISDIR(a.mode) && (a.slash || (!(flags & RENAME_EXCHANGE) && b.slash)))
		return -ENOTDIR;
	if (strcmp(a.path, b.path) && path_within(b.path, a.path))
		return -EINVAL;
	if (strcmp(a.path, b.path) && path_within(a.path, b.path))
		return flags & RENAME_EXCHANGE ? -EINVAL : -ENOTEMPTY;
	if (S_ISDIR(a.mode) && strcmp(b.path, a.path) && path_within(b.path, a.path))
		return -EINVAL;
	CLEANUP_FD int source = open_parent(c, &a, true), target = source < 0 ? source : open_parent(c, &b, true);
	if (target < 0)
		return target;
	rc = bring(c, &a);
	rc = rc ? rc : replace(c, &a, &b, flags);
	rc = rc || flags & RENAME_EXCHANGE ? rc : hide(&a, source, taking);
	if (rc)
		return rc;
	rc = to_upper(from, &a);
	return rc ? rc : to_upper(to, &b);
}

void overlay_renamed(struct call *c, const struct place *from, const struct place *to, unsigned flags)
{
	static const char aside[] = "exchanged"; /* no path: it has no slash in front */
	struct overlay *ov = from->mount->overlay;
	char a[PATH_MAX], b[PATH_MAX];

	merged_path(from, a);
	merged_path(to, b);
	if (flags & RENAME_EXCHANGE)
		overlay_moved(c, ov, b, aside);
	overlay_moved(c, ov, a, b);
	if (flags & RENAME_EXCHANGE)
		overlay_moved(c, ov, aside, a);
}
