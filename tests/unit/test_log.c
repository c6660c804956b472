/* The log: what it writes when, and the counts. Its notation is test_log_strace's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "log.h"
#include "rules.h"
#include "stats.h"
#include "stub_handlers.h"

static char dir[] = "/tmp/test-log-XXXXXX", log_path[64], stats_path[64];
static struct mount mount = {.tag = (char *)"dir:/srv"};
static const struct link_totals no_totals;

/* The log so far. */
static const char *written(const char *path)
{
	static char buf[1 << 20];
	CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, buf, sizeof(buf) - 1);

	buf[n > 0 ? n : 0] = 0;
	return buf;
}

static void open_log(struct log_options options)
{
	if (!options.file)
		options.file = log_path;
	if (!options.string_max)
		options.string_max = 32;
	stats_reset();
	assert_int_equal(log_open(&options), 0);
}

#define OPEN(...) open_log((struct log_options){__VA_ARGS__})

static struct call make_call(int nr, enum call_route route, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
	return (struct call){.row = table_row(nr),
			     .nr = nr,
			     .tid = getpid(),
			     .arg = {a, b, c, d},
			     .start_ns = now_ns(),
			     .route = route,
			     .mount = route == ROUTE_REMOTE ? &mount : NULL};
}

/* The log is one line: "PID REST". */
static void check_log(const char *expected)
{
	char line[4096];

	snprintf(line, sizeof(line), "%-5d %s\n", (int)getpid(), expected);
	assert_string_equal(written(log_path), line);
}

static void test_continued(void **state)
{
	struct call c = make_call(SYS_openat, ROUTE_LOCAL, (uint64_t)AT_FDCWD, (uintptr_t) "/etc/x", O_CLOEXEC, 0);
	struct stat st;

	OPEN();
	log_call(&c, CALL_CONTINUE);
	log_close(&no_totals);
	check_log("openat(AT_FDCWD, \"/etc/x\", O_RDONLY|O_CLOEXEC) = ? <local>");
	/* What the kernel is yet to write is not shown. */
	c = make_call(SYS_fstat, ROUTE_LOCAL, 3, (uintptr_t)&st, 0, 0);
	c.note = "unknown";
	OPEN();
	log_call(&c, CALL_CONTINUE);
	log_close(&no_totals);
	assert_non_null(strstr(written(log_path), "fstat(3, 0x"));
	assert_non_null(strstr(written(log_path), "= ? <local, unknown>\n"));
}

static void test_tag(void **state)
{
	struct call c = make_call(SYS_close, ROUTE_REMOTE, 16384, 0, 0, 0);
	double ms;
	int n = 0;

	c.start_ns -= 300250000;
	c.round_trips = 2;
	OPEN(.spent = true);
	log_call(&c, 0);
	log_close(&no_totals);
	sscanf(strstr(written(log_path), "close("), "close(16384) = 0 <0.3%*d> <dir:/srv %lfms 2rt>%n", &ms, &n);
	assert_true(n > 0 && ms > 300.1 && ms < 1000);
	c = make_call(SYS_fallocate, ROUTE_REMOTE, 16384, 0, 0, 10);
	c.note = "not emulated";
	OPEN();
	log_call(&c, -ENOSYS);
	log_close(&no_totals);
	n = 0;
	sscanf(strstr(written(log_path), "fallocate("),
	       "fallocate(16384, 0, 0, 10) = -1 ENOSYS (Function not implemented) <dir:/srv %lfms 0rt, not emulated>%n",
	       &ms, &n);
	assert_true(n > 0);
}

static void test_unknown_number(void **state)
{
	struct call c = make_call(9999, ROUTE_LOCAL, 1, 0, 3, 4);

	OPEN();
	log_call(&c, -ENOSYS);
	log_close(&no_totals);
	check_log("syscall_0x270f(0x1, 0, 0x3, 0x4, 0, 0) = -1 ENOSYS (Function not implemented) <local>");
}

