#include "session.h"

#include <string.h>
#include <sys/mman.h>

/* The pages of the ring are given back in pieces of so many bytes. */
#define RING_PIECE (4u << 20)

/* A kept frame in the ring: this, then its bytes, padded to the next one. */
struct kept {
	uint32_t len;
	uint32_t unused;
	uint64_t number; /* of the frames written onto the connection, from 1 */
};

_Static_assert(!(SESSION_RING & (SESSION_RING - 1)), "places in the ring are taken modulo its size");

struct session *session_new(void)
{
	struct session *s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return s == MAP_FAILED ? NULL : s;
}

void session_begin(struct session *s, const rfs_Hello *hello)
{
	memcpy(s->name, hello->session.bytes, SESSION_NAME);
	memcpy(s->secret, hello->secret.bytes, SESSION_SECRET);
	s->linger_ms = hello->linger_ms;
	s->read_only = hello->read_only;
	s->at_len = hello->at.size;
	s->sub_len = hello->sub.size;
	memcpy(s->at, hello->at.bytes, hello->at.size);
	memcpy(s->sub, hello->sub.bytes, hello->sub.size);
	atomic_store(&s->begun, true);
}

void session_end(struct session *s)
{
	atomic_store(&s->begun, false);
}

bool session_is(const struct session *s, const uint8_t *name, const uint8_t *secret)
{
	unsigned int differ = 0;

	for (size_t i = 0; i < SESSION_NAME; i++)
		differ |= s->name[i] ^ name[i];
	for (size_t i = 0; i < SESSION_SECRET; i++)
		differ |= s->secret[i] ^ secret[i];
	return atomic_load(&s->begun) && !differ;
}

/* ---- requests ---- */

struct session_work *session_enter(struct session *s)
{
	for (size_t i = 0; i < SESSION_WORK; i++)
		if (!atomic_exchange(&s->work[i].taken, true))
			return &s->work[i];
	return NULL;
}

void session_leave(struct session_work *w)
{
	atomic_store(&w->taken, false);
}

/* The client sends them again, by new numbers, as it does this one. Those of which nothing was noted are new ones then. */
static bool lost_remain(struct session *s)
{
	bool any = false;

	for (size_t i = 0; i < SESSION_LOST; i++) {
		if (atomic_load(&s->lost[i].note.kind) == DOUBT_NONE)
			atomic_store(&s->lost[i].number, 0);
		any = any || atomic_load(&s->lost[i].number);
	}
	return any;
}

void session_read(struct session *s, struct session_work *w, uint32_t id, uint32_t op, uint64_t seen)
{
	uint64_t number = atomic_load_explicit(&s->got, memory_order_relaxed) + 1;

	s->any_lost = s->any_lost && lost_remain(s);
	doubt_clear(&w->note);
	w->lost = NULL;

	if (seen)
		atomic_store_explicit(&s->seen, seen, memory_order_relaxed);
	w->id = id;
	w->op = op;
	atomic_store_explicit(&w->number, number, memory_order_release);
	atomic_store_explicit(&s->got, number, memory_order_release);
}

void session_done(struct session_work *w)
{
	atomic_store_explicit(&w->number, 0, memory_order_release);
	if (w->lost)
		atomic_store(&w->lost->number, 0);
	w->lost = NULL;
}

/* ---- kept frames ---- */

static void ring_put(struct session *s, uint64_t at, const void *from, size_t len)
{
	size_t place = at % SESSION_RING, first = SESSION_RING - place < len ? SESSION_RING - place : len;

	memcpy(s->ring + place, from, first);
	memcpy(s->ring, (const uint8_t *)from + first, len - first);
}

static void ring_get(const struct session *s, uint64_t at, void *to, size_t len)
{
	size_t place = at % SESSION_RING, first = SESSION_RING - place < len ? SESSION_RING - place : len;

	memcpy(to, s->ring + place, first);
	memcpy((uint8_t *)to + first, s->ring, len - first);
}

