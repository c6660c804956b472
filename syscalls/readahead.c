#include "readahead.h"

#include <errno.h>
#include <stdlib.h>

#include "call.h"
#include "frame.h"
#include "link.h"
#include "ofd.h"
#include "pages.h"
#include "remote.h"
#include "rules.h"
#include "state.h"
#include "util.h"

#define PAGE 4096u
/* What one request asks for: enough to be worth it, little enough that its first byte is not late. One byte more may be asked for. */
#define LITTLE (16u << 10)
#define PIECE_MIN (256u << 10)
#define PIECE_MAX (FRAME_MAX_PAYLOAD - PAGE)
/* How far ahead of a reader, in all. */
#define WINDOW_MIN (64u << 10)
#define WINDOW_FIRST (1u << 20)
#define WINDOW_MAX (16u << 20)
/* A reply that took so many times the quickest, and longer than this, waited behind others: asking for more would only add to that. */
#define QUEUED_TIMES 4
#define QUEUED_NS 30000000u
/* Of a file that is fetched whole so much is on its way at a time, so that what is wanted at once does not wait long behind it. */
#define WHOLE_COMING (4u << 20)
#define WHOLE_PIECE (512u << 10)
/* It is, when waiting for parts of it has cost what fetching it might, a nanosecond a byte. */
#define WHOLE_MISSES 16
#define WHOLE_TIMES_MAX 16

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static size_t between(uint64_t low, uint64_t x, uint64_t high)
{
	return (size_t)(x < low ? low : least(x, high));
}

static struct node *node_of(const struct chunk *k)
{
	return k->of ? (struct node *)((char *)k->of - offsetof(struct node, pages)) : NULL;
}

/* ---- asking ---- */

/* SIZE bytes from OFF, which is neither known nor on its way, are expected. */
static struct chunk *expect(struct node *n, uint64_t off, size_t size)
{
	struct chunk *k = pages_expect(&n->pages, off, between(1, size, INT64_MAX - off));

	/* That there is no more behind the end is then told at once. */
	if (n->attr_valid && k->off + k->size == n->attr.size && k->size <= PIECE_MAX)
		k->asked++;
	return k;
}

static void put_request(rfs_Request *req, const struct ofd *o, struct chunk *k)
{
	*req = (rfs_Request){ .which_op = rfs_Request_read_tag,
			      .op.read = { .handle = o->handle, .offset = k->off, .size = (uint32_t)k->asked } };
	k->handle = o->handle;
}

/* REP or RC answers K, whose reference this takes. */
static void take_reply(struct chunk *k, struct link_reply *rep, int rc)
{
	if (!rc && rep->payload_len > k->asked)
		rc = -EPROTO;
	pages_arrived(k, rc ? NULL : rep->payload, rc ? 0 : rep->payload_len, rc);
	if (!rc)
		rep->payload = NULL;
}

static void fetch_whole(struct node *n);

static void arrived(struct link_reply *rep, int rc, void *arg)
{
	struct chunk *k = arg;
	struct node *n = node_of(k);
	struct ofd *o = n ? n->ofds : NULL;

	while (o && o->handle != k->handle)
		o = o->next_of_node;
	take_reply(k, rep, rc);
	if (o && !rc)
		o->told = false;
	if (n && rc)
		n->whole = NULL;
	if (n)
		fetch_whole(n);
}

/* Asks for K, whose reference this takes, and does not wait. */
static int start(struct call *c, struct ofd *o, struct chunk *k)
{
	rfs_Request req;

	put_request(&req, o, k);
	int rc = call_start(c, o->mount, &req, NULL, 0, arrived, k);
	if (rc)
		pages_arrived(k, NULL, 0, rc);
	return rc;
}

/* Asks for K, whose reference this takes, at once: the quicker way where nothing else is to be asked for. */
static void ask(struct call *c, struct ofd *o, struct chunk *k)
{
	struct link_reply rep;
	rfs_Request req;

	put_request(&req, o, k);
	int rc = call_rpc(c, o->mount, &req, NULL, 0, &rep);
	take_reply(k, &rep, rc);
	link_reply_free(&rep);
	if (!rc)
		o->told = false;
}

