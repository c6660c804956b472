#include "changes.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>

#include "entries.h"
#include "inode.h"
#include "inomap.h"
#include "upper.h"
#include "util.h"

/* A directory of both trees, while it is looked at. */
struct pair {
	const struct trees *trees;
	struct changes *changes;
	int upper, lower;  /* LOWER is -1 when the target has nothing below this one */
	const char *path;  /* below the overlay's root, "" is the root */
	const char *below; /* at the target, or NULL */
	char *err;
	size_t err_len;
};

static int fail(const struct pair *p, int rc, const char *path, const char *what)
{
	snprintf(p->err, p->err_len, "%s: %s: %s", *path ? path : ".", what, strerror(-rc));
	return rc;
}

static void add(struct changes *c, enum change_kind kind, const char *path, bool dir, const char *from, const char *text)
{
	if (!(c->count & (c->count + 1)))
		c->list = xrealloc(c->list, (2 * c->count + 2) * sizeof(*c->list));
	c->list[c->count++] = (struct change){
		.kind = kind,
		.path = dir ? entries_join(*path ? path : ".", "") : xstrdup(path),
		.from = from ? entries_join(from + strspn(from, "/"), "") : NULL,
		.text = xstrdup(text),
	};
}

static void add_conflict(struct changes *c, const char *path, const char *why)
{
	c->conflicts = xrealloc(c->conflicts, (c->conflict_count + 1) * sizeof(*c->conflicts));
	c->conflicts[c->conflict_count++] = (struct conflict){ xstrdup(path), xstrdup(why) };
}

/* ---- directories that are moved ---- */

static int by_from(const void *a, const void *b)
{
	return strcmp(((const struct move *)a)->from, ((const struct move *)b)->from);
}

/* Whether the directory PATH of the target is moved elsewhere. */
static bool is_moved(const struct changes *c, const char *path)
{
	const struct move key = { (char *)path, NULL };

	return c->move_count && bsearch(&key, c->moves, c->move_count, sizeof(key), by_from);
}

/*
 * Where DIR, which would be NATURAL at the target (or nowhere) by its name, is there; NULL when it is nowhere. To be freed.
 * *MOVED when that is another place.
 */
static int place_of(int dir, const char *natural, char **below, bool *moved)
{
	char text[PATH_MAX];
	int rc = upper_from(dir, text);

	*below = rc > 0 ? xstrdup(text) : NULL;
	*moved = rc > 0 && (!natural || strcmp(text, natural));
	return rc < 0 ? rc : 0;
}

/* Finds what is moved in the directory UPPER, PATH in the overlay, a copy of BELOW. */
static int find_moves(struct changes *c, int upper, const char *path, const char *below)
{
	struct entries names;
	int rc = entries_read(upper, &names);

	for (size_t i = 0; !rc && i < names.count; i++) {
		struct inode_at is = { upper, names.list[i], { 0 } };
		rc = inode_look(&is);
		if (rc || !S_ISDIR(is.st.st_mode))
			continue;
		INODE_RIGHTS(rights, &is, S_IRWXU);
		CLEANUP_FD int dir = inode_open_dir(upper, is.name);
		CLEANUP_FREE char *sub = entries_join(path, names.list[i]), *natural = below ? entries_join(below, names.list[i]) : NULL;
		CLEANUP_FREE char *place = NULL;
		bool moved = false;
		rc = dir < 0 ? dir : place_of(dir, natural, &place, &moved);
		if (!rc && moved) {
			c->moves = xrealloc(c->moves, (c->move_count + 1) * sizeof(*c->moves));
			c->moves[c->move_count++] = (struct move){ xstrdup(place), xstrdup(sub) };
		}
		rc = rc ? rc : find_moves(c, dir, sub, place);
	}
	entries_free(&names);
	return rc;
}

/* ---- conflicts ---- */

/* What IS was copied from, or NULL. */
static const struct inomap_entry *origin(const struct trees *t, const struct inode_at *is)
{
	struct statx x;

	if (statx(is->dir, is->name, AT_SYMLINK_NOFOLLOW, STATX_BTIME, &x) < 0)
		return NULL;
	bool born = x.stx_mask & STATX_BTIME;
	return inomap_find(t->origins, is->st.st_ino, born ? x.stx_btime.tv_sec : 0, born ? x.stx_btime.tv_nsec : UINT32_MAX);
}

bool changes_is_copy(const struct trees *t, const struct inode_at *is, const struct stat *was)
{
	const struct inomap_entry *o = origin(t, is);

	return o && o->lower_ino == was->st_ino;
}

/* A copy was made of what the target had then; whether it still has that. */
static void check_origin(const struct pair *p, const struct inode_at *is, const char *path, const struct inode_at *was)
{
	const struct inomap_entry *o = origin(p->trees, is);

	if (!o || o->lower_ino != was->st.st_ino)
		return;
	if (o->size != (uint64_t)was->st.st_size || o->mtime_sec != was->st.st_mtim.tv_sec || o->mtime_nsec != was->st.st_mtim.tv_nsec)
		add_conflict(p->changes, path, "was changed at the target after it had been changed here");
}

