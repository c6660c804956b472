/* An overlay's directory, opened by who does not run anything in it. */
#ifndef TRACER_UPPER_INFO_H
#define TRACER_UPPER_INFO_H

#include <stdbool.h>
#include <stddef.h>

struct upper_info {
	char *target; /* as --mount and --target take it */
	char *from;   /* the path there that the overlay's root is a copy of */
};

/*
 * Opens the overlay DIR and takes its lock, shared or for us ALONE. The descriptor, which holds the lock, with INFO to be freed by
 * upper_info_free; or a negative errno with one clause in ERR: -EINVAL (no overlay), -EBUSY (in use), others.
 */
int upper_lock(const char *dir, bool alone, struct upper_info *info, char *err, size_t err_len);

void upper_info_free(struct upper_info *info);

#endif
