/* What is kept of open files and locks for another agent, and what that one is asked. */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>

#include <cmocka.h>

#include "reopen.h"

static struct reopen *r;

static int setup(void **state)
{
	r = reopen_new();
	return 0;
}

static int teardown(void **state)
{
	reopen_free(r);
	return 0;
}

/* REQ is sent and answered with REP. */
static void ask(const rfs_Request *req, const rfs_Reply *rep)
{
	struct reopen_note note;

	reopen_note(req, &note);
	reopen_sent(r, &note);
	reopen_done(r, &note, rep);
}

static void opens(uint64_t handle, uint64_t ino, uint32_t flags, const char *ticket)
{
	rfs_Request q = { .which_op = rfs_Request_open_tag, .op.open = { .handle = handle, .flags = flags } };
	rfs_Reply a = { .which_op = rfs_Reply_open_tag };

	a.op.open.attr.ino = ino;
	a.op.open.ticket.size = strlen(ticket);
	memcpy(a.op.open.ticket.bytes, ticket, strlen(ticket));
	ask(&q, &a);
}

static void closes(uint64_t handle)
{
	ask(&(rfs_Request){ .which_op = rfs_Request_close_tag, .op.close.handle = handle }, NULL);
}

/* LENGTH 0: to the end. */
static void locks(uint64_t handle, uint64_t owner, int type, uint64_t start, uint64_t length, uint32_t error)
{
	rfs_Request q = { .which_op = rfs_Request_lock_tag,
			  .op.lock = { handle, owner, F_OFD_SETLK, type, start, length } };

	ask(&q, &(rfs_Reply){ .error = error, .which_op = error ? 0 : rfs_Reply_lock_tag });
}

static void flocks(uint64_t handle, int operation)
{
	ask(&(rfs_Request){ .which_op = rfs_Request_flock_tag, .op.flock = { handle, operation } }, &(rfs_Reply){ .error = 0 });
}

/* What is to be asked, one line: "reopen 3 t3; lock 3 7 1 0+0; " … */
static const char *plan(reopen_list *list)
{
	static char text[4096];
	struct reopen_step *steps;
	static rfs_Request q;
	size_t count = list(r, &steps), at = 0;

	text[0] = '\0';
	for (size_t i = 0; i < count; i++) {
		const rfs_Lock *lock = &q.op.lock;

		reopen_request(r, &steps[i], &q);
		if (q.which_op == rfs_Request_lock_wait_tag) {
			at += sprintf(text + at, "wait %lu ", q.op.lock_wait.ticket);
			lock = &q.op.lock_wait.lock;
		}
		if (q.which_op == rfs_Request_reopen_tag)
			at += sprintf(text + at, "%s %lu %.*s; ", q.op.reopen.wait ? "wait" : "reopen", q.op.reopen.handle,
				      (int)q.op.reopen.ticket.size, (char *)q.op.reopen.ticket.bytes);
		else if (q.which_op == rfs_Request_flock_tag)
			at += sprintf(text + at, "flock %lu %u; ", q.op.flock.handle, q.op.flock.operation);
		else if (q.which_op == rfs_Request_watch_tag)
			at += sprintf(text + at, "%s %lu.%d %x %.*s; ", q.ordered ? "watch" : "?", q.op.watch.instance, q.op.watch.wd,
				      q.op.watch.mask, (int)q.op.watch.ticket.size, (char *)q.op.watch.ticket.bytes);
		else if (q.which_op == rfs_Request_start_tag)
			at += sprintf(text + at, "start %lu; ", q.op.start.handle);
		else if (lock->command == F_OFD_GETLK)
			at += sprintf(text + at, "get %lu %lu; ", lock->handle, lock->owner);
		else
			at += sprintf(text + at, "lock %lu %lu %u %lu+%lu; ", lock->handle, lock->owner, lock->type, lock->start,
				      lock->length);
	}
	free(steps);
	return text;
}

