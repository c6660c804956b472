#include "rules.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "pattern.h"
#include "rules_int.h"
#include "util.h"

/* Decisions that are remembered: what a program asks for again and again. */
#define MEMORY 4096

static struct mount **mounts;
static size_t mount_count;
static unsigned generation; /* of what decisions are made from */
static struct local_path {
	char *path;
	enum rules_for programs;
} *local_paths;
static size_t local_count;

const char *mount_tag(const struct mount *m)
{
	return m ? m->tag : "local";
}

void mount_waits(const struct mount *m, int by)
{
	struct mount *own = (struct mount *)m;

	/* A mount is constant to its users, but for this. Who sees that somebody waits must not find when somebody did before. */
	if (by < 0 || !atomic_load(&own->waiting))
		atomic_store(&own->progress, now_ns());
	atomic_fetch_add(&own->waiting, (unsigned)by);
}

uint64_t mount_silence(const struct mount *m)
{
	if (!atomic_load(&m->waiting))
		return 0;
	uint64_t since = atomic_load(&m->progress); /* before the time is looked at: it is not later */
	return now_ns() - since;
}

struct mount *rules_add_mount(const char *at, const char *sub, const char *tag)
{
	struct mount *m = xcalloc(1, sizeof(*m));

	m->at = xstrdup(at);
	m->sub = xstrdup(sub);
	m->tag = xstrdup(tag);
	mounts = xrealloc(mounts, (mount_count + 1) * sizeof(*mounts));
	mounts[mount_count++] = m;
	generation++;
	return m;
}

void rules_set_mode(struct mount *m, enum mode mode)
{
	m->mode = mode;
	generation++;
}

struct mount *const *rules_mounts(size_t *count)
{
	*count = mount_count;
	return mounts;
}

void rules_keep_local(const char *path, enum rules_for programs)
{
	local_paths = xrealloc(local_paths, (local_count + 1) * sizeof(*local_paths));
	local_paths[local_count++] = (struct local_path){ .path = xstrdup(path), .programs = programs };
	generation++;
}

/* The length of the longest entry that covers PATH for a REMOTE program or a local one, -1 when none does. */
static long longest_local(const char *path, bool remote)
{
	long best = -1;

	for (size_t i = 0; i < local_count; i++) {
		const struct local_path *l = &local_paths[i];

		if ((l->programs != FOR_LOCAL || !remote) && path_within(path, l->path) && (long)strlen(l->path) > best)
			best = (long)strlen(l->path);
	}
	return best;
}

/* The innermost mount that covers PATH. */
static const struct mount *mount_at(const char *path)
{
	const struct mount *found = NULL;

	for (size_t i = 0; i < mount_count; i++)
		if (!mounts[i]->is_twin && !mounts[i]->is_upper && path_within(path, mounts[i]->at) &&
		    (!found || strlen(mounts[i]->at) > strlen(found->at)))
			found = mounts[i];
	return found;
}

/* ---- the lists ---- */

static struct rule {
	struct rule *next;
	struct pattern *pattern;
	char *replacement, *origin;
	bool here;
} *rules[LIST_COUNT];

enum says { SAYS_MAPPING, SAYS_NOT_FOUND, SAYS_READ_WRITE, SAYS_READ_ONLY, SAYS_LOCAL };

static const struct {
	const char *name;
	enum says says;
} lists[LIST_COUNT] = {
	[LIST_MAPPING] = { "mapping", SAYS_MAPPING },
	[LIST_NOT_FOUND] = { "not_found", SAYS_NOT_FOUND },
	[LIST_READ_WRITE] = { "read_write", SAYS_READ_WRITE },
	[LIST_READ_ONLY] = { "read_only", SAYS_READ_ONLY },
	[LIST_LOCAL] = { "local", SAYS_LOCAL },
	[LIST_DEFAULT_NOT_FOUND] = { "default not_found", SAYS_NOT_FOUND },
	[LIST_DEFAULT_READ_ONLY] = { "default read_only", SAYS_READ_ONLY },
	[LIST_DEFAULT_LOCAL] = { "default local", SAYS_LOCAL },
};

