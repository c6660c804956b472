#include "place.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "behalf.h"
#include "cache.h"
#include "call.h"
#include "exe.h"
#include "intent.h"
#include "mem.h"
#include "ofd.h"
#include "overlay.h"
#include "proclink.h"
#include "remote.h"
#include "rules.h"
#include "util.h"

/* The directory a path starts from. */
struct start {
	struct ofd *dir;     /* remote; a reference */
	char text[PATH_MAX]; /* its absolute path in the program's eyes, "" when it has none */
};

static void start_release(struct start *s)
{
	if (s->dir)
		ofd_unref(s->dir);
}

#define CLEANUP_START __attribute__((cleanup(start_release)))

static int start_remote(struct call *c, struct start *s, struct ofd *o)
{
	char path[PATH_MAX];

	s->dir = ofd_ref(o);
	/* Of what is no directory every path is ENOTDIR, whatever the text would name. */
	if (!S_ISDIR(o->node->attr.mode) || remote_path(c, o, path, sizeof(path)) < 0 ||
	    ofd_to_program(o, path, s->text, sizeof(s->text)) < 0)
		s->text[0] = '\0';
	return 0;
}

/* Where DIRFD (or the cwd) is: by the kernel's own name for it. */
static int start_find(struct call *c, int dirfd, struct start *s)
{
	pid_t tid = c->tid;
	char link[64];
	ssize_t n;

	s->dir = NULL;
	if (dirfd == AT_FDCWD) {
		snprintf(link, sizeof(link), "/proc/%d/cwd", (int)tid);
	} else {
		struct ofd *o = dirfd >= FD_BASE ? ofd_by_fd(tid, dirfd) : NULL;
		if (o)
			return start_remote(c, s, o);
		snprintf(link, sizeof(link), "/proc/%d/fd/%d", (int)tid, dirfd);
	}
	n = readlink(link, s->text, sizeof(s->text) - 1);
	if (n < 0)
		return -errno;
	s->text[n] = '\0';
	struct ofd *o = ofd_by_link(link, s->text);
	return o ? start_remote(c, s, o) : 0;
}

/* True when a name of the relative part REL is "..". */
static bool has_dotdot(const char *rel)
{
	for (const char *p = rel; (p = strstr(p, "..")); p += 2)
		if ((p == rel || p[-1] == '/') && (p[2] == '/' || !p[2]))
			return true;
	return false;
}

/* True when PATH ends in a way that demands a directory: "/", "/.", "/..". */
static bool wants_dir(const char *path)
{
	size_t n = strlen(path);

	return n && (path[n - 1] == '/' || (n > 1 && !strcmp(path + n - 2, "/.")) ||
		     (n > 2 && !strcmp(path + n - 3, "/..")));
}

/* True when the ".."s of REL lead, at any point, above where it starts. */
static bool climbs_out(const char *rel)
{
	int depth = 0;

	while (*rel) {
		size_t n = strcspn(rel, "/");

		if (n == 2 && !memcmp(rel, "..", 2)) {
			if (--depth < 0)
				return true;
		} else if (n && !(n == 1 && *rel == '.')) {
			depth++;
		}
		rel += n;
		rel += strspn(rel, "/");
	}
	return false;
}

/* The target's name for the absolute path RAW of the program, whose normalised form is NORM. */
static int target_path(const struct mount *m, const char *raw, const char *norm, char *out)
{
	const char *rest = raw + (m->at[1] ? strlen(m->at) : 0);
	bool plain = path_within(raw, m->at) && (!m->at[1] || !climbs_out(rest));

	/* Symlinks and ".." inside the tree are for the agent to follow, so it gets the text as it was. */
	if (plain)
		return path_join(m->sub[1] ? m->sub : "", *rest ? rest : "/", out, PATH_MAX);
	int rc = path_to_target(m, norm, out, PATH_MAX);
	if (!rc && wants_dir(raw) && strlen(out) + 2 <= PATH_MAX)
		strcat(out, "/");
	return rc;
}

