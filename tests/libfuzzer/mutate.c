#include "mutate.h"

#include <pb_common.h>
#include <pb_decode.h>
#include <pb_encode.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "frame.h"
#include "fuzzer.h"
#include "remotefs.pb.h"

void mutate_seed(struct mutate *m, uint64_t seed, const struct mutate_words *words)
{
	m->state = seed * 0x9e3779b97f4a7c15 + 1;
	m->words = words;
}

static uint64_t next(struct mutate *m)
{
	m->state ^= m->state << 13;
	m->state ^= m->state >> 7;
	m->state ^= m->state << 17;
	return m->state * 0x2545f4914f6cdd1d;
}

size_t mutate_below(struct mutate *m, size_t n)
{
	return (next(m) >> 16) % n;
}

/* ---- one field ---- */

static uint64_t any_number(struct mutate *m)
{
	switch (mutate_below(m, 6)) {
	case 0:
		return mutate_below(m, 10);
	case 1:
		return UINT64_C(1) << mutate_below(m, 64);
	case 2:
		return (UINT64_C(1) << mutate_below(m, 64)) - 1;
	case 3:
		return next(m);
	default:
		return m->words->numbers[mutate_below(m, m->words->count)];
	}
}

static void set_number(struct mutate *m, const pb_field_iter_t *f)
{
	uint64_t value = any_number(m);

	memcpy(f->pData, &value, f->data_size < sizeof(value) ? f->data_size : sizeof(value));
}

static void set_bytes(struct mutate *m, const pb_field_iter_t *f)
{
	pb_bytes_array_t *bytes = f->pData;
	size_t room = f->data_size - offsetof(pb_bytes_array_t, bytes), count = 0, len;

	while (m->words->texts[count])
		count++;
	const char *text = m->words->texts[mutate_below(m, count)];
	len = strlen(text);
	switch (mutate_below(m, 8)) {
	case 0: /* as long as may be */
		len = room;
		for (size_t i = 0; i < len; i++)
			bytes->bytes[i] = *text ? (pb_byte_t)text[i % strlen(text)] : 'x';
		break;
	case 1: /* with any byte in it */
		len = len < room ? len : room;
		memcpy(bytes->bytes, text, len);
		if (len)
			bytes->bytes[mutate_below(m, len)] = (pb_byte_t)next(m);
		break;
	case 2: /* behind what is there */
		len = len < room - bytes->size ? len : room - bytes->size;
		memcpy(bytes->bytes + bytes->size, text, len);
		len += bytes->size;
		break;
	default:
		len = len < room ? len : room;
		memcpy(bytes->bytes, text, len);
	}
	bytes->size = (pb_size_t)len;
}

static bool is_oneof(const pb_field_iter_t *f)
{
	return PB_HTYPE(f->type) == PB_HTYPE_ONEOF;
}

static bool is_message(const pb_field_iter_t *f)
{
	return PB_LTYPE(f->type) == PB_LTYPE_SUBMESSAGE;
}

static void set_field(struct mutate *m, const pb_field_iter_t *f)
{
	if (PB_LTYPE(f->type) == PB_LTYPE_BOOL)
		*(bool *)f->pData = mutate_below(m, 2);
	else if (PB_LTYPE(f->type) == PB_LTYPE_BYTES)
		set_bytes(m, f);
	else if (!is_message(f))
		set_number(m, f);
}

/* ---- whole messages ---- */

static void fill(struct mutate *m, const pb_msgdesc_t *fields, void *msg)
{
	pb_field_iter_t f;

	if (!pb_field_iter_begin(&f, fields, msg))
		return;
	do {
		if (is_oneof(&f))
			continue;
		if (is_message(&f)) {
			*(bool *)f.pSize = mutate_below(m, 8) > 0;
			fill(m, f.submsg_desc, f.pData);
		} else if (mutate_below(m, 2)) {
			set_field(m, &f);
		}
	} while (pb_field_iter_next(&f));
}

static size_t count_members(const pb_msgdesc_t *fields, void *msg)
{
	pb_field_iter_t f;
	size_t count = 0;

	if (!pb_field_iter_begin(&f, fields, msg))
		return 0;
	do
		count += is_oneof(&f);
	while (pb_field_iter_next(&f));
	return count;
}

