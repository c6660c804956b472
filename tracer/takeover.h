/* An agent has ended with what it had open, and another one has taken its place: what the program finds then. */
#ifndef TRACER_TAKEOVER_H
#define TRACER_TAKEOVER_H

#include <stddef.h>

struct link;
struct reopen_report;

/*
 * For struct link_callbacks; ARG is the mount. REPORT is all that was open or watched, and what became of it; EIO of these UNKNOWN
 * requests it is that nobody knows whether they were done.
 */
void takeover_done(struct link *l, const struct reopen_report *report, size_t unknown, void *arg);

#endif