/* The other agent's answers: FILE is lost if LOST; each lock is refused if LOCKED. What is lost then, "3:-116 ". */
static const char *restore(uint64_t file, int lost, int locked)
{
	static char text[256];
	static rfs_Reply a;
	struct reopen_step *steps;
	struct reopen_lost *gone;
	size_t count = reopen_files(r, &steps), at = 0;

	for (size_t i = 0; i < count; i++) {
		memset(&a, 0, sizeof(a));
		a.which_op = rfs_Reply_open_tag;
		if (steps[i].note.handle == file)
			a.op.open.lost = (uint32_t)lost;
		else
			a.op.open.ticket.size = (pb_size_t)sprintf((char *)a.op.open.ticket.bytes, "new");
		reopen_answered(r, &steps[i], &a);
	}
	free(steps);
	count = reopen_locks(r, &steps);
	for (size_t i = 0; i < count; i++) {
		memset(&a, 0, sizeof(a));
		a.error = (uint32_t)locked;
		reopen_answered(r, &steps[i], &a);
	}
	free(steps);
	count = reopen_lost(r, &gone);
	text[0] = '\0';
	for (size_t i = 0; i < count; i++)
		at += sprintf(text + at, "%lu:%d ", gone[i].handle, gone[i].why);
	free(gone);
	return text;
}

static void test_files(void **state)
{
	opens(1, 10, O_RDONLY, "t1");
	opens(2, 20, O_RDWR, "t2");
	closes(1);
	assert_string_equal(plan(reopen_files), "reopen 2 t2; ");
	/* A socket has no ticket, but a number. */
	ask(&(rfs_Request){ .which_op = rfs_Request_connect_tag, .op.connect.handle = 3 }, &(rfs_Reply){ .error = 0 });
	ask(&(rfs_Request){ .which_op = rfs_Request_connect_tag, .op.connect.handle = 4 }, &(rfs_Reply){ .error = ECONNREFUSED });
	assert_string_equal(plan(reopen_files), "reopen 2 t2; reopen 3 ; ");
	assert_string_equal(restore(3, ESTALE, 0), "3:-116 ");
	/* What was lost once is not found by the next agent either. */
	assert_string_equal(plan(reopen_files), "reopen 2 new; reopen 3 ; ");
	assert_string_equal(restore(2, EACCES, 0), "2:-13 ");
	assert_string_equal(restore(2, 0, 0), "");
	assert_string_equal(plan(reopen_files), "reopen 2 ; reopen 3 ; ");
	closes(2);
	closes(3);
	closes(3);
	assert_int_equal(reopen_count(r), 0);
}

/* The agent tells of what the client has renamed. */
static void test_moved(void **state)
{
	rfs_Push push = { .which_event = rfs_Push_moved_tag, .event.moved = { .handle = 1, .ticket = { 5, "moved" } } };

	opens(1, 10, O_RDONLY, "t1");
	opens(2, 20, O_RDWR, "t2");
	reopen_push(r, &push);
	assert_string_equal(plan(reopen_files), "reopen 1 moved; reopen 2 t2; ");
	push.event.moved.handle = 3;
	reopen_push(r, &push);
	push.event.moved = (rfs_Moved){ .handle = 2, .ticket = { 1, "2" } };
	reopen_push(r, &push);
	assert_string_equal(plan(reopen_files), "reopen 1 moved; reopen 2 2; ");
	assert_string_equal(restore(1, ESTALE, 0), "1:-116 ");
	push.event.moved = (rfs_Moved){ .handle = 1, .ticket = { 1, "1" } };
	reopen_push(r, &push);
	assert_string_equal(plan(reopen_files), "reopen 1 ; reopen 2 new; ");
}

static void test_locks(void **state)
{
	opens(1, 10, O_RDWR, "t");
	opens(2, 10, O_RDWR, "t");
	locks(1, 0, F_WRLCK, 0, 10, 0);
	locks(1, 0, F_UNLCK, 4, 2, 0);
	locks(1, 0, F_RDLCK, 100, 0, EAGAIN);
	locks(2, 0, F_RDLCK, 50, 0, 0);
	assert_string_equal(plan(reopen_locks), "lock 1 0 1 0+4; lock 1 0 1 6+4; lock 2 0 0 50+0; ");
	closes(1);
	assert_string_equal(plan(reopen_locks), "lock 2 0 0 50+0; ");
	locks(2, 0, F_UNLCK, 0, 0, 0);
	assert_string_equal(plan(reopen_locks), "");
}

