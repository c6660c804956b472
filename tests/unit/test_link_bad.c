/* The link with peers that die, fall silent, lie or speak something else. */
#include <malloc.h>

#include "test_link.h"

#include "target.h"

/* ---- the first exchange ---- */

static void script_text(struct peer *p)
{
	peer_write(p, "Welcome to Ubuntu 22.04\r\n$ ", 27);
}

static void script_short_text(struct peer *p)
{
	peer_write(p, "hi\n", 3);
}

static void script_binary(struct peer *p)
{
	peer_write(p, "\177ELF\2\1\1\0\0\0\0\0\0\0\0\0\3\0", 18);
	sleep_ms(50);
}

static void test_garbage(void **state)
{
	open_fails(script_text, "not the remotefs protocol (first bytes: \"Welcome to Ubunt\")");
	open_fails(script_short_text, "not the remotefs protocol (first bytes: \"hi\\n\")");
	open_fails(script_binary, "not the remotefs protocol (first bytes: 7f 45 4c 46 02 01 01 00");
}

static void script_half_header(struct peer *p)
{
	uint8_t header[FRAME_HEADER_SIZE];
	assert_true(peer_get(p));
	frame_encode(header, &(struct frame_header){.kind = FRAME_REPLY, .id = 1, .message_len = 4});
	peer_write(p, header, 9);
}

static void script_half_message(struct peer *p)
{
	uint8_t frame[FRAME_HEADER_SIZE + 10] = {0};
	assert_true(peer_get(p));
	frame_encode(frame, &(struct frame_header){.kind = FRAME_REPLY, .id = 1, .message_len = 100});
	peer_write(p, frame, sizeof(frame));
}

static void script_oversize(struct peer *p)
{
	uint8_t header[FRAME_HEADER_SIZE];
	frame_encode(header, &(struct frame_header){.kind = FRAME_REPLY, .id = 1, .message_len = 4});
	memset(header + 8, 0xff, 8);
	peer_write(p, header, sizeof(header));
	sleep_ms(50);
}

static void script_undecodable(struct peer *p)
{
	uint8_t frame[FRAME_HEADER_SIZE + 4] = {0};
	assert_true(peer_get(p));
	memset(frame + FRAME_HEADER_SIZE, 0xff, 4);
	frame_encode(frame, &(struct frame_header){.kind = FRAME_REPLY, .id = 1, .message_len = 4});
	peer_write(p, frame, sizeof(frame));
}

static void script_push_first(struct peer *p)
{
	assert_true(peer_get(p));
	peer_push(p, 1);
}

static void script_wrong_first(struct peer *p)
{
	assert_true(peer_get(p));
	peer_answer(p, p->header.id, 1, NULL, 0);
}

static void script_end(struct peer *p)
{
}

/* The other end of the pipe is closed before we say anything. */
static void test_no_reader(void **state)
{
	int to[2], from[2];
	assert_int_equal(pipe(to), 0);
	assert_int_equal(pipe(from), 0);
	close(to[0]);
	close(from[1]);
	assert_null(link_open(from[0], to[1], 0, "test", &greeting, OPEN_MS, NULL, err, sizeof(err)));
	assert_string_equal(err, "the agent closed the connection");
	no_sigpipe();
}

static void test_bad_first(void **state)
{
	open_fails(script_half_header, "in the middle of a message");
	open_fails(script_half_message, "in the middle of a message");
	open_fails(script_oversize, "malformed header");
	open_fails(script_undecodable, "malformed reply");
	open_fails(script_push_first, "malformed reply");
	open_fails(script_wrong_first, "no answer to the greeting");
	open_fails(script_end, "closed the connection");
}

static void test_versions(void **state)
{
	peer->version = 0;
	open_fails(peer_hello, "speaks version 0 of the protocol");
	peer->version = 2;
	open_fails(peer_hello, "speaks version 2 of the protocol");
	peer->error = EACCES;
	open_fails(peer_hello, "refused the connection: Permission denied");
}

static void script_silent(struct peer *p)
{
	peer_get(p);
	peer_get(p);
}

static void test_silent(void **state)
{
	assert_null(open_sockets(script_silent, 100));
	pthread_join(peer->thread, NULL);
	assert_string_equal(err, "the agent did not answer within 0.1 s");
}

/* ---- later ---- */

static void lost_by(void (*script)(struct peer *p), const char *reason)
{
	struct link *l = open_good(script);
	lost_because(l, reason);
	pthread_join(peer->thread, NULL);
	l = open_pipes(script);
	assert_non_null(l);
	lost_because(l, reason);
	pthread_join(peer->thread, NULL);
}

static void script_answer_other(struct peer *p)
{
	peer_hello(p);
	peer_get(p);
	peer_answer(p, p->header.id + 1, 1, NULL, 0);
	peer_get(p);
}

