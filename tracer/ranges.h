/* The bytes of one file that one owner has locked, as the kernel keeps them: sorted, merged, split. */
#ifndef TRACER_RANGES_H
#define TRACER_RANGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct range {
	short type;        /* F_RDLCK or F_WRLCK */
	uint64_t from, to; /* both within; to the end: INT64_MAX */
	pid_t pid;         /* the process that F_GETLK names */
};

/* Zeroed: empty. LIST is freed by the owner. */
struct ranges {
	struct range *list;
	size_t count;
};

/* Makes NEW's bytes of NEW's type (F_UNLCK: takes them away), whatever they were. */
void ranges_set(struct ranges *r, const struct range *new);

/* Whether a lock of TYPE on FROM…TO by somebody else would have to wait for R's owner. */
bool ranges_conflict(const struct ranges *r, short type, uint64_t from, uint64_t to);

/* The process of that one of R that is exactly this, or 0. */
pid_t ranges_pid(const struct ranges *r, short type, uint64_t from, uint64_t to);

#endif
