/* The ranges of one owner, against a model that keeps the type of every byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>

#include "ranges.h"
#include "util.h"

void die(const char *fmt, ...)
{
	fputs(fmt, stderr);
	abort();
}

#define BYTES 24

static short bytes[BYTES];

static void set(struct ranges *r, short type, uint64_t from, uint64_t to, pid_t pid)
{
	ranges_set(r, &(struct range){ .type = type, .from = from, .to = to, .pid = pid });
	for (uint64_t i = from; i <= to && i < BYTES; i++)
		bytes[i] = type;
}

static void clear(void)
{
	for (unsigned i = 0; i < BYTES; i++)
		bytes[i] = F_UNLCK;
}

/* Every maximal run of equal bytes is one range, and there is no other. */
static void check(const struct ranges *r)
{
	size_t runs = 0;

	for (unsigned i = 0, end; i < BYTES; i = end) {
		for (end = i; end < BYTES && bytes[end] == bytes[i]; end++)
			;
		if (bytes[i] == F_UNLCK)
			continue;
		assert_true(runs < r->count);
		assert_int_equal(r->list[runs].type, bytes[i]);
		assert_int_equal(r->list[runs].from, i);
		assert_int_equal(r->list[runs].to, end - 1);
		assert_true(ranges_conflict(r, F_WRLCK, i, i));
		assert_int_equal(ranges_conflict(r, F_RDLCK, i, i), bytes[i] == F_WRLCK);
		runs++;
	}
	assert_int_equal(runs, r->count);
}

static void test_random(void **state)
{
	struct ranges r = { 0 };

	srandom(7);
	clear();
	for (int i = 0; i < 20000; i++) {
		unsigned from = (unsigned)random() % BYTES, to = from + (unsigned)random() % (BYTES - from);

		set(&r, (short[]){ F_RDLCK, F_WRLCK, F_UNLCK }[random() % 3], from, to, 1);
		check(&r);
	}
	free(r.list);
}

static void test_pids(void **state)
{
	struct ranges r = { 0 };

	set(&r, F_WRLCK, 5, 9, 1);
	set(&r, F_WRLCK, 7, 12, 2);
	assert_int_equal(ranges_pid(&r, F_WRLCK, 5, 12), 1);
	set(&r, F_WRLCK, 2, 4, 3);
	assert_int_equal(ranges_pid(&r, F_WRLCK, 2, 12), 1);
	set(&r, F_RDLCK, 4, 6, 4);
	assert_int_equal(ranges_pid(&r, F_RDLCK, 4, 6), 4);
	assert_int_equal(ranges_pid(&r, F_WRLCK, 2, 3), 1);
	assert_int_equal(ranges_pid(&r, F_WRLCK, 7, 12), 1);
	assert_int_equal(ranges_pid(&r, F_WRLCK, 7, 11), 0);
	set(&r, F_WRLCK, 0, INT64_MAX, 5);
	assert_int_equal(ranges_pid(&r, F_WRLCK, 0, INT64_MAX), 1);
	free(r.list);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_pids),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