/* A program's call has to wait for K. */
static void wait_for(struct call *c, struct ofd *o, struct chunk *k)
{
	const struct mount *m = o->mount;

	if (!k->pending)
		return;
	link_count_wait(m->link);
	mount_waits(m, 1);
	while (k->pending)
		state_wait(&k->arrived);
	mount_waits(m, -1);
	c->round_trips++;
	c->bytes_in += k->size;
}

/* Points *DATA and *LEN at what K, a reference to which is taken, has from OFF on. */
static int use(struct ofd *o, struct chunk *k, uint64_t off, const uint8_t **data, size_t *len)
{
	size_t skip = (size_t)(off - k->off);

	pages_hold(&o->node->pages, k);
	*len = k->size > skip ? (size_t)least(*len, k->size - skip) : 0;
	*data = *len ? k->data + skip : (const uint8_t *)"";
	return k->rc;
}

int readahead_ask(struct call *c, struct ofd *o, struct chunk *k, uint64_t off, const uint8_t **data, size_t *len)
{
	ask(c, o, chunk_ref(k));
	return use(o, chunk_ref(k), off, data, len);
}

/* ---- reading on ---- */

/* Whether O's reader, who is at OFF now, reads on; where he does not, all begins anew. */
static bool follow(struct ofd *o, uint64_t off)
{
	struct readahead *a = &o->readahead;
	bool on = off >= a->start && off <= (a->asked > a->next ? a->asked : a->next);

	/* What was fetched ahead of him was fetched in vain. */
	if (a->drops != o->node->pages.drops) {
		a->window /= 4;
		a->asked = 0;
		a->drops = o->node->pages.drops;
	}
	if (!on)
		*a = (struct readahead){ .start = off, .next = off, .drops = a->drops, .quickest_ns = a->quickest_ns };
	return on;
}

/* What is fetched ahead must still be there when it is read. */
static uint64_t window_max(void)
{
	return least(WINDOW_MAX, pages_limit() / 4);
}

/* O's reader has to wait. */
static void widen(struct ofd *o)
{
	struct readahead *a = &o->readahead;

	if (a->next == a->start)
		return;
	if (!a->window)
		a->window = between(WINDOW_MIN, 8 * least(a->next - a->start, WINDOW_FIRST), WINDOW_FIRST);
	else if (a->took_ns <= QUEUED_TIMES * a->quickest_ns + QUEUED_NS)
		a->window *= 2;
	a->window = (size_t)least(a->window, window_max());
}

/* Where bytes from OFF on end of which LEN are wanted, as far as the file's end is known. */
static uint64_t end_of(const struct node *n, uint64_t off, uint64_t len)
{
	uint64_t end = off + least(len, INT64_MAX - off);

	if (n->pages.end_known)
		return least(end, n->pages.end);
	return n->attr_valid ? least(end, n->attr.size) : end;
}

/* Asks for what is wanted behind OFF, WANT bytes and the window. */
static void ask_further(struct call *c, struct ofd *o, uint64_t off, size_t want)
{
	struct node *n = o->node;
	struct readahead *a = &o->readahead;
	uint64_t end = end_of(n, off, least(want, window_max()) + a->window), at = a->asked > off ? a->asked : off;
	size_t piece = between(PIECE_MIN, a->window / 8, PIECE_MAX);

	/* Not in small change, but for the last. */
	if (at >= end || (end - at < piece && off + want < at && end < end_of(n, off, UINT64_MAX)))
		return;
	while ((at = pages_skip(&n->pages, at)) < end) {
		struct chunk *k = expect(n, at, (size_t)least(piece, end - at));

		at += k->size;
		if (start(c, o, k))
			return;
	}
	a->asked = end;
}

/* ---- reading here and there ---- */

