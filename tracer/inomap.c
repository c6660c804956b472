#include "inomap.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "util.h"

#define BUCKETS 4096

struct inomap {
	int fd;
	struct inomap_entry *entries[BUCKETS];
};

#define RECORD "%" SCNu64 " %" SCNd64 ".%" SCNu32 " %" SCNu32 ":%" SCNu32 " %" SCNu64 " %" SCNd64 ".%" SCNu32 " %" SCNu64 " %" SCNd64

static struct inomap_entry *find(const struct inomap *m, uint64_t ino, int64_t sec, uint32_t nsec)
{
	struct inomap_entry *e = m->entries[ino % BUCKETS];

	while (e && !(e->ino == ino && (nsec == UINT32_MAX || (e->btime_sec == sec && e->btime_nsec == nsec))))
		e = e->next;
	return e;
}

static void keep(struct inomap *m, const struct inomap_entry *e)
{
	struct inomap_entry *old = find(m, e->ino, e->btime_sec, e->btime_nsec);

	if (!old) {
		old = xcalloc(1, sizeof(*old));
		/* The newest first: an inode that is asked for by its number alone is the one that lives. */
		old->next = m->entries[e->ino % BUCKETS];
		m->entries[e->ino % BUCKETS] = old;
	}
	struct inomap_entry *next = old->next;
	*old = *e;
	old->next = next;
}

struct inomap *inomap_open(int fd)
{
	struct inomap *m = xcalloc(1, sizeof(*m));
	int copy = dup(fd);
	FILE *f = copy < 0 ? NULL : fdopen(copy, "r");
	char line[256];

	m->fd = fd;
	while (f && fgets(line, sizeof(line), f)) {
		struct inomap_entry e = { 0 };
		bool whole = strchr(line, '\n');

		/* The last line may have been cut off by a kill: what follows gets one of its own. */
		if (!whole)
			(void)!write(fd, "\n", 1);
		if (whole && sscanf(line, RECORD, &e.ino, &e.btime_sec, &e.btime_nsec, &e.dev_major, &e.dev_minor,
						 &e.lower_ino, &e.mtime_sec, &e.mtime_nsec, &e.size, &e.links) == 10)
			keep(m, &e);
	}
	if (f)
		fclose(f);
	return m;
}

int inomap_put(struct inomap *m, const struct inomap_entry *e)
{
	char line[256];
	int n = snprintf(line, sizeof(line), "%" PRIu64 " %" PRId64 ".%" PRIu32 " %" PRIu32 ":%" PRIu32 " %" PRIu64 " %" PRId64 ".%" PRIu32
			 " %" PRIu64 " %" PRId64 "\n", e->ino, e->btime_sec, e->btime_nsec, e->dev_major, e->dev_minor, e->lower_ino,
			 e->mtime_sec, e->mtime_nsec, e->size, e->links);

	keep(m, e);
	return write(m->fd, line, (size_t)n) == n ? 0 : errno ? -errno : -ENOSPC;
}

const struct inomap_entry *inomap_find(const struct inomap *m, uint64_t ino, int64_t btime_sec, uint32_t btime_nsec)
{
	return find(m, ino, btime_sec, btime_nsec);
}

void inomap_close(struct inomap *m)
{
	for (size_t i = 0; i < BUCKETS; i++)
		for (struct inomap_entry *next, *e = m->entries[i]; e; e = next) {
			next = e->next;
			free(e);
		}
	close(m->fd);
	free(m);
}
