/* Frames: how a protobuf message and its raw payload travel on a byte stream. See PROTOCOL.md. */
#ifndef PROTO_FRAME_H
#define PROTO_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define FRAME_HEADER_SIZE 16
#define FRAME_MAGIC 0x5246u /* "FR" on the wire */
#define FRAME_VERSION 1u    /* of this layout; the protocol's version is agreed by Hello */
#define FRAME_MAX_MESSAGE (16u << 10)
#define FIEMAP_MAX_BYTES (64u << 10) /* a struct fiemap with its extents */
#define FRAME_MAX_PAYLOAD (1u << 20)

enum frame_kind { FRAME_REQUEST = 1, FRAME_REPLY = 2, FRAME_PUSH = 3 };

struct frame_header {
	uint8_t kind;         /* enum frame_kind */
	uint32_t id;          /* of the request; 0 for one that has no reply and for pushes */
	uint32_t message_len; /* bytes of protobuf, at most FRAME_MAX_MESSAGE */
	uint32_t payload_len; /* bytes behind it, at most FRAME_MAX_PAYLOAD */
};

/* Writes HEADER into the FRAME_HEADER_SIZE bytes at OUT. The lengths must be within the limits. */
void frame_encode(uint8_t *out, const struct frame_header *header);

/* Reads a header from FRAME_HEADER_SIZE bytes. -EPROTO if it is no header of ours or beyond a limit. */
int frame_decode(const uint8_t *in, struct frame_header *header);

/* N bytes of what *IOV, of *COUNT elements, has are done: moves both behind them, empty elements too. True when nothing is left. */
bool frame_advance(struct iovec **iov, size_t *count, size_t n);

/* Sets a message's field of bounded bytes, which TEXT is known to fit in, without its NUL. */
#define BYTES_PUT(field, text)                             \
	do {                                               \
		(field).size = (pb_size_t)strlen(text);    \
		memcpy((field).bytes, text, (field).size); \
	} while (0)

#endif
