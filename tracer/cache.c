#include "cache_int.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "listing.h"
#include "pages.h"
#include "rules.h"
#include "util.h"

#define BUCKETS 8192
#define MAX_ENTRIES 32768
#define LOG_SIZE 512

/* The entry that was not asked for the longest is the first; the same of those with bytes. */
TAILQ_HEAD(entries, entry);
static struct entries by_use = TAILQ_HEAD_INITIALIZER(by_use);
static struct entries by_bytes_use = TAILQ_HEAD_INITIALIZER(by_bytes_use);
static size_t bytes_held, bytes_limit = CACHE_BYTES;

static struct entry *table[BUCKETS];
static size_t count;
/* How many entries have an inode number of this residue: most changes find none and need no search. */
static uint32_t by_inode[4096];
/* How many entries have a directory of this hash above them: most that are forgotten with all that is below have nothing there. */
static uint32_t by_above[16384];
static struct change changes[LOG_SIZE];
static uint64_t change_seq;
static bool off;
static uint64_t lease_ns;

static uint32_t hash_path(const char *path)
{
	uint32_t h = 2166136261u;

	for (; *path; path++)
		h = (h ^ (uint8_t)*path) * 16777619u;
	return h;
}

/* PATH is (BY 1), or is no more (-1), below the directories above it; the root's are all, and not counted. */
static void count_above(const char *path, int by)
{
	uint32_t h = 2166136261u;

	for (const char *at = path; *at; at++) {
		if (*at == '/' && at > path)
			by_above[h % (sizeof(by_above) / sizeof(*by_above))] += (uint32_t)by;
		h = (h ^ (uint8_t)*at) * 16777619u;
	}
}

static bool has_below(const char *path)
{
	return !path[1] || by_above[hash_path(path) % (sizeof(by_above) / sizeof(*by_above))];
}

static struct entry **find_slot(const struct mount *m, const char *path, uint32_t hash)
{
	struct entry **e = &table[hash % BUCKETS];

	while (*e && !((*e)->hash == hash && (*e)->mount == m && !strcmp((*e)->path, path)))
		e = &(*e)->next;
	return e;
}

uint8_t *cache_take_bytes(struct entry *e)
{
	uint8_t *bytes = e->bytes;

	if (!bytes)
		return NULL;
	TAILQ_REMOVE(&by_bytes_use, e, bytes_used);
	bytes_held -= e->len;
	pages_count_elsewhere(bytes_held);
	e->bytes = NULL;
	e->len = 0;
	e->marks &= CACHE_COMING | CACHE_OURS;
	return bytes;
}

void cache_drop_bytes(struct entry *e)
{
	free(cache_take_bytes(e));
}

static void drop(struct entry **e)
{
	struct entry *dead = *e;

	*e = dead->next;
	cache_drop_bytes(dead);
	TAILQ_REMOVE(&by_use, dead, used);
	count_above(dead->path, -1);
	if (!dead->absent)
		by_inode[dead->attr.ino % 4096]--;
	free(dead);
	count--;
}

bool cache_blur(struct entry *e)
{
	if (!e->bytes || !(e->marks & CACHE_SEARCH))
		return false;
	return e->vague = true;
}

static void drop_if(bool (*match)(const struct entry *e, const struct change *c), const struct change *c)
{
	for (size_t i = 0; count && i < BUCKETS; i++)
		for (struct entry **e = &table[i]; *e;) {
			if ((*e)->mount == c->mount && match(*e, c) && (c->path || !cache_blur(*e)))
				drop(e);
			else
				e = &(*e)->next;
		}
}

static bool match_subtree(const struct entry *e, const struct change *c)
{
	return path_within(e->path, c->path);
}

static bool match_inode(const struct entry *e, const struct change *c)
{
	return !e->absent && e->attr.ino == c->ino && e->attr.dev_minor == c->dev_minor &&
	       e->attr.dev_major == c->dev_major;
}

static bool match_any(const struct entry *e, const struct change *c)
{
	(void)e;
	(void)c;
	return true;
}

struct change *cache_record(const struct mount *m)
{
	struct change *c = &changes[++change_seq % LOG_SIZE];

	free(c->path);
	*c = (struct change){ .mount = m };
	return c;
}

uint64_t cache_now(void)
{
	return change_seq;
}

