/* Close. */
#include <errno.h>

#include "channel.h"
#include "doubt.h"
#include "handle.h"
#include "ops.h"

static int close_handle(struct agent *a, uint64_t number)
{
	struct handle *h;
	int r = handle_remove(a->handles, number, &h);

	if (r)
		return r;
	watch_forget(a->watcher, h);
	locks_forget(a, h);
	/* A read that the client has asked for ahead, and is under way, keeps the description: its locks must not wait for that. */
	if (atomic_load(&h->locked))
		lock_release_file(a, h);
	channel_cancel(a->channels, h);
	bool noticed = h->channel;
	handle_put(a->handles, h);
	if (noticed)
		channel_settle(a->channels, NULL, NULL);
	return 0;
}

int op_close(struct op *op)
{
	return close_handle(op->agent, op->req->op.close.handle);
}

int op_release(struct op *op)
{
	bool again = doubt_is(op);
	int r;

	doubt_begin(op);
	r = close_handle(op->agent, op->req->op.release.handle);
	return r == -EBADF && again ? 0 : r;
}