static size_t kept_size(const struct kept *k)
{
	return sizeof(*k) + (k->len + 7u) / 8 * 8;
}

/* The pieces that end between BEFORE and the tail. What is in the ring has one piece less than that: none of it is in them. */
static void ring_give_back(struct session *s, uint64_t before)
{
	for (uint64_t at = before / RING_PIECE * RING_PIECE; at + RING_PIECE <= s->tail; at += RING_PIECE)
		madvise(s->ring + at % SESSION_RING, RING_PIECE, MADV_REMOVE);
}

static void ring_forget(struct session *s, uint64_t seen)
{
	uint64_t before = s->tail;
	struct kept k;

	while (s->tail < s->head) {
		ring_get(s, s->tail, &k, sizeof(k));
		if (k.number > seen)
			break;
		s->tail += kept_size(&k);
	}
	ring_give_back(s, before);
}

void session_keep(struct session *s, const struct iovec *iov, int count)
{
	struct kept k = { 0 };
	uint64_t at = s->head;

	if (!atomic_load_explicit(&s->begun, memory_order_relaxed))
		return;
	k.number = ++s->sent;
	ring_forget(s, atomic_load_explicit(&s->seen, memory_order_relaxed));
	for (int i = 0; i < count; i++)
		k.len += (uint32_t)iov[i].iov_len;
	if (at - s->tail + kept_size(&k) > SESSION_RING - RING_PIECE) {
		atomic_store(&s->unkept, k.number);
		return;
	}
	ring_put(s, at, &k, sizeof(k));
	at += sizeof(k);
	for (int i = 0; i < count; at += iov[i++].iov_len)
		if (iov[i].iov_len)
			ring_put(s, at, iov[i].iov_base, iov[i].iov_len);
	atomic_store_explicit(&s->head, s->head + kept_size(&k), memory_order_release);
}

void session_count(struct session *s, unsigned int frames)
{
	if (atomic_load_explicit(&s->begun, memory_order_relaxed))
		s->sent += frames;
}

bool session_lacks(const struct session *s, uint32_t stream, uint64_t seen)
{
	uint64_t before = atomic_load(&s->seen);

	return atomic_load(&s->unkept) > (stream == s->stream && seen > before ? seen : before);
}

bool session_renew(struct session *s, uint32_t stream, uint64_t seen)
{
	bool whole = !session_lacks(s, stream, seen);
	struct kept k;

	atomic_store(&s->unkept, whole ? 0 : UINT64_MAX);
	if (stream == s->stream)
		ring_forget(s, seen);
	s->stream++;
	atomic_store(&s->seen, 0);
	s->sent = 0;
	for (uint64_t at = s->tail; at < s->head; at += kept_size(&k)) {
		ring_get(s, at, &k, sizeof(k));
		k.number = ++s->sent;
		ring_put(s, at, &k, sizeof(k));
	}
	return whole;
}

size_t session_next(const struct session *s, uint64_t *at, uint8_t *buf, size_t len)
{
	struct kept k;

	if (*at >= s->head)
		return 0;
	ring_get(s, *at, &k, sizeof(k));
	len = k.len < len ? k.len : len;
	ring_get(s, *at + sizeof(k), buf, len);
	*at += kept_size(&k);
	return len;
}

void session_report(const struct session *s, rfs_ResumeReply *reply)
{
	const pb_size_t room = sizeof(reply->working) / sizeof(*reply->working);

	reply->stream = s->stream;
	reply->got = s->got;
	reply->working_count = 0;
	for (size_t i = 0; i < SESSION_WORK && reply->working_count < room; i++)
		if (s->work[i].number)
			reply->working[reply->working_count++] = s->work[i].number;
	reply->missing_count = 0;
	for (size_t i = 0; i < SESSION_LOST; i++)
		if (s->lost[i].number)
			reply->missing[reply->missing_count++] = s->lost[i].number;
}