static void set_key(struct place *p, const char *norm, const char *raw)
{
	size_t n = strlen(raw);

	if (!*norm || has_dotdot(raw) || path_to_target(p->mount, norm, p->key, PATH_MAX) < 0)
		p->key[0] = '\0';
	/* A slash behind a name says nothing more where that is known to be a directory. */
	else if (wants_dir(raw) && (raw[n - 1] != '/' || !cache_is_directory(p->mount, p->key)))
		p->key[0] = '\0';
}

/* What becomes of NORM, which C is to WRITE or not. A remote program has its own loader and libraries. */
static const struct decision *decide(const struct call *c, const char *norm, bool write)
{
	const struct decision *d = rules_decide(norm, write, false);

	return d->here && exe_of(c->tid) ? rules_decide(norm, write, true) : d;
}

/* True when the kernel, following RAW name by name, would not get to where we do: there is a remote tree on its way. */
static bool passes_remote(const struct call *c, const char *raw)
{
	char part[PATH_MAX], norm[PATH_MAX];

	for (const char *p = raw; (p = strstr(p, "/..")); p += 3) {
		memcpy(part, raw, (size_t)(p - raw));
		part[p - raw] = '\0';
		if (p > raw && !path_normalise(part, norm, sizeof(norm)) && decide(c, norm, false)->mount)
			return true;
	}
	return false;
}

void place_name_task(pid_t tid, char *local)
{
	static const struct {
		const char *name, *rest;
	} own[] = { { "/proc/self", "" }, { "/proc/thread-self", "" }, { "/dev/fd", "/fd" } };
	char rest[PATH_MAX];

	for (int i = 0; i < 3; i++)
		if (path_within(local, own[i].name)) {
			strcpy(rest, local + strlen(own[i].name));
			snprintf(local, PATH_MAX, "/proc/%d%s%.*s", (int)tid, own[i].rest, PATH_MAX - 32, rest);
		}
}

static int place_behalf(struct call *c, struct place *p, const char *norm, bool dir)
{
	int rc = path_join(norm, dir ? "/" : "", p->local, PATH_MAX);

	p->behalf = !rc;
	if (!rc) {
		place_name_task(c->tid, p->local);
		behalf_begin(c->tid);
	}
	return rc;
}

static int place_relative(struct call *c, struct place *p, struct start *s, const char *rel, int flags);

/* A link of /proc that leads to a remote file. P is untouched when ABS is, or is to be, none. */
static int place_link(struct call *c, struct place *p, const char *abs, int flags)
{
	const char *rest;
	struct ofd *o = flags & PLACE_NO_MAGIC ? NULL : proclink_find(c->tid, abs, &rest);
	const struct exe *i = flags & (PLACE_FOLLOW | PLACE_LINK) && !(flags & PLACE_NO_MAGIC) ? proclink_exe(c->tid, abs) : NULL;
	CLEANUP_START struct start s = { .dir = NULL };

	if (i) {
		p->mount = i->mount;
		p->link = !(flags & PLACE_FOLLOW);
		strcpy(p->path, i->path);
		return 0;
	}
	if (!o || (!*rest && !(flags & (PLACE_FOLLOW | PLACE_LINK))))
		return 0;
	if (!*rest) {
		p->mount = o->mount;
		p->dir = ofd_ref(o);
		p->self = true;
		p->link = !(flags & PLACE_FOLLOW);
		return 0;
	}
	start_remote(c, &s, o);
	rest += strspn(rest, "/");
	return place_relative(c, p, &s, *rest ? rest : ".", flags);
}

/* RAW is what D maps it to; it still ends in a slash, or in no name of its own, if it did. */
static int place_mapped(struct call *c, struct place *p, const struct decision *d, const char *raw)
{
	size_t n = strlen(raw);
	char mapped[PATH_MAX];
	int rc = path_join(d->path, !wants_dir(raw) ? "" : raw[n - 1] == '.' ? "/." : "/", mapped, sizeof(mapped));

	p->mount = d->mount;
	if (rc < 0 || !p->mount)
		return rc < 0 ? rc : place_behalf(c, p, mapped, false);
	set_key(p, d->path, mapped);
	return target_path(p->mount, mapped, d->path, p->path);
}