/* A process's locks on a file are one set whichever handle they were asked for by, and end with the last of these. */
static void test_owners(void **state)
{
	opens(1, 10, O_RDWR, "t");
	opens(2, 10, O_RDONLY, "t");
	opens(3, 30, O_RDWR, "t");
	locks(2, 7, F_RDLCK, 0, 10, 0);
	locks(1, 7, F_WRLCK, 5, 10, 0);
	locks(3, 7, F_WRLCK, 0, 0, 0);
	assert_string_equal(plan(reopen_locks), "lock 2 7 0 0+5; lock 1 7 1 5+10; get 2 7; get 1 7; lock 3 7 1 0+0; get 3 7; ");
	closes(2);
	assert_string_equal(plan(reopen_locks), "lock 1 7 0 0+5; lock 1 7 1 5+10; get 1 7; lock 3 7 1 0+0; get 3 7; ");
	closes(1);
	assert_string_equal(plan(reopen_locks), "lock 3 7 1 0+0; get 3 7; ");
	opens(1, 10, O_RDWR, "t");
	locks(1, 7, F_WRLCK, 0, 1, 0);
	locks(1, 8, F_WRLCK, 1, 1, 0);
	ask(&(rfs_Request){ .which_op = rfs_Request_lock_release_tag, .op.lock_release = { 7, 1 } }, NULL);
	assert_string_equal(plan(reopen_locks), "lock 3 7 1 0+0; get 3 7; lock 1 8 1 1+1; get 1 8; ");
	ask(&(rfs_Request){ .which_op = rfs_Request_lock_release_tag, .op.lock_release = { 7, 0 } }, NULL);
	assert_string_equal(plan(reopen_locks), "lock 1 8 1 1+1; get 1 8; ");
}

static void test_flocks(void **state)
{
	opens(1, 10, O_RDONLY, "t");
	flocks(1, LOCK_SH);
	flocks(1, LOCK_EX);
	assert_string_equal(plan(reopen_locks), "flock 1 2; ");
	flocks(1, LOCK_UN);
	assert_string_equal(plan(reopen_locks), "");
	flocks(1, LOCK_SH);
	locks(1, 0, F_RDLCK, 0, 0, 0);
	ask(&(rfs_Request){ .which_op = rfs_Request_lock_release_tag, .op.lock_release = { 0, 1 } }, NULL);
	assert_string_equal(plan(reopen_locks), "");
}

static void watches(uint64_t instance, uint32_t mask, int wd, const char *ticket)
{
	rfs_Request q = { .which_op = rfs_Request_watch_tag, .op.watch = { .instance = instance, .mask = mask } };
	rfs_Reply a = { .which_op = rfs_Reply_watch_tag, .op.watch.wd = wd };

	a.op.watch.ticket.size = (pb_size_t)strlen(ticket);
	memcpy(a.op.watch.ticket.bytes, ticket, strlen(ticket));
	ask(&q, &a);
}

static void unwatches(uint64_t instance, int wd)
{
	ask(&(rfs_Request){ .which_op = rfs_Request_unwatch_tag, .op.unwatch = { instance, wd } }, NULL);
}

/* The other agent has all watches but that with number REFUSED. How many have ended. */
static size_t rewatch(int refused)
{
	struct reopen_step *steps;
	struct reopen_report report;
	rfs_Reply a;
	size_t count = reopen_watches(r, &steps);

	for (size_t i = 0; i < count; i++) {
		a = (rfs_Reply){ .which_op = rfs_Reply_watch_tag, .op.watch = { .wd = steps[i].note.wd, .ticket = { 3, "new" } } };
		if (steps[i].note.wd == refused)
			a = (rfs_Reply){ .error = ESTALE };
		reopen_answered(r, &steps[i], &a);
	}
	free(steps);
	reopen_report(r, &report);
	free(report.files);
	assert_int_equal(report.watches, count);
	return report.ended;
}

static void test_watches(void **state)
{
	rfs_Push push = { .which_event = rfs_Push_watched_tag, .event.watched = { .instance = 2, .wd = 9, .mask = IN_IGNORED } };

	watches(2, 0x2, 9, "t9");
	watches(1, 0x100, 3, "t3");
	watches(2, 0x100 | IN_MASK_CREATE, 4, "t4");
	watches(1, 0x4, 1, "");
	watches(3, 0x4, 1, "t1");
	watches(1, 0x2 | IN_MASK_ADD, 3, "t3");
	watches(2, 0x200, 4, "t4");
	assert_string_equal(plan(reopen_watches), "watch 1.1 4 ; watch 1.3 102 t3; watch 2.4 200 t4; watch 2.9 2 t9; watch 3.1 4 t1; ");
	unwatches(3, 0);
	unwatches(1, 1);
	unwatches(1, 2);
	unwatches(7, 0);
	assert_string_equal(plan(reopen_watches), "watch 1.3 102 t3; watch 2.4 200 t4; watch 2.9 2 t9; ");
	assert_int_equal(rewatch(4), 1);
	assert_string_equal(plan(reopen_watches), "watch 1.3 102 new; watch 2.9 2 new; ");
	assert_int_equal(rewatch(0), 0);
	reopen_push(r, &push);
	assert_string_equal(plan(reopen_watches), "watch 1.3 102 new; ");
	/* What the agent did not do is nothing. */
	ask(&(rfs_Request){ .which_op = rfs_Request_watch_tag, .op.watch.instance = 1 }, &(rfs_Reply){ .error = ENOENT });
	watches(1, 0x4, 0, "t");
	assert_string_equal(plan(reopen_watches), "watch 1.3 102 new; ");
}

