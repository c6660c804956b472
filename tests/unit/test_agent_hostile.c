/* Clients that break the rules, and how the agent ends. */
#include "test_agent.h"

#include <sched.h>
#include <sys/mount.h>

static char base[64];
static struct client c;

static int begin(void **state)
{
	return tree_make(base, "mkdir -p t/a/b && echo hello >t/a/f && ln -s b t/a/d");
}

static int end(void **state)
{
	char cmd[512];

	snprintf(cmd, sizeof(cmd), "umount -l %s/t/a/b 2>/dev/null; rm -rf %s", base, base);
	return chdir("/") || system(cmd);
}

static void start(void)
{
	client_start(&c, "t", NULL);
	client_hello(&c, false);
}

static void expect_end(int status)
{
	char b[4096];

	shutdown(c.fd, SHUT_WR);
	while (read(c.fd, b, sizeof(b)) > 0)
		;
	assert_int_equal(client_status(&c), status);
}

static int took_ms(const struct timespec *from)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (now.tv_sec - from->tv_sec) * 1000 + (now.tv_nsec - from->tv_nsec) / 1000000;
}

static void test_eof(void **state)
{
	struct timespec a;

	start();
	client_must_open(&c, "a/f", O_RDONLY, 0);
	clock_gettime(CLOCK_MONOTONIC, &a);
	expect_end(0);
	assert_true(took_ms(&a) < (getenv("TEST_SANITIZED") ? 5000 : 500));
}

/* A lease makes truncate(2) wait for its holder. */
static void test_slow_change(void **state)
{
	struct timespec a;
	uint32_t slow, id;
	int fd, i;
	rfs_Request q = { .which_op = rfs_Request_truncate_tag };

	start();
	fd = open("t/a/f", O_RDONLY);
	signal(SIGIO, SIG_IGN);
	if (fcntl(fd, F_SETLEASE, F_RDLCK))
		skip();
	WHERE(truncate, 0, "a/f");
	slow = client_send(&c, &q, NULL, 0);
	clock_gettime(CLOCK_MONOTONIC, &a);
	for (i = 0; i < 50; i++)
		assert_int_equal(client_stat(&c, "a/b"), 0);
	assert_true(took_ms(&a) < 500);
	fcntl(fd, F_SETLEASE, F_UNLCK);
	close(fd);
	while ((id = client_frame(&c)) != slow)
		assert_int_equal(id, 0);
	assert_int_equal(c.reply.error, 0);
	client_stop(&c);
}

/* A file system whose server never answers: requests that are usually quick, stuck for ever. */
static void test_stuck(void **state)
{
	rfs_Request q = { .which_op = rfs_Request_stat_tag };
	struct timespec a;
	char options[128];
	int fuse = -1, i;

	if (geteuid() || (fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC)) < 0)
		skip();
	/* Not in a chroot, whose root is no mount. */
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		skip();
	snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0", fuse);
	if (mount("stuck", "t/a/b", "fuse", 0, options))
		skip();
	start();
	WHERE(stat, 0, "a/b/x");
	for (i = 0; i < 20; i++)
		client_send(&c, &q, NULL, 0);
	clock_gettime(CLOCK_MONOTONIC, &a);
	for (i = 0; i < 50; i++)
		assert_int_equal(client_stat(&c, "a/f"), 0);
	assert_true(took_ms(&a) < 500);
	clock_gettime(CLOCK_MONOTONIC, &a);
	expect_end(0);
	assert_true(took_ms(&a) < 500);
	close(fuse);
	umount2("t/a/b", MNT_DETACH);
}

/* Nothing was promised yet: what changes before the first reply is not pushed in front of it. */
static void test_hello_is_first(void **state)
{
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		skip();
	client_start(&c, "t", NULL);
	usleep(200000);
	assert_int_equal(mount("t/a", "t/a", NULL, MS_BIND, NULL), 0);
	usleep(50000);
	client_hello(&c, false);
	assert_int_equal(c.pushes, 0);
	expect_end(0);
	umount2("t/a", MNT_DETACH);
}

