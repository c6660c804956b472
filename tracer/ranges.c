#include "ranges.h"

#include <fcntl.h>

#include "util.h"

static void append(struct ranges *r, const struct range *like, uint64_t from, uint64_t to)
{
	struct range *last = r->count ? &r->list[r->count - 1] : NULL;

	if (last && last->type == like->type && last->to + 1 == from)
		last->to = to;
	else
		r->list[r->count++] = (struct range){ .type = like->type, .from = from, .to = to, .pid = like->pid };
}

/* posix_lock_inode() grows the first lock of the same type that the new one touches, and so its pid stays. */
static pid_t merged_pid(const struct ranges *r, const struct range *new)
{
	for (size_t i = 0; i < r->count; i++) {
		const struct range *old = &r->list[i];

		if (old->type == new->type && old->from <= new->to + 1 && new->from <= old->to + 1)
			return old->pid;
	}
	return new->pid;
}

void ranges_set(struct ranges *r, const struct range *new)
{
	const struct range placing = { .type = new->type, .pid = merged_pid(r, new) };
	const uint64_t from = new->from, to = new->to;
	/* One may be split in two, and one is new. */
	struct ranges made = { .list = xcalloc(r->count + 2, sizeof(struct range)) };
	bool placed = new->type == F_UNLCK;

	for (size_t i = 0; i < r->count; i++) {
		const struct range *old = &r->list[i];

		if (old->from < from)
			append(&made, old, old->from, old->to < from ? old->to : from - 1);
		if (!placed && old->to >= from) {
			append(&made, &placing, from, to);
			placed = true;
		}
		if (old->to > to)
			append(&made, old, old->from > to ? old->from : to + 1, old->to);
	}
	if (!placed)
		append(&made, &placing, from, to);
	free(r->list);
	*r = made;
}

bool ranges_conflict(const struct ranges *r, short type, uint64_t from, uint64_t to)
{
	for (size_t i = 0; i < r->count; i++)
		if (r->list[i].from <= to && from <= r->list[i].to && (type == F_WRLCK || r->list[i].type == F_WRLCK))
			return true;
	return false;
}

pid_t ranges_pid(const struct ranges *r, short type, uint64_t from, uint64_t to)
{
	for (size_t i = 0; i < r->count; i++)
		if (r->list[i].type == type && r->list[i].from == from && r->list[i].to == to)
			return r->list[i].pid;
	return 0;
}
