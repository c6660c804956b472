#include "listing.h"

#include <errno.h>
#include <pb_decode.h>
#include <string.h>

#include "cache.h"
#include "path.h"

static bool is_name(const rfs_Entry *e)
{
	return e->name.size && e->name.size <= NAME_MAX && !memchr(e->name.bytes, 0, e->name.size) &&
	       !memchr(e->name.bytes, '/', e->name.size);
}

int listing_next(const uint8_t *list, size_t len, size_t *at, rfs_Entry *e)
{
	if (*at >= len)
		return 0;
	pb_istream_t in = pb_istream_from_buffer(list + *at, len - *at);

	*e = (rfs_Entry)rfs_Entry_init_zero;
	if (!pb_decode_ex(&in, rfs_Entry_fields, e, PB_DECODE_DELIMITED) || !is_name(e)) {
		*at = len;
		return -EPROTO;
	}
	*at = len - in.bytes_left;
	return 1;
}

int listing_path(const char *dir, const rfs_Entry *e, char path[PATH_MAX])
{
	char name[NAME_MAX + 1];

	memcpy(name, e->name.bytes, e->name.size);
	name[e->name.size] = '\0';
	return path_join(dir, name, path, PATH_MAX);
}

void listing_learn(const struct mount *m, const char *dir, const uint8_t *list, size_t len, uint64_t since)
{
	rfs_Entry e;
	char path[PATH_MAX];

	for (size_t at = 0; listing_next(list, len, &at, &e) > 0;)
		if (e.has_attr && !listing_path(dir, &e, path))
			cache_put(m, path, &e.attr, since);
}
