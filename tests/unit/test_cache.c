/* The cache of names: what it knows, forgets, and answers from a listing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>
#include <errno.h>
#include <pb_encode.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cache.h"
#include "listing.h"
#include "order.h"
#include "rules.h"
#include "util.h"

static const struct mount m = { .tag = "m" }, other = { .tag = "other" };

static rfs_Attr file(uint64_t ino, uint64_t size)
{
	return (rfs_Attr){ .mode = S_IFREG | 0644, .ino = ino, .size = size, .mtime_sec = 7, .nlink = 1 };
}

static rfs_Attr directory(uint64_t ino)
{
	return (rfs_Attr){ .mode = S_IFDIR | 0755, .ino = ino, .nlink = 2 };
}

static void put(const char *path, rfs_Attr attr)
{
	cache_put(&m, path, &attr, cache_now());
}

static void put_bytes(const char *path, rfs_Attr attr, const char *text)
{
	put(path, attr);
	cache_put_bytes(&m, path, &attr, (uint8_t *)xstrdup(text), strlen(text), cache_now());
}

static const char *bytes(const char *path)
{
	static char text[64];
	rfs_Attr attr;
	size_t len;
	const uint8_t *b = cache_bytes(&m, path, &attr, &len);

	if (!b)
		return NULL;
	memcpy(text, b, len);
	text[len] = '\0';
	return text;
}

static int setup(void **state)
{
	cache_limit(CACHE_BYTES);
	cache_forget(&m, "/", true);
	cache_forget(&other, "/", true);
	return 0;
}

static void test_bytes_live_with_the_name(void **state)
{
	rfs_Attr attr;

	put_bytes("/d/a", file(1, 3), "abc");
	put_bytes("/d/b", file(2, 3), "bcd");
	assert_string_equal(bytes("/d/a"), "abc");
	assert_null(cache_bytes(&other, "/d/a", &attr, &(size_t){ 0 }));
	put("/d/a", file(1, 3)); /* told again, and the same */
	assert_string_equal(bytes("/d/a"), "abc");
	put("/d/a", file(1, 4));
	assert_null(bytes("/d/a"));
	assert_int_equal(cache_find(&m, "/d/a", &attr), 1);
	assert_int_equal(attr.size, 4);
	cache_forget_inode(&m, 0, 0, 2);
	assert_null(bytes("/d/b"));
	assert_int_equal(cache_find(&m, "/d/b", &attr), 0);
}

static void test_bytes_of_another_file(void **state)
{
	rfs_Attr was = file(1, 3);

	put("/a", file(9, 3));
	cache_put_bytes(&m, "/a", &was, (uint8_t *)xstrdup("abc"), 3, cache_now());
	assert_null(bytes("/a"));
	cache_put_bytes(&m, "/unknown", &was, (uint8_t *)xstrdup("abc"), 3, cache_now());
	assert_null(bytes("/unknown"));
}

static void test_an_overtaken_answer(void **state)
{
	uint64_t since = cache_now();
	rfs_Attr attr = file(1, 3);

	cache_forget(&m, "/d", true);
	cache_put(&m, "/d/a", &attr, since);
	assert_int_equal(cache_find(&m, "/d/a", &attr), 0);
	cache_put(&m, "/e/a", &attr, since);
	assert_int_equal(cache_find(&m, "/e/a", &attr), 1);
}

static void test_the_oldest_bytes_go(void **state)
{
	cache_limit(40);
	put_bytes("/a", file(1, 10), "aaaaaaaaaa");
	put_bytes("/b", file(2, 10), "bbbbbbbbbb");
	put_bytes("/c", file(3, 10), "cccccccccc");
	put_bytes("/d", file(4, 10), "dddddddddd");
	assert_non_null(bytes("/a")); /* used: /b is the oldest now */
	put_bytes("/e", file(5, 10), "eeeeeeeeee");
	assert_non_null(bytes("/a"));
	assert_null(bytes("/b"));
	assert_non_null(bytes("/e"));
	put_bytes("/f", file(6, 11), "fffffffffff"); /* more than its share */
	assert_null(bytes("/f"));
	assert_non_null(bytes("/e"));
}

static void test_plain_stays(void **state)
{
	rfs_Attr attr = file(1, 3), again = attr;

	attr.plain = true;
	put("/a", attr);
	put("/a", again); /* an open's answer, which does not tell */
	cache_find(&m, "/a", &attr);
	assert_true(attr.plain);
	again.ctime_sec = 99;
	put("/a", again);
	cache_find(&m, "/a", &attr);
	assert_false(attr.plain);
}

