/* The client's decoders on bytes of any kind: the greeting, then replies and pushes, and what payloads are read as. */
#include <fcntl.h>
#include <limits.h>
#include <pb_encode.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "feed.h"
#include "fuzzer.h"
#include "listing.h"
#include "mutate.h"
#include "order.h"
#include "stream.h"
#include "stubs.h"

static const char *const texts[] = { "/a", "", ".", "..", "a", "b/c", "/a/b/c", NULL };
static const uint64_t numbers[] = { 1, 0, 2, 3, 4, 5, 100, 0xffffffff, INT64_MAX, UINT64_MAX, 133, 134, 4095 };

const struct mutate_input mutate_input = {
	.words = { texts, numbers, sizeof(numbers) / sizeof(*numbers) },
	.head = 1,
	.kinds = 1 << FRAME_REPLY | 1 << FRAME_PUSH,
	.bytes = 2,
};

/* The first byte of an input says how the others come. */
#define HOW_SLOWLY 1
#define HOW_GREETED 2 /* the first frame is the greeting's reply */
#define HOW_STOPPED 64
#define HOW_BROKEN 128

/* What cannot be read from. */
static int broken(void)
{
	int p[2];

	if (pipe2(p, O_CLOEXEC))
		abort();
	close(p[0]);
	return p[1];
}

static void read_list(const uint8_t *list, size_t len)
{
	char path[PATH_MAX], name[2][NAME_MAX + 1] = { "", "" };
	struct order order;
	rfs_Entry e;
	size_t n = 0;

	for (size_t at = 0; listing_next(list, len, &at, &e) > 0; n++) {
		if (!e.name.size || e.name.size > NAME_MAX || memchr(e.name.bytes, '/', e.name.size) || memchr(e.name.bytes, 0, e.name.size) || at > len)
			abort();
		memcpy(name[n % 2], e.name.bytes, e.name.size);
		name[n % 2][e.name.size] = '\0';
		listing_path("/a/b", &e, path);
		listing_has(list, len, name[n % 2], e.name.size);
	}
	listing_has(list, len, "none", 4);
	size_t at = order_make(&order, list, len, n > 1 ? name[n % 2] : NULL, n ? name[1 - n % 2] : "x");
	if (at && at >= order.count)
		abort();
	order_free(&order);
}

static void take_frame(struct stream *s, const struct frame_header *h, const uint8_t *payload)
{
	static rfs_Reply reply;
	static rfs_Push push;

	if (h->kind == FRAME_PUSH) {
		stream_decode_push(s, h, &push);
		return;
	}
	if (stream_decode_reply(s, h, &reply))
		return;
	/* What is beyond could be taken for something else by the kernel. */
	if (reply.error > 4095)
		abort();
	read_list(payload ? payload : (const uint8_t *)"", h->payload_len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct stream s;
	struct frame_header header;
	uint8_t *payload;
	uint32_t max = 0;

	if (!len)
		return 0;
	int fd = feed_open(data + 1, len - 1, data[0] & HOW_SLOWLY);
	if (stream_init(&s, data[0] & HOW_BROKEN ? broken() : fd, fd, 0))
		abort();
	if (data[0] & HOW_STOPPED)
		stream_stop(&s);
	/* Slowly is too slow. */
	int err = data[0] & HOW_GREETED ? stream_greet(&s, &(struct link_greeting){ .at = "", .sub = "" }, NULL, data[0] & HOW_SLOWLY ? 1 : 1000, &max) : 0;
	if (!err && (max > FRAME_MAX_PAYLOAD || strnlen(s.program, sizeof(s.program)) == sizeof(s.program)))
		abort();
	while (!err) {
		err = stream_receive(&s, &header, &payload);
		if (!err)
			take_frame(&s, &header, payload);
		free(payload);
	}
	if (!*s.why || strnlen(s.why, sizeof(s.why)) == sizeof(s.why))
		abort();
	for (const char *c = s.why; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 127)
			abort();
	stream_close(&s);
	feed_close();
	return 0;
}