void rules_append(enum rules_list list, struct pattern *pattern, const char *replacement, const char *origin, bool here)
{
	struct rule *r = xcalloc(1, sizeof(*r)), **end = &rules[list];

	r->pattern = pattern;
	r->replacement = replacement ? xstrdup(replacement) : NULL;
	r->origin = origin ? xstrdup(origin) : NULL;
	r->here = here;
	while (*end)
		end = &(*end)->next;
	*end = r;
	generation++;
}

int rules_add(enum rule_kind kind, const char *pattern, const char *replacement, const char *origin, char *err, size_t len)
{
	struct pattern *p = pattern_compile(pattern, err, len);

	if (!p)
		return -EINVAL;
	rules_append((enum rules_list)kind, p, replacement, origin, false);
	return 0;
}

bool rules_given(enum rule_kind kind)
{
	return rules[(enum rules_list)kind];
}

/* ---- deciding ---- */

/* A path to decide about. */
struct question {
	const char *path;
	bool write, remote; /* it is to be changed; for a remote program */
	const struct mount *mount;
};

static void decide(struct decision *d, enum verdict verdict, const char *list)
{
	d->verdict = verdict;
	d->list = list;
}

/* MOUNT or its twin: the one that is WRITABLE, if there is one. */
static const struct mount *mount_that_is(const struct mount *mount, bool writable)
{
	return mount->twin && mount->writable != writable ? mount->twin : mount;
}

/* What a rule of LIST that matches makes of Q. False: nothing, so that what comes behind it counts. */
static bool apply(const struct question *q, enum rules_list list, struct decision *d)
{
	enum says says = lists[list].says;
	bool by_default = list >= LIST_DEFAULT_NOT_FOUND;

	/* A default list leaves what is to be changed to the next one; and where nothing is remote, nothing can be made so. */
	if (says == SAYS_READ_ONLY && q->write && by_default)
		return false;
	if (!q->mount && (says == SAYS_READ_WRITE || says == SAYS_READ_ONLY))
		return false;
	decide(d, VERDICT_LOCAL, lists[list].name);
	if (says == SAYS_NOT_FOUND)
		d->verdict = VERDICT_NOT_FOUND;
	if (says == SAYS_NOT_FOUND || says == SAYS_LOCAL || (says == SAYS_READ_ONLY && q->write))
		return true;
	d->verdict = VERDICT_REMOTE;
	d->mount = by_default ? q->mount : mount_that_is(q->mount, says == SAYS_READ_WRITE);
	return true;
}

/* Whether one of the lists FIRST to LAST decides about Q. */
static bool by_lists(const struct question *q, enum rules_list first, enum rules_list last, struct decision *d)
{
	for (enum rules_list list = first; list <= last; list++)
		for (const struct rule *r = rules[list]; r; r = r->next)
			if (!(r->here && q->remote) && pattern_matches(r->pattern, q->path) && apply(q, list, d)) {
				d->pattern = pattern_text(r->pattern);
				d->origin = r->origin;
				d->here = r->here;
				return true;
			}
	return false;
}

static void by_mode(const struct question *q, struct decision *d)
{
	static const char *const names[] = {
		[MODE_OVERLAY] = "mode overlay", [MODE_READ] = "mode read", [MODE_WRITE] = "mode write", [MODE_LOCAL] = "mode local",
		[MODE_LOCAL_OVERRIDES] = "mode localwithoverrides",
	};
	enum mode mode = q->mount->mode;

	decide(d, VERDICT_REMOTE, names[mode]);
	if (mode == MODE_LOCAL || mode == MODE_LOCAL_OVERRIDES || (mode == MODE_READ && q->write && q->mount->defaults))
		d->verdict = VERDICT_LOCAL;
	else
		d->mount = q->mount;
}

/*
 * A library where a loader looks for it. No list makes that remote for a local program, whose loader would take a libc that does not
 * fit it; mirrord's lists are asked only when the libraries are loaded.
 */
