/* The link with peers that answer well, though late, in disorder and with pushes in between. */
#include "test_link.h"

#define THREADS 16
#define CALLS 1000

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
	assert_int_equal(t.round_trips, 1);
	assert_int_equal(t.requests, 1);
	assert_true(t.bytes_in > FRAME_MAX_PAYLOAD && t.bytes_out > FRAME_MAX_PAYLOAD);
	assert_int_equal(link_new_handle(l), 1);
	assert_int_equal(link_new_handle(l), 2);
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
	assert_int_equal(link_totals(l).round_trips, THREADS * CALLS);
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

static void *closer_main(void *arg)
{
	rfs_Request req = {.which_op = rfs_Request_close_tag, .op.close.handle = 1};
	for (int i = 0; i < CALLS; i++) {
		assert_int_equal(link_send(arg, &req), 0);
		if (i % 16 == 0)
			usleep(100);
	}
	return NULL;
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

/* The one-way requests must not get into the middle of a frame that is half sent. */
static void big_callers(struct link *l)
{
	pthread_t threads[4], closer;
	assert_non_null(l);
	for (int i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, big_main, l);
	pthread_create(&closer, NULL, closer_main, l);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	pthread_join(closer, NULL);
	close_good(l);
}

static void test_big_both_ways(void **state)
{
	big_callers(open_sockets(script_echo, OPEN_MS));
	big_callers(open_pipes(script_echo));
}

/* Reads nothing for a while, then checks that what was sent one way has come in order, before the call. */
static void script_slow(struct peer *p)
{
	peer_hello(p);
	sleep_ms(300);
	for (uint64_t i = 1; i <= 30000; i++) {
		assert_true(peer_get(p));
		assert_int_equal(p->header.id, 0);
		assert_int_equal(p->req.op.close.handle, i);
	}
	assert_true(peer_get(p));
	peer_answer(p, p->header.id, p->req.op.write.offset, NULL, 0);
	assert_true(peer_get(p));
	peer_bye(p);
}

static void one_way(struct link *l)
{
	struct timespec before, after;
	assert_non_null(l);
	clock_gettime(CLOCK_MONOTONIC, &before);
	for (uint64_t i = 1; i <= 30000; i++) {
		rfs_Request req = {.which_op = rfs_Request_close_tag, .op.close.handle = i};
		assert_int_equal(link_send(l, &req), 0);
	}
	clock_gettime(CLOCK_MONOTONIC, &after);
	double ms = (after.tv_sec - before.tv_sec) * 1e3 + (after.tv_nsec - before.tv_nsec) / 1e6;
	printf("30000 one-way requests queued in %.0f ms\n", ms);
	assert_int_equal(ask(l, 5), 5);
	close_good(l);
}

static void test_one_way(void **state)
{
	one_way(open_sockets(script_slow, OPEN_MS));
	one_way(open_pipes(script_slow));
}

/* What does not fit goes out by itself, with no call to push it along. */
static void script_count(struct peer *p)
{
	peer_hello(p);
	sleep_ms(100);
	for (int i = 0; i < 5000; i++)
		assert_true(peer_get(p));
	peer_push(p, 1);
	assert_true(peer_get(p));
	peer_bye(p);
}

static void test_one_way_alone(void **state)
{
	struct link *l = open_good(script_count);
	rfs_Request req = {.which_op = rfs_Request_close_tag, .op.close.handle = 1};
	for (int i = 0; i < 5000; i++)
		assert_int_equal(link_send(l, &req), 0);
	for (int i = 0; i < OPEN_MS && !seen.pushes; i++)
		sleep_ms(1);
	assert_int_equal(seen.pushes, 1);
	close_good(l);
}

static void test_mixed(void **state)
{
	struct link *l = open_good(script_echo);
	struct asker askers[4];
	pthread_t closers[4];
	askers_start(askers, 4, l, CALLS, 0);
	for (int i = 0; i < 4; i++)
		pthread_create(&closers[i], NULL, closer_main, l);
	for (int i = 0; i < 4; i++)
		pthread_join(closers[i], NULL);
	askers_join(askers, 4);
	assert_int_equal(link_totals(l).requests, 8 * CALLS);
	close_good(l);
}

/* ---- requests that nobody waits for ---- */

struct done { atomic_uint count, failed; uint64_t next; };

static void on_done(struct link_reply *rep, int rc, void *arg)
{
	struct done *d = arg;
	if (rc)
		atomic_fetch_add(&d->failed, 1);
	else
		assert_int_equal(rep->msg.op.write.offset, ++d->next);
	atomic_fetch_add(&d->count, 1);
}

static void start(struct link *l, struct done *d, uint64_t number, size_t len)
{
	static uint8_t payload[LINK_SMALL];
	rfs_Request req = {.which_op = rfs_Request_write_tag, .op.write.offset = number};
	assert_int_equal(link_start(l, &req, payload, len, on_done, d), 0);
}

/* In order with each other and with a call that waits; only that is a round trip. */
static void test_started(void **state)
{
	struct link *l = open_good(script_echo);
	struct done d = {0};
	for (uint64_t i = 1; i <= CALLS; i++)
		start(l, &d, i, i % 3 ? 0 : i % 4096);
	assert_int_equal(ask(l, 7), 7);
	assert_int_equal(d.count, CALLS);
	assert_int_equal(d.failed, 0);
	assert_int_equal(link_totals(l).round_trips, 1);
	assert_int_equal(link_totals(l).requests, CALLS + 1);
	for (uint64_t i = 1; i <= CALLS; i++)
		start(l, &d, CALLS + i, 0);
	for (int i = 0; i < OPEN_MS && d.count < 2 * CALLS; i++)
		sleep_ms(1);
	assert_int_equal(d.count, 2 * CALLS);
	assert_int_equal(d.failed, 0);
	close_good(l);
}

/* What did not fit when it was queued goes out though nothing is sent behind it, whoever is told first that there is room. */
static void test_started_alone(void **state)
{
	struct link *l = open_good(script_echo);
	struct done d = {0};
	for (uint64_t i = 1; i <= 20 * CALLS; i++) {
		start(l, &d, i, LINK_SMALL);
		for (int ms = 0; i % 16 == 0 && ms < OPEN_MS && d.count < i; ms++)
			sleep_ms(1);
		assert_true(i % 16 || d.count == i);
	}
	assert_int_equal(ask(l, 7), 7);
	assert_int_equal(d.failed, 0);
	close_good(l);
}

static void script_alive(struct peer *p)
{
	peer_hello(p);
	for (int i = 0; i < 3; i++) {
		assert_true(peer_get(p));
		assert_int_equal(p->req.which_op, rfs_Request_close_tag);
		assert_int_equal(p->req.op.close.handle, 0);
	}
	peer_push(p, 1);
	while (peer_get(p) && p->req.which_op != rfs_Request_goodbye_tag)
		;
	peer_bye(p);
}

/* Who says nothing for long may be taken for gone. */
static void test_alive(void **state)
{
	int usual = link_alive_ms;
	link_alive_ms = 20;
	struct link *l = open_good(script_alive);
	for (int i = 0; i < OPEN_MS && !seen.pushes; i++)
		sleep_ms(1);
	assert_int_equal(seen.pushes, 1);
	close_good(l);
	link_alive_ms = usual;
}

static void script_two_of_five(struct peer *p)
{
	peer_hello(p);
	for (int i = 0; i < 5; i++)
		assert_true(peer_get(p));
	peer_answer(p, p->header.id - 4, 1, NULL, 0);
	peer_answer(p, p->header.id - 3, 2, NULL, 0);
}

static void test_started_and_lost(void **state)
{
	struct link *l = open_good(script_two_of_five);
	struct done d = {0};
	for (uint64_t i = 1; i <= 5; i++)
		start(l, &d, i, i == 3 ? 10 : 0);
	for (int i = 0; i < OPEN_MS && d.count < 5; i++)
		sleep_ms(1);
	assert_int_equal(d.count, 5);
	assert_int_equal(d.failed, 3);
	rfs_Request req = {.which_op = rfs_Request_write_tag};
	assert_int_equal(link_start(l, &req, NULL, 0, on_done, &d), -EIO);
	pthread_join(peer->thread, NULL);
	lost_because(l, "closed the connection");
	assert_int_equal(d.count, 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_round_trip, setup, teardown),
		cmocka_unit_test_setup_teardown(test_out_of_order, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many_callers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many_callers_pipes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_push_order, setup, teardown),
		cmocka_unit_test_setup_teardown(test_push_idle, setup, teardown),
		cmocka_unit_test_setup_teardown(test_big_both_ways, setup, teardown),
		cmocka_unit_test_setup_teardown(test_one_way, setup, teardown),
		cmocka_unit_test_setup_teardown(test_one_way_alone, setup, teardown),
		cmocka_unit_test_setup_teardown(test_mixed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_alive, setup, teardown),
		cmocka_unit_test_setup_teardown(test_started, setup, teardown),
		cmocka_unit_test_setup_teardown(test_started_alone, setup, teardown),
		cmocka_unit_test_setup_teardown(test_started_and_lost, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
