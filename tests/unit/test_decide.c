/* rules.c and rules_default.c: which list decides what, by the tables of tests/rules; the twin of a mount. */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "rules.h"
#include "table.h"
#include "util.h"

TABLE(filter_table, "tests/rules/filter.tsv");

void die(const char *format, ...)
{
	fail_msg("died: %s", format);
	abort();
}

static struct mount *tree, *twin, *explicit;

static void add(enum rule_kind kind, const char *pattern, const char *replacement)
{
	char err[256];

	if (rules_add(kind, pattern, replacement, "test", err, sizeof(err)))
		fail_msg("%s: %s", pattern, err);
}

static int set_up(void **state)
{
	(void)state;
	setenv("HOME", "/home/user/", 1);
	unsetenv("TMPDIR");
	assert_false(rules_given(RULE_READ_WRITE));
	tree = rules_add_mount("/", "/", "dir:/tree");
	tree->defaults = true;
	explicit = rules_add_mount("/explicit", "/", "dir:/explicit");
	rules_keep_local("/needed", FOR_ALL);
	rules_keep_local("/usr/local/lib", FOR_LOCAL);
	rules_keep_local("/pain/read_write/program.a", ALWAYS);
	add(RULE_READ_WRITE, "/pain/read_write.*\\.a", NULL);
	add(RULE_READ_ONLY, "/pain/read_only.*\\.a", NULL);
	add(RULE_LOCAL, "/pain/local.*\\.a", NULL);
	add(RULE_NOT_FOUND, "/pain/not_found.*\\.a", NULL);
	add(RULE_MAPPING, "^/from/", "/pain/");
	add(RULE_MAPPING, "^/from/local/", "/never/");
	add(RULE_MAPPING, "^/here/", "/opt/");
	add(RULE_MAPPING, "^/long/(.*)", "/$1$1$1");
	rules_add_defaults("/prog/bin/run", "/proj/dir");
	assert_true(rules_given(RULE_READ_WRITE));
	return 0;
}

static enum mode mode_named(const char *name)
{
	return !strcmp(name, "read") ? MODE_READ : !strcmp(name, "write") ? MODE_WRITE : !strcmp(name, "local") ? MODE_LOCAL :
		MODE_LOCAL_OVERRIDES;
}

static const char *verdict(const char *path, bool write, bool remote)
{
	static const char *const names[] = { [VERDICT_LOCAL] = "local", [VERDICT_REMOTE] = "remote", [VERDICT_NOT_FOUND] = "not_found" };
	const struct decision *d = rules_decide(path, write, remote);

	assert_int_equal(d->verdict == VERDICT_REMOTE, d->mount != NULL);
	assert_non_null(d->list);
	return names[d->verdict];
}

static void test_filter(void **state)
{
	const char *at = filter_table;
	char line[1024], *f[4];
	int n, wrong = 0;

	(void)state;
	while ((n = table_next(&at, line, sizeof(line), f, 4))) {
		assert_int_equal(n, 4);
		rules_set_mode(tree, mode_named(f[0]));
		/* The second time it is remembered. */
		for (int i = 0; i < 2; i++)
			if (strcmp(verdict(f[1], !strcmp(f[2], "write"), false), f[3])) {
				print_error("mode %s, %s %s: %s, not %s\n", f[0], f[2], f[1], verdict(f[1], !strcmp(f[2], "write"), false), f[3]);
				wrong++;
			}
	}
	assert_int_equal(wrong, 0);
}

static void test_mapping(void **state)
{
	(void)state;
	rules_set_mode(tree, MODE_READ);
	const struct decision *d = rules_decide("/from/read_write/x.a", true, false);
	assert_int_equal(d->verdict, VERDICT_REMOTE);
	assert_string_equal(d->path, "/pain/read_write/x.a");
	assert_string_equal(d->mapping, "^/from/");
	assert_string_equal(d->list, "read_write");
	assert_string_equal(d->pattern, "/pain/read_write.*\\.a");
	assert_string_equal(d->origin, "test");
	/* The first that is found counts. */
	d = rules_decide("/from/local/x.a", false, false);
	assert_string_equal(d->path, "/pain/local/x.a");
	assert_int_equal(d->verdict, VERDICT_LOCAL);
	assert_int_equal(rules_decide("/from/not_found/x.a", false, false)->verdict, VERDICT_NOT_FOUND);
	d = rules_decide("/here/x", false, false);
	assert_int_equal(d->verdict, VERDICT_LOCAL);
	assert_string_equal(d->path, "/opt/x");
	assert_null(rules_decide("/data/x", false, false)->path);
	char path[2000] = "/long/";
	memset(path + 6, 'a', sizeof(path) - 7);
	path[sizeof(path) - 1] = '\0';
	assert_int_equal(rules_decide(path, false, false)->verdict, VERDICT_NOT_FOUND);
	path[1000] = '\0';
	assert_int_equal(rules_decide(path, false, false)->verdict, VERDICT_REMOTE);
}