static void choose_member(struct mutate *m, const pb_msgdesc_t *fields, void *msg)
{
	size_t count = count_members(fields, msg), wanted;
	pb_field_iter_t f;

	if (!count || !pb_field_iter_begin(&f, fields, msg))
		return;
	wanted = mutate_below(m, count);
	do {
		if (!is_oneof(&f) || wanted--)
			continue;
		*(pb_size_t *)f.pSize = f.tag;
		memset(f.pData, 0, f.data_size);
		fill(m, f.submsg_desc, f.pData);
		return;
	} while (pb_field_iter_next(&f));
}

void mutate_make(struct mutate *m, const pb_msgdesc_t *fields, void *msg)
{
	fill(m, fields, msg);
	choose_member(m, fields, msg);
}

/* Changes the WANTEDth field of MSG, counted through its messages; the number of fields there are. */
static size_t change_field(struct mutate *m, const pb_msgdesc_t *fields, void *msg, size_t at, size_t wanted)
{
	pb_field_iter_t f;

	if (!pb_field_iter_begin(&f, fields, msg))
		return at;
	do {
		if (is_oneof(&f) && *(pb_size_t *)f.pSize != f.tag)
			continue;
		if (is_message(&f)) {
			if (!is_oneof(&f) && at++ == wanted)
				*(bool *)f.pSize = !*(bool *)f.pSize;
			at = change_field(m, f.submsg_desc, f.pData, at, wanted);
		} else if (at++ == wanted) {
			set_field(m, &f);
		}
	} while (pb_field_iter_next(&f));
	return at;
}

void mutate_change(struct mutate *m, const pb_msgdesc_t *fields, void *msg, unsigned changes)
{
	for (unsigned i = 0; i < changes; i++) {
		size_t count = change_field(m, fields, msg, 0, SIZE_MAX);

		if (!count || mutate_below(m, 24) == 0)
			choose_member(m, fields, msg);
		else
			change_field(m, fields, msg, 0, mutate_below(m, count));
	}
}

/* ---- streams ---- */

#define FRAMES_MAX 256

union message {
	rfs_Request request;
	rfs_Reply reply;
	rfs_Push push;
};

struct frames {
	size_t count;
	size_t at[FRAMES_MAX + 1]; /* where each begins, and the last one ends */
};

static const pb_msgdesc_t *fields_of(unsigned kind)
{
	return kind == FRAME_REQUEST ? rfs_Request_fields : kind == FRAME_REPLY ? rfs_Reply_fields : rfs_Push_fields;
}

static void find_frames(const uint8_t *data, size_t len, struct frames *f)
{
	struct frame_header h;
	size_t at = 0;

	f->count = 0;
	f->at[0] = 0;
	while (f->count < FRAMES_MAX && len - at >= FRAME_HEADER_SIZE && !frame_decode(data + at, &h) &&
	       len - at - FRAME_HEADER_SIZE >= h.message_len + h.payload_len) {
		at += FRAME_HEADER_SIZE + h.message_len + h.payload_len;
		f->at[++f->count] = at;
	}
}

static unsigned any_kind(struct mutate *m, unsigned kinds)
{
	unsigned kind;

	do
		kind = FRAME_REQUEST + (unsigned)mutate_below(m, 3);
	while (!(kinds & 1u << kind));
	return kind;
}

/* Writes MSG and a payload of PAYLOAD (random if NULL) into OUT, of MAX bytes. The frame's length, 0: it does not fit. */
static size_t put_frame(struct mutate *m, uint8_t *out, size_t max, struct frame_header h, const union message *msg, const uint8_t *payload)
{
	size_t room = max > FRAME_HEADER_SIZE + h.payload_len ? max - FRAME_HEADER_SIZE - h.payload_len : 0;
	pb_ostream_t o = pb_ostream_from_buffer(out + FRAME_HEADER_SIZE, room < FRAME_MAX_MESSAGE ? room : FRAME_MAX_MESSAGE);

	if (!room || !pb_encode(&o, fields_of(h.kind), msg))
		return 0;
	h.message_len = (uint32_t)o.bytes_written;
	frame_encode(out, &h);
	for (uint32_t i = 0; i < h.payload_len; i++)
		out[FRAME_HEADER_SIZE + h.message_len + i] = payload ? payload[i] : (uint8_t)next(m);
	return FRAME_HEADER_SIZE + h.message_len + h.payload_len;
}

