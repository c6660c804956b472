/* The link with agents that end one after the other, at inconvenient times. */
#include <fcntl.h>

#include "test_link.h"

#define HANDLE 5

/* ---- the agents: one for each connection, in turn ---- */

static void (*const *scripts)(struct peer *p);
static unsigned connections, taken;
static struct peer *agents[32];
/* What the next one has of those before it. They are one after the other, which a sanitizer does not see in sockets. */
static pthread_mutex_t handing_on = PTHREAD_MUTEX_INITIALIZER;
static uint8_t session[16]; /* that the latest one has begun, or was to begin */
static uint32_t open_id;

static void hand_on(void *to, const void *from, size_t len)
{
	pthread_mutex_lock(&handing_on);
	memcpy(to, from, len);
	pthread_mutex_unlock(&handing_on);
}

static void reply(struct peer *p, rfs_Reply r)
{
	peer_frame(p, (struct frame_header){.kind = FRAME_REPLY, .id = p->header.id}, rfs_Reply_fields, &r, NULL);
}

static void get(struct peer *p, unsigned op)
{
	assert_true(peer_get(p));
	assert_int_equal(p->req.which_op, op);
}

static void get_hello(struct peer *p)
{
	get(p, rfs_Request_hello_tag);
	assert_int_equal(p->req.op.hello.session.size, sizeof(session));
	hand_on(session, p->req.op.hello.session.bytes, sizeof(session));
}

static void hello(struct peer *p)
{
	get_hello(p);
	reply(p, (rfs_Reply){.which_op = rfs_Reply_hello_tag, .op.hello = {.version = 1, .capabilities = LINK_ORDERS | LINK_TICKETS, .resumes = true}});
}

/* There is no such session. */
static void is_gone(struct peer *p)
{
	get(p, rfs_Request_resume_tag);
	reply(p, (rfs_Reply){.error = ENOENT});
}

static void begins(struct peer *p)
{
	is_gone(p);
	hello(p);
}

static void opens(struct peer *p)
{
	get(p, rfs_Request_open_tag);
	reply(p, (rfs_Reply){.which_op = rfs_Reply_open_tag, .op.open.ticket = {1, "t"}});
}

static void reopens(struct peer *p)
{
	get(p, rfs_Request_reopen_tag);
	assert_int_equal(p->req.op.reopen.handle, HANDLE);
	assert_int_equal(p->req.op.reopen.ticket.size, 1);
	reply(p, (rfs_Reply){.which_op = rfs_Reply_open_tag, .op.open.ticket = {1, "t"}});
}

static void answers(struct peer *p)
{
	get(p, rfs_Request_write_tag);
	peer_answer(p, p->header.id, p->req.op.write.offset, NULL, 0);
}

static void bye(struct peer *p)
{
	get(p, rfs_Request_goodbye_tag);
	peer_bye(p);
}