static void test_report(void **state)
{
	struct reopen_report report;

	opens(70, 10, O_RDWR, "t");
	opens(6, 10, O_RDWR, "t");
	opens(130, 10, O_RDWR, "t");
	restore(70, EACCES, 0);
	reopen_report(r, &report);
	assert_int_equal(report.count, 3);
	assert_int_equal(report.files[0].handle, 6);
	assert_int_equal(report.files[1].lost, EACCES);
	assert_int_equal(report.files[2].lost, 0);
	free(report.files);
}

/* A Close that nobody knows to have arrived: the file is opened again for what was sent before it, but it is none of the program's. */
static void test_closing(void **state)
{
	rfs_Request q = { .which_op = rfs_Request_close_tag, .op.close.handle = 2 };
	struct reopen_report report;
	struct reopen_note note;

	opens(1, 10, O_RDWR, "t");
	opens(2, 10, O_RDWR, "t");
	reopen_note(&q, &note);
	reopen_sent(r, &note);
	assert_string_equal(plan(reopen_files), "reopen 1 t; reopen 2 t; ");
	reopen_report(r, &report);
	assert_int_equal(report.count, 2);
	assert_false(report.files[0].closing);
	assert_true(report.files[1].closing);
	free(report.files);
}

/* A lock that another has taken is the end of all handles that relied on it, and of no other. */
static void test_lock_lost(void **state)
{
	opens(1, 10, O_RDWR, "t");
	opens(2, 10, O_RDWR, "t");
	opens(3, 10, O_RDWR, "t");
	locks(1, 7, F_WRLCK, 0, 1, 0);
	locks(2, 7, F_WRLCK, 1, 1, 0);
	assert_string_equal(restore(0, 0, EAGAIN), "1:-11 2:-11 ");
	assert_string_equal(plan(reopen_locks), "");
	assert_string_equal(plan(reopen_files), "reopen 1 ; reopen 2 ; reopen 3 new; ");
}

/* What is left of a process's locks is asked for by the handle that is left. */
static void test_file_lost(void **state)
{
	opens(1, 10, O_RDWR, "t");
	opens(2, 10, O_RDWR, "t");
	locks(1, 7, F_WRLCK, 0, 1, 0);
	locks(2, 7, F_WRLCK, 1, 1, 0);
	assert_string_equal(restore(1, ESTALE, 0), "1:-116 ");
	assert_string_equal(plan(reopen_locks), "lock 2 7 1 0+2; get 2 7; ");
	assert_string_equal(restore(2, ESTALE, 0), "2:-116 ");
	assert_string_equal(plan(reopen_locks), "");
}

static void ends(uint64_t ticket, uint32_t error)
{
	reopen_push(r, &(rfs_Push){ .which_event = rfs_Push_lock_end_tag, .event.lock_end = { ticket, error } });
}