bool cache_changed_since(const struct mount *m, const char *path, const rfs_Attr *attr, uint64_t since)
{
	if (change_seq - since >= LOG_SIZE)
		return true;
	for (uint64_t s = since + 1; s <= change_seq; s++) {
		const struct change *c = &changes[s % LOG_SIZE];

		if (c->mount != m)
			continue;
		if (c->path ? (c->subtree ? path_within(path, c->path) : !strcmp(path, c->path))
			    : attr && attr->ino == c->ino && attr->dev_minor == c->dev_minor &&
				      attr->dev_major == c->dev_major)
			return true;
	}
	return false;
}

struct entry *cache_entry(const struct mount *m, const char *path)
{
	struct entry **slot = find_slot(m, path, hash_path(path)), *e = *slot;

	if (!e || !e->until || (e->seq == change_seq && now_ns() < e->until))
		return e;
	drop(slot);
	return NULL;
}

static void touch(struct entry *e)
{
	if (TAILQ_NEXT(e, used)) {
		TAILQ_REMOVE(&by_use, e, used);
		TAILQ_INSERT_TAIL(&by_use, e, used);
	}
	if (e->bytes && TAILQ_NEXT(e, bytes_used)) {
		TAILQ_REMOVE(&by_bytes_use, e, bytes_used);
		TAILQ_INSERT_TAIL(&by_bytes_use, e, bytes_used);
	}
}

/*
 * Whether PATH, which has no entry, is known not to be there: the listing of a directory above has not the next name. The agent
 * tells of new names in that directory, so the name itself cannot become an entry.
 */
static bool is_missing(const struct mount *m, const char *path)
{
	char dir[PATH_MAX];
	size_t n = strlen(path);

	if (n >= sizeof(dir))
		return false;
	memcpy(dir, path, n + 1);
	for (char *slash; (slash = strrchr(dir, '/')) && dir[1];) {
		const char *name = path + (slash - dir) + 1;

		slash[slash == dir] = '\0';
		const struct entry *e = cache_entry(m, dir);
		size_t len = strcspn(name, "/");
		if (e && e->bytes)
			return e->marks & CACHE_SEARCH && len <= NAME_MAX && !listing_has(e->bytes, e->len, name, len);
		if (e)
			return e->absent;
	}
	return false;
}

int cache_find(const struct mount *m, const char *path, rfs_Attr *attr)
{
	struct entry *e = cache_entry(m, path);

	if (!e)
		return is_missing(m, path) ? -ENOENT : 0;
	touch(e);
	if (e->absent)
		return -ENOENT;
	*attr = e->attr;
	return !e->vague;
}

void cache_discard(struct entry *e)
{
	drop(find_slot(e->mount, e->path, e->hash));
}

static struct entry *add(const struct mount *m, const char *path, uint32_t hash)
{
	if (count >= MAX_ENTRIES)
		cache_discard(TAILQ_FIRST(&by_use));
	struct entry *e = xcalloc(1, sizeof(*e) + strlen(path) + 1);
	struct entry **slot = &table[hash % BUCKETS];

	e->absent = true;
	e->mount = m;
	e->hash = hash;
	strcpy(e->path, path);
	e->next = *slot;
	*slot = e;
	TAILQ_INSERT_TAIL(&by_use, e, used);
	count_above(path, 1);
	count++;
	return e;
}

bool cache_same(const rfs_Attr *a, const rfs_Attr *b)
{
	return a->ino == b->ino && a->dev_major == b->dev_major && a->dev_minor == b->dev_minor && a->size == b->size &&
	       a->mtime_sec == b->mtime_sec && a->mtime_nsec == b->mtime_nsec && a->ctime_sec == b->ctime_sec &&
	       a->ctime_nsec == b->ctime_nsec;
}

/* Whether the bytes of E are those of what has ATTR. A directory's names do not go by its attributes. */
static bool fits(const struct entry *e, const rfs_Attr *attr)
{
	if (!attr || e->absent)
		return false;
	if (!(e->marks & CACHE_SEARCH))
		return cache_same(&e->attr, attr);
	return !e->attr.ino || (e->attr.ino == attr->ino && e->attr.dev_major == attr->dev_major && e->attr.dev_minor == attr->dev_minor);
}

