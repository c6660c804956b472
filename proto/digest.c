#include "digest.h"

#include <endian.h>
#include <string.h>

static uint64_t digest_whole(const uint8_t *page)
{
	uint64_t h = 1, any = 0, w;

	for (size_t at = 0; at < DIGEST_PAGE; at += 8) {
		memcpy(&w, page + at, 8);
		w = le64toh(w);
		any |= w;
		h = (h ^ w) * UINT64_C(0xff51afd7ed558ccd);
		h ^= h >> 32;
	}
	return any ? h | 1 : 0;
}

uint64_t digest_page(const uint8_t *data, size_t len)
{
	uint8_t page[DIGEST_PAGE];

	if (len == DIGEST_PAGE)
		return digest_whole(data);
	memcpy(page, data, len);
	memset(page + len, 0, DIGEST_PAGE - len);
	return digest_whole(page);
}
