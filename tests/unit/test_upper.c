/* The upper layer of an overlay on disk: whiteouts, copies' marks, who may use it, and what is known of inodes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "inomap.h"
#include "upper.h"
#include "util.h"

static char base[64];

void die(const char *format, ...)
{
	abort();
}

static int make(void **state)
{
	strcpy(base, "/tmp/test_upper.XXXXXX");
	return mkdtemp(base) ? 0 : -1;
}

static int unmake(void **state)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", base);
	return system(command);
}

static int open_overlay(const char *target, char err[256])
{
	char dir[128];

	snprintf(dir, sizeof(dir), "%s/over", base);
	return upper_open(dir, target, "/srv", err, 256);
}

static void test_one_target_one_user(void **state)
{
	char err[256] = "", text[PATH_MAX];
	int first = open_overlay("dir/a", err), top;

	assert_true(first >= 0);
	assert_int_equal(open_overlay("dir/a", err), -EBUSY);
	assert_non_null(strstr(err, "in use"));
	top = openat(first, "upper", O_PATH | O_DIRECTORY);
	assert_int_equal(upper_from(top, text), 1);
	assert_string_equal(text, "/srv");
	close(top);
	close(first);
	assert_int_equal(open_overlay("dir/b", err), -EINVAL);
	assert_non_null(strstr(err, "another target (dir/a)"));
	first = open_overlay("dir/a", err);
	assert_true(first >= 0);
	close(first);
}

static void test_not_ours(void **state)
{
	char err[256] = "";

	char path[128];

	snprintf(path, sizeof(path), "%s/file", base);
	close(open(path, O_WRONLY | O_CREAT, 0600));
	assert_int_equal(upper_open(base, "dir/a", "/", err, sizeof(err)), -EINVAL);
	assert_non_null(strstr(err, "not empty"));
}

static void test_whiteouts(void **state)
{
	char long_name[NAME_MAX + 1], text[PATH_MAX];
	int dir;

	memset(long_name, 'n', NAME_MAX);
	long_name[NAME_MAX] = '\0';
	mkdirat(AT_FDCWD, strcat(strcpy(text, base), "/d"), 0755);
	dir = open(text, O_PATH | O_DIRECTORY);
	assert_int_equal(upper_from(dir, text), 0);
	assert_int_equal(upper_mark(dir, "/srv/d"), 0);
	assert_int_equal(upper_from(dir, text), 1);
	assert_string_equal(text, "/srv/d");
	assert_false(upper_is_gone(dir, "x"));
	assert_int_equal(upper_hide(dir, "x"), 0);
	assert_int_equal(upper_hide(dir, "x"), 0);
	assert_int_equal(upper_hide(dir, long_name), 0);
	assert_true(upper_is_gone(dir, "x"));
	assert_true(upper_is_gone(dir, long_name));
	assert_int_equal(upper_show(dir, "x"), 0);
	assert_false(upper_is_gone(dir, "x"));
	assert_int_equal(upper_is_bare(dir), 1);
	assert_int_equal(mkdirat(dir, "y", 0755), 0);
	assert_int_equal(upper_is_bare(dir), 0);
	assert_int_equal(unlinkat(dir, "y", AT_REMOVEDIR), 0);
	assert_int_equal(upper_strip(dir), 0);
	assert_int_equal(upper_from(dir, text), 0);
	close(dir);
	strcat(strcpy(text, base), "/d");
	assert_int_equal(rmdir(text), 0);
}

static void test_walk_follows_nothing(void **state)
{
	char path[128];
	int top = open(base, O_PATH | O_DIRECTORY), fd;

	snprintf(path, sizeof(path), "%s/real", base);
	mkdir(path, 0755);
	symlinkat("real", top, "link");
	fd = upper_walk(top, "/real");
	assert_true(fd >= 0);
	close(fd);
	fd = upper_walk(top, "/");
	assert_true(fd >= 0);
	close(fd);
	assert_true(upper_walk(top, "/link") < 0);
	assert_int_equal(upper_walk(top, "/none/x"), -ENOENT);
	close(top);
}

static int open_inodes(void)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/inodes", base);
	return open(path, O_RDWR | O_CREAT | O_APPEND, 0600);
}

static void test_inodes_last(void **state)
{
	const struct inomap_entry e = { .ino = 7, .btime_sec = -5, .btime_nsec = 6, .dev_major = 8, .dev_minor = 1, .lower_ino = UINT64_MAX,
					.mtime_sec = -1, .size = 99, .links = -3 };
	struct inomap_entry later = e;
	struct inomap *m = inomap_open(open_inodes());
	const struct inomap_entry *found;
	int fd;

	assert_null(inomap_find(m, 7, -5, 6));
	assert_int_equal(inomap_put(m, &e), 0);
	later.links = 2;
	assert_int_equal(inomap_put(m, &later), 0);
	/* The number was used again. */
	later.btime_sec = 1000;
	later.lower_ino = 3;
	assert_int_equal(inomap_put(m, &later), 0);
	inomap_close(m);
	fd = open_inodes();
	assert_int_equal(write(fd, "7 -5.6 8:1 4", 12), 12); /* a kill in the middle of a line */
	close(fd);
	m = inomap_open(open_inodes());
	found = inomap_find(m, 7, -5, 6);
	assert_non_null(found);
	assert_true(found->lower_ino == UINT64_MAX && found->links == 2 && found->size == 99);
	assert_int_equal(inomap_find(m, 7, 1000, 6)->lower_ino, 3);
	assert_int_equal(inomap_find(m, 7, 0, UINT32_MAX)->lower_ino, 3);
	assert_null(inomap_find(m, 7, 1, 6));
	later.ino = 8;
	assert_int_equal(inomap_put(m, &later), 0);
	inomap_close(m);
	m = inomap_open(open_inodes());
	assert_non_null(inomap_find(m, 8, 1000, 6));
	inomap_close(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_one_target_one_user, make, unmake),
		cmocka_unit_test_setup_teardown(test_not_ours, make, unmake),
		cmocka_unit_test_setup_teardown(test_whiteouts, make, unmake),
		cmocka_unit_test_setup_teardown(test_walk_follows_nothing, make, unmake),
		cmocka_unit_test_setup_teardown(test_inodes_last, make, unmake),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
