/* FIFOs and sockets as the agent serves them: nothing waits, and Ready tells. */
#include "test_agent.h"

#include <sys/un.h>

static char base[64];
static struct client c;

static int start(const char *option)
{
	if (tree_make(base, "mkfifo -m 600 fifo"))
		return -1;
	client_start(&c, base, option);
	client_hello(&c, false);
	return 0;
}

static int setup(void **state)
{
	return start(NULL);
}

static int setup_read_only(void **state)
{
	return start("--read-only");
}

static int teardown(void **state)
{
	client_stop(&c);
	return tree_remove(base);
}

static int open_wait(int flags)
{
	REQUEST(open);

	WHERE(open, 0, "fifo");
	q.op.open.handle = ++c.handle;
	q.op.open.flags = flags;
	q.op.open.wait = true;
	return client_call(&c, &q);
}

/* The reply's error, else its result. */
static long answer(const rfs_Request *q, const char *data, size_t len)
{
	int error = client_call_data(&c, q, data, len);

	return error ? -error : c.reply.op.channel.result;
}

static long start_handle(uint64_t handle)
{
	REQUEST(start);

	q.op.start.handle = handle;
	return answer(&q, NULL, 0);
}

static long receive(uint64_t handle, uint32_t size)
{
	REQUEST(receive);

	q.op.receive.handle = handle;
	q.op.receive.size = size;
	return answer(&q, NULL, 0);
}

static long send_text(uint64_t handle, const char *text)
{
	REQUEST(send);

	q.op.send.handle = handle;
	return answer(&q, text, strlen(text));
}

static long control(uint64_t handle, uint32_t what, int64_t value)
{
	REQUEST(control);

	q.op.control.handle = handle;
	q.op.control.what = what;
	q.op.control.value = value;
	return answer(&q, NULL, 0);
}

/* The last Ready about HANDLE, waiting for one that has all of WANTED. */
static const rfs_Ready *ready(uint64_t handle, uint32_t wanted)
{
	struct pollfd p = { .fd = c.fd, .events = POLLIN };
	const rfs_Ready *found;

	for (;;) {
		found = NULL;
		for (unsigned int i = 0; i < c.pushes; i++)
			if (c.push[i].which_event == rfs_Push_ready_tag && c.push[i].event.ready.handle == handle)
				found = &c.push[i].event.ready;
		if (found && (found->ready & wanted) == wanted)
			return found;
		if (poll(&p, 1, 3000) <= 0)
			return NULL;
		assert_int_equal(client_frame(&c), 0);
	}
}

static void test_fifo(void **state)
{
	uint64_t r = client_must_open(&c, "fifo", O_RDONLY, 0), w = client_must_open(&c, "fifo", O_WRONLY, 0);

	assert_false(c.reply.op.open.pending);
	assert_int_equal(start_handle(r), 0);
	assert_int_equal(start_handle(w), 0);
	assert_int_equal(c.reply.op.channel.ready, POLLOUT);
	assert_int_equal(receive(r, 10), -EAGAIN);
	c.pushes = 0;
	assert_int_equal(send_text(w, "hello"), 5);
	/* Before the reply, not some time later. */
	assert_true(c.pushes == 1 && c.push[0].event.ready.handle == r && c.push[0].event.ready.ready == POLLIN);
	assert_int_equal(control(r, rfs_Controls_READABLE, 0), 5);
	assert_int_equal(receive(r, 3), 3);
	assert_memory_equal(c.payload, "hel", 3);
	assert_true(c.reply.op.channel.ready & POLLIN);
	client_close(&c, w);
	assert_non_null(ready(r, POLLHUP));
	assert_int_equal(receive(r, 10), 2);
	assert_int_equal(receive(r, 10), 0);
	assert_int_equal(receive(r, FRAME_MAX_PAYLOAD + 1), -EINVAL);
	assert_int_equal(client_read(&c, r, 0, 1), ESPIPE);
}