static size_t new_frame(struct mutate *m, uint8_t *out, size_t max, unsigned kinds)
{
	struct frame_header h = { .kind = (uint8_t)any_kind(m, kinds), .id = (uint32_t)mutate_below(m, 64) };
	union message *msg = calloc(1, sizeof(*msg));
	uint8_t text[256];
	size_t n = 0;

	mutate_make(m, fields_of(h.kind), msg);
	if (mutate_below(m, 4) == 0) {
		const char *word = m->words->texts[0] ? m->words->texts[mutate_below(m, 2)] : "";

		n = strnlen(word, sizeof(text));
		memcpy(text, word, n);
		h.payload_len = (uint32_t)(mutate_below(m, 2) ? n : mutate_below(m, 200));
	}
	n = put_frame(m, out, max, h, msg, n && h.payload_len == n ? text : NULL);
	free(msg);
	return n;
}

/* The frame at FROM, changed. */
static size_t change_frame(struct mutate *m, uint8_t *out, size_t max, const uint8_t *from)
{
	union message *msg = calloc(1, sizeof(*msg));
	struct frame_header h;
	size_t n = 0;

	frame_decode(from, &h);
	pb_istream_t in = pb_istream_from_buffer(from + FRAME_HEADER_SIZE, h.message_len);
	const uint8_t *payload = from + FRAME_HEADER_SIZE + h.message_len;
	if (pb_decode(&in, fields_of(h.kind), msg)) {
		if (mutate_below(m, 6) == 0)
			h.id = (uint32_t)any_number(m);
		if (mutate_below(m, 6) == 0 && h.payload_len) {
			h.payload_len = (uint32_t)mutate_below(m, h.payload_len);
		} else if (mutate_below(m, 12) == 0) {
			h.payload_len = (uint32_t)mutate_below(m, 4096);
			payload = NULL;
		} else {
			mutate_change(m, fields_of(h.kind), msg, 1 + (unsigned)mutate_below(m, 3));
		}
		n = put_frame(m, out, max, h, msg, payload);
	}
	free(msg);
	return n;
}

static size_t copy_frame(uint8_t *out, size_t max, const uint8_t *from, size_t len)
{
	if (len > max)
		return 0;
	memcpy(out, from, len);
	return len;
}

/* Changes the LEN bytes of frames at DATA, with room for MAX, by one or two of them: new, changed, doubled, moved or taken out. The new length. */
static size_t mutate_stream(struct mutate *m, uint8_t *data, size_t len, size_t max, unsigned kinds)
{
	uint8_t *out = malloc(max);
	struct frames f;
	size_t done = 0;

	find_frames(data, len, &f);
	size_t chosen = mutate_below(m, f.count + 1), other = mutate_below(m, f.count + 1);
	unsigned how = f.count ? (unsigned)mutate_below(m, 10) : 0;
	for (size_t i = 0; i <= f.count; i++) {
		if (i == chosen && (how < 2 || (how < 8 && i == f.count)))
			done += new_frame(m, out + done, max - done, kinds);
		if (i == chosen && how == 2 && other < f.count)
			done += copy_frame(out + done, max - done, data + f.at[other], f.at[other + 1] - f.at[other]);
		if (i == f.count || (i == chosen && how == 3))
			continue;
		size_t n = i == chosen && how > 3 ? change_frame(m, out + done, max - done, data + f.at[i]) : 0;
		done += n ? n : copy_frame(out + done, max - done, data + f.at[i], f.at[i + 1] - f.at[i]);
	}
	memcpy(data, out, done);
	free(out);
	return done;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
	const struct mutate_input *in = &mutate_input;
	struct mutate m;

	mutate_seed(&m, seed, &in->words);
	if (size < in->head || max < 64 || mutate_below(&m, in->bytes) == 0)
		return LLVMFuzzerMutate(data, size, max);
	return in->head + mutate_stream(&m, data + in->head, size - in->head, max - in->head, in->kinds);
}