static int place_absolute(struct call *c, struct place *p, const char *raw, int flags)
{
	char norm[PATH_MAX];
	int rc = path_normalise(raw, norm, sizeof(norm));

	if (rc < 0)
		return rc;
	const struct decision *d = decide(c, norm, intent_writes(c));
	if (d->verdict == VERDICT_NOT_FOUND)
		return -ENOENT;
	if (d->path)
		return place_mapped(c, p, d, raw);
	p->mount = d->mount;
	if (p->mount) {
		set_key(p, norm, raw);
		return target_path(p->mount, raw, norm, p->path);
	}
	/* "/remote/../etc": the kernel would look for /remote here. */
	bool through = has_dotdot(raw) && passes_remote(c, raw);
	rc = place_link(c, p, through ? norm : raw, flags);
	if (rc || p->mount || p->behalf || !through)
		return rc;
	return place_behalf(c, p, norm, wants_dir(raw));
}

/* Whether NORM is a place in M, by its own name. */
static bool stays(const struct call *c, const char *norm, const struct mount *m)
{
	const struct decision *d = decide(c, norm, intent_writes(c));

	return overlay_same(d->mount, m) && d->verdict != VERDICT_NOT_FOUND && !d->path;
}

/* True when the way of the absolute path ABS, which starts within M, leads out of it (and perhaps back). */
static bool leaves_mount(const struct mount *m, const char *abs)
{
	return m->at[1] && climbs_out(abs + strlen(m->at));
}

/* A path relative to a remote directory: the agent resolves it there, unless it leaves the tree. */
static int place_relative(struct call *c, struct place *p, struct start *s, const char *rel, int flags)
{
	char abs[PATH_MAX], norm[PATH_MAX];
	int rc = 0;

	if (*s->text) {
		rc = path_join(s->text, rel, abs, sizeof(abs));
		rc = rc < 0 ? rc : path_normalise(abs, norm, sizeof(norm));
		/* Longer than PATH_MAX from the root is fine for a relative path; it just has no cache key. */
		if (rc < 0)
			s->text[0] = '\0';
		else if (!stays(c, norm, s->dir->mount) || leaves_mount(s->dir->mount, abs)) {
			rc = place_absolute(c, p, abs, flags);
			return !rc && !p->mount && !p->behalf ? place_behalf(c, p, norm, wants_dir(rel)) : rc;
		}
	}
	p->mount = s->dir->mount;
	p->dir = ofd_ref(s->dir);
	strcpy(p->path, rel);
	if (*s->text)
		set_key(p, norm, rel);
	return 0;
}

static long place_self(struct call *c, int dirfd, struct place *p)
{
	struct ofd *o = dirfd == AT_FDCWD ? ofd_by_cwd(c->tid) : ofd_by_fd(c->tid, dirfd);

	if (!o)
		return 0;
	p->mount = o->mount;
	p->dir = ofd_ref(o);
	p->self = true;
	return 0;
}

/* What the rules say of RAW, which is not to lead out of S: to the other side it would. What climbs out the agent finds. */
static long check_scoped(struct call *c, const struct start *s, const char *raw)
{
	char abs[PATH_MAX], norm[PATH_MAX];

	if (!*s->text || climbs_out(raw) || path_join(s->text, raw, abs, sizeof(abs)) < 0 || path_normalise(abs, norm, sizeof(norm)) < 0 ||
	    stays(c, norm, s->dir->mount))
		return 0;
	return decide(c, norm, intent_writes(c))->verdict == VERDICT_NOT_FOUND ? -ENOENT : -EXDEV;
}

