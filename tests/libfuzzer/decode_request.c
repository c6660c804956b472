/* The agent's decoder on bytes of any kind, all at once or in pieces. What it takes means the same when it is encoded again. */
#include <pb_decode.h>
#include <pb_encode.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "feed.h"
#include "fuzzer.h"
#include "mutate.h"
#include "serve_int.h"

void agent_say(const char *fmt, ...)
{
}

static const char *const texts[] = { "/a", "", "..", "user.x", "a/b", NULL };
static const uint64_t numbers[] = { 1, 0, 2, 0xffffffff, INT64_MAX };

const struct mutate_input mutate_input = {
	.words = { texts, numbers, sizeof(numbers) / sizeof(*numbers) },
	.head = 1,
	.kinds = 1 << FRAME_REQUEST,
	.bytes = 2,
};

static bool no_memory;

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);

void *__wrap_malloc(size_t size)
{
	return no_memory ? NULL : __real_malloc(size);
}

static int next(struct serve *serve, struct job *job, bool memory)
{
	int r;

	memset(job, 0, sizeof(*job));
	no_memory = !memory;
	r = input_next(serve, job);
	no_memory = false;
	if (!r && (job->op.data_len > FRAME_MAX_PAYLOAD || (!memory && job->payload)))
		abort();
	return r;
}

static void check_again(const rfs_Request *req)
{
	static uint8_t once[FRAME_MAX_MESSAGE], twice[FRAME_MAX_MESSAGE];
	static rfs_Request again;
	pb_ostream_t out = pb_ostream_from_buffer(once, sizeof(once)), out_again = pb_ostream_from_buffer(twice, sizeof(twice));

	memset(&again, 0, sizeof(again));
	if (!pb_encode(&out, rfs_Request_fields, req))
		abort();
	pb_istream_t in = pb_istream_from_buffer(once, out.bytes_written);
	if (!pb_decode(&in, rfs_Request_fields, &again) || !pb_encode(&out_again, rfs_Request_fields, &again) ||
	    out.bytes_written != out_again.bytes_written || memcmp(once, twice, out.bytes_written) != 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct serve serve;
	static struct agent agent;
	static struct job job;

	if (!len)
		return 0;
	agent.patience = data[0] & 2 ? 3600 : 0;
	serve.agent = &agent;
	serve.at = serve.filled = 0;
	serve.conn = conn_plain(feed_open(data + 1, len - 1, data[0] & 1), -1);
	while (!next(&serve, &job, !(data[0] & 4))) {
		check_again(&job.req);
		free(job.payload);
	}
	free(job.payload);
	close(serve.conn.in);
	feed_close();
	return 0;
}
