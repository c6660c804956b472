/* An agent has ended with what it had open, and another one has taken its place: what the program finds then. */
#ifndef TRACER_TAKEOVER_H
#define TRACER_TAKEOVER_H

#include <stddef.h>

struct link;
struct reopen_file;

/*
 * For struct link_callbacks; ARG is the mount. FILES, COUNT of them, sorted by handle, are all that was open, and what became of them;
 * EIO of these UNKNOWN requests it is that nobody knows whether they were done.
 */
void takeover_done(struct link *l, const struct reopen_file *files, size_t count, size_t unknown, void *arg);

#endif