void cache_set(const struct mount *m, const char *path, const rfs_Attr *attr, uint64_t until)
{
	uint32_t hash = hash_path(path);
	struct entry *e = *find_slot(m, path, hash);

	if (!e)
		e = add(m, path, hash);
	if (until || !fits(e, attr))
		cache_drop_bytes(e);
	if (!e->absent)
		by_inode[e->attr.ino % 4096]--;
	bool was_absent = e->absent;
	e->absent = !attr;
	e->vague = false;
	e->until = until;
	e->seq = change_seq;
	if (attr) {
		/* A listing tells of extended attributes, an open does not; they change with the change time. */
		bool plain = attr->plain || (!was_absent && e->attr.plain && cache_same(&e->attr, attr));
		e->attr = *attr;
		e->attr.plain = plain;
		by_inode[attr->ino % 4096]++;
	}
}

void cache_put(const struct mount *m, const char *path, const rfs_Attr *attr, uint64_t since)
{
	if (!off && !cache_changed_since(m, path, attr, since))
		cache_set(m, path, attr, 0);
}

void cache_lease(const struct mount *m, const char *path, const rfs_Attr *attr, uint64_t since)
{
	if (lease_ns && since == change_seq)
		cache_set(m, path, attr, now_ns() + lease_ns);
}

void cache_policy(bool on, uint64_t lease)
{
	off = !on;
	lease_ns = lease;
}

bool cache_is_off(void)
{
	return off;
}

void cache_keep_bytes(struct entry *e, uint8_t *bytes, size_t len)
{
	e->bytes = bytes;
	e->len = len;
	bytes_held += len;
	TAILQ_INSERT_TAIL(&by_bytes_use, e, bytes_used);
	while (bytes_held > bytes_limit)
		cache_drop_bytes(TAILQ_FIRST(&by_bytes_use));
	pages_count_elsewhere(bytes_held);
}

void cache_put_bytes(const struct mount *m, const char *path, const rfs_Attr *attr, uint8_t *bytes, size_t len, uint64_t since)
{
	struct entry *e = cache_entry(m, path);

	if (!e || e->absent || e->vague || !cache_same(&e->attr, attr) || len > bytes_limit / 4 || cache_changed_since(m, path, attr, since)) {
		free(bytes);
		return;
	}
	cache_drop_bytes(e);
	cache_keep_bytes(e, bytes, len);
}

const uint8_t *cache_bytes(const struct mount *m, const char *path, rfs_Attr *attr, size_t *len)
{
	struct entry *e = cache_entry(m, path);

	if (!e || !e->bytes || e->vague || e->marks & CACHE_GROWN)
		return NULL;
	touch(e);
	*attr = e->attr;
	*len = e->len;
	return e->bytes;
}

bool cache_mark(const struct mount *m, const char *path, uint8_t marks, bool on)
{
	struct entry *e = cache_entry(m, path);
	bool was = e && (e->marks & marks);

	if (e)
		e->marks = on ? e->marks | marks : e->marks & (uint8_t)~marks;
	return was;
}

bool cache_marked(const struct mount *m, const char *path, uint8_t marks)
{
	const struct entry *e = cache_entry(m, path);

	return e && (e->marks & marks);
}

void cache_limit(size_t bytes)
{
	bytes_limit = bytes;
}

void cache_forget(const struct mount *m, const char *path, bool subtree)
{
	struct change *c = cache_record(m);
	struct entry **e = find_slot(m, path, hash_path(path));
	/* Below a name that is known not to be a directory there is nothing to look for. */
	bool leaf = *e && !(*e)->absent && ((*e)->attr.mode & 0170000) != 0040000;

	c->path = xstrdup(path);
	c->subtree = subtree;
	if (*e)
		drop(e);
	if (subtree && !leaf && has_below(path))
		drop_if(path[1] ? match_subtree : match_any, c);
}

void cache_forget_name(const struct mount *m, const char *path, bool subtree)
{
	char parent[PATH_MAX];

	cache_forget(m, path, subtree);
	if (path_parent(path, parent))
		cache_forget(m, parent, false);
}

void cache_forget_inode(const struct mount *m, uint32_t dev_major, uint32_t dev_minor, uint64_t ino)
{
	struct change *c = cache_record(m);

	c->dev_major = dev_major;
	c->dev_minor = dev_minor;
	c->ino = ino;
	if (by_inode[ino % 4096])
		drop_if(match_inode, c);
}
