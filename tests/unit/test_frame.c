/* The frame codec. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

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

static void test_read(void **state)
{
	char buf[8];
	int p[2];

	assert_int_equal(pipe(p), 0);
	assert_int_equal(write(p[1], "abcde", 5), 5);
	assert_int_equal(frame_read_full(p[0], buf, 3), 0);
	assert_memory_equal(buf, "abc", 3);
	close(p[1]);
	assert_int_equal(frame_read_full(p[0], buf, 3), -EPIPE);
	assert_int_equal(frame_read_full(p[0], buf, 3), -ENODATA);
	close(p[0]);
	assert_int_equal(frame_read_full(p[0], buf, 3), -EBADF);
}

#define BULK (3u << 20)

static void *drain(void *arg)
{
	uint8_t *all = malloc(BULK);

	usleep(20000);
	if (frame_read_full(*(int *)arg, all, BULK)) {
		free(all);
		return NULL;
	}
	return all;
}

/* More than any buffer holds, in uneven and empty pieces, through a non-blocking descriptor. */
static void bulk(int in, int out)
{
	uint8_t *data = malloc(BULK);
	struct iovec iov[] = { { data, 0 }, { data, 7 }, { data + 7, BULK - 9 }, { data, 0 }, { data + BULK - 2, 2 } };
	pthread_t t;
	void *got;
	size_t i;

	for (i = 0; i < BULK; i++)
		data[i] = i * 7 + i / 251;
	fcntl(out, F_SETFL, O_NONBLOCK);
	fcntl(in, F_SETFL, O_NONBLOCK);
	pthread_create(&t, NULL, drain, &in);
	assert_int_equal(frame_writev_full(out, iov, 5), 0);
	pthread_join(t, &got);
	assert_non_null(got);
	assert_memory_equal(got, data, BULK);
	free(got);
	free(data);
	close(in);
	close(out);
}

static void test_bulk_pipe(void **state)
{
	int p[2];

	assert_int_equal(pipe(p), 0);
	bulk(p[0], p[1]);
}

static void test_bulk_socket(void **state)
{
	int p[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, p), 0);
	bulk(p[0], p[1]);
}

static void test_no_sigpipe(void **state)
{
	struct iovec iov = { (void *)"x", 1 };
	int p[2];

	signal(SIGPIPE, SIG_DFL);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, p), 0);
	close(p[0]);
	assert_int_equal(frame_writev_full(p[1], &iov, 1), -EPIPE);
	close(p[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_layout),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_read),
		cmocka_unit_test(test_bulk_pipe),
		cmocka_unit_test(test_bulk_socket),
		cmocka_unit_test(test_no_sigpipe),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