/* Every kind of argument, with every register hostile: nothing may crash, and every line is one line. */
static void test_hostile(void **state)
{
	static const uint64_t values[] = {0, 1, UINT64_MAX, UINT64_C(1) << 63, INT64_MAX, INT_MAX, 4096};
	static char junk[8192];
	size_t count, newlines = 0, calls = 0;
	const struct syscall_row *rows = table_all(&count);

	memset(junk, '\n', sizeof(junk));
	OPEN();
	for (size_t i = 0; i < count; i++)
		for (int v = 0; v < 16; v++) {
			struct call c = make_call(rows[i].nr, ROUTE_REMOTE, 0, 0, 0, 0);
			long result = v % 3 ? (long)v * 100 : v % 2 ? -v : CALL_CONTINUE;

			for (int a = 0; a < 6; a++)
				c.arg[a] = v < 7   ? values[v]
					   : v % 2 ? (uintptr_t)junk + (uint64_t)v
						   : values[rand() % 7];
			log_call(&c, result);
			calls++;
		}
	log_close(&no_totals);
	FILE *f = fopen(log_path, "re");
	for (int c = getc(f); c != EOF; c = getc(f)) {
		newlines += c == '\n';
		assert_true(c == '\n' || (c >= ' ' && c <= '~'));
	}
	fclose(f);
	assert_int_equal(newlines, calls);
}

static void test_events(void **state)
{
	OPEN();
	log_exited(1, 0);
	log_exited(22, 3 << 8);
	log_exited(333333, SIGKILL);
	log_exited(4, SIGSEGV | 0x80);
	log_signal(5, SIGCHLD);
	log_signal(5, 34);
	log_stopped(6, SIGTSTP);
	log_line(7, "a %s", "line\nof\ttwo");
	log_line(0, "none's");
	log_close(&no_totals);
	assert_string_equal(written(log_path), "1     +++ exited with 0 +++\n"
					       "22    +++ exited with 3 +++\n"
					       "333333 +++ killed by SIGKILL +++\n"
					       "4     +++ killed by SIGSEGV (core dumped) +++\n"
					       "5     --- SIGCHLD ---\n"
					       "5     --- SIGRT_2 ---\n"
					       "6     --- stopped by SIGTSTP ---\n"
					       "7     a line?of?two\n"
					       "none's\n");
	OPEN(.quiet = true);
	log_exited(1, 0);
	log_signal(5, SIGCHLD);
	log_stopped(6, SIGTSTP);
	log_close(&no_totals);
	assert_string_equal(written(log_path), "");
}

static void test_stamps(void **state)
{
	int h, m, s, us, n = 0;
	long seconds;

	OPEN(.stamp = LOG_TIME);
	log_exited(1, 0);
	log_close(&no_totals);
	assert_int_equal(sscanf(written(log_path), "1 %2d:%2d:%2d +++%n", &h, &m, &s, &n), 3);
	assert_int_equal(n, 18);
	OPEN(.stamp = LOG_TIME_US);
	log_exited(1, 0);
	log_close(&no_totals);
	assert_int_equal(sscanf(written(log_path), "1 %2d:%2d:%2d.%6d +++%n", &h, &m, &s, &us, &n), 4);
	assert_int_equal(n, 25);
	OPEN(.stamp = LOG_TIME_EPOCH);
	log_exited(1, 0);
	log_close(&no_totals);
	assert_int_equal(sscanf(written(log_path), "1 %ld.%6d +++", &seconds, &us), 2);
	assert_true(labs(seconds - time(NULL)) < 3);
	OPEN(.stamp = LOG_TIME_RELATIVE);
	log_exited(1, 0);
	usleep(20000);
	log_exited(1, 0);
	log_close(&no_totals);
	assert_int_equal(strncmp(written(log_path), "1          0.000000 +++ exited with 0 +++\n1          0.0", 54),
			 0);
}

