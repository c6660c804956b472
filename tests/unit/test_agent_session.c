/* The frames that are kept for a client that comes again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "agent.h"
#include "session.h"

#define FRAME (1u << 20)
#define FRAMES (SESSION_RING / FRAME + 1) /* one at least finds no room */

static uint8_t frame[FRAME];

void agent_say(const char *format, ...)
{
}

static struct session *begin(void)
{
	rfs_Hello hello = rfs_Hello_init_zero;
	struct session *s = session_new();

	assert_non_null(s);
	session_begin(s, &hello);
	return s;
}

static void keep(struct session *s, size_t len)
{
	struct iovec iov = { frame, len };

	session_keep(s, &iov, 1);
}

/* The client says with its next request that it has read SEEN frames. */
static void tell(struct session *s, uint64_t seen)
{
	struct session_work *w = session_enter(s);

	session_read(s, w, 1, rfs_Request_stat_tag, seen);
	session_done(w);
	session_leave(w);
}

static unsigned int kept(struct session *s)
{
	uint64_t at = s->tail;
	unsigned int n = 0;

	while (session_next(s, &at, frame, sizeof(frame)))
		n++;
	return n;
}

static void test_all_are_kept(void **state)
{
	struct session *s = begin();

	for (int i = 0; i < 48; i++) /* as much as may be in work, and more */
		keep(s, FRAME);
	assert_false(session_lacks(s, 0, 0));
	assert_true(session_renew(s, 0, 1));
	assert_int_equal(kept(s), 47);
}

/* Bytes of S that are in memory. */
static size_t resident(const struct session *s)
{
	static unsigned char in[sizeof(struct session) / 4096 + 1];
	size_t pages = 0;

	assert_int_equal(mincore((void *)s, sizeof(*s), in), 0);
	for (size_t i = 0; i < sizeof(in); i++)
		pages += in[i] & 1;
	return pages * 4096;
}

/* Memory is that of what is kept, whatever was. */
static void test_memory(void **state)
{
	struct session *s = begin();
	uint64_t sent = 0;

	for (; sent < 40; sent++)
		keep(s, FRAME);
	assert_true(resident(s) > 40 * FRAME);
	tell(s, sent);
	for (; sent < 100000; sent++) {
		keep(s, 1000);
		tell(s, sent);
	}
	assert_true(resident(s) < 9 * FRAME);
	assert_int_equal(kept(s), 2);
}

/* More was written than there is room for; what matters is what the client has read of it when it comes again. */
static void test_no_room_and_read(void **state)
{
	struct session *s = begin();

	for (unsigned int i = 0; i < FRAMES; i++)
		keep(s, FRAME);
	assert_true(session_lacks(s, 0, 0));
	assert_true(session_lacks(s, 0, FRAMES - 1));
	assert_false(session_lacks(s, 0, FRAMES));
	tell(s, FRAMES);
	assert_false(session_lacks(s, 0, 0));
	keep(s, 100);
	assert_true(session_renew(s, 0, FRAMES));
	assert_int_equal(kept(s), 1);
	assert_false(session_lacks(s, 1, 0));
}

/* What is lost stays so, also when the client comes a second time. */
static void test_no_room_and_not_read(void **state)
{
	struct session *s = begin();

	for (unsigned int i = 0; i < FRAMES; i++)
		keep(s, FRAME);
	assert_false(session_renew(s, 0, 4));
	assert_true(session_lacks(s, 1, 0));
	assert_true(session_lacks(s, 1, 1000));
	assert_false(session_renew(s, 1, 1000));
}

/* A client that tells of what it reads has a session for any number of frames. */
static void test_reader_keeps_up(void **state)
{
	struct session *s = begin();

	for (uint64_t i = 1; i <= 100; i++) {
		keep(s, FRAME / 2);
		if (i % 4 == 0)
			tell(s, i - 2);
		assert_false(session_lacks(s, 0, 0));
	}
	assert_true(session_renew(s, 0, 99));
	assert_int_equal(kept(s), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_are_kept),
		cmocka_unit_test(test_memory),
		cmocka_unit_test(test_no_room_and_read),
		cmocka_unit_test(test_no_room_and_not_read),
		cmocka_unit_test(test_reader_keeps_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