/* ---- comparing ---- */

static const char *type_name(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
		return "file";
	case S_IFDIR:
		return "directory";
	case S_IFLNK:
		return "link";
	case S_IFIFO:
		return "FIFO";
	case S_IFSOCK:
		return "socket";
	default:
		return "device";
	}
}

static void add_replaced(const struct pair *p, const struct inode_at *is, const struct inode_at *was, const char *path)
{
	char text[64] = "another directory";
	bool dir = S_ISDIR(is->st.st_mode);

	if (!dir || !S_ISDIR(was->st.st_mode))
		snprintf(text, sizeof(text), "%s -> %s", type_name(was->st.st_mode), type_name(is->st.st_mode));
	add(p->changes, CHANGE_REPLACED, path, dir, NULL, text);
}

static int look_into(const struct pair *p);

/* A directory that is in both trees at one place, or was moved in (FROM): what it has become. */
static int compare_dirs(const struct pair *p, const struct inode_at *was, const struct inode_at *is, const char *path, const char *from)
{
	char text[512];
	int rc = inode_compare(was, is, text, sizeof(text));

	if (rc < 0)
		return fail(p, rc, path, "cannot be compared");
	if (from)
		add(p->changes, CHANGE_MOVED, path, true, from, text);
	else if (rc)
		add(p->changes, CHANGE_MODIFIED, path, true, NULL, text);
	return 0;
}

/* WAS is what the target has at this name, or NULL. */
static int look_at_dir(const struct pair *p, const struct inode_at *is, const struct inode_at *was, const char *path)
{
	CLEANUP_FREE char *natural = p->below ? entries_join(p->below, is->name) : NULL;
	INODE_RIGHTS(rights, is, S_IRWXU);
	CLEANUP_FD int upper = inode_open_dir(is->dir, is->name);
	CLEANUP_FREE char *below = NULL;
	CLEANUP_FD int lower = -1;
	struct inode_at old = { .dir = -1, .name = "." };
	bool moved = false;
	int rc = upper < 0 ? upper : place_of(upper, natural, &below, &moved);

	if (rc)
		return fail(p, rc, path, "cannot be read");
	if (below) {
		lower = entries_open(p->trees->lower, below, 0);
		/* One that cannot be read is looked at all the same; nothing can have been done in it. */
		if (lower == -EACCES)
			lower = entries_open(p->trees->lower, below, O_PATH);
		old.dir = lower;
		rc = lower < 0 ? lower : fstat(lower, &old.st) < 0 ? -errno : 0;
	}
	if (rc == -ENOENT || rc == -ENOTDIR || rc == -ELOOP) {
		add_conflict(p->changes, path, "is a directory whose old place at the target is empty");
		rc = 0;
	}
	if (rc)
		return fail(p, rc, path, "cannot be read at the target");
	if (was && S_ISDIR(was->st.st_mode) && moved)
		add(p->changes, CHANGE_REMOVED, path, true, NULL, "");
	if (lower >= 0)
		rc = compare_dirs(p, &old, is, path, moved ? below + strlen(p->trees->from) : NULL);
	else if (was && !moved)
		add_replaced(p, is, was, path);
	else
		add(p->changes, CHANGE_ADDED, path, true, NULL, "");
	struct pair sub = *p;
	sub.upper = upper;
	sub.lower = lower;
	sub.path = path;
	sub.below = lower >= 0 ? below : NULL;
	return rc < 0 ? rc : look_into(&sub);
}

static int look_at_file(const struct pair *p, const struct inode_at *is, const struct inode_at *was, const char *path)
{
	char text[512];

	if (!was) {
		add(p->changes, CHANGE_ADDED, path, false, NULL, S_ISREG(is->st.st_mode) ? "" : type_name(is->st.st_mode));
		return 0;
	}
	if ((was->st.st_mode ^ is->st.st_mode) & S_IFMT) {
		add_replaced(p, is, was, path);
		return 0;
	}
	int set = inode_compare(was, is, text, sizeof(text));
	if (set < 0)
		return fail(p, set, path, "cannot be compared");
	if (set) {
		size_t n = strlen(text);
		if (was->st.st_nlink > 1 && changes_is_copy(p->trees, is, &was->st))
			snprintf(text + n, sizeof(text) - n, ", under all its %ju names", (uintmax_t)was->st.st_nlink);
		add(p->changes, CHANGE_MODIFIED, path, false, NULL, text);
		check_origin(p, is, path, was);
	}
	return 0;
}

static int look_at(const struct pair *p, const char *name)
{
	CLEANUP_FREE char *path = entries_join(p->path, name), *natural = p->below ? entries_join(p->below, name) : NULL;
	struct inode_at is = { p->upper, name, { 0 } }, was = { p->lower, name, { 0 } };
	int rc = inode_look(&is);

	if (rc)
		return fail(p, rc, path, "cannot be looked at");
	rc = p->lower < 0 || is_moved(p->changes, natural) ? -ENOENT : inode_look(&was);
	if (rc && rc != -ENOENT)
		return fail(p, rc, path, "cannot be looked at, at the target");
	return (S_ISDIR(is.st.st_mode) ? look_at_dir : look_at_file)(p, &is, rc ? NULL : &was, path);
}