static void test_explicit(void **state)
{
	(void)state;
	rules_set_mode(explicit, MODE_READ);
	assert_string_equal(verdict("/explicit/x.so", false, false), "remote");
	assert_string_equal(verdict("/explicit/x", true, false), "remote");
	assert_string_equal(verdict("/explicit/pain/local/x.a", false, false), "local");
	assert_string_equal(verdict("/explicit/pain/not_found/x.a", true, false), "not_found");
	assert_string_equal(verdict("/explicit/pain/read_only/x.a", true, false), "local");
	rules_set_mode(explicit, MODE_LOCAL_OVERRIDES);
	assert_string_equal(verdict("/explicit/x", false, false), "local");
	assert_string_equal(verdict("/explicit/pain/read_only/x.a", false, false), "remote");
	assert_string_equal(rules_decide("/explicit/x", false, false)->list, "mode localwithoverrides");
}

/* What a loader needs is local for a local program, whatever the lists say; what the machine is, for all. */
static void test_programs(void **state)
{
	(void)state;
	rules_set_mode(tree, MODE_WRITE);
	add(RULE_READ_WRITE, "^/usr/local/lib/", NULL);
	assert_string_equal(verdict("/usr/local/lib/libc.so.6", false, false), "local");
	assert_true(rules_decide("/usr/local/lib/libc.so.6", false, false)->here);
	assert_string_equal(verdict("/usr/local/lib/libc.so.6", false, true), "remote");
	assert_string_equal(verdict("/usr/local/lib/app.conf", false, false), "remote");
	/* A mount below a loader's directory is there for a reason. */
	rules_add_mount("/usr/local/lib/mine", "/", "dir:/mine");
	assert_string_equal(verdict("/usr/local/lib/mine/x.so", false, false), "remote");
	assert_string_equal(verdict("/usr/bin/x", false, false), "local");
	assert_string_equal(verdict("/usr/bin/x", false, true), "remote");
	assert_string_equal(verdict("/app/main.py", false, true), "remote");
	assert_string_equal(verdict("/proc/self", false, true), "local");
	assert_string_equal(verdict("/needed/x", false, true), "local");
	assert_false(rules_decide("/needed/x", false, false)->here);
	assert_string_equal(verdict("/pain/read_write/program.a", false, true), "local");
}

static void test_twin(void **state)
{
	(void)state;
	rules_set_mode(tree, MODE_READ);
	twin = rules_add_mount("/", "/", "dir:/tree");
	twin->is_twin = twin->writable = true;
	tree->twin = twin;
	assert_ptr_equal(rules_decide("/pain/read_write/x.a", false, false)->mount, twin);
	assert_ptr_equal(rules_decide("/pain/read_write/x.a", true, false)->mount, twin);
	assert_ptr_equal(rules_decide("/pain/read_only/x.a", false, false)->mount, tree);
	assert_ptr_equal(rules_decide("/data/x", false, false)->mount, tree);
	tree->writable = true;
	twin->writable = false;
	rules_set_mode(tree, MODE_WRITE);
	assert_ptr_equal(rules_decide("/pain/read_write/x.a", true, false)->mount, tree);
	assert_ptr_equal(rules_decide("/pain/read_only/x.a", false, false)->mount, twin);
	assert_ptr_equal(rules_decide("/etc/hosts", false, false)->mount, tree);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_filter),	 cmocka_unit_test(test_mapping), cmocka_unit_test(test_explicit),
		cmocka_unit_test(test_programs), cmocka_unit_test(test_twin),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
