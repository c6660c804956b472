/*
 * Two names of one call (rename, link) that lead into different file systems, one of them perhaps none of
 * ours. The kernel says EXDEV last: what is wrong with either name comes first. Wants the state lock held.
 */
#ifndef SYSCALLS_APART_H
#define SYSCALLS_APART_H

#include <stdint.h>

#include "call.h"

struct place;

/* A name as the call has it, and what place_resolve (whose result is RESOLVED) made of it. */
struct apart_name {
	int dirfd;
	uint64_t addr;
	struct place *place;
	long resolved;
};

/*
 * What place_resolve found that the call must answer, of OLD before NEW; 0: nothing. AT_FLAGS are linkat(2)'s, or
 * APART_RENAME.
 */
#define APART_RENAME (-1)
long apart_refused(struct call *c, const struct apart_name *old, const struct apart_name *new, int at_flags);

/* What a rename from FROM to TO comes to. A negative errno. */
long apart_rename(struct call *c, const struct apart_name *from, const struct apart_name *to);

/* Renames FROM to TO, both of which are here, one or both of them only for us to find (behalf). 0 or a negative errno. */
long apart_rename_here(struct call *c, const struct apart_name *from, const struct apart_name *to, unsigned flags);

/* The same for linking. */
long apart_link_here(struct call *c, const struct apart_name *from, const struct apart_name *to, int at_flags);

/* What linking FROM to TO comes to; AT_FLAGS as linkat(2) has them. A negative errno. */
long apart_link(struct call *c, const struct apart_name *from, const struct apart_name *to, int at_flags);

#endif
