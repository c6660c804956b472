/* pattern.c and pattern_syntax.c: Rust's syntax, paths that are no UTF-8, replacements, hostile patterns. */
#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "path.h"
#include "pattern.h"
#include "table.h"
#include "util.h"

TABLE(matches_table, "tests/rules/matches.tsv");
TABLE(refused_table, "tests/rules/refused.tsv");
TABLE(mapping_table, "tests/rules/mapping.tsv");

void die(const char *format, ...)
{
	fail_msg("died: %s", format);
	abort();
}

static struct pattern *compile(const char *text)
{
	char err[256];
	struct pattern *p = pattern_compile(text, err, sizeof(err));

	if (!p)
		fail_msg("%s: %s", text, err);
	return p;
}

static bool matches(const char *text, const char *path)
{
	struct pattern *p = compile(text);
	bool found = pattern_matches(p, path);

	assert_string_equal(pattern_text(p), text);
	pattern_free(p);
	return found;
}

static void test_matches(void **state)
{
	const char *at = matches_table;
	char line[1024], *f[3];
	int wrong = 0;

	(void)state;
	while (table_next(&at, line, sizeof(line), f, 3) == 3)
		if (matches(f[0], f[1]) != !strcmp(f[2], "yes")) {
			print_error("%s in %s: not %s\n", f[0], f[1], f[2]);
			wrong++;
		}
	assert_false(*at);
	assert_int_equal(wrong, 0);
}

static void test_refused(void **state)
{
	const char *at = refused_table;
	char line[1024], *f[2], err[256];
	int wrong = 0;

	(void)state;
	while (table_next(&at, line, sizeof(line), f, 2) == 2) {
		struct pattern *p = pattern_compile(f[0], err, sizeof(err));

		if (p || !strstr(err, f[1]) || strncmp(err, "character ", 10)) {
			print_error("%s: %s, not %s\n", f[0], p ? "accepted" : err, f[1]);
			wrong++;
		}
		if (p)
			pattern_free(p);
	}
	assert_false(*at);
	assert_int_equal(wrong, 0);
}

static void test_replace(void **state)
{
	const char *at = mapping_table;
	char line[1024], *f[4], out[PATH_MAX], whole[PATH_MAX], norm[PATH_MAX];
	int wrong = 0;

	(void)state;
	while (table_next(&at, line, sizeof(line), f, 4) == 4) {
		struct pattern *p = compile(f[0]);
		int rc = pattern_replace(p, f[2], f[1], out, sizeof(out));

		pattern_free(p);
		assert_int_equal(path_join("/", rc ? out : f[2], whole, sizeof(whole)), 0);
		assert_int_equal(path_normalise(whole, norm, sizeof(norm)), 0);
		if (strcmp(norm, *f[3] == '=' ? f[2] : f[3])) {
			print_error("%s -> %s: %s becomes %s, not %s\n", f[0], f[1], f[2], norm, f[3]);
			wrong++;
		}
	}
	assert_false(*at);
	assert_int_equal(wrong, 0);
}

/* Each byte that is not part of a character is one of its own, and comes out of a replacement as it was. */
static void test_bytes(void **state)
{
	char out[PATH_MAX];

	(void)state;
	assert_true(matches("^/.x$", "/\xffx"));
	assert_true(matches("^/..x$", "/\xc3\xc3x"));
	assert_true(matches("^/[^/]+/y$", "/\xf4\x8f\xbf\xbf/y"));
	assert_false(matches("^/.$", "/\xed\xa0\x80"));
	assert_false(matches("^/.$", "/\xc0\xaf"));
	struct pattern *p = compile("^/(.+)/b$");
	assert_int_equal(pattern_replace(p, "/\xff\xc3\xa9\xf4\x8f\xbf\xbf\x80/b", "/$1/c", out, sizeof(out)), 1);
	assert_string_equal(out, "/\xff\xc3\xa9\xf4\x8f\xbf\xbf\x80/c");
	assert_int_equal(pattern_replace(p, "/a/b", "/\xfe$1", out, sizeof(out)), 1);
	assert_string_equal(out, "/\xfe" "a");
	assert_int_equal(pattern_replace(p, "/abcdef/b", "/$1", out, 7), -ENAMETOOLONG);
	pattern_free(p);
	p = pattern_compile_literal("^", "/a.b\xff(c)é", "(/|$)");
	assert_true(pattern_matches(p, "/a.b\xff(c)é/d"));
	assert_true(pattern_matches(p, "/A.b\xff(C)É"));
	assert_false(pattern_matches(p, "/axb\xff(c)é"));
	assert_false(pattern_matches(p, "/a.b\xfe(c)é"));
	pattern_free(p);
}

