/* The frame codec: see frame.h and PROTOCOL.md. */
#include "frame.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

static void frame_put32(uint8_t *out, uint32_t v)
{
	v = htole32(v);
	memcpy(out, &v, sizeof(v));
}

static uint32_t frame_get32(const uint8_t *in)
{
	uint32_t v;

	memcpy(&v, in, sizeof(v));
	return le32toh(v);
}

void frame_encode(uint8_t *out, const struct frame_header *header)
{
	frame_put32(out, FRAME_MAGIC | FRAME_VERSION << 16 | (uint32_t)header->kind << 24);
	frame_put32(out + 4, header->id);
	frame_put32(out + 8, header->message_len);
	frame_put32(out + 12, header->payload_len);
}

int frame_decode(const uint8_t *in, struct frame_header *header)
{
	uint32_t first = frame_get32(in);

	if ((first & 0xffffff) != (FRAME_MAGIC | FRAME_VERSION << 16))
		return -EPROTO;
	header->kind = first >> 24;
	header->id = frame_get32(in + 4);
	header->message_len = frame_get32(in + 8);
	header->payload_len = frame_get32(in + 12);
	if (header->kind < FRAME_REQUEST || header->kind > FRAME_PUSH)
		return -EPROTO;
	if (header->message_len > FRAME_MAX_MESSAGE || header->payload_len > FRAME_MAX_PAYLOAD)
		return -EPROTO;
	return 0;
}

bool frame_advance(struct iovec **iov, size_t *count, size_t n)
{
	while (*count && n >= (*iov)->iov_len) {
		n -= (*iov)->iov_len;
		++*iov;
		--*count;
	}
	if (!*count)
		return true;
	(*iov)->iov_base = (uint8_t *)(*iov)->iov_base + n;
	(*iov)->iov_len -= n;
	return false;
}
