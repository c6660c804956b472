#include "apply.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>

#include "changes.h"
#include "entries.h"
#include "inode.h"
#include "upper.h"
#include "util.h"

#define TEMPORARY ".remotefs-trace.new"

/* A file of the overlay with several names, which it is to have at the target, too. */
struct linked {
	dev_t dev;
	ino_t ino;
	char *path; /* below the target's tree */
};

struct apply {
	const struct trees *trees;
	const struct changes *changes;
	int lower; /* the target's tree */
	int stage; /* what is on its way, and notes; -1 without moves */
	struct linked *linked;
	size_t linked_count;
	struct entries later; /* paths of new names of files that may have old ones */
	char *err;
	size_t err_len;
};

/* A directory of both, which stand at the same path now. */
struct pair {
	int upper, lower;
	const char *path;  /* "" is the root */
	const char *below; /* what UPPER is a copy of; NULL when it is new */
};

static int fail(const struct apply *a, int rc, const char *path, const char *what)
{
	snprintf(a->err, a->err_len, "%s: %s: %s", *path ? path : ".", what, strerror(-rc));
	return rc;
}

/* ---- the stage: a directory in the root of the target's tree ---- */

static void stage_name(const struct trees *t, char name[64])
{
	struct stat st = { 0 };

	/* Of this overlay since it was emptied last: what another one has left behind is not its own. */
	fstat(t->upper, &st);
	snprintf(name, 64, ".remotefs-trace.%llx", (unsigned long long)st.st_ino);
}

/* The name of something in the stage: a directory that comes from PATH, or (MARK) a note about PATH. */
static void stage_entry(const char *path, char mark, char name[32])
{
	uint64_t hash = 0xcbf29ce484222325;

	for (; *path; path++)
		hash = (hash ^ (unsigned char)*path) * 0x100000001b3;
	snprintf(name, 32, "%016llx%c", (unsigned long long)hash, mark);
}

static bool is_there(int dir, const char *name)
{
	struct inode_at at = { dir, name, { 0 } };

	return dir >= 0 && !inode_look(&at);
}

static bool noted(const struct apply *a, const char *path, char mark)
{
	char name[32];

	stage_entry(path, mark, name);
	return is_there(a->stage, name);
}

static int note(const struct apply *a, const char *path, char mark)
{
	char name[32];

	if (a->stage < 0)
		return 0;
	stage_entry(path, mark, name);
	return mknodat(a->stage, name, S_IFREG | 0600, 0) < 0 && errno != EEXIST ? -errno : 0;
}

static int open_parent(int top, const char *path, const char **base)
{
	CLEANUP_FREE char *dir = xstrdup(path);
	char *slash = strrchr(dir, '/');

	*base = path + (slash ? slash - dir + 1 : 0);
	if (slash)
		*slash = 0;
	return entries_open(top, slash ? dir : "", 0);
}

/* Moves a directory, which must be writable itself for that (vfs_rename of fs/namei.c). */
static int move_dir(int from, const char *name, int to, const char *new_name)
{
	struct inode_at now = { from, name, { 0 } }, then = { to, new_name, { 0 } };
	int rc = inode_look(&now);

	if (rc)
		return rc;
	then.st = now.st;
	struct inode_rights rights = inode_rights_take(&now, S_IWUSR);
	rc = renameat(from, name, to, new_name) < 0 ? -errno : 0;
	if (rights.at && !rc)
		rights.at = &then;
	inode_rights_back(&rights);
	return rc;
}

/* Takes the directory FROM of the target to the stage, unless it was there already. */
static int stage_one(const struct apply *a, const char *from)
{
	const char *base;
	char name[32];

	stage_entry(from, 0, name);
	if (is_there(a->stage, name) || noted(a, from, 'm'))
		return 0;
	CLEANUP_FD int dir = open_parent(a->trees->lower, from, &base);
	struct inode_at parent = { dir, ".", { 0 } };
	int rc = dir < 0 ? dir : inode_look(&parent);
	if (!rc) {
		INODE_RIGHTS(rights, &parent, S_IRWXU);
		rc = move_dir(dir, base, a->stage, name);
	}
	return rc ? fail(a, rc, from, "cannot be moved") : 0;
}