static void test_trace(void **state)
{
	static const struct {
		const char *expr;
		bool open, close, mmap, symlink, getpid, unknown;
	} cases[] = {
		{NULL, true, true, true, true, true, true},
		{"all", true, true, true, true, true, true},
		{"none", false, false, false, false, false, false},
		{"!none", true, true, true, true, true, true},
		{"!all", false, false, false, false, false, false},
		{"open", true, false, false, false, false, false},
		{"open,close", true, true, false, false, false, false},
		{"!open,close", false, false, true, true, true, true},
		{"%file", true, false, false, true, false, false},
		{"%desc", false, true, true, false, false, false},
		{"file,%desc,getpid", true, true, true, true, true, false},
		{"?nosuch,close", false, true, false, false, false, false},
		{"%process", false, false, false, false, false, false},
	};
	struct trace_set set;
	char err[256];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(trace_parse(cases[i].expr, &set, err, sizeof(err)), 0);
		assert_int_equal(trace_shows(&set, SYS_open), cases[i].open);
		assert_int_equal(trace_shows(&set, SYS_close), cases[i].close);
		assert_int_equal(trace_shows(&set, SYS_mmap), cases[i].mmap);
		assert_int_equal(trace_shows(&set, SYS_symlink), cases[i].symlink);
		assert_int_equal(trace_shows(&set, SYS_getpid), cases[i].getpid);
		assert_int_equal(trace_shows(&set, 9999), cases[i].unknown);
	}
	assert_int_equal(log_trace_check("open,opne", err, sizeof(err)), -EINVAL);
	assert_non_null(strstr(err, "\"opne\""));
	assert_int_equal(log_trace_check("", err, sizeof(err)), -EINVAL);
	assert_int_equal(log_trace_check("open,", err, sizeof(err)), -EINVAL);
	assert_int_equal(log_trace_check("?", err, sizeof(err)), -EINVAL);
	assert_int_equal(log_trace_check("%net", err, sizeof(err)), -EINVAL);
	memset(err, 'a', sizeof(err));
	err[sizeof(err) - 1] = 0;
	char *copy = xstrdup(err);
	assert_int_equal(log_trace_check(copy, err, sizeof(err)), -EINVAL);
	free(copy);
}

static void test_trace_filters_lines(void **state)
{
	struct call c = make_call(SYS_close, ROUTE_LOCAL, 3, 0, 0, 0), d = make_call(SYS_dup, ROUTE_LOCAL, 3, 0, 0, 0);

	OPEN(.trace = "dup");
	log_call(&c, 0);
	log_call(&d, 4);
	log_close(&no_totals);
	check_log("dup(3)                            = 4 <local>");
}

static bool name_fd(pid_t tid, int fd, char *buf, size_t len)
{
	if (fd == AT_FDCWD)
		return snprintf(buf, len, "/remote/cwd") > 0;
	return fd == 16384 && snprintf(buf, len, "/remote/<a>\n") > 0;
}

static void test_fd_paths(void **state)
{
	CLEANUP_FD int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	struct call c = make_call(SYS_openat, ROUTE_REMOTE, (uint64_t)AT_FDCWD, (uintptr_t) "x", 0, 0);
	char line[256];

	log_set_fd_namer(name_fd);
	OPEN(.show_paths = true);
	log_call(&c, 16384);
	c = make_call(SYS_close, ROUTE_LOCAL, (uint64_t)null, 0, 0, 0);
	log_call(&c, 0);
	log_close(&no_totals);
	log_set_fd_namer(NULL);
	assert_non_null(
		strstr(written(log_path),
		       "openat(AT_FDCWD</remote/cwd>, \"x\", O_RDONLY) = 16384</remote/\\74a\\76\\n> <dir:/srv "));
	snprintf(line, sizeof(line), "close(%d</dev/null>) ", null);
	assert_non_null(strstr(written(log_path), line));
}

/* Hardly anything is done, and nothing is written, when nobody wants to know. */
static void test_off(void **state)
{
	struct log_options options = {.string_max = 32};
	struct call c = make_call(SYS_close, ROUTE_LOCAL, 3, 0, 0, 0);

	stats_reset();
	assert_int_equal(log_open(&options), 0);
	assert_false(log_active());
	uint64_t start = now_ns();
	for (int i = 0; i < 1000000; i++)
		log_call(&c, 0);
	assert_true(now_ns() - start < 200000000);
	log_exited(1, 0);
	log_close(&no_totals);
	log_call(&c, 0);
}

static void test_open_failure(void **state)
{
	struct log_options options = {.file = "/nonexistent/log", .string_max = 32};

	assert_int_equal(log_open(&options), -ENOENT);
	log_close(&no_totals);
}

static void count_some(void)
{
	struct call c = make_call(SYS_openat, ROUTE_REMOTE, 0, 0, 0, 0),
		    d = make_call(SYS_close, ROUTE_LOCAL, 3, 0, 0, 0);

	c.round_trips = 1;
	c.bytes_in = 1000;
	c.bytes_out = 50;
	c.start_ns -= 5000000;
	log_call(&c, 3);
	log_call(&c, -ENOENT);
	log_call(&d, CALL_CONTINUE);
	log_count_stop();
	log_count_notification();
	log_count_notification();
}