static void test_bad_frames(void **state)
{
	static const uint8_t frames[][FRAME_HEADER_SIZE] = {
		{ 'G', 'E', 'T', ' ', '/' },
		{ 'F', 'R', 1, FRAME_REPLY, 1 },
		{ 'F', 'R', 1, FRAME_REQUEST, 1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff },
		{ 'F', 'R', 1, FRAME_REQUEST, 1, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff },
	};
	size_t i;

	for (i = 0; i < 4; i++) {
		start();
		assert_int_equal(write(c.fd, frames[i], FRAME_HEADER_SIZE), FRAME_HEADER_SIZE);
		expect_end(125);
	}
	start(); /* a message that ends early */
	client_send_raw(&c, "\x12\x7f", 2, 1, NULL, 0);
	expect_end(125);
	client_start(&c, "t", NULL); /* no hello */
	REQUEST(stat);
	WHERE(stat, 0, "a");
	client_send(&c, &q, NULL, 0);
	expect_end(125);
	start(); /* the stream ends inside a frame */
	assert_int_equal(write(c.fd, "FR\1\1", 4), 4);
	expect_end(0);
}

static void test_bad_requests(void **state)
{
	rfs_Request q = { 0 };
	size_t i;
	static const pb_size_t with_where[] = { rfs_Request_open_tag, rfs_Request_stat_tag, rfs_Request_access_tag,
		rfs_Request_readlink_tag, rfs_Request_mkdir_tag, rfs_Request_unlink_tag, rfs_Request_rename_tag,
		rfs_Request_truncate_tag };

	start();
	assert_int_equal(client_call(&c, &q), ENOSYS); /* an operation of the future */
	assert_int_equal(client_call_data(&c, &q, "payload", 7), ENOSYS);
	for (i = 0; i < sizeof(with_where) / sizeof(with_where[0]); i++) {
		memset(&q, 0, sizeof(q));
		q.which_op = with_where[i];
		if (q.which_op == rfs_Request_open_tag)
			q.op.open.handle = 77;
		assert_int_equal(client_call(&c, &q), EINVAL);
	}
	memset(&q, 0, sizeof(q));
	q.which_op = rfs_Request_stat_tag;
	WHERE(stat, 0, "a/f");
	assert_int_equal(client_call_data(&c, &q, "payload", 7), EINVAL);
	q.op.stat.where.path.bytes[1] = '\0';
	assert_int_equal(client_call(&c, &q), ENOENT);
	WHERE(stat, 12345, "a/f");
	assert_int_equal(client_call(&c, &q), EBADF);
	memset(&q, 0, sizeof(q));
	q.which_op = rfs_Request_hello_tag;
	q.op.hello.version = 1;
	assert_int_equal(client_call(&c, &q), EPROTO);
	memset(&q, 0, sizeof(q));
	q.which_op = rfs_Request_open_tag;
	q.op.open.handle = 99;
	WHERE(open, 0, "a/f");
	assert_int_equal(client_call_data(&c, &q, "payload", 7), EINVAL);
	assert_int_equal(client_call(&c, &q), 0); /* the number was given back */
	assert_int_equal(client_read(&c, 99, UINT64_MAX, 10), EINVAL);
	assert_int_equal(client_list(&c, 99, INT64_MIN, 0), ENOTDIR);
	client_close(&c, 4711);
	client_stop(&c);
}