static int stage_all(struct apply *a)
{
	char name[64];
	int rc = 0;

	if (!a->changes->move_count)
		return 0;
	stage_name(a->trees, name);
	if (mkdirat(a->lower, name, 0700) < 0 && errno != EEXIST)
		return fail(a, -errno, name, "cannot be made at the target");
	a->stage = inode_open_dir(a->lower, name);
	if (a->stage < 0)
		return fail(a, a->stage, name, "cannot be opened at the target");
	/* What is farther down comes later in the list, and must be out before what it is in goes. */
	for (size_t i = a->changes->move_count; !rc && i--;)
		rc = stage_one(a, a->changes->moves[i].from);
	return rc;
}

/* Has the directory FROM take the place NAME in P. */
static int unstage(const struct apply *a, const struct pair *p, const char *name, const char *from, const char *path)
{
	char staged[32];

	stage_entry(from, 0, staged);
	if (!is_there(a->stage, staged))
		return noted(a, from, 'm') ? 0 : fail(a, -ENOENT, path, "its old place at the target is empty");
	int rc = inode_remove(p->lower, name);
	rc = rc ? rc : note(a, from, 'm');
	rc = rc ? rc : move_dir(a->stage, staged, p->lower, name);
	return rc ? fail(a, rc, path, "cannot be moved") : 0;
}

/* ---- directories ---- */

static int apply_into(struct apply *a, const struct pair *p);

/* Makes sure that P's NAME is a directory at the target, with what it is to be merged with. 1 if a new one was made, or a negative errno. */
static int settle(const struct apply *a, const struct pair *p, const char *name, const char *below, const char *path)
{
	CLEANUP_FREE char *natural = p->below ? entries_join(p->below, name) : NULL;
	struct inode_at was = { p->lower, name, { 0 } };

	if (below && (!natural || strcmp(natural, below)))
		return unstage(a, p, name, below, path);
	int rc = inode_look(&was);
	if (!rc && S_ISDIR(was.st.st_mode) && (below || noted(a, path, 'n')))
		return 0;
	rc = rc ? (rc == -ENOENT ? 0 : rc) : inode_remove(p->lower, name);
	if (!rc && mkdirat(p->lower, name, 0700) < 0)
		rc = -errno;
	/* What is moved into it must not be taken for what was there before, should we begin again. */
	rc = rc ? rc : note(a, path, 'n');
	return rc ? fail(a, rc, path, "the directory cannot be made") : 1;
}

/* Makes TO, which LOWER is open for, what IS is. Last of all, since making an entry changes its directory's time. */
static int finish_dir(const struct apply *a, const struct inode_at *is, struct inode_at *to, int lower, bool made, const char *path)
{
	struct inode_at like = *is;
	const struct timespec times[2] = { is->st.st_atim, is->st.st_mtim };
	char text[256];
	int rc = inode_look(to);

	if (made)
		inode_keep_owner(&like, &to->st);
	rc = rc ? rc : inode_compare(to, &like, text, sizeof(text));
	if (rc > 0)
		rc = inode_copy_meta(&like, to, false);
	if (!rc && fsync(lower) < 0)
		rc = -errno;
	/* Whoever may write to a directory need not own it, and then must leave its times as they come. */
	if (!rc && futimens(lower, times) < 0 && errno != EPERM)
		rc = -errno;
	return rc ? fail(a, rc, path, "the directory's attributes cannot be set") : 0;
}

/* Opens TO, P's directory at the target, and does in it what is to be done. */
static int fill_dir(struct apply *a, struct pair *p, const struct inode_at *to)
{
	INODE_RIGHTS(rights, to, S_IRWXU);
	p->lower = inode_open_dir(to->dir, to->name);
	return p->lower < 0 ? fail(a, p->lower, p->path, "cannot be opened at the target") : apply_into(a, p);
}

