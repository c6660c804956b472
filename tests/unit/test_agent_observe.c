/* The program's inotify instances at the agent: each event once, in order, before the reply of what made it. */
#include <sys/inotify.h>

#include "test_agent.h"

static char base[64];
static struct client c;

static int setup(void **state)
{
	if (tree_make(base, "mkdir a b && echo text >a/f"))
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

static int watch(uint64_t instance, const char *path, uint32_t mask)
{
	REQUEST(watch);

	WHERE(watch, 0, path);
	q.op.watch.instance = instance;
	q.op.watch.mask = mask;
	return client_call(&c, &q);
}

static int must_watch(uint64_t instance, const char *path, uint32_t mask)
{
	assert_int_equal(watch(instance, path, mask), 0);
	assert_int_equal(c.reply.which_op, rfs_Reply_watch_tag);
	return c.reply.op.watch.wd;
}

static int unwatch(uint64_t instance, int wd)
{
	REQUEST(unwatch);

	q.op.unwatch.instance = instance;
	q.op.unwatch.wd = wd;
	return client_call(&c, &q);
}

static int release(uint64_t handle)
{
	REQUEST(release);

	q.op.release.handle = handle;
	return client_call(&c, &q);
}

/* The next event that was pushed already; what the agent says for its own coherence is passed over. */
static const rfs_Event *next_event(unsigned int *at)
{
	while (*at < c.pushes && c.push[*at].which_event != rfs_Push_watched_tag)
		++*at;
	assert_true(*at < c.pushes);
	return &c.push[(*at)++].event.watched;
}

static void expect(unsigned int *at, uint64_t instance, int wd, uint32_t mask, const char *name)
{
	const rfs_Event *e = next_event(at);

	assert_int_equal(e->instance, instance);
	assert_int_equal(e->wd, wd);
	assert_int_equal(e->mask, mask);
	assert_int_equal(e->name.size, strlen(name));
	assert_memory_equal(e->name.bytes, name, strlen(name));
}

static void expect_no_more(unsigned int at)
{
	for (; at < c.pushes; at++)
		assert_int_not_equal(c.push[at].which_event, rfs_Push_watched_tag);
}

static void test_before_the_reply(void **state)
{
	int a = must_watch(1, "a", IN_ALL_EVENTS), again;
	unsigned int at = 0;
	uint64_t h;

	assert_true(c.reply.op.watch.directory);
	again = must_watch(1, "/a/.", IN_ALL_EVENTS);
	assert_int_equal(a, again);
	h = client_must_open(&c, "a/new", O_CREAT | O_EXCL | O_WRONLY, 0);
	expect(&at, 1, a, IN_CREATE, "new");
	expect(&at, 1, a, IN_OPEN, "new");
	assert_int_equal(client_write(&c, h, 0, false, "x"), 0);
	expect(&at, 1, a, IN_MODIFY, "new");
	assert_int_equal(release(h), 0);
	expect(&at, 1, a, IN_CLOSE_WRITE, "new");
	assert_int_equal(release(h), EBADF);
	assert_int_equal(client_unlink(&c, "a/new", 0), 0);
	expect(&at, 1, a, IN_DELETE, "new");
	expect_no_more(at);
}

static void test_moves(void **state)
{
	int a = must_watch(7, "a", IN_MOVE), b = must_watch(7, "b", IN_MOVE);
	unsigned int at = 0;
	const rfs_Event *e;

	assert_int_equal(client_rename(&c, "a/f", "b/g", 0), 0);
	e = next_event(&at);
	assert_int_equal(e->mask, IN_MOVED_FROM);
	assert_int_equal(e->wd, a);
	assert_int_equal(e->to_wd, b);
	assert_memory_equal(e->to_name.bytes, "g", 1);
	assert_int_equal(client_rename(&c, "b/g", "out", 0), 0);
	e = next_event(&at);
	assert_int_equal(e->mask, IN_MOVED_FROM);
	assert_int_equal(e->to_wd, 0);
	assert_int_equal(client_rename(&c, "out", "a/f", 0), 0);
	expect(&at, 7, a, IN_MOVED_TO, "f");
	expect_no_more(at);
}

static void test_instances(void **state)
{
	int one = must_watch(1, "a/f", IN_ATTRIB), two = must_watch(2, "a/f", IN_ATTRIB | IN_DELETE_SELF);
	unsigned int at = 0;

	assert_false(c.reply.op.watch.directory);
	assert_int_equal(unwatch(1, one), 0);
	expect(&at, 1, one, IN_IGNORED, "");
	assert_int_equal(unwatch(1, one), EINVAL);
	assert_int_equal(unwatch(3, 1), EINVAL);
	assert_int_equal(client_unlink(&c, "a/f", 0), 0);
	expect(&at, 2, two, IN_ATTRIB, "");
	expect(&at, 2, two, IN_DELETE_SELF, "");
	expect(&at, 2, two, IN_IGNORED, "");
	must_watch(2, "b", IN_CREATE);
	assert_int_equal(unwatch(2, 0), 0);
	assert_int_equal(unwatch(2, 0), EINVAL);
	assert_int_equal(client_mkdir(&c, "b/d", 0700), 0);
	expect_no_more(at);
}

static void test_errors(void **state)
{
	REQUEST(watch);

	assert_int_equal(watch(1, "none", IN_CREATE), ENOENT);
	assert_int_equal(watch(1, "a/f", IN_CREATE | IN_ONLYDIR), ENOTDIR);
	assert_int_equal(watch(1, "a", 0), EINVAL);
	assert_int_equal(watch(1, "a", 0x08000000), EINVAL);
	assert_int_equal(unwatch(1, 0), EINVAL); /* none of these has left an instance */
	assert_int_equal(client_call(&c, &q), EINVAL);
	must_watch(1, "a", IN_CREATE);
	assert_int_equal(watch(1, "a", IN_CREATE | IN_MASK_CREATE), EEXIST);
	/* The other side of the root is not there. */
	must_watch(1, "../../../..", IN_CREATE);
	must_watch(2, "/", IN_CREATE | IN_MASK_CREATE);
	assert_int_equal(watch(2, "../../..", IN_CREATE | IN_MASK_CREATE), EEXIST);
}

static void test_closed_before(void **state)
{
	unsigned int at;
	int i, a;

	for (i = 0; i < 200; i++) {
		uint64_t h = client_must_open(&c, "a/f", O_WRONLY, 0);

		client_close(&c, h);
		a = must_watch(i + 1, "a", IN_CLOSE);
		assert_int_equal(client_mkdir(&c, "b/d", 0700), 0);
		assert_int_equal(client_unlink(&c, "b/d", AT_REMOVEDIR), 0);
		expect_no_more(0);
		at = c.pushes;
		h = client_must_open(&c, "a/f", O_RDONLY, 0);
		client_close(&c, h);
		assert_int_equal(client_mkdir(&c, "b/d", 0700), 0);
		expect(&at, i + 1, a, IN_CLOSE_NOWRITE, "f");
		assert_int_equal(client_unlink(&c, "b/d", AT_REMOVEDIR), 0);
		assert_int_equal(unwatch(i + 1, 0), 0);
		c.pushes = 0;
	}
}

/* Changes of others come by themselves. */
static void test_from_outside(void **state)
{
	int a = must_watch(1, "a", IN_CREATE | IN_MOVE);
	unsigned int at = 0;

	assert_int_equal(mkdir("a/d", 0700), 0);
	assert_int_equal(rename("a/d", "a/e"), 0);
	while (c.pushes < 2)
		assert_int_equal(client_frame(&c), 0);
	expect(&at, 1, a, IN_CREATE | IN_ISDIR, "d");
	assert_int_equal(c.push[at].event.watched.to_wd, a);
	expect(&at, 1, a, IN_MOVED_FROM | IN_ISDIR, "d");
}

/* ---- what another agent watched ---- */

static rfs_WatchReply_ticket_t ticket;

/* The watch of TICKET, with number WD. */
static int watch_again(uint64_t instance, int wd)
{
	REQUEST(watch);

	q.op.watch = (rfs_Watch){ .instance = instance, .mask = IN_ALL_EVENTS, .wd = wd, .ticket.size = ticket.size };
	memcpy(q.op.watch.ticket.bytes, ticket.bytes, ticket.size);
	q.ordered = true;
	return client_call(&c, &q);
}

static void must_watch_again(uint64_t instance, int wd)
{
	assert_int_equal(watch_again(instance, wd), 0);
	assert_int_equal(c.reply.op.watch.wd, wd);
	assert_true(c.reply.op.watch.ticket.size > 0);
}

static void ticket_of(const char *path)
{
	must_watch(1, path, IN_ALL_EVENTS);
	ticket = c.reply.op.watch.ticket;
	assert_true(ticket.size > 0);
}

static int setup_tickets(void **state)
{
	REQUEST(hello);

	if (tree_make(base, "mkdir a b && echo text >a/f"))
		return -1;
	client_start(&c, base, NULL);
	q.op.hello.version = 1;
	q.op.hello.capabilities = 3;
	return client_call(&c, &q);
}

/* Numbers that are passed over are none of anybody's watches. */
static void test_numbers(void **state)
{
	unsigned int at;
	int a, b;

	ticket_of("a");
	must_watch_again(2, 3);
	assert_int_equal(watch_again(2, 5), EEXIST); /* it has a watch in this instance */
	ticket_of("b");
	assert_int_equal(watch_again(2, 2), EEXIST); /* too late */
	must_watch_again(2, 10000);
	a = 3;
	b = 10000;
	at = c.pushes;
	for (unsigned int i = 0; i < at; i++)
		if (c.push[i].which_event == rfs_Push_watched_tag && c.push[i].event.watched.instance == 2)
			fail_msg("an event %x of %d", c.push[i].event.watched.mask, c.push[i].event.watched.wd);
	assert_int_equal(unwatch(1, 0), 0);
	assert_int_equal(client_rename(&c, "a/f", "b/f", 0), 0);
	expect(&at, 2, a, IN_MOVED_FROM, "f");
	assert_int_equal(c.push[at - 1].event.watched.to_wd, b);
	assert_true(must_watch(2, "/", IN_ALL_EVENTS) > 10000);
	assert_int_equal(unwatch(2, a), 0);
	expect(&at, 2, a, IN_IGNORED, "");
	assert_int_equal(watch_again(3, 10000000), ENOSPC); /* too far */
}

/* A file is the same one or none; a directory is the place. */
static void test_places(void **state)
{
	ticket_of("a/f");
	assert_int_equal(system("echo text >a/g && mv a/g a/f"), 0);
	assert_int_equal(watch_again(2, 1), ESTALE);
	ticket_of("b");
	assert_int_equal(system("rmdir b && mkdir b"), 0);
	must_watch_again(2, 4);
	assert_true(c.reply.op.watch.directory);
	assert_int_equal(system("rmdir b && echo text >b"), 0);
	assert_int_equal(watch_again(3, 1), ESTALE);
	ticket.size--;
	assert_int_equal(watch_again(3, 1), ESTALE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_before_the_reply, setup, teardown),
		cmocka_unit_test_setup_teardown(test_moves, setup, teardown),
		cmocka_unit_test_setup_teardown(test_instances, setup, teardown),
		cmocka_unit_test_setup_teardown(test_errors, setup, teardown),
		cmocka_unit_test_setup_teardown(test_closed_before, setup, teardown),
		cmocka_unit_test_setup_teardown(test_from_outside, setup, teardown),
		cmocka_unit_test_setup_teardown(test_numbers, setup_tickets, teardown),
		cmocka_unit_test_setup_teardown(test_places, setup_tickets, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
