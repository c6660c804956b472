/* What is known of a file, against a model that has one state for every byte of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>

#include "pages.h"
#include "util.h"

void die(const char *fmt, ...)
{
	fputs(fmt, stderr);
	abort();
}

static struct pages p, q;

static uint8_t *bytes(uint64_t off, size_t len)
{
	uint8_t *data = malloc(len + 1);

	for (size_t i = 0; i < len; i++)
		data[i] = (uint8_t)(off + i);
	return data;
}

static void put(struct pages *to, uint64_t off, size_t len)
{
	pages_put(to, off, bytes(off, len), len);
}

/* How many bytes are known from OFF on, at most WANT; they are the right ones. */
static size_t known(uint64_t off, size_t want)
{
	const uint8_t *data = pages_find(&p, off, &want);

	for (size_t i = 0; data && i < want; i++)
		assert_int_equal(data[i], (uint8_t)(off + i));
	return data ? want : 0;
}

static int clear(void **state)
{
	pages_free(&p);
	pages_free(&q);
	pages_set_limit(PAGES_LIMIT);
	return 0;
}

static void test_known(void **state)
{
	assert_int_equal(known(0, 10), 0);
	put(&p, 100, 50);
	put(&p, 20, 10);
	assert_int_equal(known(100, 500), 50);
	assert_int_equal(known(149, 500), 1);
	assert_int_equal(known(150, 500), 0);
	assert_int_equal(known(25, 3), 3);
	assert_int_equal(known(19, 3), 0);
	/* Between what is known there is room for 70 more. */
	put(&p, 30, 1000);
	assert_int_equal(known(30, 500), 70);
	assert_int_equal(known(100, 500), 50);
	assert_int_equal(pages_skip(&p, 20), 150);
	assert_int_equal(pages_skip(&p, 0), 0);
	put(&p, 40, 10);
	put(&p, 0, 0);
	assert_int_equal(known(40, 500), 60);
}

static void test_end(void **state)
{
	assert_false(pages_at_end(&p, 0));
	put(&p, 0, 10);
	assert_false(pages_at_end(&p, 10));
	struct chunk *k = pages_expect(&p, 10, 10);
	pages_arrived(k, bytes(10, 4), 4, 0);
	assert_true(pages_at_end(&p, 14));
	assert_false(pages_at_end(&p, 13));
	assert_int_equal(known(10, 100), 4);
	/* One more byte asked for than kept tells of the end. */
	pages_drop_all(&p);
	assert_false(pages_at_end(&p, 14));
	k = pages_expect(&p, 0, 8);
	k->asked = 9;
	pages_arrived(k, bytes(0, 8), 8, 0);
	assert_true(pages_at_end(&p, 8));
	assert_int_equal(known(0, 100), 8);
	pages_drop_all(&p);
	k = pages_expect(&p, 0, 8);
	k->asked = 9;
	pages_arrived(k, bytes(0, 9), 9, 0);
	assert_false(pages_at_end(&p, 8));
	assert_int_equal(known(0, 100), 8);
	/* Nothing at all. */
	k = pages_expect(&p, 8, 8);
	pages_arrived(k, NULL, 0, 0);
	assert_true(pages_at_end(&p, 8));
	assert_null(pages_coming(&p, 8));
	/* What is there proves it wrong. */
	put(&p, 20, 5);
	assert_false(pages_at_end(&p, 8));
	pages_set_end(&p, 22);
	assert_int_equal(known(20, 5), 0);
}

static void test_coming(void **state)
{
	struct chunk *a = pages_expect(&p, 0, 10), *b = pages_expect(&p, 10, 10);

	assert_null(pages_expect(&p, 5, 10));
	assert_ptr_equal(pages_coming(&p, 9), a);
	assert_ptr_equal(pages_coming(&p, 10), b);
	assert_int_equal(p.coming, 20);
	assert_int_equal(known(0, 10), 0);
	assert_int_equal(pages_skip(&p, 0), 20);
	pages_arrived(b, bytes(10, 10), 10, 0);
	assert_int_equal(p.coming, 10);
	assert_null(pages_coming(&p, 10));
	assert_int_equal(known(10, 99), 10);
	pages_arrived(a, NULL, 0, -EIO);
	assert_int_equal(p.coming, 0);
	assert_int_equal(pages_skip(&p, 0), 0);
}