static void script_big_errno(struct peer *p)
{
	rfs_Reply reply = {.error = 4096};
	peer_hello(p);
	peer_get(p);
	peer_frame(p, (struct frame_header){.kind = FRAME_REPLY, .id = p->header.id}, rfs_Reply_fields, &reply, NULL);
	peer_get(p);
}

static void script_push_payload(struct peer *p)
{
	rfs_Push push = {.which_event = rfs_Push_changed_tag};
	peer_hello(p);
	peer_get(p);
	peer_frame(p, (struct frame_header){.kind = FRAME_PUSH, .payload_len = 1}, rfs_Push_fields, &push, "x");
	peer_get(p);
}

static void script_request(struct peer *p)
{
	rfs_Request req = {.which_op = rfs_Request_goodbye_tag};
	peer_hello(p);
	peer_get(p);
	peer_frame(p, (struct frame_header){.kind = FRAME_REQUEST, .id = p->header.id}, rfs_Request_fields, &req, NULL);
	peer_get(p);
}

static void script_stray_text(struct peer *p)
{
	peer_hello(p);
	peer_get(p);
	peer_write(p, "Killed by the watchdog\n", 23);
	peer_get(p);
}

static void script_hang_up(struct peer *p)
{
	peer_hello(p);
	peer_get(p);
}

static void test_violations(void **state)
{
	lost_by(script_answer_other, "a reply to no request");
	lost_by(script_big_errno, "a malformed reply");
	lost_by(script_push_payload, "a malformed push");
	lost_by(script_request, "a malformed reply");
	lost_by(script_stray_text, "not the remotefs protocol (first bytes: \"Killed by the wa\")");
	lost_by(script_hang_up, "the agent closed the connection");
}

static void script_half_reply(struct peer *p)
{
	uint8_t frame[FRAME_HEADER_SIZE + 10] = {0};
	peer_hello(p);
	peer_get(p);
	frame_encode(frame, &(struct frame_header){.kind = FRAME_REPLY, .id = p->header.id, .payload_len = 100});
	peer_write(p, frame, sizeof(frame));
}

static void test_truncated(void **state)
{
	lost_by(script_half_reply, "the agent closed the connection in the middle of a message");
}

static void *ask_fails(void *arg)
{
	assert_int_equal(ask(arg, 1), -EIO);
	return NULL;
}

static void script_hang_up_later(struct peer *p)
{
	peer_hello(p);
	for (int i = 0; i < 8; i++)
		peer_get(p);
}

static void test_lost_with_many(void **state)
{
	pthread_t threads[8];
	struct link *l = open_good(script_hang_up_later);
	for (int i = 0; i < 8; i++)
		pthread_create(&threads[i], NULL, ask_fails, l);
	for (int i = 0; i < 8; i++)
		pthread_join(threads[i], NULL);
	lost_because(l, "closed the connection");
	pthread_join(peer->thread, NULL);
}

/* Nobody calls; the loss is seen all the same. */
static void test_lost_idle(void **state)
{
	struct link *l = open_good(peer_hello);
	for (int i = 0; i < OPEN_MS && !seen.lost; i++)
		sleep_ms(1);
	lost_because(l, "closed the connection");
	pthread_join(peer->thread, NULL);
}

/* ---- goodbye ---- */

static void script_no_goodbye(struct peer *p)
{
	peer_hello(p);
	while (peer_get(p))
		;
}

static void no_goodbye(struct link *l)
{
	pthread_t waiting;
	assert_non_null(l);
	pthread_create(&waiting, NULL, ask_fails, l);
	while (link_totals(l).requests < 1)
		sleep_ms(1);
	assert_int_equal(link_close(l, 100), -EIO);
	pthread_join(waiting, NULL);
	pthread_join(peer->thread, NULL);
	assert_int_equal(seen.lost, 1);
	assert_string_equal(seen.why, "the agent did not answer the goodbye within 0.1 s");
}

static void test_no_goodbye(void **state)
{
	no_goodbye(open_sockets(script_no_goodbye, OPEN_MS));
	no_goodbye(open_pipes(script_no_goodbye));
}

static void script_deaf(struct peer *p)
{
	peer_hello(p);
	sleep_ms(400);
}

static void *big_fails(void *arg)
{
	rfs_Request req = {.which_op = rfs_Request_write_tag};
	struct link_reply rep;
	static char big[FRAME_MAX_PAYLOAD];
	assert_int_equal(link_call(arg, &req, big, sizeof(big), &rep), -EIO);
	return NULL;
}

/* A writer is stuck in the middle of a frame when the link is closed. */
static void deaf(struct link *l)
{
	pthread_t writer;
	assert_non_null(l);
	pthread_create(&writer, NULL, big_fails, l);
	sleep_ms(50);
	assert_int_equal(link_close(l, 100), -EIO);
	pthread_join(writer, NULL);
	pthread_join(peer->thread, NULL);
	assert_int_equal(seen.lost, 1);
}