static void test_marks(void **state)
{
	assert_false(cache_mark(&m, "/a", CACHE_COMING, true));
	assert_false(cache_marked(&m, "/a", CACHE_COMING)); /* there is no entry */
	put_bytes("/a", file(1, 3), "abc");
	cache_mark(&m, "/a", CACHE_COMING | CACHE_AHEAD, true);
	assert_true(cache_mark(&m, "/a", CACHE_AHEAD, false));
	assert_false(cache_mark(&m, "/a", CACHE_AHEAD, false));
	assert_true(cache_marked(&m, "/a", CACHE_COMING));
	cache_mark(&m, "/a", CACHE_QUIET, true);
	put("/a", file(2, 3)); /* another file: its bytes and what was known of them are gone */
	assert_false(cache_marked(&m, "/a", CACHE_QUIET));
	assert_true(cache_marked(&m, "/a", CACHE_COMING));
}

static void test_leases(void **state)
{
	rfs_Attr attr = file(1, 3);

	cache_lease(&m, "/a", &attr, cache_now());
	assert_int_equal(cache_find(&m, "/a", &attr), 0); /* none are given */
	cache_policy(true, 20000000);
	cache_lease(&m, "/a", &attr, cache_now());
	cache_lease(&m, "/none", NULL, cache_now());
	assert_int_equal(cache_find(&m, "/a", &attr), 1);
	assert_int_equal(cache_find(&m, "/none", &attr), -ENOENT);
	usleep(30000);
	assert_int_equal(cache_find(&m, "/a", &attr), 0);
	cache_lease(&m, "/a", &attr, cache_now());
	cache_forget(&m, "/elsewhere", false); /* it may be another name of it */
	assert_int_equal(cache_find(&m, "/a", &attr), 0);
	cache_policy(false, 0);
	put("/b", file(2, 3));
	assert_int_equal(cache_find(&m, "/b", &attr), 0);
	cache_policy(true, 0);
}

/* ---- listings ---- */

static uint8_t list[4096];
static size_t list_len;

static void list_add(const char *name, const rfs_Attr *attr)
{
	rfs_Entry e = { .ino = 1, .cookie = 1, .has_attr = attr };
	pb_ostream_t out = pb_ostream_from_buffer(list + list_len, sizeof(list) - list_len);

	e.name.size = strlen(name);
	memcpy(e.name.bytes, name, e.name.size);
	if (attr)
		e.attr = *attr;
	assert_true(pb_encode_delimited(&out, rfs_Entry_fields, &e));
	list_len += out.bytes_written;
}

static void list_put(const char *path, rfs_Attr attr)
{
	uint8_t *copy = xcalloc(1, list_len);

	memcpy(copy, list, list_len);
	put(path, attr);
	bool search = listing_learn(&m, path, list, list_len, cache_now());
	cache_put_bytes(&m, path, &attr, copy, list_len, cache_now());
	cache_mark(&m, path, CACHE_SEARCH, search);
}

static void test_a_listing_answers(void **state)
{
	rfs_Attr self = directory(1), a = file(2, 5), attr;

	list_len = 0;
	list_add(".", &self);
	list_add("..", NULL);
	list_add("a", &a);
	list_add("other", NULL); /* nothing is promised of it */
	list_put("/d", self);
	assert_int_equal(cache_find(&m, "/d/a", &attr), 1);
	assert_int_equal(attr.size, 5);
	assert_int_equal(cache_find(&m, "/d/other", &attr), 0);
	assert_int_equal(cache_find(&m, "/d/b", &attr), -ENOENT);
	assert_int_equal(cache_find(&m, "/d/aa", &attr), -ENOENT);
	assert_int_equal(cache_find(&m, "/d/b/c/d", &attr), -ENOENT);
	assert_int_equal(cache_find(&m, "/d/other/c", &attr), 0);
	assert_int_equal(cache_find(&m, "/x", &attr), 0);
	char name[300];
	memset(name, 'n', sizeof(name));
	memcpy(name, "/d/", 3);
	name[3 + 256] = '\0'; /* ENAMETOOLONG is not ours to say */
	assert_int_equal(cache_find(&m, name, &attr), 0);
	cache_forget(&m, "/d", false);
	assert_int_equal(cache_find(&m, "/d/b", &attr), 0);
	assert_int_equal(cache_find(&m, "/d/a", &attr), 1);
}