static int on_redial(int *in, int *out, pid_t *agent, char *why, size_t len, void *arg)
{
	struct peer *p = calloc(1, sizeof(*p));
	int pair[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	*in = *out = pair[0];
	*agent = 0;
	*p = (struct peer){.in = pair[1], .out = pair[1], .script = scripts[connections], .version = 1};
	assert_non_null(p->script);
	agents[connections++] = p;
	pthread_create(&p->thread, NULL, peer_main, p);
	return 0;
}

static void on_reopened(struct link *l, const struct reopen_report *report, size_t unknown, void *arg)
{
	taken++;
}

static struct link *begin(void (*const *s)(struct peer *p))
{
	struct link_callbacks callbacks = {.lost = on_lost, .redial = on_redial, .redial_ms = 20000, .reopened = on_reopened, .arg = &seen};
	int fd, same;
	pid_t none;
	scripts = s;
	connections = taken = 0;
	memset(&seen, 0, sizeof(seen));
	on_redial(&fd, &same, &none, err, sizeof(err), NULL);
	struct link *l = link_open(fd, same, none, "test", &greeting, OPEN_MS, &callbacks, err, sizeof(err));
	assert_non_null(l);
	return l;
}

static void end(struct link *l, unsigned count)
{
	assert_int_equal(link_close(l, OPEN_MS), 0);
	assert_int_equal(seen.lost, 0);
	assert_int_equal(connections, count);
	for (unsigned i = 0; i < connections; i++) {
		pthread_join(agents[i]->thread, NULL);
		free(agents[i]);
	}
}

/* ---- our side ---- */

/* The reply's error, or a negative errno. */
static int call(struct link *l, rfs_Request req)
{
	struct link_reply rep;
	int rc = link_call(l, &req, NULL, 0, &rep);
	if (rc)
		return rc;
	link_reply_free(&rep);
	return (int)rep.msg.error;
}

static int open_file(struct link *l)
{
	return call(l, (rfs_Request){.which_op = rfs_Request_open_tag, .op.open = {.handle = HANDLE, .flags = O_RDWR}});
}

/* ---- the answer to a greeting is lost ---- */

static void first_opens(struct peer *p)
{
	hello(p);
	opens(p);
	get(p, rfs_Request_write_tag);
}

static void begins_unheard(struct peer *p)
{
	is_gone(p);
	get_hello(p);
}

/* It has the session that began unheard, but no file. */
static void has_nothing(struct peer *p)
{
	uint8_t begun[sizeof(session)];
	get(p, rfs_Request_resume_tag);
	hand_on(begun, session, sizeof(begun));
	assert_memory_equal(p->req.op.resume.session.bytes, begun, sizeof(begun));
	reply(p, (rfs_Reply){.which_op = rfs_Reply_resume_tag});
	bye(p);
}

static void goes_on(struct peer *p)
{
	begins(p);
	reopens(p);
	answers(p);
	bye(p);
}

static void test_greeting_lost(void **state)
{
	struct link *l = begin((void (*const[])(struct peer *)){first_opens, begins_unheard, has_nothing, goes_on});
	assert_int_equal(open_file(l), 0);
	assert_int_equal(ask(l, 7), 7);
	assert_int_equal(taken, 1);
	end(l, 4);
}

/* ---- what one agent was asked for is not asked of the next but one, if nobody knows whether it was done ---- */

static void first_makes(struct peer *p)
{
	hello(p);
	opens(p);
	get(p, rfs_Request_mkdir_tag);
}

static void reopens_half(struct peer *p)
{
	begins(p);
	get(p, rfs_Request_reopen_tag);
}

static void test_unknown(void **state)
{
	struct link *l = begin((void (*const[])(struct peer *)){first_makes, reopens_half, goes_on});
	assert_int_equal(open_file(l), 0);
	assert_int_equal(call(l, (rfs_Request){.which_op = rfs_Request_mkdir_tag}), -EIO);
	assert_int_equal(ask(l, 7), 7);
	end(l, 3);
}

/* ---- agents that end before they have all are not what a request ends of ---- */


static void starts_half(struct peer *p)
{
	begins(p);
	reopens(p);
	get(p, rfs_Request_start_tag);
}

static void first_starts(struct peer *p)
{
	hello(p);
	opens(p);
	get(p, rfs_Request_start_tag);
	reply(p, (rfs_Reply){.which_op = rfs_Reply_channel_tag});
	get(p, rfs_Request_write_tag);
}

static void starts(struct peer *p)
{
	begins(p);
	reopens(p);
	get(p, rfs_Request_start_tag);
	reply(p, (rfs_Reply){.which_op = rfs_Reply_channel_tag});
	answers(p);
	bye(p);
}

static void test_not_to_blame(void **state)
{
	struct link *l = begin((void (*const[])(struct peer *)){first_starts, starts_half, starts_half, starts_half, starts});
	assert_int_equal(open_file(l), 0);
	assert_int_equal(call(l, (rfs_Request){.which_op = rfs_Request_start_tag, .op.start.handle = HANDLE}), 0);
	assert_int_equal(ask(l, 7), 7);
	end(l, 5);
}

/* ---- a lock is lost: its file is closed before its number is given to one that is dead ---- */

static void first_locks(struct peer *p)
{
	hello(p);
	opens(p);
	get(p, rfs_Request_lock_tag);
	reply(p, (rfs_Reply){.which_op = rfs_Reply_lock_tag});
	get(p, rfs_Request_write_tag);
}

static void locks_not(struct peer *p)
{
	begins(p);
	reopens(p);
	get(p, rfs_Request_lock_tag);
	reply(p, (rfs_Reply){.error = EAGAIN});
	get(p, rfs_Request_close_tag);
	assert_true(p->req.ordered);
	get(p, rfs_Request_reopen_tag);
	assert_int_equal(p->req.op.reopen.ticket.size, 0);
	reply(p, (rfs_Reply){.which_op = rfs_Reply_open_tag, .op.open.lost = ESTALE});
	answers(p);
	bye(p);
}

static void test_lock_lost(void **state)
{
	struct link *l = begin((void (*const[])(struct peer *)){first_locks, locks_not});
	assert_int_equal(open_file(l), 0);
	assert_int_equal(call(l, (rfs_Request){.which_op = rfs_Request_lock_tag,
					       .op.lock = {.handle = HANDLE, .command = F_OFD_SETLK, .type = F_WRLCK}}), 0);
	assert_int_equal(ask(l, 7), 7);
	end(l, 2);
}

/* ---- the answer to the goodbye is lost, and the agent has ended ---- */

static void first_leaves(struct peer *p)
{
	hello(p);
	answers(p);
	get(p, rfs_Request_goodbye_tag);
}

static void test_goodbye_lost(void **state)
{
	struct link *l = begin((void (*const[])(struct peer *)){first_leaves, is_gone});
	assert_int_equal(ask(l, 7), 7);
	end(l, 2);
}

static void first_leaves_much(struct peer *p)
{
	hello(p);
	get(p, rfs_Request_mkdir_tag);
	get(p, rfs_Request_goodbye_tag);
}

static void begins_and_ends(struct peer *p)
{
	begins(p);
	bye(p);
}

static void *makes_not(void *arg)
{
	assert_int_equal(call(arg, (rfs_Request){.which_op = rfs_Request_mkdir_tag}), -EIO);
	return NULL;
}

/* Of what else was not answered nobody knows the end. */
static void test_goodbye_and_more_lost(void **state)
{
	struct link *l = begin((void (*const[])(struct peer *)){first_leaves_much, begins_and_ends});
	pthread_t thread;
	pthread_create(&thread, NULL, makes_not, l);
	while (link_totals(l).requests < 1)
		sleep_ms(1);
	end(l, 2);
	pthread_join(thread, NULL);
	assert_int_equal(taken, 1);
}

/* ---- a file is closed before its open is answered, and the connection breaks: it is not open afterwards ---- */

static void first_closes(struct peer *p)
{
	hello(p);
	get(p, rfs_Request_open_tag);
	hand_on(&open_id, &p->header.id, sizeof(open_id));
	get(p, rfs_Request_close_tag);
}

static void goes_on_here(struct peer *p)
{
	get(p, rfs_Request_resume_tag);
	reply(p, (rfs_Reply){.which_op = rfs_Reply_resume_tag, .op.resume = {.got = 2, .working_count = 1, .working = {1}, .stream = 1}});
	hand_on(&p->header.id, &open_id, sizeof(open_id));
	reply(p, (rfs_Reply){.which_op = rfs_Reply_open_tag, .op.open.ticket = {1, "t"}});
	answers(p);
	get(p, rfs_Request_write_tag);
}

static void has_none(struct peer *p)
{
	begins(p);
	answers(p);
	bye(p);
}

static void opened(struct link_reply *rep, int rc, void *arg)
{
	assert_int_equal(rc, 0);
	(*(atomic_uint *)arg)++;
}

static void test_closed_before_answer(void **state)
{
	struct link *l = begin((void (*const[])(struct peer *)){first_closes, goes_on_here, has_none});
	rfs_Request req = {.which_op = rfs_Request_open_tag, .op.open = {.handle = HANDLE, .flags = O_RDWR}};
	atomic_uint answered = 0;
	assert_int_equal(link_start(l, &req, NULL, 0, opened, &answered), 0);
	assert_int_equal(link_send(l, &(rfs_Request){.which_op = rfs_Request_close_tag, .op.close.handle = HANDLE}), 0);
	assert_int_equal(ask(l, 7), 7);
	assert_int_equal(ask(l, 8), 8);
	assert_int_equal(answered, 1);
	end(l, 3);
}

/* ---- how many agents there may be ---- */

static void first_answers(struct peer *p)
{
	hello(p);
	answers(p);
	get(p, rfs_Request_write_tag);
}

static void answers_once(struct peer *p)
{
	begins(p);
	answers(p);
	get(p, rfs_Request_write_tag);
}

static void answers_and_ends(struct peer *p)
{
	begins(p);
	answers(p);
	bye(p);
}

static void test_of_use(void **state)
{
	enum { COUNT = 20 };
	void (*s[COUNT])(struct peer *p) = {first_answers};
	for (int i = 1; i < COUNT - 1; i++)
		s[i] = answers_once;
	s[COUNT - 1] = answers_and_ends;
	struct link *l = begin(s);
	for (int i = 1; i <= COUNT; i++)
		assert_int_equal(ask(l, (uint64_t)i), i);
	end(l, COUNT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_greeting_lost, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unknown, setup, teardown),
		cmocka_unit_test_setup_teardown(test_not_to_blame, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lock_lost, setup, teardown),
		cmocka_unit_test_setup_teardown(test_goodbye_lost, setup, teardown),
		cmocka_unit_test_setup_teardown(test_goodbye_and_more_lost, setup, teardown),
		cmocka_unit_test_setup_teardown(test_closed_before_answer, setup, teardown),
		cmocka_unit_test_setup_teardown(test_of_use, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
