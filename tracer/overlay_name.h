/* unlink, rmdir and rename in an overlay. All want the state lock held. */
#ifndef TRACER_OVERLAY_NAME_H
#define TRACER_OVERLAY_NAME_H

#include <limits.h>
#include <stdbool.h>

struct call;
struct place;

/* A name that was hidden before its file goes. Begin with { .dir = -1 }. */
struct overlay_taking {
	int dir;
	char name[NAME_MAX + 1];
};

/*
 * Makes P, resolved with PLACE_TAKE in an overlay, a place in the upper layer that the call can be asked of as in any
 * tree: 0; 1 when the name is gone already; or the errno that the kernel would give. overlay_taken with TAKING behind the call.
 */
long overlay_unlink(struct call *c, struct place *p, bool rmdir, struct overlay_taking *taking);

/* The same for both names of a rename with renameat2's FLAGS; when it went well, overlay_renamed as well. */
long overlay_rename(struct call *c, struct place *from, struct place *to, unsigned flags, struct overlay_taking *taking);
void overlay_renamed(struct call *c, const struct place *from, const struct place *to, unsigned flags);

/* The call is over; unless it is DONE, the name is seen again. */
void overlay_taken(struct overlay_taking *taking, bool done);

#endif
