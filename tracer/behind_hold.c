/* Small writes that go on one where the other ended, and are sent together. */
#include <pthread.h>
#include <string.h>
#include <time.h>

#include "behind_int.h"
#include "link.h"
#include "ofd.h"
#include "rules.h"
#include "state.h"
#include "util.h"

/* A write of up to so much may wait for the next ones, and they go together; for so long, and while they come to so much. */
#define HOLD_EACH (16u << 10)
#define HOLD_MAX LINK_SMALL
#define HOLD_NS UINT64_C(1000000)
#define HOLD_STACK (256u << 10)

static pthread_cond_t holding = PTHREAD_COND_INITIALIZER;

void behind_release(const struct mount *m)
{
	struct late *l = m->held;

	if (!l)
		return;
	behind_own(m)->held = NULL;
	int rc = behind_send_late(NULL, l, l->data);
	if (rc) {
		l->error = rc;
		l->lost = l->len;
	}
	if (rc || l->answered)
		behind_conclude(l);
}

/* Sends what has been held for long enough; when the next of it has. */
static uint64_t release_due(uint64_t now)
{
	uint64_t next = UINT64_MAX;
	size_t count;
	struct mount *const *mounts = rules_mounts(&count);

	for (size_t i = 0; i < count; i++) {
		const struct late *l = mounts[i]->held;

		if (l && l->held_ns + HOLD_NS <= now)
			behind_release(mounts[i]);
		else if (l && l->held_ns + HOLD_NS < next)
			next = l->held_ns + HOLD_NS;
	}
	return next;
}

static void *release_thread(void *arg)
{
	state_lock();
	for (;;) {
		uint64_t next = release_due(now_ns());
		struct timespec t = { (time_t)(next / 1000000000), (long)(next % 1000000000) };

		if (next == UINT64_MAX)
			pthread_cond_wait(&holding, &state_mutex);
		else
			pthread_cond_clockwait(&holding, &state_mutex, CLOCK_MONOTONIC, &t);
	}
	return arg;
}

static bool releases(void)
{
	static bool started;

	started = started || thread_start(HOLD_STACK, release_thread, NULL) == 0;
	return started;
}

bool behind_may_hold(const struct late *l)
{
	/* Only one that comes right behind another: who writes now and then is not to be late. */
	return l->reply == rfs_Reply_write_tag && l->len <= HOLD_EACH && now_ns() - l->mount->behind_ns < HOLD_NS && releases();
}

void behind_hold(struct late *l, const void *data)
{
	behind_release(l->mount);
	l->data = xcalloc(1, HOLD_MAX);
	memcpy(l->data, data, l->len);
	l->held_ns = now_ns();
	behind_own(l->mount)->held = l;
	pthread_cond_signal(&holding);
}

/* Whether REQ, a write of LEN bytes of O, goes on where the one that is held ends. */
static bool goes_on(const struct late *held, const struct ofd *o, const rfs_Request *req, size_t len, bool moves)
{
	const rfs_Write *w = &req->op.write, *before = &held->req.op.write;

	return held->o == o && req->which_op == rfs_Request_write_tag && held->moves == moves && w->append == before->append &&
	       (w->append || w->offset == before->offset + held->len) && held->len + len <= HOLD_MAX;
}

bool behind_join(struct ofd *o, const rfs_Request *req, const void *data, size_t len, bool moves)
{
	struct mount *m = behind_own(o->mount);
	struct late *l = m->held;

	if (!l || !goes_on(l, o, req, len, moves) || m->behind + len > BEHIND_MAX)
		return false;
	memcpy(l->data + l->len, data, len);
	l->len += len;
	l->cost += len;
	m->behind += len;
	return true;
}
