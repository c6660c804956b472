/* The frame codec. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "frame.h"

static void test_layout(void **state)
{
	static const uint8_t want[FRAME_HEADER_SIZE] = {
		'F', 'R', 1, 2, 0x04, 0x03, 0x02, 0x01, 0x10, 0x20, 0, 0, 0, 0, 0x10, 0,
	};
	struct frame_header h = { FRAME_REPLY, 0x01020304, 0x2010, FRAME_MAX_PAYLOAD }, back;
	uint8_t raw[FRAME_HEADER_SIZE];

	frame_encode(raw, &h);
	assert_memory_equal(raw, want, sizeof(raw));
	assert_int_equal(frame_decode(raw, &back), 0);
	assert_int_equal(back.kind, h.kind);
	assert_int_equal(back.id, h.id);
	assert_int_equal(back.message_len, h.message_len);
	assert_int_equal(back.payload_len, h.payload_len);
}

static void test_refused(void **state)
{
	struct frame_header h = { FRAME_REQUEST, 1, FRAME_MAX_MESSAGE, FRAME_MAX_PAYLOAD }, back;
	uint8_t raw[FRAME_HEADER_SIZE], bad[FRAME_HEADER_SIZE];
	/* byte, value: magic, version, kind too small and too big, lengths beyond the limits */
	static const int changes[][2] = { { 0, 'X' }, { 1, 0 }, { 2, 2 }, { 3, 0 }, { 3, 4 }, { 8, 1 }, { 11, 0x80 },
					  { 12, 1 }, { 15, 0xff } };
	size_t i;

	frame_encode(raw, &h);
	assert_int_equal(frame_decode(raw, &back), 0);
	for (i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		memcpy(bad, raw, sizeof(bad));
		bad[changes[i][0]] = changes[i][1];
		assert_int_equal(frame_decode(bad, &back), -EPROTO);
	}
}

/* However many bytes each write takes, all are written once, in their order. */
static void test_advance(void **state)
{
	char data[] = "abcdefgh", got[16];

	for (size_t step = 1; step <= 8; step++) {
		struct iovec pieces[] = { { data, 0 }, { data, 3 }, { data + 3, 0 }, { data + 3, 1 }, { data + 4, 4 }, { data + 8, 0 } }, *iov = pieces;
		size_t count = 6, len = 0, done = 0;

		while (!frame_advance(&iov, &count, done)) {
			assert_true(iov->iov_len > 0 && len < 8);
			done = step < iov->iov_len ? step : iov->iov_len;
			memcpy(got + len, iov->iov_base, done);
			len += done;
		}
		assert_int_equal(len, 8);
		assert_memory_equal(got, data, 8);
	}
}

/* One write may take several elements, and a part of the next one. */
static void test_advance_over(void **state)
{
	char data[] = "abcdefgh";
	struct iovec pieces[] = { { data, 2 }, { data + 2, 0 }, { data + 2, 3 }, { data + 5, 3 } }, *iov = pieces;
	size_t count = 4;

	assert_false(frame_advance(&iov, &count, 6));
	assert_int_equal(count, 1);
	assert_ptr_equal(iov->iov_base, data + 6);
	assert_int_equal(iov->iov_len, 2);
	assert_true(frame_advance(&iov, &count, 2));
	assert_int_equal(count, 0);
	assert_true(frame_advance(&iov, &count, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_layout),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_advance),
		cmocka_unit_test(test_advance_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
