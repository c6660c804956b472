#include "pages.h"

#include <stdlib.h>
#include <string.h>

#include "util.h"

static TAILQ_HEAD(chunks, chunk) used = TAILQ_HEAD_INITIALIZER(used);
static size_t total, elsewhere, limit = PAGES_LIMIT;

/* ---- chunks ---- */

static struct chunk *chunk_new(uint64_t off, size_t size)
{
	struct chunk *k = xcalloc(1, sizeof(*k));

	*k = (struct chunk){ .refs = 1, .off = off, .size = size, .asked = size, .pending = true, .asked_ns = now_ns() };
	pthread_cond_init(&k->arrived, NULL);
	return k;
}

struct chunk *chunk_ref(struct chunk *k)
{
	k->refs++;
	return k;
}

void chunk_unref(struct chunk *k)
{
	if (--k->refs)
		return;
	pthread_cond_destroy(&k->arrived);
	free(k->data);
	free(k);
}

static uint64_t chunk_end(const struct chunk *k)
{
	return k->off + k->size;
}

/* ---- where they are ---- */

/* The first that ends behind OFF. */
static size_t index_of(struct pages *p, uint64_t off)
{
	size_t low = 0, high = p->count, h = p->hint;

	/* Reading goes on where it was, or behind that. */
	for (size_t i = h; i < p->count && i < h + 2; i++)
		if (p->at[i]->off <= off && off < chunk_end(p->at[i]))
			return p->hint = i;
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (chunk_end(p->at[middle]) > off)
			high = middle;
		else
			low = middle + 1;
	}
	return p->hint = low;
}

static struct chunk *chunk_at(struct pages *p, uint64_t off)
{
	size_t i = index_of(p, off);

	return i < p->count && p->at[i]->off <= off ? p->at[i] : NULL;
}

static void insert(struct pages *p, size_t i, struct chunk *k)
{
	if (p->count == p->room) {
		p->room = p->room ? 2 * p->room : 4;
		p->at = xrealloc(p->at, p->room * sizeof(struct chunk *));
	}
	memmove(p->at + i + 1, p->at + i, (p->count - i) * sizeof(struct chunk *));
	p->at[i] = k;
	p->count++;
	k->of = p;
	p->coming += k->size;
}

/* K is not among P's any more; its place there is the caller's business. */
static void forget(struct pages *p, struct chunk *k)
{
	if (k->pending) {
		p->coming -= k->size;
	} else {
		TAILQ_REMOVE(&used, k, by_use);
		total -= k->size;
	}
	k->of = NULL;
	chunk_unref(k);
}

static void drop_indices(struct pages *p, size_t from, size_t to, bool stale)
{
	if (from == to)
		return;
	for (size_t i = from; i < to; i++) {
		p->at[i]->stale = stale;
		forget(p, p->at[i]);
	}
	memmove(p->at + from, p->at + to, (p->count - to) * sizeof(struct chunk *));
	p->count -= to - from;
}

static void take_out(struct chunk *k)
{
	size_t i = index_of(k->of, k->off);

	drop_indices(k->of, i, i + 1, false);
}

/* ---- how much ---- */

static void evict(void)
{
	while (total && total + elsewhere > limit)
		take_out(TAILQ_LAST(&used, chunks));
}

void pages_set_limit(size_t bytes)
{
	limit = bytes;
	evict();
}

void pages_count_elsewhere(size_t bytes)
{
	elsewhere = bytes;
	evict();
}

size_t pages_limit(void)
{
	return limit;
}

static void touch(struct chunk *k)
{
	if (TAILQ_FIRST(&used) == k)
		return;
	TAILQ_REMOVE(&used, k, by_use);
	TAILQ_INSERT_HEAD(&used, k, by_use);
}

/* ---- looking ---- */

const uint8_t *pages_find(struct pages *p, uint64_t off, size_t *len)
{
	struct chunk *k = chunk_at(p, off);

	if (!k || k->pending)
		return NULL;
	touch(k);
	if (*len > chunk_end(k) - off)
		*len = (size_t)(chunk_end(k) - off);
	return k->data + (off - k->off);
}

bool pages_at_end(const struct pages *p, uint64_t off)
{
	return p->end_known && off >= p->end;
}

struct chunk *pages_coming(struct pages *p, uint64_t off)
{
	struct chunk *k = chunk_at(p, off);

	return k && k->pending ? k : NULL;
}

uint64_t pages_skip(struct pages *p, uint64_t off)
{
	for (size_t i = index_of(p, off); i < p->count && p->at[i]->off <= off; i++)
		off = chunk_end(p->at[i]);
	return off;
}

/* ---- bytes ---- */

struct chunk *pages_expect(struct pages *p, uint64_t off, size_t size)
{
	size_t i = index_of(p, off);

	if (i < p->count && p->at[i]->off <= off)
		return NULL;
	if (i < p->count && p->at[i]->off - off < size)
		size = (size_t)(p->at[i]->off - off);
	struct chunk *k = chunk_new(off, size);
	insert(p, i, chunk_ref(k));
	return k;
}

struct chunk *pages_expect_alone(uint64_t off, size_t size)
{
	return chunk_new(off, size);
}

/* LEN bytes came for K, which P has if there were any. */
static void settle(struct pages *p, struct chunk *k, size_t len)
{
	if (k->of) {
		TAILQ_INSERT_HEAD(&used, k, by_use);
		total += k->size;
		if (p->end_known && chunk_end(k) > p->end)
			p->end_known = false;
	}
	if (len < k->asked)
		pages_set_end(p, k->off + len);
	evict();
}

void pages_arrived(struct chunk *k, uint8_t *data, size_t len, int rc)
{
	struct pages *p = k->of;
	size_t size = rc ? 0 : len < k->size ? len : k->size;

	if (p && !size)
		take_out(k);
	else if (p)
		p->coming -= k->size;
	k->rc = rc;
	k->took_ns = now_ns() - k->asked_ns;
	k->pending = false;
	k->data = data;
	k->size = size;
	pthread_cond_broadcast(&k->arrived);
	if (p && !rc)
		settle(p, k, len);
	chunk_unref(k);
}

void pages_put(struct pages *p, uint64_t off, uint8_t *data, size_t len)
{
	struct chunk *k = len ? pages_expect(p, off, len) : NULL;

	if (k)
		pages_arrived(k, data, len, 0);
	else
		free(data);
}

void pages_set_end(struct pages *p, uint64_t end)
{
	size_t i = index_of(p, end);

	/* What is known of bytes behind it is from before the file was cut off. */
	drop_indices(p, i, p->count, true);
	p->end = end;
	p->end_known = true;
}

void pages_drop(struct pages *p, uint64_t off, uint64_t len)
{
	uint64_t end = len < UINT64_MAX - off ? off + len : UINT64_MAX;
	size_t from = index_of(p, off), to = from;

	while (to < p->count && p->at[to]->off < end)
		to++;
	drop_indices(p, from, to, true);
	if (p->end < end)
		p->end_known = false;
}

void pages_drop_all(struct pages *p)
{
	drop_indices(p, 0, p->count, true);
	p->end_known = false;
	p->drops++;
}

void pages_hold(struct pages *p, struct chunk *k)
{
	if (p->held)
		chunk_unref(p->held);
	p->held = k;
}

void pages_free(struct pages *p)
{
	drop_indices(p, 0, p->count, true);
	pages_hold(p, NULL);
	free(p->at);
	memset(p, 0, sizeof(*p));
}
