/* The counts of -c and --stats. */
#ifndef TRACER_STATS_H
#define TRACER_STATS_H

#include <stdint.h>

#include "call.h"
#include "log_text.h"
#include "log_trace.h"

/* Counts C, answered with RESULT after NS nanoseconds. Any thread. */
void stats_count(const struct call *c, long result, uint64_t ns);

/* HOW calls are trapped, static text. */
void stats_set_trap(const char *how);

/* Counts one ptrace stop; one notification. Any thread. */
void stats_count_stop(void);
void stats_count_notification(void);

/* Adds the table of -c: the calls of SET, those that took longest first, and what TOTALS says of the links. */
void stats_table(struct text *t, const struct trace_set *set, const struct link_totals *totals);

/* Writes the JSON object to FILE, whole or not at all where FILE is a regular one. 0 or a negative errno. */
int stats_write(const char *file, const struct link_totals *totals);

/* Forgets everything, for tests. */
void stats_reset(void);

#endif
