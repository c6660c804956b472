/* rules.c: normalising, joining and translating paths; which mount a path belongs to. */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "rules.h"
#include "util.h"

void die(const char *format, ...)
{
	fail_msg("died: %s", format);
	abort();
}

static void check_normal(const char *path, const char *expected)
{
	char out[PATH_MAX];

	assert_int_equal(path_normalise(path, out, sizeof(out)), 0);
	assert_string_equal(out, expected);
}

static void test_normalise(void **state)
{
	(void)state;
	check_normal("/", "/");
	check_normal("//", "/");
	check_normal("/a", "/a");
	check_normal("/a/", "/a");
	check_normal("//a///b//", "/a/b");
	check_normal("/./a/./b/.", "/a/b");
	check_normal("/a/..", "/");
	check_normal("/..", "/");
	check_normal("/../../a", "/a");
	check_normal("/a/b/../c", "/a/c");
	check_normal("/a/b/../../..", "/");
	check_normal("/...", "/...");
	check_normal("/..a/b..", "/..a/b..");
	check_normal("/\xff/\n", "/\xff/\n");
}

static void test_normalise_bounds(void **state)
{
	char out[8];

	(void)state;
	assert_int_equal(path_normalise("/123456", out, sizeof(out)), 0);
	assert_string_equal(out, "/123456");
	assert_int_equal(path_normalise("/1234567", out, sizeof(out)), -ENAMETOOLONG);
	assert_int_equal(path_normalise("/12/34/5", out, sizeof(out)), -ENAMETOOLONG);
	assert_int_equal(path_normalise("/1234/../5", out, sizeof(out)), 0);
	assert_string_equal(out, "/5");
}

static void test_join(void **state)
{
	char out[16];

	(void)state;
	assert_int_equal(path_join("/a", "b", out, sizeof(out)), 0);
	assert_string_equal(out, "/a/b");
	assert_int_equal(path_join("/", "b", out, sizeof(out)), 0);
	assert_string_equal(out, "/b");
	assert_int_equal(path_join("/a", "", out, sizeof(out)), 0);
	assert_string_equal(out, "/a");
	assert_int_equal(path_join("", "/b", out, sizeof(out)), 0);
	assert_string_equal(out, "/b");
	assert_int_equal(path_join("/1234567", "1234567", out, sizeof(out)), -ENAMETOOLONG);
	assert_int_equal(path_join("/123456", "1234567", out, sizeof(out)), 0);
}

static void test_within(void **state)
{
	(void)state;
	assert_true(path_within("/a/b", "/a"));
	assert_true(path_within("/a", "/a"));
	assert_false(path_within("/ab", "/a"));
	assert_false(path_within("/", "/a"));
	assert_true(path_within("/anything", "/"));
}

static const struct mount *mount_of(const char *path)
{
	return rules_decide(path, false, false)->mount;
}

static void test_mounts(void **state)
{
	char out[PATH_MAX];

	(void)state;
	assert_null(mount_of("/data/x"));
	struct mount *data = rules_add_mount("/data", "/srv", "dir:/x");
	struct mount *deep = rules_add_mount("/data/deep", "/", "dir:/y");
	struct mount *root = rules_add_mount("/", "/", "dir:/z");
	struct mount *dev = rules_add_mount("/dev/data", "/", "dir:/d");

	rules_keep_local("/proc", FOR_ALL);
	rules_keep_local("/dev", FOR_ALL);
	rules_keep_local("/data/local", FOR_ALL);
	assert_ptr_equal(mount_of("/data"), data);
	assert_ptr_equal(mount_of("/data/x"), data);
	assert_ptr_equal(mount_of("/data/deep/x"), deep);
	assert_ptr_equal(mount_of("/database"), root);
	assert_null(mount_of("/proc/self"));
	assert_null(mount_of("/proc"));
	assert_ptr_equal(mount_of("/process"), root);
	assert_null(mount_of("/dev/null"));
	assert_ptr_equal(mount_of("/dev/data/x"), dev);
	assert_null(mount_of("/data/local/x"));

	assert_int_equal(path_to_target(data, "/data", out, sizeof(out)), 0);
	assert_string_equal(out, "/srv");
	assert_int_equal(path_to_target(data, "/data/a/b", out, sizeof(out)), 0);
	assert_string_equal(out, "/srv/a/b");
	assert_int_equal(path_to_target(deep, "/data/deep", out, sizeof(out)), 0);
	assert_string_equal(out, "/");
	assert_int_equal(path_to_target(root, "/a", out, sizeof(out)), 0);
	assert_string_equal(out, "/a");
	assert_int_equal(path_to_program(data, "/srv/a", out, sizeof(out)), 0);
	assert_string_equal(out, "/data/a");
	assert_int_equal(path_to_program(deep, "/", out, sizeof(out)), 0);
	assert_string_equal(out, "/data/deep");
	assert_string_equal(mount_tag(data), "dir:/x");
	assert_string_equal(mount_tag(NULL), "local");
}

static void *asks_often(void *mount)
{
	uint64_t end = now_ns() + 1000000000;

	while (now_ns() < end) {
		mount_waits(mount, 1);
		mount_waits(mount, -1);
	}
	return NULL;
}

/* However its requests come and go while somebody looks, an agent that answers at once is not silent. */
static void test_silence(void **state)
{
	struct mount *m = rules_add_mount("/s", "/s", "test");
	uint64_t end = now_ns() + 1000000000, longest = 0, silence;
	pthread_t thread;

	poll(NULL, 0, 1000); /* nothing has been asked for that long */
	assert_int_equal(pthread_create(&thread, NULL, asks_often, m), 0);
	for (end += 1000000000; now_ns() < end;) {
		silence = mount_silence(m);
		longest = silence > longest ? silence : longest;
	}
	pthread_join(thread, NULL);
	assert_true(longest < 900000000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_normalise), cmocka_unit_test(test_normalise_bounds), cmocka_unit_test(test_join),
		cmocka_unit_test(test_within),	  cmocka_unit_test(test_mounts),
		cmocka_unit_test(test_silence),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
