/* The link against peers that answer well, late, in disorder, wrongly or not at all. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <pb_decode.h>
#include <pb_encode.h>

#include "frame.h"
#include "link.h"

#define OPEN_MS 5000
#define THREADS 16
#define CALLS 1000

/* ---- the peer: a thread that runs a script on the other end ---- */

struct peer {
	int in, out;
	pthread_t thread;
	void (*script)(struct peer *p);
	rfs_Request req;
	struct frame_header header;
	uint8_t payload[FRAME_MAX_PAYLOAD];
	uint32_t version, error;
};

static bool peer_get(struct peer *p)
{
	uint8_t buf[FRAME_MAX_MESSAGE];
	if (frame_read_full(p->in, buf, FRAME_HEADER_SIZE) < 0)
		return false;
	assert_int_equal(frame_decode(buf, &p->header), 0);
	assert_int_equal(p->header.kind, FRAME_REQUEST);
	if (frame_read_full(p->in, buf, p->header.message_len) < 0)
		return false;
	if (p->header.payload_len && frame_read_full(p->in, p->payload, p->header.payload_len) < 0)
		return false;
	pb_istream_t in = pb_istream_from_buffer(buf, p->header.message_len);
	return pb_decode(&in, rfs_Request_fields, &p->req);
}

static void peer_frame(struct peer *p, struct frame_header h, const pb_msgdesc_t *fields, const void *msg,
		       const void *payload)
{
	uint8_t buf[FRAME_HEADER_SIZE + FRAME_MAX_MESSAGE];
	pb_ostream_t out = pb_ostream_from_buffer(buf + FRAME_HEADER_SIZE, FRAME_MAX_MESSAGE);
	pb_encode(&out, fields, msg);
	h.message_len = out.bytes_written;
	frame_encode(buf, &h);
	struct iovec iov[2] = {{buf, FRAME_HEADER_SIZE + h.message_len}, {(void *)payload, h.payload_len}};
	frame_writev_full(p->out, iov, 2);
}

/* A WriteReply whose offset is NUMBER. */
static void peer_answer(struct peer *p, uint32_t id, uint64_t number, const void *payload, size_t len)
{
	rfs_Reply reply = {.which_op = rfs_Reply_write_tag, .op.write.offset = number};
	peer_frame(p, (struct frame_header){.kind = FRAME_REPLY, .id = id, .payload_len = len}, rfs_Reply_fields,
		   &reply, payload);
}

static void peer_push(struct peer *p, uint64_t number)
{
	rfs_Push push = {.which_event = rfs_Push_changed_tag, .event.changed.handle = number};
	peer_frame(p, (struct frame_header){.kind = FRAME_PUSH}, rfs_Push_fields, &push, NULL);
}

static void peer_hello(struct peer *p)
{
	rfs_Reply reply = {.error = p->error, .which_op = rfs_Reply_hello_tag, .op.hello.version = p->version};
	assert_true(peer_get(p));
	assert_int_equal(p->req.which_op, rfs_Request_hello_tag);
	peer_frame(p, (struct frame_header){.kind = FRAME_REPLY, .id = p->header.id}, rfs_Reply_fields, &reply, NULL);
}

/* Answers the goodbye that was just read. */
static void peer_bye(struct peer *p)
{
	rfs_Reply reply = {0};
	assert_int_equal(p->req.which_op, rfs_Request_goodbye_tag);
	peer_frame(p, (struct frame_header){.kind = FRAME_REPLY, .id = p->header.id}, rfs_Reply_fields, &reply, NULL);
}

static void *peer_main(void *arg)
{
	struct peer *p = arg;
	p->script(p);
	close(p->in);
	if (p->out != p->in)
		close(p->out);
	return NULL;
}

/* ---- our side ---- */

struct seen {
	atomic_uint pushes, lost;
	uint64_t last; /* not atomic: the callbacks come one at a time */
	char why[320];
};

static void on_push(struct link *l, const rfs_Push *push, void *arg)
{
	struct seen *s = arg;
	assert_int_equal(push->which_event, rfs_Push_changed_tag);
	assert_int_equal(push->event.changed.handle, s->last + 1);
	s->last++;
	atomic_fetch_add(&s->pushes, 1);
}

static void on_lost(struct link *l, const char *why, void *arg)
{
	struct seen *s = arg;
	snprintf(s->why, sizeof(s->why), "%s", why);
	atomic_fetch_add(&s->lost, 1);
}

static struct peer *peer;
static struct seen seen;
static char err[320];

static struct link *open_pair(const int ours[2], const int theirs[2], void (*script)(struct peer *p), int timeout_ms)
{
	struct link_callbacks callbacks = {on_push, on_lost, &seen};
	uint32_t version = peer->version, error = peer->error;
	memset(&seen, 0, sizeof(seen));
	*peer = (struct peer){.in = theirs[0], .out = theirs[1], .script = script, .version = version, .error = error};
	pthread_create(&peer->thread, NULL, peer_main, peer);
	return link_open(ours[0], ours[1], 0, "test", false, timeout_ms, &callbacks, err, sizeof(err));
}