static void test_waiting(void **state)
{
	int fd;

	assert_int_equal(open_wait(O_WRONLY), 0);
	assert_true(c.reply.op.open.pending && S_ISFIFO(c.reply.op.open.attr.mode));
	assert_int_equal(send_text(c.handle, "x"), -EBADF);
	assert_int_equal(start_handle(c.handle), 0);
	assert_true(c.reply.op.channel.pending);
	assert_int_equal(start_handle(c.handle), -EALREADY);
	fd = open("fifo", O_RDONLY);
	assert_non_null(ready(c.handle, POLLOUT));
	assert_int_equal(control(c.handle, rfs_Controls_GIVE_UP, 0), 0);
	assert_int_equal(send_text(c.handle, "x"), 1);
	client_close(&c, c.handle);
	close(fd);
	/* A writer who has come and gone has been there. */
	assert_int_equal(open_wait(O_RDONLY), 0);
	fd = open("fifo", O_WRONLY);
	close(fd);
	assert_int_equal(start_handle(c.handle), 0);
	assert_non_null(ready(c.handle, 0));
	assert_int_equal(receive(c.handle, 1), 0);
	client_close(&c, c.handle);
	assert_int_equal(open_wait(O_WRONLY), 0);
	assert_int_equal(start_handle(c.handle), 0);
	assert_int_equal(control(c.handle, rfs_Controls_GIVE_UP, 0), -EINTR);
	client_close(&c, c.handle);
	assert_int_equal(open_wait(O_WRONLY), 0);
	assert_int_equal(start_handle(c.handle), 0);
	client_close(&c, c.handle);
	assert_int_equal(client_stat(&c, "fifo"), 0);
}

static int bind_at(const char *path, int type)
{
	REQUEST(bind);

	WHERE(bind, 0, path);
	q.op.bind.handle = ++c.handle;
	q.op.bind.type = type;
	q.op.bind.mode = 0777;
	q.op.bind.umask = 027;
	return client_call(&c, &q);
}

static int connect_to(const char *path, int type)
{
	REQUEST(connect);

	WHERE(connect, 0, path);
	q.op.connect.handle = ++c.handle;
	q.op.connect.type = type;
	return client_call(&c, &q);
}

static long accept_from(uint64_t listener)
{
	REQUEST(accept);

	q.op.accept.listener = listener;
	q.op.accept.handle = ++c.handle;
	return answer(&q, NULL, 0);
}

static void test_sockets(void **state)
{
	uint64_t l, a, b;
	struct stat st;

	assert_int_equal(connect_to("none", SOCK_STREAM), ENOENT);
	assert_int_equal(connect_to("fifo", SOCK_STREAM), ECONNREFUSED);
	assert_int_equal(connect_to("fifo", 77), EINVAL);
	assert_int_equal(bind_at("fifo", SOCK_STREAM), EADDRINUSE);
	assert_int_equal(bind_at("../../s", SOCK_STREAM), 0); /* ".." stays inside */
	assert_int_equal(bind_at("none/s", SOCK_STREAM), ENOENT);
	assert_int_equal(stat("s", &st), 0);
	assert_int_equal(st.st_mode, S_IFSOCK | 0750);
	l = c.handle - 1;
	assert_int_equal(connect_to("s", SOCK_STREAM), ECONNREFUSED);
	assert_int_equal(control(l, rfs_Controls_LISTEN, 5), 0);
	assert_int_equal(start_handle(l), 0);
	assert_int_equal(accept_from(l), -EAGAIN);
	assert_int_equal(connect_to("s", SOCK_DGRAM), EPROTOTYPE);
	assert_int_equal(connect_to("s", SOCK_STREAM), 0);
	a = c.handle;
	assert_non_null(ready(l, POLLIN));
	assert_int_equal(accept_from(l), 0);
	assert_false(c.reply.op.channel.ready & POLLIN);
	b = c.handle;
	assert_int_equal(start_handle(b), 0);
	assert_int_equal(send_text(a, "over"), 4);
	assert_int_equal(receive(b, 100), 4);
	assert_int_equal(control(a, rfs_Controls_SHUTDOWN, SHUT_WR), 0);
	assert_int_equal(receive(b, 100), 0);
	client_close(&c, a);
	assert_int_equal(send_text(b, "x"), -EPIPE);
	assert_int_equal(client_open(&c, "s", O_RDWR, 0), ENXIO);
	assert_int_equal(accept_from(b), -EINVAL);
	assert_int_equal(accept_from(999), -EBADF);
}

static void test_read_only(void **state)
{
	int fd = open("fifo", O_RDONLY | O_NONBLOCK);

	assert_int_equal(bind_at("new", SOCK_STREAM), EROFS);
	assert_int_equal(bind_at("fifo", SOCK_STREAM), EADDRINUSE);
	client_must_open(&c, "fifo", O_WRONLY, 0);
	assert_int_equal(send_text(c.handle, "x"), 1);
	assert_int_equal(access("new", F_OK), -1);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_fifo, setup, teardown),
		cmocka_unit_test_setup_teardown(test_waiting, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sockets, setup, teardown),
		cmocka_unit_test_setup_teardown(test_read_only, setup_read_only, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