static void test_counts(void **state)
{
	const struct link_totals totals = {.round_trips = 7, .requests = 9, .bytes_in = 11, .bytes_out = 13};
	char name[16];
	unsigned long calls, errors, remote, local, trips, bytes;
	double percent, seconds;
	unsigned usecs;

	OPEN(.counts = true);
	assert_false(log_active());
	count_some();
	log_close(&totals);
	const char *table = written(log_path), *line = strstr(table, "----------------\n");
	assert_int_equal(strncmp(table,
				 "% time     seconds  usecs/call     calls    errors    remote     local "
				 "round trips        bytes syscall\n",
				 60),
			 0);
	line = strchr(line, '\n') + 1;
	assert_int_equal(sscanf(line, "%lf %lf %u %lu %lu %lu %lu %lu %lu %15s", &percent, &seconds, &usecs, &calls,
				&errors, &remote, &local, &trips, &bytes, name),
			 10);
	assert_string_equal(name, "openat");
	assert_true(percent > 90 && seconds >= 0.01 && usecs >= 5000);
	assert_int_equal(calls, 2);
	assert_int_equal(errors, 1);
	assert_int_equal(remote, 2);
	assert_int_equal(trips, 2);
	assert_int_equal(bytes, 2100);
	assert_non_null(strstr(table, " close\n"));
	assert_non_null(strstr(table, " total\n"));
	assert_non_null(strstr(table, "links: 7 round trips, 9 requests, 11 bytes in, 13 bytes out; "
				      "trap none: 2 notifications, 1 ptrace stops\n"));
}

static void test_stats(void **state)
{
	const struct link_totals totals = {.round_trips = 7, .requests = 9, .bytes_in = 11, .bytes_out = 13};
	struct call c = make_call(9999, ROUTE_LOCAL, 0, 0, 0, 0);

	OPEN(.stats_file = stats_path);
	assert_true(log_active());
	count_some();
	log_call(&c, -ENOSYS);
	log_close(&totals);
	const char *json = written(stats_path);
	static const char *const parts[] = {
		"\"round_trips\": 7,",
		"\"requests\": 9,",
		"\"notifications\": 2,",
		"\"ptrace_stops\": 1,",
		"\"bytes_in\": 11,",
		"\"bytes_out\": 13,",
		"\"remote_calls\": 2,",
		"\"local_calls\": 2,",
		"\"openat\": {\"calls\": 2, \"errors\": 1, \"remote_calls\": 2, \"local_calls\": 0, \"round_trips\": "
		"2, "
		"\"bytes_in\": 2000, \"bytes_out\": 100, \"ns\": ",
		"\"unknown\": {\"calls\": 1, \"errors\": 1, ",
	};
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		assert_non_null(strstr(json, parts[i]));
	/* A device is written to, not replaced. */
	assert_int_equal(stats_write("/dev/null", &totals), 0);
	assert_int_equal(stats_write("/nonexistent/x", &totals), -ENOENT);
}

static void *log_many(void *arg)
{
	struct call c =
		make_call(SYS_write, ROUTE_REMOTE, 3, (uintptr_t) "0123456789012345678901234567890123456789", 40, 0);

	for (int i = 0; i < 500; i++)
		log_call(&c, 40);
	return arg;
}

static void test_threads(void **state)
{
	pthread_t threads[8];
	int n = 0;

	OPEN(.stamp = LOG_TIME_RELATIVE);
	for (int i = 0; i < 8; i++)
		pthread_create(&threads[i], NULL, log_many, NULL);
	for (int i = 0; i < 8; i++)
		pthread_join(threads[i], NULL);
	log_close(&no_totals);
	for (char *p = (char *)written(log_path), *end; (end = strchr(p, '\n')); p = end + 1, n++) {
		*end = 0;
		assert_non_null(strstr(p, "write(3, \"01234567890123456789012345678901\"..., 40) = 40 <dir:/srv "));
	}
	assert_int_equal(n, 4000);
}

static int start(void **state)
{
	assert_non_null(mkdtemp(dir));
	snprintf(log_path, sizeof(log_path), "%s/log", dir);
	snprintf(stats_path, sizeof(stats_path), "%s/stats", dir);
	return 0;
}

static int end(void **state)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_continued),      cmocka_unit_test(test_tag),
		cmocka_unit_test(test_unknown_number), cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_events),	       cmocka_unit_test(test_stamps),
		cmocka_unit_test(test_trace),	       cmocka_unit_test(test_trace_filters_lines),
		cmocka_unit_test(test_fd_paths),       cmocka_unit_test(test_off),
		cmocka_unit_test(test_open_failure),   cmocka_unit_test(test_counts),
		cmocka_unit_test(test_stats),	       cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests(tests, start, end);
}
