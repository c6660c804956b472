#include "tables.h"

#include <errno.h>

#include "channel.h"
#include "handle.h"
#include "keep.h"
#include "keeper.h"
#include "observe.h"
#include "ops.h"
#include "session.h"

/* All that have descriptors of their own. */
static int tables_open(struct agent *a)
{
	a->channels = channels_new(a->handles);
	a->watcher = watch_new(&a->root);
	a->observer = observe_new();
	return a->channels && a->watcher && a->observer ? 0 : -ENOMEM;
}

int tables_new(struct agent *a)
{
	a->handles = handles_new();
	a->locks = locks_new();
	return a->handles && a->locks ? tables_open(a) : -ENOMEM;
}

struct wanted {
	int fd[SESSION_LOST + 1];
	size_t count;
};

static void want(void *wanted, int fd)
{
	struct wanted *w = wanted;

	w->fd[w->count++] = fd;
}

int tables_restore(struct agent *a, struct conn *old)
{
	const int drop[] = { old->in, old->out, old->broken };
	struct wanted keep = { { a->session->listening }, 1 };
	int r;

	keep_mend();
	session_recover(a->session);
	a->handles = handles_new();
	a->locks = locks_new();
	r = a->handles && a->locks ? handles_restore(a->handles, &a->root) : -ENOMEM;
	if (!r)
		r = locks_restore(a);
	if (r)
		return r;
	channels_find_ends(a->handles);
	session_descriptors(a->session, want, &keep);
	keeper_sweep(keep.fd, keep.count, drop, sizeof(drop) / sizeof(*drop));
	*old = (struct conn){ -1, -1, -1, false, false };
	r = tables_open(a);
	return r ? r : watch_restore(a->watcher, a->handles);
}

int tables_go_on(struct agent *a)
{
	int r = observe_restore(a->observer);

	if (r)
		return r;
	channels_restore(a->channels);
	lock_waits_restore(a);
	return 0;
}
