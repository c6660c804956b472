/* The agent is killed, and its client finds everything as it was: by the protocol, with real processes. */
#include "killed.h"

#define ROUNDS 100

/* ---- */

static int setup(void **state)
{
	int fd = open("/dev/urandom", O_RDONLY);

	if (fd < 0 || read(fd, name, sizeof(name)) != sizeof(name) || tree_make(base, "mkdir d && mkfifo p r && echo -n text >f"))
		return -1;
	close(fd);
	client_start(&c, base, NULL);
	hello();
	return 0;
}

static int teardown(void **state)
{
	REQUEST(goodbye);

	assert_int_equal(call(&q), 0);
	assert_int_equal(client_status(&c), 0);
	agent_gone();
	return tree_remove(base);
}

static void test_without_a_session(void **state)
{
	struct client plain;
	char path[64];
	int fd;

	client_start(&plain, base, NULL);
	client_hello(&plain, false);
	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", plain.pid, plain.pid);
	fd = open(path, O_RDONLY);
	if (fd >= 0)
		assert_int_equal(read(fd, path, sizeof(path)), 0);
	close(fd);
	client_stop(&plain);
}

static bool outside_has(const char *path, short type, off_t start)
{
	struct flock f = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = start, .l_len = 1 };
	int fd = open(path, O_RDWR);

	assert_int_equal(fcntl(fd, F_OFD_GETLK, &f), 0);
	close(fd);
	return f.l_type == type;
}

static void kill_agent(void)
{
	pid_t old = agent_find();

	assert_int_equal(kill(old, SIGKILL), 0);
	agent_await(old);
}

static void test_files(void **state)
{
	uint64_t f = must_open("f", O_RDWR), gone, unnamed, dir;
	int64_t cookie = 0;
	REQUEST(list);

	for (int i = 0; i < 200; i++) {
		char path[32];

		snprintf(path, sizeof(path), "d/%d", i);
		assert_int_equal(close(creat(path, 0600)), 0);
	}
	gone = must_open("gone", O_RDWR | O_CREAT);
	assert_int_equal(put(gone, "unlinked", false), 0);
	assert_int_equal(unlink("gone"), 0);
	unnamed = must_open(".", O_RDWR | O_TMPFILE);
	assert_int_equal(put(unnamed, "unnamed", false), 0);
	dir = must_open("d", O_RDONLY | O_DIRECTORY);
	q.op.list.handle = dir;
	q.op.list.size = 2000;
	unsigned int names = 0;
	for (bool end = false; !end;) {
		q.op.list.cookie = cookie;
		assert_int_equal(call(&q), 0);
		pb_istream_t in = pb_istream_from_buffer(c.payload, c.payload_len);
		while (in.bytes_left) {
			rfs_Entry e;

			assert_true(pb_decode_delimited(&in, rfs_Entry_fields, &e));
			cookie = e.cookie;
			names++;
		}
		end = c.reply.op.list.complete;
		if (names < 60)
			kill_agent();
	}
	assert_int_equal(names, 202);
	for (int i = 0; i < 3; i++) {
		kill_agent();
		expect(f, i ? "text, and more" : "text");
		assert_int_equal(i ? 0 : put(f, ", and more", true), 0);
		expect(gone, "unlinked");
		expect(unnamed, "unnamed");
	}
	assert_int_equal(release(unnamed), 0);
	assert_int_equal(release(unnamed), EBADF);
}

static void test_locks(void **state)
{
	uint64_t a = must_open("f", O_RDWR), b = must_open("f", O_RDWR);
	REQUEST(flock);

	assert_int_equal(lock(a, 1, F_WRLCK, 0), 0);
	assert_int_equal(lock(a, 0, F_WRLCK, 10), 0);
	q.op.flock = (rfs_Flock){ .handle = b, .operation = LOCK_EX };
	assert_int_equal(call(&q), 0);
	kill_agent();
	assert_true(outside_has("f", F_WRLCK, 0) && outside_has("f", F_WRLCK, 10) && outside_has("f", F_UNLCK, 5));
	assert_int_equal(lock(b, 2, F_WRLCK, 0), EAGAIN);
	assert_int_equal(lock(b, 1, F_WRLCK, 0), 0);
	q.op.flock = (rfs_Flock){ .handle = a, .operation = LOCK_EX };
	assert_int_equal(call(&q), EAGAIN);
	kill_agent();
	assert_int_equal(release(b), 0);
	assert_true(outside_has("f", F_WRLCK, 0) && outside_has("f", F_WRLCK, 10));
	assert_int_equal(call(&q), 0);
	kill_agent();
	assert_int_equal(release(a), 0);
	assert_true(outside_has("f", F_UNLCK, 0) && outside_has("f", F_UNLCK, 10));
}

static void test_waits(void **state)
{
	uint64_t a = must_open("f", O_RDWR);
	int fd = open("f", O_RDWR | O_CLOEXEC);
	const rfs_LockEnd *end = NULL;
	REQUEST(lock_wait);

	assert_int_equal(flock(fd, LOCK_EX), 0);
	q.op.lock_wait.ticket = 7;
	q.op.lock_wait.has_flock = true;
	q.op.lock_wait.flock = (rfs_Flock){ .handle = a, .operation = LOCK_EX };
	assert_int_equal(call(&q), 0);
	assert_true(c.reply.op.lock_wait.waits);
	kill_agent();
	kill_agent();
	c.pushes = 0;
	flock(fd, LOCK_UN);
	await_push(rfs_Push_lock_end_tag, 0);
	for (unsigned int i = 0; i < c.pushes; i++)
		if (c.push[i].which_event == rfs_Push_lock_end_tag)
			end = &c.push[i].event.lock_end;
	assert_int_equal(end->ticket, 7);
	assert_int_equal(end->error, 0);
	assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), -1);
	close(fd);
}

