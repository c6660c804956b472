/* Reopen, as no program asks for it: tickets of another root, of nobody's, and of what may not be opened so any more. */
#include "agent_lost.h"

/* The root of the agent that made the ticket was another one: the client may say whatever it likes. */
static void test_out_of_the_root(void **state)
{
	static const char *const made[] = { "a/f", "a/../out", "b/f" };
	char below[80];
	int fd;

	snprintf(below, sizeof(below), "%s/a", base);
	assert_int_equal(system("echo content >out; mkdir b; ln -s ../out b/l; echo content >b/f"), 0);
	for (int removed = 0; removed < 2; removed++)
		for (size_t i = 0; i < sizeof(made) / sizeof(made[0]); i++) {
			agent_next(base);
			open_kept(made[i], O_RDONLY);
			fd = open(made[i], O_RDONLY);
			if (removed)
				unlink(made[i]);
			agent_next(below);
			assert_int_equal(reopen() != 0, i > 0 || !may_use_handles()); /* its path was another root's */
			close(fd);
		}
}

/* A deleted file of a part of the file system that is not mounted here. */
static void test_deleted_elsewhere(void **state)
{
	char root[128], inner[128];
	int fd;

	if (!may_mount())
		skip();
	assert_int_equal(mkdir("x", 0700), 0);
	assert_int_equal(system("mount -t tmpfs t x"), 0);
	/* In the tmpfs the file is at the path at which the bind mount is in the tree, and a/f. */
	snprintf(root, sizeof(root), "%s/r", base);
	snprintf(inner, sizeof(inner), "x%s/r/a", base);
	assert_int_equal(setenv("I", inner, 1), 0);
	assert_int_equal(system("mkdir -p r x/s/a $I && echo content >$I/f && mount --bind x/s r"), 0);
	agent_next(base);
	strcat(inner, "/f");
	open_kept(inner, O_RDONLY);
	fd = open(inner, O_RDONLY);
	assert_int_equal(unlink(inner), 0);
	agent_next(root);
	assert_int_not_equal(reopen(), 0);
	/* Nor is it below "/", when the bind mount is all that is left. */
	assert_int_equal(system("umount -l x"), 0);
	agent_next("/");
	assert_int_not_equal(reopen(), 0);
	close(fd);
	assert_int_equal(system("umount r"), 0);
}

/* Bytes that are no ticket, and tickets with a byte changed, are answered, and find the file or nothing. */
static void test_hostile(void **state)
{
	rfs_Reopen good;
	REQUEST(close);

	open_kept("a/f", O_RDONLY);
	good = ticket;
	srand(1);
	for (int i = 0; i < 4000; i++) {
		ticket = good;
		ticket.handle = ++kept;
		if (i < 1000)
			ticket.ticket.size = rand() % sizeof(ticket.ticket.bytes);
		for (int n = i < 1000 ? ticket.ticket.size : 1; n > 0; n--)
			ticket.ticket.bytes[rand() % ticket.ticket.size] = rand();
		if (!reopen()) {
			assert_int_equal(client_read(&c, kept, 0, 100), 0);
			assert_string_equal((char *)c.payload, "content\n");
		}
		q.op.close.handle = kept;
		client_send(&c, &q, NULL, 0);
	}
}

static void test_dead(void **state)
{
	rfs_Reply *r = &c.reply;

	open_kept("a/f", O_RDWR);
	assert_int_equal(client_call(&c, &(rfs_Request){ .which_op = rfs_Request_reopen_tag, .op.reopen = ticket }), EEXIST);
	assert_int_equal(unlink("a/f"), 0);
	agent_next(base);
	spew("a/f", "another\n");
	assert_int_equal(reopen(), ESTALE);
	assert_memory_equal(r->op.open.path.bytes, "/a/f", r->op.open.path.size);
	assert_int_equal(client_write(&c, kept, 0, false, "x"), ESTALE);
	assert_int_equal(client_lock(&c, kept, 0, F_OFD_SETLK, F_WRLCK, 0, 1), ESTALE);
	assert_int_equal(client_call(&c, &(rfs_Request){ .which_op = rfs_Request_reopen_tag, .op.reopen = ticket }), EEXIST);
	close_kept();
	assert_int_equal(client_read(&c, kept, 0, 1), EBADF);
	/* A ticket of nothing is nothing's. */
	ticket.ticket.size = 0;
	assert_int_equal(reopen(), ESTALE);
	close_kept();
}

