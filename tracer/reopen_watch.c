/* What the programs' inotify instances watch through an agent, for another agent. */
#include <errno.h>
#include <string.h>
#include <sys/inotify.h>

#include "reopen_int.h"
#include "util.h"

/* Where INSTANCE's WD is, or would be. Numbers grow, so most are the last. */
static size_t watched_at(const struct reopen *r, uint64_t instance, int wd)
{
	size_t from = 0, to = r->watches;

	while (from < to) {
		size_t middle = from + (to - from) / 2;
		const struct watched *w = r->watched[middle];

		if (w->instance < instance || (w->instance == instance && w->wd < wd))
			from = middle + 1;
		else
			to = middle;
	}
	return from;
}

static bool watched_is(const struct reopen *r, size_t at, uint64_t instance, int wd)
{
	return at < r->watches && r->watched[at]->instance == instance && (!wd || r->watched[at]->wd == wd);
}

const struct watched *watched_get(struct reopen *r, uint64_t instance, int wd)
{
	size_t at = watched_at(r, instance, wd);

	return watched_is(r, at, instance, wd) ? r->watched[at] : NULL;
}

static void watched_insert(struct reopen *r, size_t at)
{
	if (r->watches == r->watches_room) {
		r->watches_room = r->watches_room ? 2 * r->watches_room : 16;
		r->watched = xrealloc(r->watched, r->watches_room * sizeof(*r->watched));
	}
	memmove(r->watched + at + 1, r->watched + at, (r->watches++ - at) * sizeof(*r->watched));
	r->watched[at] = NULL;
}

void watched_set(struct reopen *r, const struct reopen_note *note, const rfs_WatchReply *rep)
{
	size_t at = watched_at(r, note->instance, rep->wd);
	uint32_t mask = note->flags & ~(uint32_t)(IN_MASK_ADD | IN_MASK_CREATE);

	if (!watched_is(r, at, note->instance, rep->wd))
		watched_insert(r, at);
	else if (note->flags & IN_MASK_ADD)
		mask |= r->watched[at]->mask;
	r->watched[at] = xrealloc(r->watched[at], sizeof(**r->watched) + rep->ticket.size);
	*r->watched[at] = (struct watched){ .instance = note->instance, .wd = rep->wd, .mask = mask, .ticket_len = (uint16_t)rep->ticket.size };
	memcpy(r->watched[at]->ticket, rep->ticket.bytes, rep->ticket.size);
}

void watched_end(struct reopen *r, uint64_t instance, int wd)
{
	size_t at = watched_at(r, instance, wd), end = at;

	while (watched_is(r, end, instance, wd))
		free(r->watched[end++]);
	memmove(r->watched + at, r->watched + end, (r->watches - end) * sizeof(*r->watched));
	r->watches -= end - at;
}

size_t reopen_watches(struct reopen *r, struct reopen_step **steps)
{
	struct reopen_step *list;
	size_t count;

	pthread_mutex_lock(&r->lock);
	count = r->watches;
	list = xcalloc(count + 1, sizeof(*list));
	for (size_t i = 0; i < count; i++) {
		const struct watched *w = r->watched[i];

		list[i].note = (struct reopen_note){ .op = rfs_Request_watch_tag, .instance = w->instance, .wd = w->wd, .flags = w->mask };
	}
	r->watches_ended = 0;
	pthread_mutex_unlock(&r->lock);
	*steps = list;
	return count;
}