static void test_overtaken(void **state)
{
	struct chunk *a = chunk_ref(pages_expect(&p, 0, 10)), *b = pages_expect(&p, 10, 10), *c = pages_expect(&p, 20, 10);

	put(&p, 30, 10);
	pages_set_end(&p, 40);
	/* A change of some bytes. */
	pages_drop(&p, 5, 5);
	assert_true(a->stale);
	assert_true(pages_at_end(&p, 40));
	pages_arrived(a, bytes(0, 10), 10, 0);
	assert_int_equal(known(0, 10), 0);
	assert_int_equal(a->size, 10);
	pages_arrived(b, bytes(10, 10), 10, 0);
	assert_int_equal(known(10, 10), 10);
	chunk_unref(a);
	/* … of all. */
	pages_drop_all(&p);
	assert_int_equal(p.drops, 1);
	pages_arrived(c, bytes(20, 10), 10, 0);
	assert_int_equal(known(20, 10), 0);
	assert_int_equal(p.coming, 0);
	/* It may have become longer. */
	put(&p, 0, 10);
	pages_set_end(&p, 10);
	pages_drop(&p, 10, 1);
	assert_int_equal(known(0, 10), 10);
	assert_false(pages_at_end(&p, 10));
	pages_drop(&p, 3, UINT64_MAX);
	assert_int_equal(known(0, 10), 0);
}

static void test_closed_meanwhile(void **state)
{
	struct chunk *a = pages_expect(&p, 0, 10), *b = pages_expect_alone(0, 10);

	pages_hold(&p, chunk_ref(b));
	pages_free(&p);
	pages_arrived(a, bytes(0, 10), 10, 0);
	pages_arrived(b, bytes(0, 10), 10, 0);
	assert_int_equal(known(0, 10), 0);
}

static void test_limit(void **state)
{
	pages_set_limit(100);
	put(&p, 0, 40);
	put(&q, 0, 40);
	assert_int_equal(known(0, 40), 40);
	put(&q, 40, 40);
	/* What was used last stays. */
	assert_int_equal(known(0, 40), 40);
	size_t len = 40;
	assert_null(pages_find(&q, 0, &len));
	assert_non_null(pages_find(&q, 40, &len));
	/* What was asked for reaches who waits for it, however little may stay. */
	pages_set_limit(0);
	assert_int_equal(known(0, 40), 0);
	struct chunk *k = chunk_ref(pages_expect(&p, 0, 10));
	pages_arrived(k, bytes(0, 10), 10, 0);
	assert_int_equal(known(0, 10), 0);
	assert_false(k->stale);
	assert_int_equal(k->data[9], 9);
	pages_hold(&p, k);
	assert_int_equal(k->data[9], 9);
}

#define BYTES 64
#define COMING 8

enum { UNKNOWN, KNOWN, PENDING };

static void random_step(uint8_t *model, struct chunk **coming)
{
	unsigned what = (unsigned)random() % 8, off = (unsigned)random() % BYTES, len = 1 + (unsigned)random() % 12, i = (unsigned)random() % COMING;

	len = len < BYTES - off ? len : BYTES - off;
	if (what < 3 && !coming[i]) {
		coming[i] = pages_expect(&p, off, len);
		assert_int_equal(!coming[i], model[off] != UNKNOWN);
		for (unsigned j = 0; coming[i] && j < coming[i]->size; j++) {
			assert_int_equal(model[off + j], UNKNOWN);
			model[off + j] = PENDING;
		}
	} else if (what < 6 && coming[i]) {
		struct chunk *k = coming[i];

		for (unsigned j = 0; k->of && j < k->size; j++)
			model[k->off + j] = what == 3 ? UNKNOWN : KNOWN;
		if (what == 3)
			pages_arrived(k, NULL, 0, -EIO);
		else
			pages_arrived(k, bytes(k->off, k->size), k->size, 0);
		coming[i] = NULL;
	} else if (what == 6) {
		/* Whole chunks go. */
		for (unsigned j = off; j < off + len; j++)
			for (size_t n = 0; n < p.count; n++)
				if (p.at[n]->off <= j && j < p.at[n]->off + p.at[n]->size)
					memset(model + p.at[n]->off, UNKNOWN, p.at[n]->size);
		pages_drop(&p, off, len);
	}
}

static void test_random(void **state)
{
	uint8_t model[BYTES] = { 0 };
	struct chunk *coming[COMING] = { 0 };

	srandom(1);
	for (int step = 0; step < 100000; step++) {
		random_step(model, coming);
		for (unsigned i = 0; i < BYTES; i++) {
			assert_int_equal(known(i, 1), model[i] == KNOWN);
			assert_int_equal(pages_coming(&p, i) != NULL, model[i] == PENDING);
		}
	}
	for (unsigned i = 0; i < COMING; i++)
		if (coming[i])
			pages_arrived(coming[i], NULL, 0, -EIO);
	assert_int_equal(p.coming, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_known, clear),	      cmocka_unit_test_teardown(test_end, clear),
		cmocka_unit_test_teardown(test_coming, clear),	      cmocka_unit_test_teardown(test_overtaken, clear),
		cmocka_unit_test_teardown(test_closed_meanwhile, clear), cmocka_unit_test_teardown(test_limit, clear),
		cmocka_unit_test_teardown(test_random, clear),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
