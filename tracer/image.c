#include "image.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"
#include "ofd.h"
#include "sync.h"

bool image_follows(const struct image *i)
{
	return i && (i->filled || i->filling);
}

static int write_all(int fd, const uint8_t *data, size_t len, uint64_t off)
{
	for (size_t done = 0; done < len;) {
		ssize_t n = pwrite(fd, data + done, len - done, (off_t)(off + done));
		if (n < 0 && errno != EINTR)
			return -errno;
		done += n > 0 ? (size_t)n : 0;
	}
	return 0;
}

int image_write(struct image *i, const void *data, size_t len, uint64_t off)
{
	int rc;

	sync_before_write(i, data, len, off);
	sync_change_begin(i);
	rc = write_all(i->fd, data, len, off);
	sync_change_end(i);
	if (rc)
		image_lost(i);
	return rc;
}

/* What a mapping has behind the end of its file is not to be seen when that grows; tmpfs leaves it there (6.18), ext4 does not. */
static void clear_behind_end(int fd)
{
	struct stat st;

	if (fstat(fd, &st) == 0 && st.st_size % SYNC_PAGE)
		fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, st.st_size, SYNC_PAGE - st.st_size % SYNC_PAGE);
}

int image_resize(struct image *i, uint64_t size)
{
	bool clean = i->sync && sync_end_is_clean(i, size);
	struct stat st;

	if (i->sync && fstat(i->fd, &st) == 0 && (uint64_t)st.st_size == size) {
		sync_resized(i, size, clean);
		return 0;
	}
	sync_change_begin(i);
	if (i->sync)
		clear_behind_end(i->fd);
	int rc = ftruncate(i->fd, (off_t)size) < 0 ? -errno : 0;
	sync_change_end(i);
	if (i->sync)
		sync_resized(i, size, clean);
	return rc;
}

int image_grow(struct image *i, uint64_t size)
{
	if (!i->sync || !size)
		return image_resize(i, size);
	/* A task that makes the file longer at this very moment would lose that by ftruncate. */
	sync_change_begin(i);
	int rc = fallocate(i->fd, 0, (off_t)size - 1, 1) < 0 ? -errno : 0;
	sync_change_end(i);
	sync_resized(i, size, true);
	return rc;
}

/* What differs in LEN bytes goes to OFF, and not a byte more: a task may be storing next to it right now. */
static int write_differences(int fd, const uint8_t *have, const uint8_t *want, size_t len, uint64_t off)
{
	size_t at = 0;

	while (at < len) {
		size_t end;

		while (at < len && have[at] == want[at])
			at++;
		for (end = at; end < len && have[end] != want[end];)
			end++;
		int rc = end > at ? write_all(fd, want + at, end - at, off + at) : 0;
		if (rc)
			return rc;
		at = end;
	}
	return 0;
}

/* Bytes of one page that tasks may be storing into. */
static int merge_written(struct image *i, const uint8_t *have, const uint8_t *want, size_t len, uint64_t off)
{
	int rc = 0;

	bool same = !memcmp(have, want, len);

	/* Where nothing changes the image is left alone: a task's write meanwhile could not be told from ours. */
	if (!same && !sync_is_clean(i, have, len, off))
		return 0;
	if (!same) {
		sync_change_begin(i);
		rc = write_differences(i->fd, have, want, len, off);
		sync_change_end(i);
	}
	sync_brought(i, want, len, off);
	return rc;
}

static bool is_zero(const uint8_t *data, size_t len)
{
	return !*data && !memcmp(data, data + 1, len - 1);
}

/* One page, or what the file has of it. */
static int merge_page(struct image *i, const uint8_t *want, size_t len, uint64_t off)
{
	uint8_t have[SYNC_PAGE];
	ssize_t n = pread(i->fd, have, len, (off_t)off);
	if (n < 0)
		return -errno;
	memset(have + n, 0, len - (size_t)n);
	if (i->sync)
		return merge_written(i, have, want, len, off);
	return memcmp(have, want, len) ? write_all(i->fd, want, len, off) : 0;
}

/* How much of LEN bytes at OFF is in their first page. */
static size_t page_part(size_t len, uint64_t off)
{
	size_t part = SYNC_PAGE - (size_t)off % SYNC_PAGE;

	return part < len ? part : len;
}

/* Into an image that is all holes, which pages of zeros stay. */
static int write_fresh(int fd, const uint8_t *want, size_t len, uint64_t off)
{
	int rc = 0;

	for (size_t at = 0, end = 0, part; end < len && !rc; at = end + part, end = at) {
		for (part = page_part(len - end, off + end); part && !is_zero(want + end, part); part = page_part(len - end, off + end))
			end += part;
		if (end > at)
			rc = write_all(fd, want + at, end - at, off + at);
	}
	return rc;
}

static int merge_pages(struct image *i, const uint8_t *want, size_t len, uint64_t off)
{
	int rc = 0;

	for (size_t at = 0, part; at < len && !rc; at += part) {
		part = page_part(len - at, off + at);
		rc = merge_page(i, want + at, part, off + at);
	}
	return rc;
}

int image_merge(struct image *i, const uint8_t *data, size_t len, uint64_t off)
{
	struct stat st;
	int rc = fstat(i->fd, &st) < 0 ? -errno : 0;

	/* Zeros at its end are not written. Who reads meanwhile is not to see others, unless what tasks write has to be told apart. */
	bool longer = !rc && (uint64_t)st.st_size < off + len;
	if (longer && i->sync)
		rc = image_grow(i, off + len);
	if (!rc)
		rc = i->fresh ? write_fresh(i->fd, data, len, off) : merge_pages(i, data, len, off);
	if (longer && !i->sync && !rc)
		rc = image_grow(i, off + len);
	return rc;
}

void image_lost(struct image *i)
{
	char path[PATH_MAX];
	const struct ofd *o = i->node->ofds;

	if (!i->filled)
		return;
	i->filled = false;
	if (o && ofd_to_program(o, o->path, path, sizeof(path)) == 0)
		log_error("%s: no room on the placeholders' file system for what the file has become; descriptors open on it keep the old bytes: free space there",
			  path);
}