static int apply_dir(struct apply *a, const struct pair *p, const struct inode_at *is, const char *path)
{
	INODE_RIGHTS(rights, is, S_IRWXU);
	CLEANUP_FD int upper = inode_open_dir(is->dir, is->name);
	char below[PATH_MAX];
	int rc = upper < 0 ? upper : upper_from(upper, below);

	if (rc < 0)
		return fail(a, rc, path, "cannot be read");
	struct pair sub = { upper, -1, path, rc ? below : NULL };
	struct inode_at to = { p->lower, is->name, { 0 } };
	int made = settle(a, p, is->name, sub.below, path);
	if (made < 0)
		return made;
	rc = inode_look(&to);
	rc = rc ? fail(a, rc, path, "cannot be looked at, at the target") : fill_dir(a, &sub, &to);
	rc = rc ? rc : finish_dir(a, is, &to, sub.lower, made, path);
	close_fd(&sub.lower);
	return rc;
}

/* ---- files ---- */

static const char *linked_path(const struct apply *a, const struct stat *st)
{
	for (size_t i = 0; i < a->linked_count; i++)
		if (a->linked[i].ino == st->st_ino && a->linked[i].dev == st->st_dev)
			return a->linked[i].path;
	return NULL;
}

static void remember_link(struct apply *a, const struct stat *st, const char *path)
{
	if (st->st_nlink < 2)
		return;
	a->linked = xrealloc(a->linked, (a->linked_count + 1) * sizeof(*a->linked));
	a->linked[a->linked_count++] = (struct linked){ st->st_dev, st->st_ino, xstrdup(path) };
}

/* Makes TEMPORARY what NAME is to be. */
static int make_new(const struct apply *a, const struct pair *p, const struct inode_at *is, const struct inode_at *was)
{
	const char *base, *first = linked_path(a, &is->st);

	if (unlinkat(p->lower, TEMPORARY, 0) < 0 && errno != ENOENT)
		return -errno;
	if (!first)
		return inode_copy(is, p->lower, TEMPORARY, was ? &was->st : NULL);
	CLEANUP_FD int dir = open_parent(a->lower, first, &base);
	return dir < 0 ? dir : linkat(dir, base, p->lower, TEMPORARY, 0) < 0 ? -errno : 0;
}

/* Has TEMPORARY of DIR take the place of NAME in TO, and be there under its own name as well. */
static int link_over(int dir, int to, const char *name)
{
	if (unlinkat(to, TEMPORARY ".link", 0) < 0 && errno != ENOENT)
		return -errno;
	if (linkat(dir, TEMPORARY, to, TEMPORARY ".link", 0) < 0 || renameat(to, TEMPORARY ".link", to, name) < 0)
		return -errno;
	return 0;
}

/* Whatever has another name of WAS below TOP becomes TEMPORARY of DIR. WAS itself stays what it is until the end. */
static int replace_others(int top, int dir, const struct inode_at *was)
{
	struct entries names;
	int rc = entries_read(top, &names);

	for (size_t i = 0; !rc && i < names.count; i++) {
		struct inode_at at = { top, names.list[i], { 0 } };
		rc = inode_look(&at);
		if (!rc && S_ISDIR(at.st.st_mode) && at.st.st_dev == was->st.st_dev) {
			INODE_RIGHTS(rights, &at, S_IRWXU);
			CLEANUP_FD int sub = inode_open_dir(top, at.name);
			rc = sub < 0 ? sub : replace_others(sub, dir, was);
		} else if (!rc && at.st.st_ino == was->st.st_ino && at.st.st_dev == was->st.st_dev && strcmp(at.name, was->name)) {
			rc = link_over(dir, top, at.name);
		}
	}
	entries_free(&names);
	return rc;
}