static struct link *open_sockets(void (*script)(struct peer *p), int timeout_ms)
{
	int pair[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	return open_pair((int[]){pair[0], pair[0]}, (int[]){pair[1], pair[1]}, script, timeout_ms);
}

static struct link *open_pipes(void (*script)(struct peer *p))
{
	int to[2], from[2];
	assert_int_equal(pipe(to), 0);
	assert_int_equal(pipe(from), 0);
	return open_pair((int[]){from[0], to[1]}, (int[]){to[0], from[1]}, script, OPEN_MS);
}

static struct link *open_good(void (*script)(struct peer *p))
{
	struct link *l = open_sockets(script, OPEN_MS);
	assert_non_null(l);
	return l;
}

static void open_fails(void (*script)(struct peer *p), const char *reason)
{
	assert_null(open_sockets(script, OPEN_MS));
	pthread_join(peer->thread, NULL);
	if (!strstr(err, reason))
		fail_msg("\"%s\" does not say \"%s\"", err, reason);
}

static void close_good(struct link *l)
{
	assert_int_equal(link_close(l, OPEN_MS), 0);
	pthread_join(peer->thread, NULL);
	assert_int_equal(seen.lost, 0);
}

/* Asks for NUMBER; returns what the reply carries, or a negative errno. */
static int64_t ask(struct link *l, uint64_t number)
{
	rfs_Request req = {.which_op = rfs_Request_write_tag, .op.write.offset = number};
	struct link_reply rep;
	int rc = link_call(l, &req, NULL, 0, &rep);
	if (rc)
		return rc;
	assert_int_equal(rep.msg.which_op, rfs_Reply_write_tag);
	link_reply_free(&rep);
	return rep.msg.op.write.offset;
}

static void lost_because(struct link *l, const char *reason)
{
	assert_int_equal(ask(l, 1), -EIO);
	rfs_Request req = {.which_op = rfs_Request_close_tag};
	assert_int_equal(link_send(l, &req), -EIO);
	assert_int_equal(seen.lost, 1);
	if (!strstr(seen.why, reason))
		fail_msg("\"%s\" does not say \"%s\"", seen.why, reason);
	assert_int_equal(link_close(l, OPEN_MS), -EIO);
	assert_int_equal(seen.lost, 1);
}

static int setup(void **state)
{
	peer = calloc(1, sizeof(*peer));
	peer->version = 1;
	return 0;
}

static int teardown(void **state)
{
	free(peer);
	return 0;
}

static void sleep_ms(int ms)
{
	poll(NULL, 0, ms);
}

/* ---- good peers ---- */

/* Echoes numbers and payloads until the goodbye. */
static void script_echo(struct peer *p)
{
	peer_hello(p);
	while (peer_get(p) && p->req.which_op != rfs_Request_goodbye_tag)
		if (p->header.id)
			peer_answer(p, p->header.id, p->req.op.write.offset, p->payload, p->header.payload_len);
	peer_bye(p);
}

static void test_round_trip(void **state)
{
	struct link *l = open_good(script_echo);
	rfs_Request req = {.which_op = rfs_Request_write_tag, .op.write.offset = 7};
	struct link_reply rep;
	char *big = malloc(FRAME_MAX_PAYLOAD + 1);
	memset(big, 'x', FRAME_MAX_PAYLOAD + 1);
	assert_int_equal(link_call(l, &req, big, FRAME_MAX_PAYLOAD, &rep), 0);
	assert_int_equal(rep.msg.op.write.offset, 7);
	assert_int_equal(rep.payload_len, FRAME_MAX_PAYLOAD);
	assert_memory_equal(rep.payload, big, FRAME_MAX_PAYLOAD);
	link_reply_free(&rep);
	assert_int_equal(link_call(l, &req, big, FRAME_MAX_PAYLOAD + 1, &rep), -EMSGSIZE);
	link_reply_free(&rep);
	free(big);
	struct link_totals t = link_totals(l);
	assert_int_equal(t.round_trips, 2);
	assert_int_equal(t.requests, 2);
	assert_true(t.bytes_in > FRAME_MAX_PAYLOAD && t.bytes_out > FRAME_MAX_PAYLOAD);
	assert_string_equal(link_tag(l), "test");
	assert_int_equal(link_new_handle(l) + 1, link_new_handle(l));
	close_good(l);
}

struct asker {
	pthread_t thread;
	struct link *l;
	uint64_t first;
	unsigned calls;
	int64_t expect; /* 0: what was asked for */
};

static void *asker_main(void *arg)
{
	struct asker *a = arg;
	for (unsigned i = 0; i < a->calls; i++)
		assert_int_equal(ask(a->l, a->first + i), a->expect ? a->expect : (int64_t)(a->first + i));
	return NULL;
}

static void askers_start(struct asker *a, int n, struct link *l, unsigned calls, int64_t expect)
{
	for (int i = 0; i < n; i++) {
		a[i] = (struct asker){.l = l, .first = 1 + (uint64_t)i * calls, .calls = calls, .expect = expect};
		pthread_create(&a[i].thread, NULL, asker_main, &a[i]);
	}
}

static void askers_join(struct asker *a, int n)
{
	for (int i = 0; i < n; i++)
		pthread_join(a[i].thread, NULL);
}

/* Answers three at once, the last one first. */
static void script_reverse(struct peer *p)
{
	uint64_t number[3];
	uint32_t id[3];
	peer_hello(p);
	for (int i = 0; i < 3; i++) {
		assert_true(peer_get(p));
		id[i] = p->header.id;
		number[i] = p->req.op.write.offset;
	}
	for (int i = 2; i >= 0; i--)
		peer_answer(p, id[i], number[i], NULL, 0);
	assert_true(peer_get(p));
	peer_bye(p);
}

static void test_out_of_order(void **state)
{
	struct asker askers[3];
	struct link *l = open_good(script_reverse);
	askers_start(askers, 3, l, 1, 0);
	askers_join(askers, 3);
	close_good(l);
}

static bool input_waits(int fd)
{
	struct pollfd f = {.fd = fd, .events = POLLIN};
	return poll(&f, 1, 0) > 0;
}

/* Collects what has come, answers it in a shuffled order, with pushes in between. */
static void script_shuffle(struct peer *p)
{
	struct {
		uint32_t id;
		uint64_t number;
	} held[THREADS];
	unsigned n = 0, seed = 1;
	uint64_t pushed = 0;
	peer_hello(p);
	while (peer_get(p) && p->req.which_op != rfs_Request_goodbye_tag) {
		held[n].id = p->header.id;
		held[n++].number = p->req.op.write.offset;
		while (n && (n == THREADS || !input_waits(p->in))) {
			unsigned pick = rand_r(&seed) % n;
			if (rand_r(&seed) % 4 == 0)
				peer_push(p, ++pushed);
			peer_answer(p, held[pick].id, held[pick].number, p->payload, rand_r(&seed) % 300);
			held[pick] = held[--n];
		}
	}
	peer_bye(p);
}

static void many_callers(struct link *l)
{
	struct asker askers[THREADS];
	assert_non_null(l);
	askers_start(askers, THREADS, l, CALLS, 0);
	askers_join(askers, THREADS);
	assert_true(seen.pushes > 0);
	assert_int_equal(link_totals(l).round_trips, 1 + THREADS * CALLS);
	close_good(l);
}

static void test_many_callers(void **state)
{
	many_callers(open_sockets(script_shuffle, OPEN_MS));
}

static void test_many_callers_pipes(void **state)
{
	many_callers(open_pipes(script_shuffle));
}

/* Before each answer come as many pushes as it says. */
static void script_pushes(struct peer *p)
{
	uint64_t pushed = 0;
	peer_hello(p);
	while (peer_get(p) && p->req.which_op != rfs_Request_goodbye_tag) {
		for (int i = 0; i < 3; i++)
			peer_push(p, ++pushed);
		peer_answer(p, p->header.id, pushed, NULL, 0);
	}
	peer_bye(p);
}

static void *order_main(void *arg)
{
	for (int i = 0; i < CALLS; i++) {
		int64_t pushed = ask(arg, 0);
		assert_true(pushed > 0 && atomic_load(&seen.pushes) >= pushed);
	}
	return NULL;
}

static void test_push_order(void **state)
{
	struct link *l = open_good(script_pushes);
	pthread_t threads[4];
	for (int i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, order_main, l);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(seen.pushes, 4 * CALLS * 3);
	close_good(l);
}

static void script_idle_pushes(struct peer *p)
{
	peer_hello(p);
	for (int i = 1; i <= 200; i++) {
		peer_push(p, i);
		if (i % 50 == 0)
			sleep_ms(1);
	}
	assert_true(peer_get(p));
	peer_bye(p);
}

static void test_push_idle(void **state)
{
	struct link *l = open_good(script_idle_pushes);
	for (int i = 0; i < OPEN_MS && seen.pushes < 200; i++)
		sleep_ms(1);
	assert_int_equal(seen.pushes, 200);
	close_good(l);
}

/* Large payloads both ways: who writes must not keep the others from reading. */
static void *big_main(void *arg)
{
	rfs_Request req = {.which_op = rfs_Request_write_tag};
	struct link_reply rep;
	char *big = calloc(1, FRAME_MAX_PAYLOAD);
	for (int i = 0; i < 20; i++) {
		assert_int_equal(link_call(arg, &req, big, FRAME_MAX_PAYLOAD, &rep), 0);
		assert_int_equal(rep.payload_len, FRAME_MAX_PAYLOAD);
		link_reply_free(&rep);
	}
	free(big);
	return NULL;
}

static void big_callers(struct link *l)
{
	pthread_t threads[4];
	assert_non_null(l);
	for (int i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, big_main, l);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	close_good(l);
}

static void test_big_both_ways(void **state)
{
	big_callers(open_sockets(script_echo, OPEN_MS));
	big_callers(open_pipes(script_echo));
}