/* Goes on fetching N, if it is being fetched whole. */
static void fetch_whole(struct node *n)
{
	while (n->whole && n->pages.coming < WHOLE_COMING) {
		uint64_t at = pages_skip(&n->pages, n->whole_at);

		if (!n->attr_valid || at >= n->attr.size || n->whole->released) {
			n->whole = NULL;
			return;
		}
		struct chunk *k = expect(n, at, (size_t)least(WHOLE_PIECE, n->attr.size - at));
		n->whole_at = at + k->size;
		if (start(NULL, n->whole, k))
			n->whole = NULL;
	}
}

/* O was read where nothing was known and nobody read on, and that took NS. */
static void missed(struct ofd *o, uint64_t ns)
{
	struct node *n = o->node;

	n->missed_ns += ns;
	if (++n->misses <= WHOLE_MISSES || n->whole || !n->attr_valid || n->attr.size > pages_limit() ||
	    n->missed_ns >> n->whole_times < n->attr.size)
		return;
	/* If it does not stay known for long, not so soon again. */
	n->whole_times += n->whole_times < WHOLE_TIMES_MAX ? 2 : 0;
	n->misses = 0;
	n->missed_ns = 0;
	n->whole = o;
	n->whole_at = 0;
	fetch_whole(n);
}

/* ---- both ---- */

/* What O's reader, who wants WANT bytes from OFF now, is to wait for first: it is asked for. The caller's reference. */
static struct chunk *ask_first(struct call *c, struct ofd *o, uint64_t off, size_t want)
{
	const struct readahead *a = &o->readahead;
	struct node *n = o->node;
	uint64_t size = a->window ? least(a->window, PIECE_MIN) : off ? LITTLE : PREFETCH_SIZE;
	/* What there is no room for would be asked for again. */
	size = least(size, pages_limit());
	uint64_t end = end_of(n, off, want > size ? want : size);

	/* Where there seems to be no more, there may be by now. */
	size = end > off ? end - off : want;
	struct chunk *k = pages_coming(&n->pages, off) ?
				  pages_expect_alone(off, between(1, size, least(PIECE_MAX, INT64_MAX - off))) :
				  expect(n, off, (size_t)least(size, PIECE_MAX));

	chunk_ref(k);
	if (a->window || n->whole || end > off + k->size)
		start(c, o, k);
	else
		ask(c, o, k);
	return k;
}

/* Whether it is known what O's file has from OFF on: *DATA and *LEN then. */
static bool is_known(struct ofd *o, uint64_t off, const uint8_t **data, size_t *len)
{
	struct pages *p = &o->node->pages;

	*data = pages_find(p, off, len);
	if (!*data && pages_at_end(p, off)) {
		*data = (const uint8_t *)"";
		*len = 0;
	}
	return *data;
}

/* Waits for bytes of O's file from OFF, which are not there yet. */
static int get(struct call *c, struct ofd *o, uint64_t off, const uint8_t **data, size_t *len)
{
	struct readahead *a = &o->readahead;

	/* What was on its way may have been overtaken by a change; what is asked for now is new enough in any case. */
	for (bool again = false; !is_known(o, off, data, len); again = true) {
		struct chunk *k = again ? NULL : pages_coming(&o->node->pages, off);
		bool own = !k;

		k = own ? ask_first(c, o, off, *len) : chunk_ref(k);
		if (k->pending)
			ask_further(c, o, off, *len);
		wait_for(c, o, k);
		a->took_ns = k->took_ns;
		if (!a->quickest_ns || a->quickest_ns > k->took_ns)
			a->quickest_ns = k->took_ns;
		if (own || (!k->rc && !k->stale))
			return use(o, k, off, data, len);
		chunk_unref(k);
	}
	return 0;
}

int readahead_data(struct call *c, struct ofd *o, uint64_t off, const uint8_t **data, size_t *len)
{
	struct readahead *a = &o->readahead;
	bool on = follow(o, off);
	int rc = 0;

	if (!is_known(o, off, data, len)) {
		widen(o);
		rc = get(c, o, off, data, len);
		if (!on && !rc)
			missed(o, a->took_ns);
	}
	if (!rc && off + *len > a->next)
		a->next = off + *len;
	if (!rc && a->window)
		ask_further(c, o, off + *len, 0);
	return rc;
}