/* A request that names its own handle, and two that name each other's: more of them than the agent has threads. */
static void test_waits_for_itself(void **state)
{
	static const pb_size_t makers[] = { rfs_Request_open_tag, rfs_Request_connect_tag, rfs_Request_bind_tag };
	rfs_Request q;
	uint32_t last = 0;

	start();
	for (unsigned int i = 0; i < 100; i++) {
		memset(&q, 0, sizeof(q));
		q.which_op = rfs_Request_accept_tag;
		q.op.accept = (rfs_Accept){ .handle = i + 1, .listener = i + 1 };
		client_send(&c, &q, NULL, 0);
		memset(&q, 0, sizeof(q));
		q.which_op = makers[i % 3];
		if (i % 3 == 0) {
			WHERE(open, 1001 + (i ^ 1), "b");
			q.op.open.handle = 1001 + i;
		} else if (i % 3 == 1) {
			WHERE(connect, 1001 + i, "b");
			q.op.connect = (rfs_Connect){ .has_where = true, .where = q.op.connect.where, .handle = 1001 + i, .type = SOCK_STREAM };
		} else {
			WHERE(bind, 1001 + i, "s");
			q.op.bind = (rfs_Bind){ .has_where = true, .where = q.op.bind.where, .handle = 1001 + i, .type = SOCK_STREAM };
		}
		last = client_send(&c, &q, NULL, 0);
	}
	for (unsigned int answers = 0; answers < 200;) {
		struct pollfd p = { .fd = c.fd, .events = POLLIN };

		assert_int_equal(poll(&p, 1, 10000), 1);
		if (!client_frame(&c))
			continue;
		assert_int_equal(c.reply.which_op == rfs_Reply_channel_tag ? -c.reply.op.channel.result : c.reply.error, EBADF);
		answers++;
	}
	assert_int_equal(c.id, last);
	assert_int_equal(client_stat(&c, "a/f"), 0);
	client_stop(&c);
}

/* The padding of an odd bound: one byte more than a path or a name has. */
static void test_one_too_long(void **state)
{
	REQUEST(getxattr);

	start();
	WHERE(getxattr, 0, "a/f");
	memset(q.op.getxattr.name.bytes, 'x', 256);
	q.op.getxattr.name.size = 256;
	assert_int_equal(client_call(&c, &q), ERANGE);
	memset(&q, 0, sizeof(q));
	q.which_op = rfs_Request_stat_tag;
	q.op.stat.has_where = true;
	memset(q.op.stat.where.path.bytes, '/', 4096);
	q.op.stat.where.path.size = 4096;
	assert_int_equal(client_call(&c, &q), ENAMETOOLONG);
	q.op.stat.where.path.size = 4095;
	assert_int_equal(client_call(&c, &q), 0);
	client_stop(&c);
}

/* What a link with a slash behind it leads to is inside of the root, also for linkat(2). */
static void test_link_with_slash(void **state)
{
	REQUEST(link);

	assert_int_equal(system("mkdir out && touch out/file && ln -s ../../out/file t/a/up && ln -s ../../out t/a/updir"), 0);
	start();
	where_set(&q.op.link.to, &q.op.link.has_to, 0, "a/new");
	where_set(&q.op.link.from, &q.op.link.has_from, 0, "a/up/");
	assert_int_equal(client_call(&c, &q), ENOENT);
	where_set(&q.op.link.from, &q.op.link.has_from, 0, "a/updir/");
	assert_int_equal(client_call(&c, &q), ENOENT);
	where_set(&q.op.link.from, &q.op.link.has_from, 0, "a/f/");
	assert_int_equal(client_call(&c, &q), ENOTDIR);
	where_set(&q.op.link.from, &q.op.link.has_from, 0, "a/d/");
	assert_int_equal(client_call(&c, &q), EPERM);
	where_set(&q.op.link.from, &q.op.link.has_from, 0, "a/up");
	assert_int_equal(client_call(&c, &q), 0);
	assert_int_equal(client_readlink(&c, "a/new"), 0);
	client_stop(&c);
}

static void test_version(void **state)
{
	rfs_Request q = { .which_op = rfs_Request_hello_tag };

	client_start(&c, "t", NULL);
	assert_int_equal(client_call(&c, &q), EPROTONOSUPPORT);
	q.op.hello.version = 900;
	assert_int_equal(client_call(&c, &q), 0);
	assert_int_equal(c.reply.op.hello.version, 1);
	client_stop(&c);
}