static void test_hostile(void **state)
{
	char path[PATH_MAX], err[256], *longest = xcalloc(1, 70000);

	(void)state;
	memset(path, 'a', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	uint64_t start = now_ns();
	assert_false(matches("(a+)+b", path));
	assert_false(matches("(a|aa)+$b", path));
	assert_false(matches("(.*)*(.*)*(.*)*x", path));
	assert_true(now_ns() - start < 20000000000u);
	memset(longest, '(', 60000);
	assert_null(pattern_compile(longest, err, sizeof(err)));
	assert_non_null(strstr(err, "too long"));
	longest[5000] = '\0';
	assert_null(pattern_compile(longest, err, sizeof(err)));
	assert_null(pattern_compile("((a{1000}){1000}){1000}", err, sizeof(err)));
	assert_null(pattern_compile("\xff", err, sizeof(err)));
	assert_non_null(strstr(err, "UTF-8"));
	assert_null(pattern_compile("\\\xc3\xa9", err, sizeof(err)));
	free(longest);
}

/* Whatever is put together, it is refused or searched for, and what is found is replaced; sanitised builds look at how. */
static void test_random(void **state)
{
	static const char *const parts[] = {
		"a", "/", "\\", "(", "(?:", "(?P<n>", "(?<m>", ")", "[", "]", "^", "$", ".", "*", "+", "?", "{", "}", "{2}", "{,3}", "|", "-", "&&",
		"[:alpha:]", "[:^digit:]", "\\x", "{", "41", "\\u", "\\p{", "L", "\\b", "{start}", "\\<", "\\d", "(?i", "(?u", ":", "\xc3\xa9",
		"\xff", "\xf4\x8f\xbf\xbf", "\\Q", "(*", "(?=", "\n",
	};
	static const char *const words[] = { "$", "1", "{", "}", "n", "$$", "m", "x", "\xff", "${1}", "$1x", "\xc3" };
	static const char *const paths[] = { "/a", "/a/a.a", "/\xff\xc3\xa9/\xf4\x8f\xbf\xbf\xed\xa0\x80", "/A\n" };
	char text[256], with[128], out[PATH_MAX], err[64];

	(void)state;
	srand(1);
	for (int i = 0; i < 30000; i++) {
		const char *path = paths[i % 4];

		*text = *with = '\0';
		for (int n = rand() % 12; n >= 0; n--)
			strcat(text, parts[(unsigned)rand() % (sizeof(parts) / sizeof(*parts))]);
		for (int n = rand() % 6; n >= 0; n--)
			strcat(with, words[(unsigned)rand() % (sizeof(words) / sizeof(*words))]);
		struct pattern *p = pattern_compile(text, err, 1 + (size_t)rand() % sizeof(err));
		if (!p)
			continue;
		bool found = pattern_matches(p, path);
		int rc = pattern_replace(p, path, with, out, rand() % 2 ? sizeof(out) : 1 + (size_t)rand() % 10);
		assert_true(found ? rc == 1 || rc == -ENAMETOOLONG : rc == 0);
		pattern_free(p);
		p = pattern_compile_literal("^", path, "$");
		assert_true(pattern_matches(p, path));
		pattern_free(p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_matches), cmocka_unit_test(test_refused), cmocka_unit_test(test_replace),
		cmocka_unit_test(test_bytes),	cmocka_unit_test(test_hostile), cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
