/* What the files of behind.h share: changes on their way, or held until more of them come (behind_hold.c). */
#ifndef TRACER_BEHIND_INT_H
#define TRACER_BEHIND_INT_H

#include <stdint.h>

#include "behind.h"

/* As many bytes are on their way on a link at most. */
#define BEHIND_MAX (16u << 20)

/* A change on its way. */
struct late {
	struct ofd *o;
	const struct mount *mount; /* O's when it was sent */
	pb_size_t reply; /* what it is answered with */
	size_t len, cost;
	bool moves;
	behind_made *made; /* the first one of a file that is made so */
	bool sent, answered; /* whichever comes last concludes it */
	int error;
	size_t lost;
	bool has_end, has_attr;
	uint64_t end;
	rfs_Attr attr;
	rfs_Request req;
	uint8_t *data; /* of one that was held … */
	uint64_t held_ns; /* … since then */
};

/* A mount is constant to its users, but for what is ours. */
static inline struct mount *behind_own(const struct mount *m)
{
	return (struct mount *)m;
}

/* Sends L with its LEN bytes at DATA. 0; or a negative errno, and then its reply will not come. C may be NULL. */
int behind_send_late(struct call *c, struct late *l, const void *data);

/* L was sent and answered, or could not be sent; frees it. */
void behind_conclude(struct late *l);

/* Whether L, which is still to be sent, may wait for what comes next; and has it wait, with a copy of its bytes at DATA. */
bool behind_may_hold(const struct late *l);
void behind_hold(struct late *l, const void *data);

/* Adds REQ, as in behind_send, to what is held, if it goes on where that ends. */
bool behind_join(struct ofd *o, const rfs_Request *req, const void *data, size_t len, bool moves);

#endif