/* What was removed from the target's directory, and is not there under a new name. */
static int look_at_gone(const struct pair *p, const struct entries *here)
{
	CLEANUP_FD int dir = inode_open_dir(p->upper, UPPER_GONE);
	struct entries gone;
	int rc = dir < 0 ? dir : entries_read(dir, &gone);

	if (rc)
		return rc == -ENOENT ? 0 : fail(p, rc, p->path, "what was removed cannot be read");
	for (size_t i = 0; p->lower >= 0 && i < gone.count; i++) {
		CLEANUP_FREE char *path = entries_join(p->path, gone.list[i]), *natural = entries_join(p->below, gone.list[i]);
		struct inode_at was = { p->lower, gone.list[i], { 0 } };
		if (!entries_contain(here, was.name) && !is_moved(p->changes, natural) && !inode_look(&was))
			add(p->changes, CHANGE_REMOVED, path, S_ISDIR(was.st.st_mode), NULL, "");
	}
	entries_free(&gone);
	return 0;
}

static int look_into(const struct pair *p)
{
	struct entries names;
	int rc = entries_read(p->upper, &names);

	if (rc)
		return fail(p, rc, p->path, "cannot be read");
	rc = look_at_gone(p, &names);
	for (size_t i = 0; !rc && i < names.count; i++)
		rc = look_at(p, names.list[i]);
	entries_free(&names);
	return rc;
}

static int by_path(const void *a, const void *b)
{
	const struct change *x = a, *y = b;
	int order = strcmp(x->path, y->path);

	/* A directory that gives its place to another goes first. */
	return order ? order : (x->kind != CHANGE_REMOVED) - (y->kind != CHANGE_REMOVED);
}

int changes_find(const struct trees *t, struct changes *c, char *err, size_t err_len)
{
	CLEANUP_FD int lower = entries_open(t->lower, t->from, 0);
	struct pair root = { t, c, t->upper, lower, "", t->from, err, err_len };
	struct inode_at is = { t->upper, ".", { 0 } }, was = { lower, ".", { 0 } };

	*c = (struct changes){ 0 };
	if (lower < 0)
		return fail(&root, lower, t->from, "cannot be opened at the target");
	int rc = find_moves(c, t->upper, "", t->from);
	if (rc)
		fail(&root, rc, "", "the overlay cannot be read");
	else if (c->move_count)
		qsort(c->moves, c->move_count, sizeof(*c->moves), by_from);
	rc = rc ? rc : inode_look(&is);
	rc = rc ? rc : inode_look(&was);
	/* Until something is written, the root is only a place. */
	if (!rc && origin(t, &is))
		rc = compare_dirs(&root, &was, &is, "", NULL);
	rc = rc ? rc : look_into(&root);
	if (!rc && c->count)
		qsort(c->list, c->count, sizeof(*c->list), by_path);
	if (rc)
		changes_free(c);
	return rc;
}

void changes_free(struct changes *c)
{
	for (size_t i = 0; i < c->count; i++) {
		free(c->list[i].path);
		free(c->list[i].from);
		free(c->list[i].text);
	}
	for (size_t i = 0; i < c->move_count; i++) {
		free(c->moves[i].from);
		free(c->moves[i].to);
	}
	for (size_t i = 0; i < c->conflict_count; i++) {
		free(c->conflicts[i].path);
		free(c->conflicts[i].why);
	}
	free(c->list);
	free(c->moves);
	free(c->conflicts);
	*c = (struct changes){ 0 };
}

/* ---- printing ---- */

static bool is_plain(char c)
{
	return c >= ' ' && c <= '~';
}

void changes_print_path(const char *path, FILE *f)
{
	bool quoted = strpbrk(path, "\"\\") != NULL;

	for (const char *p = path; *p; p++)
		quoted = quoted || !is_plain(*p);
	fputs(quoted ? "\"" : "", f);
	for (const char *p = path; *p; p++) {
		if (*p == '"' || *p == '\\')
			fprintf(f, "\\%c", *p);
		else if (is_plain(*p))
			putc(*p, f);
		else if (*p == '\n' || *p == '\t')
			fputs(*p == '\n' ? "\\n" : "\\t", f);
		else
			fprintf(f, "\\%03o", (unsigned char)*p);
	}
	fputs(quoted ? "\"" : "", f);
}

/* Names of extended attributes may have any bytes. */
static void print_text(const char *text, FILE *f)
{
	fputs("  (", f);
	for (; *text; text++)
		putc(is_plain(*text) ? *text : '?', f);
	putc(')', f);
}

void changes_print(const struct changes *c, FILE *f)
{
	for (size_t i = 0; i < c->count; i++) {
		const struct change *x = c->list + i;

		fprintf(f, "%c  ", x->kind);
		if (x->from) {
			changes_print_path(x->from, f);
			fputs(" -> ", f);
		}
		changes_print_path(x->path, f);
		if (*x->text)
			print_text(x->text, f);
		putc('\n', f);
	}
}
