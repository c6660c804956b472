/* Requests that were in work when their process was killed. */
#include <string.h>

#include "frame.h"
#include "session.h"

/* Whether the reply to ID is kept. */
static bool lost_is_answered(const struct session *s, uint32_t id)
{
	uint8_t raw[FRAME_HEADER_SIZE];
	struct frame_header h;
	uint64_t at = s->tail;

	while (id && session_next(s, &at, raw, sizeof(raw)) == sizeof(raw))
		if (frame_decode(raw, &h) == 0 && h.kind == FRAME_REPLY && h.id == id)
			return true;
	return false;
}

/* The newest entry for ID, OP that is older than BEFORE. It was lost more than once if there are two. */
static struct session_lost *lost_find(struct session *s, uint32_t id, uint32_t op, uint64_t before)
{
	struct session_lost *found = NULL;

	for (size_t i = 0; i < SESSION_LOST; i++) {
		struct session_lost *l = &s->lost[i];
		uint64_t number = atomic_load(&l->number);

		if (number && number < before && l->id == id && l->op == op && (!found || number > atomic_load(&found->number)))
			found = l;
	}
	return found;
}

/* A free entry. There is one: no client has so many requests lost that it has not sent again. */
static struct session_lost *lost_room(struct session *s)
{
	struct session_lost *oldest = &s->lost[0];

	for (size_t i = 0; i < SESSION_LOST; i++)
		if (atomic_load(&s->lost[i].number) < atomic_load(&oldest->number))
			oldest = &s->lost[i];
	return oldest;
}

/* W is lost. What it had noted when it was lost before stays, if it has noted nothing since. Killed in here, it is done again. */
static void lost_add(struct session *s, struct session_work *w, uint64_t number)
{
	struct session_lost *old = w->id ? lost_find(s, w->id, w->op, number) : NULL, *l = lost_room(s);
	const struct doubt_note *note = old && atomic_load(&w->note.kind) == DOUBT_NONE ? &old->note : &w->note;

	for (size_t i = 0; i < SESSION_LOST; i++)
		if (atomic_load(&s->lost[i].number) == number)
			return;
	atomic_store(&l->number, 0);
	l->id = w->id;
	l->op = w->op;
	memcpy(&l->note, note, sizeof(l->note));
	if (note == &w->note)
		doubt_look(&l->note);
	atomic_store(&l->number, number);
	if (old)
		atomic_store(&old->number, 0);
}

void session_recover(struct session *s)
{
	for (size_t i = 0; i < SESSION_LOST; i++)
		if (atomic_load(&s->lost[i].number) && lost_is_answered(s, s->lost[i].id))
			atomic_store(&s->lost[i].number, 0);
	for (size_t i = 0; i < SESSION_WORK; i++) {
		struct session_work *w = &s->work[i];
		uint64_t number = atomic_load(&w->number);

		if (number && !lost_is_answered(s, w->id))
			lost_add(s, w, number);
		atomic_store(&w->number, 0);
		atomic_store(&w->taken, false);
	}
	s->any_lost = true;
	atomic_store(&s->seen, 0); /* it may be about an older stream than the numbers are */
}

const struct doubt_note *session_doubt(struct session *s, struct session_work *w)
{
	w->lost = s->any_lost && w->id ? lost_find(s, w->id, w->op, UINT64_MAX) : NULL;
	return w->lost ? &w->lost->note : NULL;
}

void session_descriptors(const struct session *s, void (*fn)(void *arg, int fd), void *arg)
{
	for (size_t i = 0; i < SESSION_LOST; i++)
		if (atomic_load(&s->lost[i].number) && atomic_load(&s->lost[i].note.kind) == DOUBT_OPENED)
			fn(arg, s->lost[i].note.fd);
}
