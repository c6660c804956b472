#include "listing.h"

#include <errno.h>
#include <pb_decode.h>
#include <pb_encode.h>
#include <string.h>

#include "cache.h"
#include "path.h"
#include "util.h"

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

bool listing_learn(const struct mount *m, const char *dir, const uint8_t *list, size_t len, uint64_t since)
{
	bool searched = false;
	rfs_Entry e;
	char path[PATH_MAX];

	for (size_t at = 0; listing_next(list, len, &at, &e) > 0;) {
		if (e.name.size == 1 && e.name.bytes[0] == '.')
			searched = e.has_attr;
		else if (e.has_attr && !listing_path(dir, &e, path))
			cache_put(m, path, &e.attr, since);
	}
	return searched;
}

static bool take_varint(const uint8_t **at, const uint8_t *end, size_t *value)
{
	*value = 0;
	for (unsigned shift = 0; *at < end && shift < 28; shift += 7) {
		uint8_t byte = *(*at)++;

		*value |= (size_t)(byte & 0x7f) << shift;
		if (byte < 0x80)
			return true;
	}
	return false;
}

/* Names are looked for by stepping over the rest of each entry: to decode it all takes a hundred times as long. */
bool listing_has(const uint8_t *list, size_t len, const char *name, size_t n)
{
	const uint8_t *at = list, *end = list + len;
	size_t size, has;

	while (at < end) {
		if (!take_varint(&at, end, &size) || size > (size_t)(end - at))
			return true;
		const uint8_t *next = at + size;
		/* The name is the first field: tag 1, of bytes. */
		if (!size || *at++ != 0x0a || !take_varint(&at, next, &has) || has > (size_t)(next - at))
			return true;
		if (has == n && !memcmp(at, name, n))
			return true;
		at = next;
	}
	return false;
}

uint8_t *listing_add(uint8_t *list, size_t *len, const char *name, unsigned type)
{
	const size_t room = NAME_MAX + 32;
	rfs_Entry e = { .type = type, .name.size = (pb_size_t)strlen(name) };

	memcpy(e.name.bytes, name, e.name.size);
	list = xrealloc(list, *len + room);
	pb_ostream_t out = pb_ostream_from_buffer(list + *len, room);
	pb_encode_ex(&out, rfs_Entry_fields, &e, PB_ENCODE_DELIMITED);
	*len += out.bytes_written;
	return list;
}