/* What we make is known with what was known; that there is more to it than the listing says is noticed. */
static void test_own_names(void **state)
{
	rfs_Attr self = directory(1), a = file(2, 5), made = file(3, 0), attr;
	size_t len;

	list_len = 0;
	list_add(".", &self);
	list_add("a", &a);
	list_put("/d", self);
	uint64_t before = cache_now();
	cache_made(&m, "/d/b", 8, &made, before);
	assert_int_equal(cache_find(&m, "/d/b", &attr), 1);
	assert_int_equal(attr.ino, 3);
	assert_int_equal(cache_find(&m, "/d/a", &attr), 1);
	assert_int_equal(cache_find(&m, "/d/c", &attr), -ENOENT);
	assert_int_equal(cache_find(&m, "/d", &attr), 0); /* it has other times now */
	assert_true(cache_exists(&m, "/d") && cache_is_directory(&m, "/d") && !cache_is_directory(&m, "/d/b"));
	assert_true(cache_marked(&m, "/d", CACHE_OURS));
	assert_null(cache_bytes(&m, "/d", &attr, &len)); /* a reader would miss the name */
	cache_forget(&m, "/d/b", false);
	assert_int_equal(cache_find(&m, "/d/b", &attr), 0);
	assert_true(cache_exists(&m, "/d/b"));
	/* What was asked for before the name was there. */
	cache_put_bytes(&m, "/d", &self, (uint8_t *)xstrdup(""), 0, before);
	cache_put(&m, "/d/b", NULL, before);
	assert_int_equal(cache_find(&m, "/d/b", &attr), 0);
	/* A stat of the directory says nothing of its names. */
	self.mtime_sec = 99;
	put("/d", self);
	assert_int_equal(cache_find(&m, "/d", &attr), 1);
	assert_int_equal(cache_find(&m, "/d/c", &attr), -ENOENT);
	assert_null(cache_bytes(&m, "/d", &attr, &len));
	cache_changed(&m, "/d");
	assert_int_equal(cache_find(&m, "/d", &attr), 0);
	assert_int_equal(cache_find(&m, "/d/c", &attr), -ENOENT);
	cache_forget_inode(&m, self.dev_major, self.dev_minor, self.ino);
	assert_int_equal(cache_find(&m, "/d/c", &attr), -ENOENT);
	self.ino = 100; /* another one */
	put("/d", self);
	assert_int_equal(cache_find(&m, "/d/c", &attr), 0);
	/* Somebody else's word meanwhile. */
	before = cache_now();
	cache_forget(&m, "/d/e", false);
	cache_made(&m, "/d/e", 8, &made, before);
	assert_int_equal(cache_find(&m, "/d/e", &attr), 0);
	/* It is gone again, and the names were listed since, before the reply is looked at that made it. */
	before = cache_now();
	cache_forget_name(&m, "/d/f", true);
	list_put("/d", directory(1));
	cache_made(&m, "/d/f", 8, &made, before);
	assert_false(cache_exists(&m, "/d/f"));
}

/* A directory that is being made: what we make in it meanwhile is known, and what the agent says of it comes later. */
static void test_what_is_expected(void **state)
{
	rfs_Attr guess = directory(0), real = directory(7), attr;

	cache_expect(&m, "/new", &guess);
	uint64_t since = cache_now();
	assert_int_equal(cache_find(&m, "/new", &attr), 0);
	assert_true(cache_exists(&m, "/new") && cache_last(&m, "/new", &attr));
	assert_int_equal(cache_find(&m, "/new/a", &attr), -ENOENT);
	cache_made(&m, "/new/a", 8, NULL, cache_now());
	assert_int_equal(cache_find(&m, "/new/a", &attr), 0);
	cache_confirm(&m, "/new", &real, since);
	assert_int_equal(cache_find(&m, "/new", &attr), 0); /* it has other times by now */
	assert_true(cache_last(&m, "/new", &attr) && attr.ino == 7);
	assert_int_equal(cache_find(&m, "/new/a", &attr), 0);
	assert_int_equal(cache_find(&m, "/new/b", &attr), -ENOENT);
	put("/new", real);
	assert_int_equal(cache_find(&m, "/new", &attr), 1);
	assert_int_equal(cache_find(&m, "/new/b", &attr), -ENOENT);
	/* With nothing in it, it is what the agent says. */
	cache_expect(&m, "/other", &guess);
	cache_confirm(&m, "/other", &real, cache_now());
	assert_int_equal(cache_find(&m, "/other", &attr), 1);
	/* Somebody was there meanwhile. */
	cache_expect(&m, "/third", &guess);
	cache_forget(&m, "/third", false);
	cache_confirm(&m, "/third", &real, cache_now());
	assert_false(cache_exists(&m, "/third"));
	cache_assume(&m, "/f", &real);
	assert_true(cache_exists(&m, "/f") && cache_find(&m, "/f", &attr) == 0);
}