/* WAS is what is there, or NULL; COPY: IS is what has become of it. */
static int replace(const struct apply *a, const struct pair *p, const struct inode_at *is, const struct inode_at *was, bool copy)
{
	bool same_type = was && !((was->st.st_mode ^ is->st.st_mode) & S_IFMT);
	int rc = make_new(a, p, is, same_type ? was : NULL);

	if (!rc && copy && was->st.st_nlink > 1)
		rc = replace_others(a->lower, p->lower, was);
	if (!rc && was && S_ISDIR(was->st.st_mode))
		rc = inode_remove(p->lower, is->name);
	if (!rc && renameat(p->lower, TEMPORARY, p->lower, is->name) < 0)
		rc = -errno;
	if (rc)
		unlinkat(p->lower, TEMPORARY, 0);
	return rc;
}

static int apply_file(struct apply *a, const struct pair *p, const struct inode_at *is, const char *path)
{
	struct inode_at was = { p->lower, is->name, { 0 } };
	int set = INODE_CONTENT, rc = inode_look(&was);
	bool there = !rc, copy = there && changes_is_copy(a->trees, is, &was.st);
	char text[256];

	if (rc && rc != -ENOENT)
		return fail(a, rc, path, "cannot be looked at, at the target");
	if (there && !((was.st.st_mode ^ is->st.st_mode) & S_IFMT))
		set = inode_compare(&was, is, text, sizeof(text));
	rc = set < 0 ? set : 0;
	/* Another file, though it has the same bytes, does not give its attributes to what has other names. */
	if (set > 0 && !(set & INODE_CONTENT) && (copy || was.st.st_nlink == 1))
		rc = inode_copy_meta(is, &was, true);
	else if (set > 0)
		rc = replace(a, p, is, there ? &was : NULL, copy);
	if (rc)
		return fail(a, rc, path, "cannot be written at the target");
	remember_link(a, &is->st, path);
	return 0;
}

/* ---- new names ---- */

/* NAME in P is one of several, and not the one that the target has: it is made a link to that one, once all are in place. */
static bool is_further_name(const struct apply *a, const struct pair *p, const struct inode_at *is)
{
	struct inode_at was = { p->lower, is->name, { 0 } };

	if (S_ISDIR(is->st.st_mode) || is->st.st_nlink < 2)
		return false;
	return inode_look(&was) || !changes_is_copy(a->trees, is, &was.st);
}

static void put_off(struct apply *a, const char *path)
{
	a->later.list = xrealloc(a->later.list, (a->later.count + 1) * sizeof(*a->later.list));
	a->later.list[a->later.count++] = xstrdup(path);
}

/* Does what was put off of PATH, which is REST in IS, of the overlay, and in TO of the target. */
static int apply_later_in(struct apply *a, const struct inode_at *is, struct inode_at *to, const char *rest, const char *path)
{
	INODE_RIGHTS(source, is, S_IRWXU);
	INODE_RIGHTS(target, to, S_IRWXU);
	CLEANUP_FD int upper = inode_open_dir(is->dir, is->name), lower = inode_open_dir(to->dir, to->name);
	size_t n = strcspn(rest, "/");
	CLEANUP_FREE char *name = strndup(rest, n);
	struct pair p = { upper, lower, "", NULL };
	struct inode_at sub_is = { upper, name, { 0 } }, sub_to = { lower, name, { 0 } };
	int rc = upper < 0 ? upper : lower < 0 ? lower : inode_look(&sub_is);

	if (!rc && rest[n])
		rc = inode_look(&sub_to);
	if (rc)
		return fail(a, rc, path, "its directory is gone");
	if (rest[n])
		return apply_later_in(a, &sub_is, &sub_to, rest + n + 1, path);
	rc = apply_file(a, &p, &sub_is, path);
	return rc ? rc : finish_dir(a, is, to, lower, false, path);
}

static int apply_later(struct apply *a, const struct inode_at *is, struct inode_at *to)
{
	int rc = 0;

	for (size_t i = 0; !rc && i < a->later.count; i++)
		rc = apply_later_in(a, is, to, a->later.list[i], a->later.list[i]);
	return rc;
}

