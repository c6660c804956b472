/* What becomes of an open FIFO, or one that is being opened, while nobody serves it: in each way of losing the agent. */
#include "agent_lost.h"

static long flow(pb_size_t op, uint64_t handle, const char *text)
{
	rfs_Request q = { .which_op = op };

	if (op == rfs_Request_send_tag)
		q.op.send.handle = handle;
	else
		q.op.receive = (rfs_Receive){ .handle = handle, .size = 100 };
	assert_int_equal(client_call_data(&c, &q, text, strlen(text)), 0);
	return c.reply.op.channel.result;
}

/* The bytes in a FIFO that nobody else has open, and what its reader sees of its writer's end. */
static void fifo(enum way way)
{
	bool another = is_another(way);
	char text[16];
	int reader;

	assert_int_equal(system("mkfifo a/alone a/read"), 0);
	open_kept("a/alone", O_RDWR);
	assert_int_equal(flow(rfs_Request_send_tag, kept, "alone"), 5);
	agent_lose(way);
	assert_int_equal(return_kept(way, base), 0);
	assert_int_equal(flow(rfs_Request_receive_tag, kept, ""), another ? -EAGAIN : 5);
	c.handle = kept;

	reader = open("a/read", O_RDONLY | O_NONBLOCK);
	open_kept("a/read", O_WRONLY);
	assert_int_equal(flow(rfs_Request_send_tag, kept, "read"), 4);
	agent_lose(way);
	assert_int_equal(read(reader, text, sizeof(text)), 4);
	assert_int_equal(read(reader, text, sizeof(text)), another ? 0 : -1);
	assert_int_equal(return_kept(way, base), 0);
	assert_int_equal(read(reader, text, sizeof(text)), -1);
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(flow(rfs_Request_send_tag, kept, "again"), 5);
	assert_int_equal(read(reader, text, sizeof(text)), 5);
	close(reader);
}

static void start_waiting(void)
{
	REQUEST(start);

	q.op.start.handle = kept;
	assert_int_equal(client_call(&c, &q), 0);
	assert_true(c.reply.op.channel.pending);
}

static bool is_ready(void)
{
	for (unsigned int i = 0; i < c.pushes; i++)
		if (c.push[i].which_event == rfs_Push_ready_tag && c.push[i].event.ready.handle == kept)
			return !c.push[i].event.ready.error;
	return false;
}

/* The wait for the other end goes on, of a writer and of a reader. */
static void fifo_waited_for(enum way way)
{
	static const int modes[] = { O_WRONLY, O_RDONLY };

	assert_int_equal(system("mkfifo a/wait"), 0);
	for (int i = 0; i < 2; i++) {
		REQUEST(open);
		int other;

		WHERE(open, 0, "a/wait");
		q.op.open = (rfs_Open){ .has_where = true, .where = q.op.open.where, .handle = ++c.handle, .flags = modes[i], .wait = true };
		assert_int_equal(client_call(&c, &q), 0);
		assert_true(c.reply.op.open.pending);
		kept = c.handle;
		ticket_keep(kept, modes[i]);
		ticket.wait = true;
		start_waiting();
		agent_lose(way);
		assert_int_equal(return_kept(way, base), 0);
		if (is_another(way)) {
			assert_true(c.reply.op.open.pending);
			start_waiting();
		}
		assert_false(is_ready());
		other = open("a/wait", modes[!i] | O_NONBLOCK);
		assert_true(other >= 0);
		while (!is_ready())
			assert_int_equal(client_frame(&c), 0);
		close_kept();
		close(other);
	}
}

static void test_bytes(void **state)
{
	in_each_way(fifo);
}

static void test_waited_for(void **state)
{
	in_each_way(fifo_waited_for);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_waited_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
