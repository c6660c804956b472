/* Locks at the agent: by owner and by description, tried and waited for. */
#include "test_agent.h"

#include <sys/file.h>

static char base[64];
static struct client c;

static int setup(void **state)
{
	if (tree_make(base, "mkdir a && echo hello >a/f"))
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

/* As client_lock with F_OFD_SETLK, waiting under TICKET. */
static int lock_wait(uint64_t ticket, uint64_t handle, uint64_t owner, int type)
{
	REQUEST(lock_wait);

	q.op.lock_wait.ticket = ticket;
	q.op.lock_wait.has_lock = true;
	q.op.lock_wait.lock = (rfs_Lock){ .handle = handle, .owner = owner, .command = F_OFD_SETLK, .type = type };
	return client_call(&c, &q);
}

static int flock_wait(uint64_t ticket, uint64_t handle, int operation)
{
	REQUEST(lock_wait);

	q.op.lock_wait.ticket = ticket;
	q.op.lock_wait.has_flock = true;
	q.op.lock_wait.flock = (rfs_Flock){ .handle = handle, .operation = operation };
	return client_call(&c, &q);
}

static int lock_cancel(uint64_t ticket)
{
	REQUEST(lock_cancel);

	q.op.lock_cancel.ticket = ticket;
	return client_call(&c, &q);
}

static void lock_release(uint64_t owner, uint64_t handle)
{
	REQUEST(lock_release);

	q.op.lock_release.owner = owner;
	q.op.lock_release.handle = handle;
	client_send(&c, &q, NULL, 0);
}

/* How the wait TICKET ended, as far as it was pushed (within MS milliseconds): an errno, or -1. */
static int lock_end(uint64_t ticket, int ms)
{
	struct pollfd p = { .fd = c.fd, .events = POLLIN };

	for (unsigned int i = 0;; i++) {
		if (i == c.pushes && poll(&p, 1, ms) <= 0)
			return -1;
		if (i == c.pushes)
			assert_int_equal(client_frame(&c), 0);
		if (c.push[i].which_event == rfs_Push_lock_end_tag && c.push[i].event.lock_end.ticket == ticket)
			return (int)c.push[i].event.lock_end.error;
	}
}

static void test_locks(void **state)
{
	uint64_t h1 = client_must_open(&c, "a/f", O_RDWR, 0), h2 = client_must_open(&c, "a/f", O_RDWR, 0);
	uint64_t ro = client_must_open(&c, "a/f", O_RDONLY, 0);

	assert_int_equal(client_lock(&c, h1, 0, F_OFD_SETLK, F_WRLCK, 0, 10), 0);
	assert_int_equal(client_lock(&c, h2, 0, F_OFD_SETLK, F_WRLCK, 5, 1), EAGAIN);
	assert_int_equal(client_lock(&c, h2, 0, F_OFD_GETLK, F_WRLCK, 5, 1), 0);
	assert_int_equal(c.reply.op.lock.type, F_WRLCK);
	assert_int_equal(c.reply.op.lock.length, 10);
	assert_int_equal(client_lock(&c, ro, 0, F_OFD_SETLK, F_WRLCK, 50, 1), EBADF);
	assert_int_equal(client_lock(&c, h1, 0, F_OFD_SETLK, F_UNLCK, 0, 0), 0);
	/* Two handles of one owner share; another owner conflicts; the last close releases. */
	assert_int_equal(client_lock(&c, h1, 7, F_OFD_SETLK, F_WRLCK, 0, 10), 0);
	assert_int_equal(client_lock(&c, h2, 7, F_OFD_SETLK, F_WRLCK, 5, 10), 0);
	assert_int_equal(client_lock(&c, ro, 8, F_OFD_SETLK, F_RDLCK, 0, 0), EAGAIN);
	assert_int_equal(client_lock(&c, ro, 8, F_OFD_GETLK, F_RDLCK, 0, 0), 0);
	assert_int_equal(c.reply.op.lock.type, F_WRLCK);
	client_close(&c, h2);
	assert_int_equal(client_lock(&c, ro, 8, F_OFD_SETLK, F_RDLCK, 0, 0), EAGAIN);
	client_close(&c, h1);
	assert_int_equal(client_lock(&c, ro, 8, F_OFD_SETLK, F_RDLCK, 0, 0), 0);
	h1 = client_must_open(&c, "a/f", O_RDWR, 0);
	assert_int_equal(client_lock(&c, h1, 7, F_OFD_SETLK, F_WRLCK, 0, 1), EAGAIN);
	assert_int_equal(client_lock(&c, ro, 8, F_OFD_SETLK, F_UNLCK, 0, 0), 0);
	assert_int_equal(client_lock(&c, h1, 7, F_OFD_SETLK, F_WRLCK, 0, 1), 0);
	assert_int_equal(client_lock(&c, h1, 7, F_SETLK, F_WRLCK, 0, 1), EINVAL);
}

static void test_lock_waits(void **state)
{
	uint64_t h1 = client_must_open(&c, "a/f", O_RDWR, 0), h2 = client_must_open(&c, "a/f", O_RDWR, 0);
	uint64_t h3 = client_must_open(&c, "a/f", O_RDONLY, 0);

	assert_int_equal(lock_wait(1, h1, 7, F_WRLCK), 0);
	assert_false(c.reply.op.lock_wait.waits);
	assert_int_equal(lock_wait(2, h2, 8, F_WRLCK), 0);
	assert_true(c.reply.op.lock_wait.waits);
	assert_int_equal(lock_wait(2, h2, 9, F_WRLCK), EEXIST);
	assert_int_equal(lock_wait(3, h3, 9, F_WRLCK), EBADF);
	assert_int_equal(lock_wait(0, h2, 9, F_WRLCK), EINVAL);
	assert_int_equal(lock_wait(3, h3, 9, F_RDLCK), 0);
	assert_int_equal(lock_end(2, 50), -1);
	/* One is taken back, the other comes when the owner gives up: by name, not by handle. */
	assert_int_equal(lock_cancel(3), 0);
	assert_int_equal(lock_end(3, 0), EINTR);
	lock_release(7, 0);
	assert_int_equal(lock_end(2, 2000), 0);
	assert_int_equal(lock_cancel(2), 0);
	assert_int_equal(client_lock(&c, h1, 7, F_OFD_SETLK, F_WRLCK, 0, 0), EAGAIN);
	lock_release(8, h1);
	assert_int_equal(client_lock(&c, h1, 7, F_OFD_SETLK, F_WRLCK, 0, 0), 0);
}

/* An owner that waits and gives all it has of the file free still conflicts with nothing of its own. */
static void test_lock_wait_of_owner(void **state)
{
	uint64_t h1 = client_must_open(&c, "a/f", O_RDWR, 0), h2 = client_must_open(&c, "a/f", O_RDWR, 0);

	assert_int_equal(client_lock(&c, h1, 7, F_OFD_SETLK, F_WRLCK, 0, 1), 0);
	assert_int_equal(client_lock(&c, h2, 8, F_OFD_SETLK, F_WRLCK, 5, 1), 0);
	assert_int_equal(lock_wait(1, h2, 8, F_WRLCK), 0);
	assert_true(c.reply.op.lock_wait.waits);
	lock_release(8, h2);
	assert_int_equal(client_lock(&c, h2, 8, F_OFD_SETLK, F_WRLCK, 9, 1), 0);
	assert_int_equal(client_lock(&c, h1, 7, F_OFD_SETLK, F_UNLCK, 0, 0), 0);
	assert_int_equal(lock_end(1, 2000), 0);
	assert_int_equal(client_lock(&c, h1, 7, F_OFD_SETLK, F_RDLCK, 9, 1), EAGAIN);
	lock_release(8, h2);
	assert_int_equal(client_lock(&c, h1, 7, F_OFD_SETLK, F_RDLCK, 9, 1), 0);
}

static int try_flock(uint64_t handle, int operation)
{
	REQUEST(flock);

	q.op.flock.handle = handle;
	q.op.flock.operation = operation;
	return client_call(&c, &q);
}

/* What an open file has locked goes before its handle does, and nothing else. */
static void test_release_of_file(void **state)
{
	uint64_t h1 = client_must_open(&c, "a/f", O_RDWR, 0), h2 = client_must_open(&c, "a/f", O_RDWR, 0);

	assert_int_equal(try_flock(h1, LOCK_SH), 0);
	assert_int_equal(client_lock(&c, h1, 0, F_OFD_SETLK, F_RDLCK, 0, 10), 0);
	assert_int_equal(client_lock(&c, h1, 7, F_OFD_SETLK, F_WRLCK, 20, 10), 0);
	assert_int_equal(try_flock(h2, LOCK_EX), EAGAIN);
	assert_int_equal(client_lock(&c, h2, 0, F_OFD_SETLK, F_WRLCK, 0, 10), EAGAIN);
	lock_release(0, h1);
	assert_int_equal(try_flock(h2, LOCK_EX), 0);
	assert_int_equal(client_lock(&c, h2, 0, F_OFD_SETLK, F_WRLCK, 0, 10), 0);
	assert_int_equal(client_lock(&c, h2, 0, F_OFD_SETLK, F_WRLCK, 20, 10), EAGAIN);
	assert_int_equal(client_read(&c, h1, 0, 10), 0);
	lock_release(0, 0);
	assert_int_equal(try_flock(h1, LOCK_SH), EAGAIN);
}

static void test_flock_waits(void **state)
{
	uint64_t h1 = client_must_open(&c, "a/f", O_RDWR, 0), h2 = client_must_open(&c, "a/f", O_RDWR, 0);

	assert_int_equal(flock_wait(1, h1, LOCK_EX), 0);
	assert_false(c.reply.op.lock_wait.waits);
	assert_int_equal(flock_wait(2, h2, LOCK_SH | LOCK_NB), EINVAL);
	assert_int_equal(flock_wait(2, h2, LOCK_SH), 0);
	assert_true(c.reply.op.lock_wait.waits);
	assert_int_equal(lock_cancel(2), 0);
	assert_int_equal(lock_end(2, 0), EINTR);
	assert_int_equal(flock_wait(3, h2, LOCK_SH), 0);
	client_close(&c, h1);
	assert_int_equal(lock_end(3, 2000), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_locks, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lock_waits, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lock_wait_of_owner, setup, teardown),
		cmocka_unit_test_setup_teardown(test_release_of_file, setup, teardown),
		cmocka_unit_test_setup_teardown(test_flock_waits, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