static int receive(uint64_t handle)
{
	REQUEST(receive);

	q.op.receive.handle = handle;
	q.op.receive.size = 100;
	assert_int_equal(call(&q), 0);
	return (int)c.reply.op.channel.result;
}

static uint64_t waiting(const char *path, int flags)
{
	REQUEST(start);

	assert_int_equal(try_open(path, flags, true), 0);
	assert_true(c.reply.op.open.pending);
	q.op.start.handle = c.handle;
	assert_int_equal(call(&q), 0);
	assert_true(c.reply.op.channel.pending);
	return c.handle;
}

static void test_fifos(void **state)
{
	uint64_t reader = waiting("p", O_RDONLY), writer = waiting("r", O_WRONLY);
	int to, from;
	REQUEST(send);

	kill_agent();
	c.pushes = 0;
	to = open("p", O_WRONLY | O_CLOEXEC);
	await_push(rfs_Push_ready_tag, reader);
	assert_int_equal(write(to, "bytes", 5), 5);
	from = open("r", O_RDONLY | O_CLOEXEC);
	await_push(rfs_Push_ready_tag, writer);
	kill_agent(); /* what is in a FIFO stays there */
	assert_int_equal(receive(reader), 5);
	assert_memory_equal(c.payload, "bytes", 5);
	q.op.send.handle = writer;
	assert_int_equal(call_data(&q, "back", 4), 0);
	assert_int_equal(c.reply.op.channel.result, 4);
	kill_agent();
	char buf[8];
	assert_int_equal(read(from, buf, sizeof(buf)), 4);
	kill_agent();
	assert_int_equal(receive(reader), -EAGAIN);
	c.pushes = 0;
	close(to);
	await_push(rfs_Push_ready_tag, reader);
	assert_int_equal(receive(reader), 0);
	close(from);
}

static void test_watches(void **state)
{
	const rfs_Event *e = NULL;
	REQUEST(watch);

	WHERE(watch, 0, "d");
	q.op.watch.instance = 3;
	q.op.watch.mask = IN_CREATE;
	assert_int_equal(call(&q), 0);
	kill_agent();
	c.pushes = 0;
	assert_int_equal(close(creat("d/one", 0600)), 0); /* nobody reads it yet */
	kill_agent();
	assert_int_equal(remove_name("none", 0), ENOENT);
	await_push(rfs_Push_watched_tag, 0);
	for (unsigned int i = 0; i < c.pushes && !e; i++)
		if (c.push[i].which_event == rfs_Push_watched_tag)
			e = &c.push[i].event.watched;
	assert_int_equal(e->instance, 3);
	assert_int_equal(e->mask, IN_CREATE);
	assert_memory_equal(e->name.bytes, "one", 3);
}

/* The file is watched as ever: who was promised to be told of its changes is. */
static void test_promises(void **state)
{
	uint64_t f = must_open("f", O_RDONLY);
	REQUEST(read);

	assert_true(c.reply.op.open.coherent & rfs_Coherent_HANDLE);
	kill_agent();
	q.op.read.handle = f;
	q.op.read.size = 10;
	c.pushes = 0;
	assert_int_equal(call(&q), 0);
	assert_true(pushed(rfs_Push_changed_tag, f) && pushed(rfs_Push_invalidate_tag, 0));
	client_settle(&c);
	assert_int_equal(call(&q), 0);
	spew("f", "new");
	await_push(rfs_Push_changed_tag, f);
}

/* ---- at any time ---- */

static atomic_bool stop;
static atomic_int kills;

static void *killer(void *arg)
{
	unsigned int seed = (unsigned int)getpid();

	while (!stop) {
		pid_t pid;

		usleep(2000 + (useconds_t)(rand_r(&seed) % 20000));
		pid = agent_find();
		
		if (pid && kill(pid, SIGKILL) == 0)
			kills++;
	}
	return NULL;
}

static void test_nothing_twice(void **state)
{
	pthread_t thread;
	uint64_t log = must_open("log", O_RDWR | O_CREAT);
	char text[32], want[32];
	FILE *f;

	stop = false;
	pthread_create(&thread, NULL, killer, NULL);
	for (int i = 0; i < 30 * ROUNDS && kills < ROUNDS; i++) {
		snprintf(text, sizeof(text), "record %d\n", i);
		assert_int_equal(put(log, text, true), 0);
		assert_int_equal(c.reply.op.write.written, strlen(text));
		assert_int_equal(try_open("new", O_RDWR | O_CREAT | O_EXCL, false), 0);
		assert_int_equal(put(c.handle, text, true), 0);
		assert_int_equal(release(c.handle), 0);
		assert_int_equal(two_names(rfs_Request_link_tag, "new", "linked"), 0);
		assert_int_equal(two_names(rfs_Request_rename_tag, "new", "moved"), 0);
		assert_int_equal(make_dir("dir"), 0);
		assert_int_equal(remove_name("dir", AT_REMOVEDIR), 0);
		expect(must_open("linked", O_RDONLY), text);
		assert_int_equal(release(c.handle), 0);
		assert_int_equal(remove_name("linked", 0), 0);
		assert_int_equal(remove_name("moved", 0), 0);
		c.pushes = 0;
	}
	stop = true;
	pthread_join(thread, NULL);
	assert_true(kills > 5);
	f = fopen("log", "r");
	for (int i = 0; fgets(text, sizeof(text), f); i++) {
		snprintf(want, sizeof(want), "record %d\n", i);
		assert_string_equal(text, want);
	}
	fclose(f);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(without_a_session), TEST(files), TEST(locks), TEST(waits), TEST(fifos), TEST(watches), TEST(promises),
		TEST(nothing_twice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