static void test_deaf(void **state)
{
	deaf(open_sockets(script_deaf, OPEN_MS));
	deaf(open_pipes(script_deaf));
}

/* ---- the agent as a process ---- */

static struct link *open_process(pid_t *pid, void (*script)(struct peer *p))
{
	struct link_callbacks callbacks = {.push = on_push, .lost = on_lost, .arg = &seen};
	int pair[2];
	memset(&seen, 0, sizeof(seen));
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	*pid = fork();
	if (*pid == 0) {
		peer->in = peer->out = pair[1];
		close(pair[0]);
		script(peer);
		_exit(3);
	}
	close(pair[1]);
	return link_open(pair[0], pair[0], *pid, "test", &greeting, OPEN_MS, &callbacks, err, sizeof(err));
}

static void process_gone(pid_t pid)
{
	assert_int_equal(kill(pid, 0), -1);
	assert_int_equal(errno, ESRCH);
}

static void script_killed(struct peer *p)
{
	peer_hello(p);
	peer_get(p);
	raise(SIGKILL);
}

static void script_stubborn(struct peer *p)
{
	signal(SIGTERM, SIG_IGN);
	peer_hello(p);
	for (;;)
		pause();
}

static void script_bye(struct peer *p)
{
	peer_hello(p);
	peer_get(p);
	peer_bye(p);
}

static void test_process(void **state)
{
	pid_t pid;
	lost_because(open_process(&pid, script_killed), "the agent was killed by SIGKILL");
	process_gone(pid);
	lost_because(open_process(&pid, script_hang_up), "the agent exited with status 3");
	process_gone(pid);
	assert_null(open_process(&pid, script_end));
	assert_string_equal(err, "the agent exited with status 3");
	process_gone(pid);
	assert_int_equal(link_close(open_process(&pid, script_bye), OPEN_MS), 0);
	assert_int_equal(seen.lost, 0);
	process_gone(pid);
	assert_int_equal(link_close(open_process(&pid, script_stubborn), 50), -EIO);
	process_gone(pid);
}

/* ---- an answer to a request that is still being sent ---- */

static atomic_uint answered;

static void on_answered(struct link_reply *rep, int rc, void *arg)
{
	atomic_fetch_add(&answered, rc ? 100 : 1);
}

/* Answers as soon as it knows the number; the rest that it reads later is what was sent. */
static void script_early(struct peer *p)
{
	uint8_t raw[FRAME_HEADER_SIZE], message[FRAME_MAX_MESSAGE];
	struct frame_header h;
	peer_hello(p);
	assert_int_equal(frame_read_full(p->in, raw, sizeof(raw)), 0);
	assert_int_equal(frame_decode(raw, &h), 0);
	peer_answer(p, h.id, 7, NULL, 0);
	for (int i = 0; i < OPEN_MS && !answered; i++)
		sleep_ms(1);
	sleep_ms(20); /* what is freed then is free */
	uint8_t *payload = calloc(1, h.payload_len);
	assert_int_equal(frame_read_full(p->in, message, h.message_len), 0);
	assert_int_equal(frame_read_full(p->in, payload, h.payload_len), 0);
	for (size_t i = 0; i < h.payload_len; i++)
		assert_int_equal(payload[i], 'x');
	free(payload);
	assert_true(peer_get(p));
	peer_bye(p);
}

static void test_early(void **state)
{
	struct link *l = open_good(script_early);
	rfs_Request req = {.which_op = rfs_Request_write_tag};
	char *big = malloc(FRAME_MAX_PAYLOAD);
	memset(big, 'x', FRAME_MAX_PAYLOAD);
	atomic_store(&answered, 0);
	mallopt(M_MMAP_THRESHOLD, 1 << 16); /* what is freed cannot be read any more */
	assert_int_equal(link_start(l, &req, big, FRAME_MAX_PAYLOAD, on_answered, NULL), 0);
	assert_int_equal(answered, 1);
	free(big);
	close_good(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_garbage, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad_first, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_reader, setup, teardown),
		cmocka_unit_test_setup_teardown(test_versions, setup, teardown),
		cmocka_unit_test_setup_teardown(test_silent, setup, teardown),
		cmocka_unit_test_setup_teardown(test_violations, setup, teardown),
		cmocka_unit_test_setup_teardown(test_truncated, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lost_with_many, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lost_idle, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_goodbye, setup, teardown),
		cmocka_unit_test_setup_teardown(test_deaf, setup, teardown),
		cmocka_unit_test_setup_teardown(test_early, setup, teardown),
		cmocka_unit_test_setup_teardown(test_process, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
