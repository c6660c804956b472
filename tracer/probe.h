/* Small questions to an agent that show how a target is: nothing is changed there by any of them. */
#ifndef TRACER_PROBE_H
#define TRACER_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct link;

struct probe_times { unsigned count; uint64_t min_ns, sum_ns, max_ns; };

/*
 * The first LEN - 1 bytes of the file PATH at the target, NUL-terminated, into TEXT. 0, or a negative errno: the target's,
 * or -EIO when the link is lost. So it is for all of these.
 */
int probe_read(struct link *l, const char *path, char *text, size_t len);

/* Whether the target's "/" may be used as MODE (R_OK, W_OK) says. */
int probe_access(struct link *l, uint32_t mode);

/* Whether the agent notices what is changed in the target's "/". */
int probe_notices(struct link *l, bool *notices);

/* At most COUNT round trips, one after the other, for at most MAX_NS; but one. */
int probe_latency(struct link *l, unsigned count, uint64_t max_ns, struct probe_times *t);

/* Reads at most MAX bytes of the target's /dev/zero for at most MAX_NS: *BYTES in *NS. */
int probe_throughput(struct link *l, uint64_t max, uint64_t max_ns, uint64_t *bytes, uint64_t *ns);

#endif
