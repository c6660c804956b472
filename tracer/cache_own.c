/* Our own changes: what was known is known still, and what they come to with it. */
#include "cache_int.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "listing.h"
#include "path.h"
#include "util.h"

/* Names are searched one after the other. */
#define GROWN_MAX (1u << 20)

/* E's names, which are known, have NAME as well. False: they are too many. */
static bool add_name(struct entry *e, const char *name, unsigned type)
{
	uint8_t marks = e->marks;
	size_t len = e->len;

	if (len > GROWN_MAX || strlen(name) > NAME_MAX)
		return false;
	uint8_t *bytes = listing_add(cache_take_bytes(e), &len, name, type);
	e->marks = marks | CACHE_GROWN;
	cache_keep_bytes(e, bytes, len);
	return true;
}

/* NAME was made in DIR; whether it STAYS is not known if somebody was at it meanwhile. */
static void grow(const struct mount *m, const char *dir, const char *name, unsigned type, bool stays)
{
	struct change *c = cache_record(m);
	struct entry *e = cache_entry(m, dir);

	c->path = xstrdup(dir);
	if (!e || e->absent)
		return;
	e->vague = true;
	e->marks |= CACHE_OURS;
	if (!e->bytes || !(e->marks & CACHE_SEARCH) || !stays)
		cache_drop_bytes(e);
	else if (!listing_has(e->bytes, e->len, name, strlen(name)) && !add_name(e, name, type))
		cache_drop_bytes(e);
}

void cache_made(const struct mount *m, const char *path, unsigned type, const rfs_Attr *attr, uint64_t since)
{
	bool fresh = attr && !cache_is_off() && !cache_changed_since(m, path, attr, since);
	bool stays = !cache_changed_since(m, path, NULL, since);
	char dir[PATH_MAX];

	cache_forget(m, path, true);
	if (path_parent(path, dir))
		grow(m, dir, strrchr(path, '/') + 1, type, stays);
	if (fresh)
		cache_set(m, path, attr, 0);
}

void cache_changed(const struct mount *m, const char *path)
{
	struct entry *e = cache_entry(m, path);

	cache_record(m)->path = xstrdup(path);
	if (e && (e->absent || !cache_blur(e)))
		cache_discard(e);
}

void cache_assume(const struct mount *m, const char *path, const rfs_Attr *attr)
{
	if (cache_is_off())
		return;
	cache_set(m, path, attr, 0);
	cache_entry(m, path)->vague = true;
}

bool cache_last(const struct mount *m, const char *path, rfs_Attr *attr)
{
	const struct entry *e = cache_entry(m, path);

	if (!e || e->absent)
		return false;
	*attr = e->attr;
	return true;
}

void cache_expect(const struct mount *m, const char *path, const rfs_Attr *attr)
{
	if (cache_is_off())
		return;
	cache_assume(m, path, attr);
	struct entry *e = cache_entry(m, path);
	cache_drop_bytes(e);
	e->marks |= CACHE_SEARCH | CACHE_GROWN | CACHE_OURS;
	cache_keep_bytes(e, xcalloc(1, 1), 0);
}

void cache_confirm(const struct mount *m, const char *path, const rfs_Attr *attr, uint64_t since)
{
	struct entry *e = cache_entry(m, path);
	bool current = !cache_changed_since(m, path, attr, since);

	if (!e || e->absent || e->attr.ino)
		return;
	rfs_Attr now = *attr;
	/* Of ours that are on their way to it. */
	if (!current) {
		now.mode = e->attr.mode;
		now.uid = e->attr.uid;
	}
	cache_set(m, path, &now, 0);
	e->vague = !current;
}

bool cache_is_current(const struct mount *m, const char *path, const rfs_Attr *attr, uint64_t since)
{
	return !cache_changed_since(m, path, attr, since);
}

bool cache_exists(const struct mount *m, const char *path)
{
	const struct entry *e = cache_entry(m, path);
	char dir[PATH_MAX];

	if (e)
		return !e->absent;
	const char *name = strrchr(path, '/') + 1;
	e = path_parent(path, dir) ? cache_entry(m, dir) : NULL;
	return e && e->bytes && e->marks & CACHE_SEARCH && listing_has(e->bytes, e->len, name, strlen(name));
}

bool cache_is_directory(const struct mount *m, const char *path)
{
	const struct entry *e = cache_entry(m, path);

	return e && !e->absent && (e->attr.mode & 0170000) == 0040000;
}
