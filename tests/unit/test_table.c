/* The syscall table: every row is where it belongs and says what the class needs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <cmocka.h>

#include "call.h"
#include "handlers.h"
#include "table.h"

#define STUB(name)                                                                                                     \
	long name(struct call *c)                                                                                      \
	{                                                                                                              \
		return CALL_CONTINUE;                                                                                  \
	}
SYSCALL_HANDLERS(STUB)

static int count_kind(const struct syscall_row *row, int kind)
{
	int n = 0;

	for (int i = 0; i < 6; i++)
		n += row->args[i] == kind;
	return n;
}

static int count_paths(const struct syscall_row *row)
{
	return count_kind(row, A_PATH) + count_kind(row, A_CHANGED);
}

static void test_order(void **state)
{
	size_t count;
	const struct syscall_row *rows = table_all(&count);

	assert_true(count > 350);
	for (size_t i = 0; i < count; i++) {
		assert_true(i == 0 || rows[i].nr > rows[i - 1].nr);
		assert_ptr_equal(table_row(rows[i].nr), &rows[i]);
		assert_ptr_equal(table_find(rows[i].name), &rows[i]);
	}
}

/* No number of the kernel's is missing, and there is nothing between and beyond them. */
static void test_range(void **state)
{
	for (int nr = 0; nr <= 334; nr++)
		assert_non_null(table_row(nr));
	for (int nr = 335; nr < 424; nr++)
		assert_null(table_row(nr));
	for (int nr = 424; nr <= 470; nr++)
		assert_non_null(table_row(nr));
	assert_null(table_row(471));
	assert_null(table_row(511));
	assert_null(table_row(512));
	assert_null(table_row(100000));
	assert_null(table_row(-1));
	assert_null(table_row(INT32_MIN));
	assert_null(table_row(0x40000000)); /* x32 */
}

static void test_names(void **state)
{
	assert_int_equal(table_find("read")->nr, SYS_read);
	assert_int_equal(table_find("openat2")->nr, SYS_openat2);
	assert_int_equal(table_find("set_mempolicy_home_node")->nr, 450);
	assert_int_equal(table_find("file_setattr")->nr, 469);
	assert_null(table_find(""));
	assert_null(table_find("sys_read"));
	assert_null(table_find("readx"));
}

static void test_arguments(void **state)
{
	size_t count;
	const struct syscall_row *rows = table_all(&count);

	for (size_t i = 0; i < count; i++) {
		const struct syscall_row *row = &rows[i];
		int n = table_arg_count(row);

		for (int a = n; a < 6; a++)
			assert_int_equal(row->args[a], A_NONE);
		assert_true(count_paths(row) <= 2);
		for (int a = 0; a < n; a++) {
			/* A descriptor that a path is relative to stands before it; a length behind its buffer. */
			if (row->args[a] == A_DIRFD)
				assert_true(a + 1 < n && (row->args[a + 1] == A_PATH || row->args[a + 1] == A_CHANGED));
			if (row->args[a] == A_BUF_IN || row->args[a] == A_IOV_IN || row->args[a] == A_IOV_OUT)
				assert_true(row->args[a + 1] == A_SIZE || row->args[a + 1] == A_UINT);
			if (row->args[a] == A_FCNTL_ARG)
				assert_int_equal(row->args[a - 1], A_FCNTL_CMD);
		}
	}
}

static void test_classes(void **state)
{
	size_t count;
	const struct syscall_row *rows = table_all(&count);

	for (size_t i = 0; i < count; i++) {
		const struct syscall_row *row = &rows[i];

		switch (row->class) {
		case CLASS_PATH:
			assert_true(count_paths(row) > 0 || row->nr == SYS_getcwd ||
				    row->nr == SYS_inotify_init || row->nr == SYS_inotify_init1);
			break;
		case CLASS_ANY:
			assert_non_null(row->handler);
			assert_int_equal(count_paths(row) + count_kind(row, A_FD), 0);
			break;
		case CLASS_FD:
		case CLASS_DUP:
		case CLASS_ANYFD:
		case CLASS_COMMAND:
			assert_true(count_kind(row, A_FD) > 0);
			assert_int_equal(count_paths(row), 0);
			break;
		case CLASS_TRACE:
			assert_true(count_paths(row) <= 1);
			assert_non_null(row->handler);
			break;
		case CLASS_SOCKET:
		case CLASS_PASSING:
			assert_non_null(row->handler);
			break;
		case CLASS_LIMIT:
			assert_int_equal(count_kind(row, A_RESOURCE), 1);
			break;
		case CLASS_PASS:
		case CLASS_NOSYS:
			assert_null(row->handler);
			assert_int_equal(count_paths(row), 0);
			break;
		}
	}
}

/* What changes the file that it names, by the manual pages; of two names both. */
static void test_changes(void **state)
{
	static const char *const names[] = {
		"chmod", "chown", "creat", "fchmodat", "fchmodat2", "fchownat", "file_setattr", "futimesat", "lchown", "link", "linkat",
		"lremovexattr", "lsetxattr", "mkdir", "mkdirat", "mknod", "mknodat", "removexattr", "removexattrat", "rename", "renameat",
		"renameat2", "rmdir", "setxattr", "setxattrat", "symlink", "symlinkat", "truncate", "unlink", "unlinkat", "utime",
		"utimensat", "utimes",
	};
	size_t count, found = 0;
	const struct syscall_row *rows = table_all(&count);

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		assert_non_null(table_find(names[i]));
		assert_int_equal(count_kind(table_find(names[i]), A_PATH), 0);
	}
	for (size_t i = 0; i < count; i++)
		found += count_kind(&rows[i], A_CHANGED) > 0;
	assert_int_equal(found, sizeof(names) / sizeof(*names));
	assert_int_equal(count_kind(table_find("bind"), A_BOUND), 1);
}

static void test_special_rows(void **state)
{
	static const char *const absent[] = {"io_uring_setup", "io_uring_enter", "io_uring_register"};

	for (size_t i = 0; i < sizeof(absent) / sizeof(absent[0]); i++)
		assert_int_equal(table_find(absent[i])->class, CLASS_NOSYS);
	assert_ptr_equal(table_row(SYS_read)->handler, sys_read);
	assert_int_equal(table_row(SYS_read)->class, CLASS_FD);
	assert_int_equal(table_row(SYS_fstat)->class, CLASS_ANYFD);
	assert_int_equal(table_row(SYS_prlimit64)->class, CLASS_LIMIT);
	assert_int_equal(table_row(SYS_execve)->class, CLASS_TRACE);
	assert_int_equal(table_arg_count(table_row(SYS_mmap)), 6);
	assert_int_equal(table_arg_count(table_row(SYS_getpid)), 0);
	/* epoll must see a placeholder, which the kernel answers EPERM for. */
	assert_int_equal(table_row(SYS_epoll_ctl)->class, CLASS_PASS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),	  cmocka_unit_test(test_range),	  cmocka_unit_test(test_names),
		cmocka_unit_test(test_arguments), cmocka_unit_test(test_classes), cmocka_unit_test(test_changes), cmocka_unit_test(test_special_rows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