/* What the client may not do now it may not go on with either. */
static void test_read_only(void **state)
{
	open_kept("a/f", O_RDWR);
	agent_lose(BOTH);
	agent_start(base, true);
	agent_hello(true);
	assert_int_equal(reopen(), EROFS);
	close_kept();
	ticket.flags = O_RDONLY;
	assert_int_equal(reopen(), 0);
	assert_int_equal(client_write(&c, kept, 0, false, "x"), EBADF);
}

/* The latest ticket that was pushed for what is kept is its from here on. */
static void take_moved(void)
{
	for (unsigned int i = 0; i < c.pushes; i++) {
		const rfs_Moved *m = &c.push[i].event.moved;

		if (c.push[i].which_event != rfs_Push_moved_tag || m->handle != kept)
			continue;
		ticket.ticket.size = m->ticket.size;
		memcpy(ticket.ticket.bytes, m->ticket.bytes, m->ticket.size);
	}
	c.pushes = 0;
}

static void renames(const char *from, const char *to, uint32_t flags)
{
	REQUEST(rename);

	where_set(&q.op.rename.from, &q.op.rename.has_from, 0, from);
	where_set(&q.op.rename.to, &q.op.rename.has_to, 0, to);
	q.op.rename.flags = flags;
	assert_int_equal(client_call(&c, &q), 0);
	take_moved();
}

/* What is kept gets the name TO. */
static void links(const char *to)
{
	REQUEST(link);

	where_set(&q.op.link.from, &q.op.link.has_from, kept, "");
	where_set(&q.op.link.to, &q.op.link.has_to, 0, to);
	assert_int_equal(client_call(&c, &q), 0);
	take_moved();
}

/* An agent without handles finds what is kept, with TEXT in it. */
static void is_found(const char *text)
{
	agent_lose(PATHS);
	agent_return(PATHS, base);
	assert_int_equal(reopen(), 0);
	assert_int_equal(client_read(&c, kept, 0, 100), 0);
	assert_string_equal((char *)c.payload, text);
	close_kept();
}

/* What the client itself has moved is found where it is now; what it has replaced meanwhile is not taken for it. */
static void test_moved(void **state)
{
	assert_int_equal(system("mkdir -p b/c d && echo other >d/f"), 0);
	open_kept("a/f", O_RDONLY);
	renames("a/f", "b/c/g", 0);
	spew("a/f", "another\n");
	is_found("content\n");
	open_kept("b/c/g", O_RDONLY);
	renames("/b/", "e/", 0);
	renames("e/c", "d/c", 0);
	assert_int_equal(system("mkdir -p b/c && echo another >b/c/g"), 0);
	is_found("content\n");
	open_kept("d/c/g", O_RDONLY);
	renames("a/f", "d/c/g", 2); /* RENAME_EXCHANGE */
	is_found("content\n");
	open_kept("d/c/g", O_RDONLY);
	renames("a/f", "d/c/g", 2);
	is_found("another\n");
}

/* What had no name has got one. */
static void test_linked(void **state)
{
	open_kept("a", O_RDWR | O_TMPFILE);
	assert_int_equal(client_write(&c, kept, 0, false, "content\n"), 0);
	assert_int_equal(mkdir("b", 0700), 0);
	links("b/made");
	is_found("content\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_out_of_the_root, setup, teardown),
		cmocka_unit_test_setup_teardown(test_deleted_elsewhere, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hostile, setup, teardown),
		cmocka_unit_test_setup_teardown(test_moved, setup, teardown),
		cmocka_unit_test_setup_teardown(test_linked, setup, teardown),
		cmocka_unit_test_setup_teardown(test_dead, setup, teardown),
		cmocka_unit_test_setup_teardown(test_read_only, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
