#include "order.h"

#include <stdlib.h>
#include <string.h>

#include "listing.h"
#include "util.h"

/* Several threads that share the work are not farther apart than this. */
#define NEAR 16

static bool is_dots(const char *name)
{
	return !strcmp(name, ".") || !strcmp(name, "..");
}

/* A name takes less room than its message, its NUL included. */
static void take_names(struct order *o, const uint8_t *list, size_t len)
{
	rfs_Entry e;
	size_t room = 64;
	char *to = o->text = xcalloc(1, len + 1);

	o->name = xcalloc(room, sizeof(*o->name));
	for (size_t at = 0; listing_next(list, len, &at, &e) > 0;) {
		memcpy(to, e.name.bytes, e.name.size);
		to[e.name.size] = '\0';
		if (is_dots(to))
			continue;
		if (o->count == room) {
			char **more = xcalloc(room * 2, sizeof(*more));

			memcpy(more, o->name, room * sizeof(*more));
			free(o->name);
			o->name = more;
			room *= 2;
		}
		o->name[o->count++] = to;
		to += e.name.size + 1;
	}
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Where NAME is; O->count: nowhere. */
static size_t find(const struct order *o, const char *name)
{
	size_t i = 0;

	while (name && i < o->count && strcmp(o->name[i], name))
		i++;
	return name ? i : o->count;
}

static bool is_near(size_t before, size_t now, size_t count)
{
	return before < count && now < count && (before < now ? now - before : before - now) <= NEAR;
}

size_t order_make(struct order *o, const uint8_t *list, size_t len, const char *before, const char *now)
{
	*o = (struct order){ 0 };
	take_names(o, list, len);
	size_t a = find(o, before), b = find(o, now);
	if (a < o->count && b < o->count && !is_near(a, b, o->count)) {
		size_t size = o->count * sizeof(*o->name);
		CLEANUP_FREE char **listed = xcalloc(1, size);

		memcpy(listed, o->name, size);
		qsort(o->name, o->count, sizeof(*o->name), compare);
		a = find(o, before);
		size_t sorted = find(o, now);
		if (is_near(a, sorted, o->count))
			b = sorted;
		else
			memcpy(o->name, listed, size);
	}
	return b + 1 < o->count ? b + 1 : 0;
}

void order_free(struct order *o)
{
	free(o->name);
	free(o->text);
	*o = (struct order){ 0 };
}
