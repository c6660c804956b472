/*
 * What the inodes of an upper layer were at the target: a file keeps its number when it is copied. The file "inodes" has
 * a record for each, the last one of an inode counts. Wants the state lock held.
 */
#ifndef TRACER_INOMAP_H
#define TRACER_INOMAP_H

#include <stdint.h>

struct inomap;

struct inomap_entry {
	struct inomap_entry *next; /* hash chain */
	uint64_t ino;              /* here … */
	int64_t btime_sec;         /* … with the time of its birth, for numbers are used again; 0: not known */
	uint32_t btime_nsec;
	uint32_t dev_major, dev_minor; /* at the target */
	uint64_t lower_ino;
	/* When it was copied, for a conflict to be noticed. */
	int64_t mtime_sec;
	uint32_t mtime_nsec;
	uint64_t size;
	int64_t links;             /* how many more links there are than the kernel counts here */
};

/* Reads what stands in FD, which is open for reading and appending and belongs to the map from here on. */
struct inomap *inomap_open(int fd);

/* Adds a copy of E, or replaces what is known of its inode. 0 or a negative errno when it could not be recorded. */
int inomap_put(struct inomap *m, const struct inomap_entry *e);

/* The entry of inode INO born at the given time, or NULL. BTIME_NSEC UINT32_MAX: whenever it was born. Good until the next put. */
const struct inomap_entry *inomap_find(const struct inomap *m, uint64_t ino, int64_t btime_sec, uint32_t btime_nsec);

void inomap_close(struct inomap *m);

#endif
