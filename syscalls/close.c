/* close, close_range, unshare. */
#include <linux/close_range.h>
#include <sched.h>
#include <sys/stat.h>

#include "behind.h"
#include "call.h"
#include "handlers.h"
#include "locks.h"
#include "ofd.h"
#include "remote.h"
#include "watch.h"

long sys_close(struct call *c)
{
	struct ofd *o = ofd_by_fd(c->tid, (int)c->arg[0]);

	if (o) {
		int error;

		ofd_ref(o);
		call_remote(c, o->mount);
		c->expected = 0;
		error = behind_close(c, o);
		if (error)
			call_replace(c, error);
		locks_closing(c->tid, o);
		if (watch_sees_close(o->mount, S_ISDIR(o->node->attr.mode)) && !o->released && ofd_is_last(c->tid, o))
			remote_release(c, o);
		if ((int)c->arg[0] >= FD_BASE)
			ofd_doubt_number((int)c->arg[0], false);
		ofd_unref(o);
	}
	return CALL_CONTINUE; /* inotify tells when the last descriptor is gone */
}

long sys_close_range(struct call *c)
{
	unsigned first = (unsigned)c->arg[0], last = (unsigned)c->arg[1], flags = (unsigned)c->arg[2];

	if (first > last || flags & ~(CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC))
		return CALL_CONTINUE; /* EINVAL */
	if (flags & CLOSE_RANGE_UNSHARE) {
		locks_note_all(c->tid);
		locks_unshare(c->tid);
	} else if (!(flags & CLOSE_RANGE_CLOEXEC)) {
		locks_closing_range(c->tid, first, last);
	}
	if (!(flags & CLOSE_RANGE_CLOEXEC))
		ofd_doubt_range(first, last);
	return CALL_CONTINUE;
}

long sys_unshare(struct call *c)
{
	if (c->arg[0] & CLONE_FILES)
		locks_unshare(c->tid);
	return CALL_CONTINUE;
}