/* ---- all of it ---- */

static int apply_gone(const struct apply *a, const struct pair *p, const struct entries *here)
{
	CLEANUP_FD int dir = inode_open_dir(p->upper, UPPER_GONE);
	struct entries gone;
	int rc = dir < 0 ? dir : entries_read(dir, &gone);

	if (rc)
		return rc == -ENOENT ? 0 : fail(a, rc, p->path, "what was removed cannot be read");
	for (size_t i = 0; p->below && !rc && i < gone.count; i++) {
		if (entries_contain(here, gone.list[i]))
			continue;
		rc = inode_remove(p->lower, gone.list[i]);
		if (rc)
			fail(a, rc, gone.list[i], "cannot be removed");
	}
	entries_free(&gone);
	return rc;
}

static int apply_into(struct apply *a, const struct pair *p)
{
	struct entries names;
	int rc = entries_read(p->upper, &names);

	if (rc)
		return fail(a, rc, p->path, "cannot be read");
	rc = apply_gone(a, p, &names);
	for (size_t i = 0; !rc && i < names.count; i++) {
		CLEANUP_FREE char *path = entries_join(p->path, names.list[i]);
		struct inode_at is = { p->upper, names.list[i], { 0 } };
		rc = inode_look(&is);
		if (rc)
			fail(a, rc, path, "cannot be looked at");
		else if (is_further_name(a, p, &is))
			put_off(a, path);
		else
			rc = S_ISDIR(is.st.st_mode) ? apply_dir(a, p, &is, path) : apply_file(a, p, &is, path);
	}
	entries_free(&names);
	return rc;
}

/* All but the root's own attributes: IS of the overlay and TO of the target. */
static int apply_tree(struct apply *a, const struct inode_at *is, struct inode_at *to)
{
	INODE_RIGHTS(source, is, S_IRWXU);
	INODE_RIGHTS(target, to, S_IRWXU);
	const struct pair root = { a->trees->upper, a->lower, "", a->trees->from };
	int rc = stage_all(a);

	rc = rc ? rc : apply_into(a, &root);
	return rc ? rc : apply_later(a, is, to);
}

int apply_changes(const struct trees *t, const struct changes *c, char *err, size_t err_len)
{
	CLEANUP_FD int lower = entries_open(t->lower, t->from, 0);
	struct apply a = { .trees = t, .changes = c, .lower = lower, .stage = -1, .err = err, .err_len = err_len };
	struct inode_at is = { t->upper, ".", { 0 } }, to = { lower, ".", { 0 } };
	int rc = lower < 0 ? lower : inode_look(&is);

	rc = rc ? rc : inode_look(&to);
	if (rc)
		return fail(&a, rc, t->from, "cannot be opened at the target");
	rc = apply_tree(&a, &is, &to);
	rc = rc ? rc : finish_dir(&a, &is, &to, lower, false, "");
	close_fd(&a.stage);
	for (size_t i = 0; i < a.linked_count; i++)
		free(a.linked[i].path);
	free(a.linked);
	entries_free(&a.later);
	return rc;
}

bool apply_begun(const struct trees *t)
{
	CLEANUP_FD int lower = entries_open(t->lower, t->from, 0);
	char name[64];

	stage_name(t, name);
	return is_there(lower, name);
}

int apply_done(const struct trees *t)
{
	CLEANUP_FD int lower = entries_open(t->lower, t->from, 0);
	struct inode_at root = { lower, ".", { 0 } };
	char name[64];
	int rc = lower < 0 ? lower : inode_look(&root);

	stage_name(t, name);
	if (rc || !is_there(lower, name))
		return rc;
	rc = inode_remove(lower, name);
	const struct timespec times[2] = { root.st.st_atim, root.st.st_mtim };
	utimensat(lower, ".", times, 0);
	return rc;
}
