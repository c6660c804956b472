/* Requests off the stream. Every byte is somebody else's. */
#include <errno.h>
#include <limits.h>
#include <pb_decode.h>
#include <stdlib.h>
#include <string.h>

#include "serve_int.h"

/* Takes LEN bytes off the stream, from the buffer as far as it goes. Errors as conn_read_full. */
static int input_take(struct serve *s, void *to, size_t len)
{
	size_t have = s->filled - s->at, n = have < len ? have : len;

	memcpy(to, s->buffer + s->at, n);
	s->at += n;
	return n == len ? 0 : conn_read_full(&s->conn, (uint8_t *)to + n, len - n);
}

/* A client that is there says something now and then: see PROTOCOL.md, the end. */
static int input_patience(const struct serve *s)
{
	unsigned int seconds = s->agent->patience;

	return !seconds ? -1 : seconds < INT_MAX / 1000 ? (int)seconds * 1000 : INT_MAX;
}

/* Makes at least one more byte available in the empty buffer, and as many as there are. */
static int input_fill(struct serve *s)
{
	ssize_t n = conn_read(&s->conn, s->buffer, sizeof(s->buffer), input_patience(s));

	s->at = 0;
	s->filled = n > 0 ? (size_t)n : 0;
	return n > 0 ? 0 : n < 0 ? (int)n : -ENODATA;
}

static int input_refuse(const char *what)
{
	agent_say("the client sent %s; giving up", what);
	return -EPROTO;
}

static int input_header(struct serve *s, struct frame_header *header)
{
	uint8_t raw[FRAME_HEADER_SIZE];
	int r = s->at == s->filled ? input_fill(s) : 0;

	if (!r)
		r = input_take(s, raw, sizeof(raw));
	if (r)
		return r;
	if (frame_decode(raw, header))
		return input_refuse("something that is not a frame of this protocol");
	if (header->kind != FRAME_REQUEST)
		return input_refuse("a frame that is not a request");
	return 0;
}

static int input_message(struct serve *s, const struct frame_header *header, rfs_Request *req)
{
	uint8_t raw[FRAME_MAX_MESSAGE];
	pb_istream_t in;
	int r = input_take(s, raw, header->message_len);

	if (r)
		return r;
	in = pb_istream_from_buffer(raw, header->message_len);
	if (!pb_decode(&in, rfs_Request_fields, req))
		return input_refuse("a message that cannot be decoded");
	return 0;
}

/* There is no memory for LEN bytes: the request they belong to is told so, and the next one begins behind them. */
static int input_skip(struct serve *s, struct job *job, size_t len)
{
	uint8_t waste[4096];
	int r = 0;

	for (size_t n; len && !r; len -= n) {
		n = len < sizeof(waste) ? len : sizeof(waste);
		r = input_take(s, waste, n);
	}
	job->reply.error = ENOMEM;
	return r;
}

int input_next(struct serve *s, struct job *job)
{
	struct frame_header header;
	int r = input_header(s, &header);

	if (!r)
		r = input_message(s, &header, &job->req);
	if (r)
		return r;
	job->id = header.id;
	if (!header.payload_len)
		return 0;
	job->payload = malloc(header.payload_len);
	if (!job->payload)
		return input_skip(s, job, header.payload_len);
	r = input_take(s, job->payload, header.payload_len);
	job->op.data = job->payload;
	job->op.data_len = header.payload_len;
	return r;
}
