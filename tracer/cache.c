#include "cache.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "rules.h"
#include "util.h"

#define BUCKETS 8192
#define MAX_ENTRIES 32768
#define LOG_SIZE 512

struct entry {
	struct entry *next;
	const struct mount *mount;
	uint32_t hash;
	bool absent;
	rfs_Attr attr;
	char path[];
};

/* The latest changes, so that an answer which was on its way meanwhile is not believed. */
struct change {
	const struct mount *mount;
	bool subtree;
	uint32_t dev_major, dev_minor;
	uint64_t ino; /* with no path */
	char *path;
};

static struct entry *table[BUCKETS];
static size_t count;
/* How many entries have an inode number of this residue: most changes find none and need no search. */
static uint32_t by_inode[4096];
static struct change changes[LOG_SIZE];
static uint64_t change_seq;

static uint32_t hash_path(const char *path)
{
	uint32_t h = 2166136261u;

	for (; *path; path++)
		h = (h ^ (uint8_t)*path) * 16777619u;
	return h;
}

static struct entry **find_slot(const struct mount *m, const char *path, uint32_t hash)
{
	struct entry **e = &table[hash % BUCKETS];

	while (*e && !((*e)->hash == hash && (*e)->mount == m && !strcmp((*e)->path, path)))
		e = &(*e)->next;
	return e;
}

static void drop(struct entry **e)
{
	struct entry *dead = *e;

	*e = dead->next;
	if (!dead->absent)
		by_inode[dead->attr.ino % 4096]--;
	free(dead);
	count--;
}

static void drop_if(bool (*match)(const struct entry *e, const struct change *c), const struct change *c)
{
	for (size_t i = 0; count && i < BUCKETS; i++)
		for (struct entry **e = &table[i]; *e;) {
			if ((*e)->mount == c->mount && match(*e, c))
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

static struct change *record(const struct mount *m)
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

static bool changed_since(const struct mount *m, const char *path, const rfs_Attr *attr, uint64_t since)
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

int cache_find(const struct mount *m, const char *path, rfs_Attr *attr)
{
	struct entry *e = *find_slot(m, path, hash_path(path));

	if (!e)
		return 0;
	if (e->absent)
		return -ENOENT;
	*attr = e->attr;
	return 1;
}

void cache_put(const struct mount *m, const char *path, const rfs_Attr *attr, uint64_t since)
{
	uint32_t hash = hash_path(path);
	struct entry **slot = find_slot(m, path, hash);
	struct entry *e = *slot;

	if (changed_since(m, path, attr, since))
		return;
	if (!e && count >= MAX_ENTRIES) {
		for (size_t i = 0; i < BUCKETS; i++)
			while (table[i])
				drop(&table[i]);
		slot = &table[hash % BUCKETS];
	}
	if (!e) {
		e = xcalloc(1, sizeof(*e) + strlen(path) + 1);
		e->absent = true;
		e->mount = m;
		e->hash = hash;
		strcpy(e->path, path);
		e->next = *slot;
		*slot = e;
		count++;
	}
	if (!e->absent)
		by_inode[e->attr.ino % 4096]--;
	e->absent = !attr;
	if (attr) {
		e->attr = *attr;
		by_inode[attr->ino % 4096]++;
	}
}

void cache_forget(const struct mount *m, const char *path, bool subtree)
{
	struct change *c = record(m);
	struct entry **e = find_slot(m, path, hash_path(path));
	/* Below a name that is known not to be a directory there is nothing to look for. */
	bool leaf = *e && !(*e)->absent && ((*e)->attr.mode & 0170000) != 0040000;

	c->path = xstrdup(path);
	c->subtree = subtree;
	if (*e)
		drop(e);
	if (subtree && !leaf)
		drop_if(path[1] ? match_subtree : match_any, c);
}

void cache_forget_name(const struct mount *m, const char *path, bool subtree)
{
	char parent[PATH_MAX];
	char *slash;

	cache_forget(m, path, subtree);
	if (strlen(path) >= sizeof(parent))
		return;
	strcpy(parent, path);
	slash = strrchr(parent, '/');
	if (slash)
		slash[slash == parent] = '\0';
	cache_forget(m, parent, false);
}

void cache_forget_inode(const struct mount *m, uint32_t dev_major, uint32_t dev_minor, uint64_t ino)
{
	struct change *c = record(m);

	c->dev_major = dev_major;
	c->dev_minor = dev_minor;
	c->ino = ino;
	if (by_inode[ino % 4096])
		drop_if(match_inode, c);
}
