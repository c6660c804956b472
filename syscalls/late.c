#include "late.h"

#include <stdlib.h>

#include "behind.h"
#include "call.h"
#include "foretold.h"
#include "fsize.h"
#include "io.h"
#include "ofd.h"
#include "place.h"
#include "rules.h"
#include "util.h"

bool late_may_write(const struct call *c, const struct ofd *o, uint64_t off, uint64_t count)
{
	/* What goes farther than every file system does would fail at once. */
	return behind_may(o) && off < PLAIN_OFFSET && count < PLAIN_OFFSET && !fsize_limited(c);
}

int late_send(struct call *c, struct ofd *o, const void *data, size_t len, uint64_t off, bool append, bool moves)
{
	rfs_Request req = { .which_op = rfs_Request_write_tag,
			    .op.write = { .handle = o->handle, .offset = off, .append = append } };

	return behind_send(c, o, &req, data, len, moves);
}

/* ---- what the file is ---- */

bool late_change(struct call *c, const struct place *p, const rfs_Request *req)
{
	struct ofd *o = p->self ? p->dir : NULL;

	if (!o || !behind_may(o) || !foretold_rights(o->mount, &o->node->attr, req))
		return false;
	return behind_send(c, o, req, NULL, 0, false) == 0;
}
