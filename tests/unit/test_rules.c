/* rules.c: normalising, joining and translating paths; which mount a path belongs to. */
#include <errno.h>
#include <limits.h>
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

static void test_mounts(void **state)
{
	char out[PATH_MAX];

	(void)state;
	assert_null(rules_find("/data/x", false));
	struct mount *data = rules_add_mount("/data", "/srv", "dir:/x");
	struct mount *deep = rules_add_mount("/data/deep", "/", "dir:/y");
	struct mount *root = rules_add_mount("/", "/", "dir:/z");
	struct mount *dev = rules_add_mount("/dev/data", "/", "dir:/d");

	rules_keep_local("/proc", FOR_ALL);
	rules_keep_local("/dev", FOR_ALL);
	rules_keep_local("/data/local", FOR_ALL);
	assert_ptr_equal(rules_find("/data", false), data);
	assert_ptr_equal(rules_find("/data/x", false), data);
	assert_ptr_equal(rules_find("/data/deep/x", false), deep);
	assert_ptr_equal(rules_find("/database", false), root);
	assert_null(rules_find("/proc/self", false));
	assert_null(rules_find("/proc", false));
	assert_ptr_equal(rules_find("/process", false), root);
	assert_null(rules_find("/dev/null", false));
	assert_ptr_equal(rules_find("/dev/data/x", false), dev);
	assert_null(rules_find("/data/local/x", false));

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_normalise), cmocka_unit_test(test_normalise_bounds), cmocka_unit_test(test_join),
		cmocka_unit_test(test_within),	  cmocka_unit_test(test_mounts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
