/* What the agent has of an image, page by page, and whether tasks have stored into it since. */
#include "sync_int.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "image.h"
#include "util.h"

#define PAGE SYNC_PAGE

uint64_t synced_digest(const struct sync *s, uint64_t off)
{
	return off / PAGE < s->page_count ? s->pages[off / PAGE] : 0;
}

void synced_set(struct sync *s, uint64_t off, uint64_t digest)
{
	size_t i = (size_t)(off / PAGE);

	if (i >= s->page_count) {
		if (!digest)
			return;
		size_t count = i + 1 + i / 2;

		s->pages = xrealloc(s->pages, count * sizeof(*s->pages));
		memset(s->pages + s->page_count, 0, (count - s->page_count) * sizeof(*s->pages));
		s->page_count = count;
	}
	s->pages[i] = digest;
}

bool sync_known(const struct image *i, uint64_t off, uint64_t *digest)
{
	*digest = synced_digest(i->sync, off);
	return i->filled;
}

bool sync_is_clean(const struct image *i, const uint8_t *page, size_t len, uint64_t off)
{
	/* What is only appended to has no hashes: what the agent has of it, it has as it is. */
	return i->filled ? digest_page(page, len) == synced_digest(i->sync, off) : off + len <= i->sync->size;
}

void sync_brought(struct image *i, const uint8_t *page, size_t len, uint64_t off)
{
	synced_set(i->sync, off, digest_page(page, len));
	if (i->sync->size < off + len)
		i->sync->size = off + len;
}

void synced_read(const struct image *i, uint8_t *page, uint64_t off)
{
	ssize_t n = pread(i->fd, page, PAGE, (off_t)off);

	n = n > 0 ? n : 0;
	memset(page + n, 0, PAGE - (size_t)n);
}

void sync_before_write(struct image *i, const void *data, size_t len, uint64_t off)
{
	struct sync *s = i->sync;
	uint64_t end = off + len;
	uint8_t page[PAGE];

	if (!s)
		return;
	for (uint64_t at = off - off % PAGE; at < end; at += PAGE) {
		uint64_t from = at > off ? at : off, to = at + PAGE < end ? at + PAGE : end;

		synced_read(i, page, at);
		if (digest_page(page, PAGE) != synced_digest(s, at))
			continue; /* stored into; it will go there whole */
		if (data)
			memcpy(page + (from - at), (const uint8_t *)data + (from - off), (size_t)(to - from));
		else
			memset(page + (from - at), 0, (size_t)(to - from));
		synced_set(s, at, digest_page(page, PAGE));
	}
	if (s->size < end)
		s->size = end;
}

bool sync_end_is_clean(const struct image *i, uint64_t size)
{
	uint8_t page[PAGE];

	if (!i->filled)
		return true;
	synced_read(i, page, size - size % PAGE);
	return digest_page(page, PAGE) == synced_digest(i->sync, size);
}

void sync_resized(struct image *i, uint64_t size, bool clean)
{
	struct sync *s = i->sync;
	size_t keep = (size_t)((size + PAGE - 1) / PAGE);
	uint8_t page[PAGE];

	if (keep < s->page_count)
		memset(s->pages + keep, 0, (s->page_count - keep) * sizeof(*s->pages));
	/* The page that the file ends in now is the agent's up to there, if it was. */
	if (size < s->size && size % PAGE) {
		synced_read(i, page, size - size % PAGE);
		synced_set(s, size, clean ? digest_page(page, PAGE) : NO_DIGEST);
		s->dirty |= !clean;
	}
	s->size = size;
}

/* ---- who has written ---- */

/*
 * The bytes that a task writes may be those that were there, and still the file has a new mtime then. No digest tells that, and inotify
 * does not tell whose a change was. So after each of ours the image is given a time that no task's write leaves.
 */
static void stamp(struct image *i)
{
	static const struct timespec never[2]; /* both: mtime alone would be a change for inotify */
	struct stat st;

	futimens(i->fd, never);
	if (fstat(i->fd, &st) == 0)
		i->sync->stamp = st.st_mtim;
}

static void note_stores(struct image *i)
{
	struct sync *s = i->sync;
	struct stat st;

	if (fstat(i->fd, &st) == 0 && (st.st_mtim.tv_sec != s->stamp.tv_sec || st.st_mtim.tv_nsec != s->stamp.tv_nsec))
		s->stored = true;
}

void sync_change_begin(struct image *i)
{
	if (i->sync)
		note_stores(i);
}

void sync_change_end(struct image *i)
{
	if (i->sync)
		stamp(i);
}

bool synced_take_stored(struct image *i)
{
	note_stores(i);
	bool stored = i->sync->stored;

	i->sync->stored = false;
	if (stored)
		stamp(i);
	return stored;
}

int synced_begin(struct image *i)
{
	struct sync *s = i->sync;
	uint8_t page[PAGE];
	struct stat st;

	stamp(i);
	if (fstat(i->fd, &st) < 0)
		return -errno;
	s->size = (uint64_t)st.st_size;
	for (off_t at = 0; i->filled && (at = lseek(i->fd, at, SEEK_DATA)) >= 0 && at < st.st_size; at += PAGE) {
		at -= at % PAGE;
		synced_read(i, page, (uint64_t)at);
		synced_set(s, (uint64_t)at, digest_page(page, PAGE));
	}
	return 0;
}

bool sync_has_grown(const struct image *i)
{
	struct stat st;

	return fstat(i->fd, &st) == 0 && (uint64_t)st.st_size > i->sync->size;
}

uint64_t sync_size(const struct image *i)
{
	return i->sync->size;
}