/* Damaged requests, at random but the same every time: the agent answers or gives up, and never crashes. */
static void test_garbage(void **state)
{
	uint8_t msg[FRAME_MAX_MESSAGE];
	char b[65536] = "";
	unsigned int round, i;

	srand(1);
	for (round = 0; round < 300; round++) {
		REQUEST(stat);
		pb_ostream_t o = pb_ostream_from_buffer(msg, sizeof(msg));

		start();
		q.which_op = 2 + rand() % 15;
		if (q.which_op == rfs_Request_close_tag)
			q.op.close.handle = rand();
		else
			WHERE(stat, rand() % 3, "a/f");
		assert_true(pb_encode(&o, rfs_Request_fields, &q));
		for (i = 0; i < 5; i++) {
			if (o.bytes_written)
				msg[rand() % o.bytes_written] = rand();
			struct frame_header h = { FRAME_REQUEST, i + 1, o.bytes_written, rand() % 2 ? rand() % 100 : 0 };
			uint8_t raw[FRAME_HEADER_SIZE];
			struct iovec iov[] = { { raw, sizeof(raw) }, { msg, h.message_len }, { b, h.payload_len } };

			frame_encode(raw, &h);
			if (frame_writev_full(c.fd, iov, 3))
				break; /* it gave up already */
		}
		shutdown(c.fd, SHUT_WR);
		while (read(c.fd, b, sizeof(b)) > 0)
			;
		i = client_status(&c);
		if (i != 0 && i != 125)
			print_error("round %u: status %u\n", round, i);
		assert_true(i == 0 || i == 125);
	}
}

/* Who may write into the agent's memory is the agent, wherever its root is. */
static void memory_refused(const char *option)
{
	static const char *const paths[] = { "self/mem", "thread-self/mem", "%d/mem", "%d/task/../mem", "%d/task/%d/mem" };
	static const int flags[] = { O_RDONLY, O_WRONLY, O_RDWR, O_RDWR | O_TRUNC };
	struct client p;
	char path[64];

	client_start(&p, "/proc", option);
	client_hello(&p, false);
	for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
		snprintf(path, sizeof(path), paths[i], (int)p.pid, (int)p.pid);
		for (size_t j = 0; j < sizeof(flags) / sizeof(*flags); j++)
			assert_int_equal(client_open(&p, path, flags[j], 0), EACCES);
	}
	uint64_t handle = client_must_open(&p, "self/mem", O_PATH | O_NOFOLLOW, 0);
	for (size_t j = 0; j < sizeof(flags) / sizeof(*flags); j++)
		assert_int_equal(client_open_at(&p, handle, "", flags[j], 0, 0), EACCES);
	assert_int_equal(client_open(&p, "self/status", O_RDONLY, 0), 0);
	client_stop(&p);
}

static void test_memory(void **state)
{
	memory_refused(NULL);
	memory_refused("--no-openat2");
}

static void test_options(void **state)
{
	static const struct { const char *args; int status; } t[] = {
		{ "--help >/dev/null", 0 }, { "--version >/dev/null", 0 }, { "2>/dev/null", 2 }, { "--stdio 2>/dev/null", 2 },
		{ "--nonsense 2>/dev/null", 2 }, { "--stdio --root 2>/dev/null", 2 },
		{ "--stdio --root / x 2>/dev/null", 2 }, { "--stdio --root /none 2>/dev/null", 125 },
		{ "--stdio --root / </dev/null", 0 },
	};
	char cmd[4200];
	size_t i;

	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		snprintf(cmd, sizeof(cmd), "%s %s", agent_binary, t[i].args);
		assert_int_equal(WEXITSTATUS(system(cmd)), t[i].status);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_eof, begin, end),
		cmocka_unit_test_setup_teardown(test_slow_change, begin, end),
		cmocka_unit_test_setup_teardown(test_stuck, begin, end),
		cmocka_unit_test_setup_teardown(test_hello_is_first, begin, end),
		cmocka_unit_test_setup_teardown(test_bad_frames, begin, end),
		cmocka_unit_test_setup_teardown(test_bad_requests, begin, end),
		cmocka_unit_test_setup_teardown(test_waits_for_itself, begin, end),
		cmocka_unit_test_setup_teardown(test_one_too_long, begin, end),
		cmocka_unit_test_setup_teardown(test_link_with_slash, begin, end),
		cmocka_unit_test_setup_teardown(test_version, begin, end),
		cmocka_unit_test_setup_teardown(test_garbage, begin, end),
		cmocka_unit_test(test_memory),
		cmocka_unit_test(test_options),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