/* Whether the local descriptor DIRFD is one of a directory: O_PATH ones may be of links, whose text may lead anywhere. */
static bool is_directory(pid_t tid, int dirfd)
{
	char link[64];
	struct stat st;

	if (dirfd == AT_FDCWD)
		return true;
	snprintf(link, sizeof(link), "/proc/%d/fd/%d", (int)tid, dirfd);
	return stat(link, &st) == 0 && S_ISDIR(st.st_mode);
}

static void place_clear(struct place *p)
{
	p->mount = NULL;
	p->dir = NULL;
	p->self = p->link = p->behalf = false;
	p->path[0] = p->key[0] = p->local[0] = '\0';
}

static long place_path(struct call *c, int dirfd, const char *raw, int flags, struct place *p)
{
	CLEANUP_START struct start s = { .dir = NULL };
	bool scoped = flags & PLACE_SCOPED;
	if (*raw == '/' && !scoped)
		return place_absolute(c, p, raw, flags);
	if (start_find(c, dirfd, &s) < 0)
		return CALL_CONTINUE;
	if (s.dir && scoped) {
		long rc = check_scoped(c, &s, raw);

		if (rc)
			return rc;
		s.text[0] = '\0';
	}
	if (s.dir)
		return place_relative(c, p, &s, raw, flags);
	/* "pipe:[5]", "(unreachable)…": nothing that a path could start from, and the kernel says so. */
	if (*raw == '/' || *s.text != '/')
		return 0;

	char abs[PATH_MAX], norm[PATH_MAX];
	if (path_join(s.text, raw, abs, sizeof(abs)) < 0 || path_normalise(abs, norm, sizeof(norm)) < 0)
		return 0;
	bool enters = !stays(c, norm, NULL);
	/* From a local directory the kernel does as well as we, unless the path enters a remote tree. */
	if ((enters || path_within(abs, "/proc")) && !is_directory(c->tid, dirfd))
		return 0;
	return enters ? place_absolute(c, p, abs, flags) : place_link(c, p, abs, flags);
}

static long resolve(struct call *c, int dirfd, uint64_t addr, int flags, struct place *p)
{
	char raw[PATH_MAX];

	place_clear(p);
	if (!addr && flags & PLACE_NULL_OK)
		return place_self(c, dirfd, p); /* since Linux 6.11 NULL is as good as "" */
	ssize_t n = mem_read_string(c->tid, addr, raw, sizeof(raw));
	if (n < 0)
		return CALL_CONTINUE; /* the kernel will find the same fault in its own order */
	if (!n)
		return flags & PLACE_EMPTY_OK ? place_self(c, dirfd, p) : CALL_CONTINUE;
	return place_path(c, dirfd, raw, flags, p);
}

/* In an overlay, which of its layers. */
static long layer(struct call *c, long rc, int flags, struct place *p)
{
	return !rc && p->mount && p->mount->overlay ? overlay_place(c, p, flags) : rc;
}

long place_resolve(struct call *c, int dirfd, uint64_t addr, int flags, struct place *p)
{
	return layer(c, resolve(c, dirfd, addr, flags, p), flags, p);
}

long place_resolve_text(struct call *c, const char *path, int flags, struct place *p)
{
	place_clear(p);
	return *path ? layer(c, place_path(c, AT_FDCWD, path, flags, p), flags, p) : -ENOENT;
}

void place_release(struct place *p)
{
	if (p->dir)
		ofd_unref(p->dir);
	p->dir = NULL;
}

bool place_owns(const struct place *p)
{
	return *p->key && !p->mount->overlay;
}

void place_where(const struct place *p, rfs_Where *where)
{
	size_t n = strlen(p->path);

	if (p->dir)
		where->dir = p->dir->handle;
	memcpy(where->path.bytes, p->path, n);
	where->path.size = (pb_size_t)n;
}

int place_flags(int at_flags)
{
	return (at_flags & AT_EMPTY_PATH ? PLACE_EMPTY_OK : 0) | (at_flags & AT_SYMLINK_NOFOLLOW ? 0 : PLACE_FOLLOW);
}