static void test_waits(void **state)
{
	rfs_Request q = { .which_op = rfs_Request_lock_wait_tag, .op.lock_wait = { .ticket = 5, .has_lock = true } };
	rfs_Reply a = { .which_op = rfs_Reply_lock_wait_tag, .op.lock_wait.waits = true };
	struct reopen_note note;

	q.op.lock_wait.lock = (rfs_Lock){ 1, 7, F_OFD_SETLK, F_WRLCK, 0, 0 };
	opens(1, 10, O_RDWR, "t");
	ask(&q, &a);
	assert_string_equal(plan(reopen_locks), "wait 5 lock 1 7 1 0+0; ");
	ends(5, EINTR);
	assert_string_equal(plan(reopen_locks), "");
	ask(&q, &a);
	ends(5, 0);
	assert_string_equal(plan(reopen_locks), "lock 1 7 1 0+0; get 1 7; ");
	locks(1, 7, F_UNLCK, 0, 0, 0);
	/* The end before the reply. */
	reopen_note(&q, &note);
	reopen_sent(r, &note);
	ends(5, 0);
	reopen_done(r, &note, &a);
	assert_string_equal(plan(reopen_locks), "lock 1 7 1 0+0; get 1 7; ");
	locks(1, 7, F_UNLCK, 0, 0, 0);
	a.op.lock_wait.waits = false;
	ask(&q, &a);
	assert_string_equal(plan(reopen_locks), "lock 1 7 1 0+0; get 1 7; ");
	/* The next agent has it at once. */
	locks(1, 7, F_UNLCK, 0, 0, 0);
	a.op.lock_wait.waits = true;
	ask(&q, &a);
	assert_string_equal(restore(0, 0, 0), "");
	assert_string_equal(plan(reopen_locks), "lock 1 7 1 0+0; get 1 7; ");
}

static void test_channels(void **state)
{
	rfs_Request q = { .which_op = rfs_Request_open_tag, .op.open.handle = 1 };
	rfs_Reply a = { .which_op = rfs_Reply_open_tag, .op.open = { .pending = true, .ticket = { .size = 1, .bytes = "t" } } };

	ask(&q, &a);
	ask(&(rfs_Request){ .which_op = rfs_Request_start_tag, .op.start.handle = 1 }, &(rfs_Reply){ .which_op = rfs_Reply_channel_tag });
	assert_string_equal(plan(reopen_files), "wait 1 t; ");
	reopen_push(r, &(rfs_Push){ .which_event = rfs_Push_ready_tag, .event.ready.handle = 1 });
	assert_string_equal(plan(reopen_files), "reopen 1 t; ");
	assert_string_equal(plan(reopen_locks), "");
	assert_string_equal(plan(reopen_starts), "start 1; ");
	assert_string_equal(restore(1, ESTALE, 0), "1:-116 ");
	assert_string_equal(plan(reopen_starts), "");
}

/* 10,000 open files, with what a usual path comes to, and what becomes of them. */
static void test_many(void **state)
{
	struct mallinfo2 before = mallinfo2();
	struct reopen_step *steps;
	char ticket[101];

	for (uint64_t i = 1; i <= 10000; i++) {
		sprintf(ticket, "%0100lu", i);
		opens(i, i, O_RDONLY, ticket);
	}
	/* A sanitizer has an allocator of its own, which does not tell. */
	if (!getenv("TEST_SANITIZED"))
		assert_in_range(mallinfo2().uordblks - before.uordblks, 1, 2500000);
	assert_int_equal(reopen_files(r, &steps), 10000);
	free(steps);
	for (uint64_t i = 1; i <= 10000; i++)
		closes(i);
	assert_int_equal(reopen_count(r), 0);
}

static void test_repeats(void **state)
{
	rfs_Request q = { .which_op = rfs_Request_write_tag };

	assert_true(reopen_repeats(&q));
	q.op.write.append = true;
	assert_false(reopen_repeats(&q));
	q = (rfs_Request){ .which_op = rfs_Request_open_tag, .op.open.flags = O_CREAT };
	assert_true(reopen_repeats(&q));
	q.op.open.flags |= O_EXCL;
	assert_false(reopen_repeats(&q));
	q = (rfs_Request){ .which_op = rfs_Request_rename_tag };
	assert_false(reopen_repeats(&q));
	q = (rfs_Request){ .which_op = rfs_Request_truncate_tag };
	assert_true(reopen_repeats(&q));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_files, setup, teardown),
		cmocka_unit_test_setup_teardown(test_moved, setup, teardown),
		cmocka_unit_test_setup_teardown(test_locks, setup, teardown),
		cmocka_unit_test_setup_teardown(test_owners, setup, teardown),
		cmocka_unit_test_setup_teardown(test_flocks, setup, teardown),
		cmocka_unit_test_setup_teardown(test_watches, setup, teardown),
		cmocka_unit_test_setup_teardown(test_report, setup, teardown),
		cmocka_unit_test_setup_teardown(test_closing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lock_lost, setup, teardown),
		cmocka_unit_test_setup_teardown(test_file_lost, setup, teardown),
		cmocka_unit_test_setup_teardown(test_waits, setup, teardown),
		cmocka_unit_test_setup_teardown(test_channels, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many, setup, teardown),
		cmocka_unit_test_setup_teardown(test_repeats, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