static bool is_own_library(const struct question *q)
{
	long others = longest_local(q->path, true), mount = q->mount ? (long)strlen(q->mount->at) : -1;

	return !q->remote && strstr(strrchr(q->path, '/'), ".so") && longest_local(q->path, false) > (others > mount ? others : mount);
}

static bool is_kept_always(const char *path)
{
	for (size_t i = 0; i < local_count; i++)
		if (local_paths[i].programs == ALWAYS && !strcmp(path, local_paths[i].path))
			return true;
	return false;
}

static void decide_path(const struct question *q, struct decision *d)
{
	if (q->mount && q->mount->mode == MODE_LOCAL) {
		by_mode(q, d);
	} else if (is_kept_always(q->path)) {
		decide(d, VERDICT_LOCAL, "the program");
	} else if (is_own_library(q)) {
		decide(d, VERDICT_LOCAL, "the libraries of local programs");
		d->here = true;
	} else if (by_lists(q, LIST_NOT_FOUND, LIST_LOCAL, d)) {
		return;
	} else if (!q->mount) {
		decide(d, VERDICT_LOCAL, "no mount");
	} else if (q->mount->defaults && by_lists(q, LIST_DEFAULT_NOT_FOUND, LIST_DEFAULT_LOCAL, d)) {
		return;
	} else if (longest_local(q->path, q->remote) > (long)strlen(q->mount->at)) {
		/* A mount named below such a path wins: --mount /dev/data=… */
		decide(d, VERDICT_LOCAL, "what programs need to run here");
		d->here = longest_local(q->path, true) <= (long)strlen(q->mount->at);
	} else {
		by_mode(q, d);
	}
}

/* What PATH is mapped to, normalised, in OUT: 1; 0 when it is not; -ENAMETOOLONG. */
static int map_path(const char *path, struct decision *d, char out[PATH_MAX])
{
	char mapped[PATH_MAX], whole[PATH_MAX];

	for (const struct rule *r = rules[LIST_MAPPING]; r; r = r->next) {
		int rc = pattern_replace(r->pattern, path, r->replacement, mapped, sizeof(mapped));

		if (!rc)
			continue;
		d->mapping = pattern_text(r->pattern);
		d->mapping_origin = r->origin;
		/* A name without its slash is one of the root. */
		rc = rc < 0 ? rc : path_join("/", mapped, whole, sizeof(whole));
		rc = rc < 0 ? rc : path_normalise(whole, out, PATH_MAX);
		return rc < 0 ? rc : strcmp(path, out) != 0;
	}
	return 0;
}

struct memory {
	char *path, *mapped;
	unsigned generation;
	bool write, remote;
	struct decision decision;
};

static struct memory *memory_of(const char *path, bool write, bool remote)
{
	static struct memory memory[MEMORY];
	uint32_t hash = 2166136261u; /* FNV-1a */

	for (const char *p = path; *p; p++)
		hash = (hash ^ (unsigned char)*p) * 16777619u;
	hash = (hash ^ (unsigned)(write * 2 + remote)) * 16777619u;
	return &memory[(hash ^ hash >> 16) % MEMORY];
}

const struct decision *rules_decide(const char *path, bool write, bool remote)
{
	struct memory *m = memory_of(path, write, remote);
	char mapped[PATH_MAX];

	if (m->path && m->generation == generation && m->write == write && m->remote == remote && !strcmp(m->path, path))
		return &m->decision;
	free(m->path);
	free(m->mapped);
	*m = (struct memory){ .path = xstrdup(path), .generation = generation, .write = write, .remote = remote };
	if (!mount_count) {
		decide(&m->decision, VERDICT_LOCAL, "mode local");
		return &m->decision;
	}
	int rc = map_path(path, &m->decision, mapped);
	if (rc < 0) {
		decide(&m->decision, VERDICT_NOT_FOUND, "a mapping to a path that is too long");
		return &m->decision;
	}
	if (rc > 0)
		m->decision.path = m->mapped = xstrdup(mapped);
	struct question q = { .path = m->mapped ? m->mapped : path, .write = write, .remote = remote };
	q.mount = mount_at(q.path);
	decide_path(&q, &m->decision);
	return &m->decision;
}