/* Without the right to search it, names in it are EACCES, whether it has them or not. */
static void test_a_listing_without_search(void **state)
{
	rfs_Attr self = directory(1), attr;

	list_len = 0;
	list_add(".", NULL);
	list_add("a", NULL);
	list_put("/d", self);
	assert_int_equal(cache_find(&m, "/d/b", &attr), 0);
}

static void test_a_broken_listing(void **state)
{
	rfs_Attr self = directory(1);
	rfs_Entry e;
	size_t at = 0;

	list_len = 0;
	list_add(".", &self);
	list_add("a", &self);
	assert_false(listing_has(list, list_len, "b", 1));
	for (size_t cut = 1; cut < list_len; cut++)
		listing_has(list, cut, "zz", 2); /* must not read beyond */
	for (size_t i = 0; i < list_len; i++) {
		uint8_t was = list[i];

		list[i] = 0xff;
		listing_has(list, list_len, "zz", 2);
		list[i] = was;
	}
	assert_true(listing_has((const uint8_t *)"\x05\x10\x01", 3, "b", 1));
	assert_int_equal(listing_next((const uint8_t *)"\x05\x10\x01", 3, &at, &e), -EPROTO);
	assert_int_equal(at, 3);
	assert_int_equal(listing_next(NULL, 0, &(size_t){ 0 }, &e), 0);
}

/* ---- the order in which names are used ---- */

static void list_many(void)
{
	char name[16];

	list_len = 0;
	list_add(".", NULL);
	list_add("..", NULL);
	list_add(".x", NULL);
	for (int i = 0; i < 97; i++) {
		snprintf(name, sizeof(name), "f%02d", i * 31 % 97);
		list_add(name, NULL);
	}
}

static void test_order(void **state)
{
	struct order o;

	list_many();
	assert_int_equal(order_make(&o, list, list_len, NULL, NULL), 0);
	assert_int_equal(o.count, 98);
	assert_string_equal(o.name[0], ".x");
	assert_string_equal(o.name[2], "f31");
	order_free(&o);
	assert_int_equal(order_make(&o, list, list_len, "f00", "f31"), 3); /* side by side in the listing */
	assert_string_equal(o.name[3], "f62");
	order_free(&o);
	size_t at = order_make(&o, list, list_len, "f12", "f10"); /* as threads share sorted names */
	assert_string_equal(o.name[at], "f11");
	order_free(&o);
	at = order_make(&o, list, list_len, "f02", "f70"); /* neither */
	assert_string_equal(o.name[1], "f00");
	order_free(&o);
	assert_int_equal(order_make(&o, list, list_len, "gone", "other"), 0);
	order_free(&o);
	assert_int_equal(order_make(&o, NULL, 0, "a", "b"), 0);
	assert_int_equal(o.count, 0);
	order_free(&o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_bytes_live_with_the_name, setup),
		cmocka_unit_test_setup(test_bytes_of_another_file, setup),
		cmocka_unit_test_setup(test_an_overtaken_answer, setup),
		cmocka_unit_test_setup(test_the_oldest_bytes_go, setup),
		cmocka_unit_test_setup(test_plain_stays, setup),
		cmocka_unit_test_setup(test_marks, setup),
		cmocka_unit_test_setup(test_leases, setup),
		cmocka_unit_test_setup(test_a_listing_answers, setup),
		cmocka_unit_test_setup(test_own_names, setup),
		cmocka_unit_test_setup(test_what_is_expected, setup),
		cmocka_unit_test_setup(test_a_listing_without_search, setup),
		cmocka_unit_test_setup(test_a_broken_listing, setup),
		cmocka_unit_test_setup(test_order, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
