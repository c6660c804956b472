/*
 * A link on whatever an agent sends: what comes behind the greeting is the input. Calls from two threads, requests that nobody waits for,
 * pushes to the supervisor's own receiver; each call has a result, the right one of two, and closing the link ends.
 */
#include <errno.h>
#include <pb_encode.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "feed.h"
#include "frame.h"
#include "fuzzer.h"
#include "link.h"
#include "mutate.h"
#include "push.h"
#include "rules.h"

#define CALLS 6
#define INPUT_MAX (256u << 10)

static const char *const texts[] = { "/a", "/", "", "..", "/a/b", NULL };
static const uint64_t numbers[] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 133, UINT32_MAX, UINT64_MAX, INT64_MAX };

const struct mutate_input mutate_input = {
	.words = { texts, numbers, sizeof(numbers) / sizeof(*numbers) },
	.head = 1,
	.kinds = 1 << FRAME_REPLY | 1 << FRAME_PUSH,
	.bytes = 8,
};

static atomic_uint done;
static struct mount *mount;

static void count_done(struct link_reply *rep, int rc, void *arg)
{
	atomic_fetch_add(&done, 1);
}

static void lost(struct link *l, const char *why, void *arg)
{
	if (!*why || strchr(why, '\n'))
		abort();
}

static void *call_some(void *arg)
{
	rfs_Request req = { .which_op = rfs_Request_stat_tag };
	struct link_reply rep;

	for (int i = 0; i < CALLS; i++) {
		int rc = link_call(arg, &req, "payload", i % 2 ? 7 : 0, &rep);

		if (rc != 0 && rc != -EIO && rc != -EMSGSIZE)
			abort();
		if (!rc)
			link_reply_free(&rep);
	}
	return NULL;
}

static void use(struct link *l)
{
	rfs_Request req = { .which_op = rfs_Request_fetch_tag };
	unsigned begun = 0;
	pthread_t other;

	atomic_store(&done, 0);
	for (int i = 0; i < CALLS; i++)
		begun += link_start(l, &req, NULL, 0, count_done, NULL) == 0;
	if (pthread_create(&other, NULL, call_some, l))
		abort();
	call_some(l);
	req.which_op = rfs_Request_close_tag;
	link_send(l, &req);
	pthread_join(other, NULL);
	link_close(l, 1000);
	if (atomic_load(&done) != begun)
		abort();
}

static size_t put_greeting(uint8_t *out)
{
	rfs_Reply reply = { .which_op = rfs_Reply_hello_tag, .op.hello.version = 1 };
	pb_ostream_t o = pb_ostream_from_buffer(out + FRAME_HEADER_SIZE, FRAME_MAX_MESSAGE);

	if (!pb_encode(&o, rfs_Reply_fields, &reply))
		abort();
	frame_encode(out, &(struct frame_header){ .kind = FRAME_REPLY, .id = 1, .message_len = (uint32_t)o.bytes_written });
	return FRAME_HEADER_SIZE + o.bytes_written;
}

/* On a machine that has more to do; what hangs is libFuzzer's to find. */
#define GREETING_MS 100000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static uint8_t stream[INPUT_MAX + FRAME_HEADER_SIZE + FRAME_MAX_MESSAGE];
	char err[512];

	if (!len || len > INPUT_MAX)
		return 0;
	if (!mount)
		mount = rules_add_mount("/", "/", "fuzz");
	size_t n = put_greeting(stream);
	memcpy(stream + n, data + 1, len - 1);
	int fd = feed_open(stream, n + len - 1, data[0] & 1);
	struct link_callbacks callbacks = { .push = push_receive, .lost = lost, .arg = mount };
	struct link *l = link_open(fd, fd, 0, "fuzz", &(struct link_greeting){ .at = "", .sub = "" }, GREETING_MS, &callbacks, err, sizeof(err));
	if (!l)
		abort();
	mount->link = l;
	use(l);
	feed_close();
	return 0;
}
