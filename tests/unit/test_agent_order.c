/* Requests that the agent is to do before it begins the next one, and what it says of its rights. */
#include "test_agent.h"

#include <sys/uio.h>

#include "digest.h"

#define ROUNDS 20
#define DIGEST_BYTES ((size_t)DIGEST_MAX / 2 * DIGEST_PAGE)

static char base[64];
static struct client c;

static int setup(void **state)
{
	if (tree_make(base, "mkdir a && echo hello >a/f"))
		return -1;
	client_start(&c, base, NULL);
	client_hello(&c, false);
	return 0;
}

static int teardown(void **state)
{
	client_stop(&c);
	return tree_remove(base);
}

/* Reads frames until the reply to ID; counts those to others in *BEFORE. */
static void reply_to(uint32_t id, unsigned *before)
{
	for (uint32_t got; (got = client_frame(&c)) != id;)
		*before += got != 0;
}

/* Each write takes longer than the watchdog looks on (the disk has to have it), and the stat behind it is there at once. */
static void test_write_then_stat(void **state)
{
	uint64_t h = client_must_open(&c, "w", O_CREAT | O_RDWR, 0);
	size_t len = FRAME_MAX_PAYLOAD;
	uint8_t *data = calloc(1, len);
	unsigned before = 0;

	for (uint64_t i = 0; i < ROUNDS; i++) {
		rfs_Request w = { .ordered = true,
				  .which_op = rfs_Request_write_tag,
				  .op.write = { .handle = h, .offset = i * len, .flags = RWF_DSYNC } };
		REQUEST(stat);

		client_send(&c, &w, data, len);
		where_set(&q.op.stat.where, &q.op.stat.has_where, 0, "w");
		reply_to(client_send(&c, &q, NULL, 0), &before);
		assert_int_equal(c.reply.error, 0);
		assert_int_equal(c.reply.op.stat.attr.size, (i + 1) * len);
		assert_int_equal(before, i + 1); /* its own reply stands before, too */
	}
	free(data);
}

/* What was sent behind is done before the handle is closed, and before its file has another name. */
static void test_changes_then_rename(void **state)
{
	uint64_t h = client_must_open(&c, "n", O_CREAT | O_WRONLY, 0);
	rfs_Request w = { .ordered = true, .which_op = rfs_Request_write_tag, .op.write = { .handle = h } };
	rfs_Request m = { .ordered = true, .which_op = rfs_Request_chmod_tag, .op.chmod.mode = 0421 };
	rfs_Request close = { .which_op = rfs_Request_close_tag, .op.close.handle = h };
	unsigned before = 0;
	struct stat st;
	REQUEST(rename);

	where_set(&m.op.chmod.where, &m.op.chmod.has_where, h, "");
	client_send(&c, &w, "bytes", 5);
	client_send(&c, &m, NULL, 0);
	client_send(&c, &close, NULL, 0);
	where_set(&q.op.rename.from, &q.op.rename.has_from, 0, "n");
	where_set(&q.op.rename.to, &q.op.rename.has_to, 0, "m");
	reply_to(client_send(&c, &q, NULL, 0), &before);
	assert_int_equal(c.reply.error, 0);
	assert_int_equal(before, 2);
	assert_int_equal(stat("m", &st), 0);
	assert_int_equal(st.st_size, 5);
	assert_int_equal(st.st_mode & 07777, 0421);
}

/* In both, DIGESTS counts the replies to others. */
static void append_one(uint64_t h, uint64_t size, unsigned *digests)
{
	rfs_Request w = { .which_op = rfs_Request_write_tag, .op.write = { .handle = h, .append = true } };

	reply_to(client_send(&c, &w, "a", 1), digests);
	assert_int_equal(c.reply.error, 0);
	assert_int_equal(c.reply.op.write.offset, size);
}

/* A byte from the beginning to TO. */
static void copy_one(uint64_t h, uint64_t to, unsigned *digests)
{
	rfs_Request w = { .which_op = rfs_Request_copy_range_tag,
			  .op.copy_range = { .from = h, .to = h, .to_offset = to, .length = 1, .splice = true } };

	reply_to(client_send(&c, &w, NULL, 0), digests);
	assert_int_equal(c.reply.error, 0);
}

/* Looking for holes moves the position of the descriptor, which appends and sendfile(2) have to themselves. */
static void test_digest_beside_writes(void **state)
{
	uint64_t h = client_must_open(&c, "d", O_CREAT | O_RDWR, 0), size = DIGEST_BYTES;
	char *data = malloc(DIGEST_BYTES), byte;
	int fd = open("d", O_RDWR | O_CLOEXEC);
	unsigned digests = 0;

	memset(data, 'd', DIGEST_BYTES);
	assert_int_equal(pwrite(fd, data, DIGEST_BYTES, 0), DIGEST_BYTES);
	for (unsigned i = 0; i < ROUNDS; i++) {
		rfs_Request q = { .which_op = rfs_Request_digest_tag, .op.digest = { .handle = h, .pages = DIGEST_MAX } };

		client_send(&c, &q, NULL, 0);
		for (unsigned n = 0; n < ROUNDS; n++) {
			append_one(h, ++size, &digests);
			copy_one(h, size - 1, &digests);
		}
		assert_int_equal(pread(fd, data, 2 * ROUNDS, (off_t)size - ROUNDS), ROUNDS);
		for (unsigned n = 0; n < ROUNDS; n++)
			assert_int_equal(data[n], 'd');
		while (digests <= i)
			digests += client_frame(&c) != 0;
	}
	assert_int_equal(pread(fd, &byte, 1, (off_t)size), 0);
	close(fd);
	free(data);
}

static void test_hello_tells(void **state)
{
	struct client other;
	rfs_Request q = { .which_op = rfs_Request_hello_tag, .op.hello = { .version = 1, .capabilities = UINT64_MAX } };

	client_start(&other, base, NULL);
	assert_int_equal(client_call(&other, &q), 0);
	assert_int_equal(other.reply.op.hello.capabilities, 3);
	assert_int_equal(other.reply.op.hello.uid, geteuid());
	assert_true(geteuid() == 0 || !other.reply.op.hello.owns_all);
	client_stop(&other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_write_then_stat, setup, teardown),
		cmocka_unit_test_setup_teardown(test_changes_then_rename, setup, teardown),
		cmocka_unit_test_setup_teardown(test_digest_beside_writes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hello_tells, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
