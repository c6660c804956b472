/* The agent's tables without its processes, for tests that call its handlers. */
#ifndef AGENT_TABLES_H
#define AGENT_TABLES_H

#include "test_agent.h"

#include "../../agent/channel.h"
#include "agent.h"
#include "handle.h"
#include "observe.h"
#include "ops.h"
#include "resolve.h"

static char base[64];

void agent_say(const char *fmt, ...)
{
}

/* What lives as long as an agent's process has nothing that frees it: P is no leak. Returns P. */
static void *in_reach(void *p)
{
	static void *volatile all[128];
	static size_t count;

	assert_true(count < sizeof(all) / sizeof(*all));
	return all[count++] = p;
}

static struct agent agent_new(void)
{
	struct agent a = { .root.fd = open(base, O_PATH | O_DIRECTORY | O_CLOEXEC) };

	resolve_probe(&a.root, true);
	a.handles = in_reach(handles_new());
	a.locks = in_reach(locks_new());
	a.observer = in_reach(observe_new());
	a.channels = in_reach(channels_new(a.handles));
	return a;
}

/* Handle NUMBER, not ready yet. */
static struct handle *opened(struct agent *a, uint64_t number, const char *path, int flags)
{
	struct handle *h;
	struct stat st;

	assert_int_equal(handle_reserve(a->handles, number, &h), 0);
	h->fd = openat(a->root.fd, path, flags | O_CLOEXEC | O_NONBLOCK, 0644);
	assert_true(h->fd >= 0);
	assert_int_equal(fstat(h->fd, &st), 0);
	h->flags = flags;
	h->type = st.st_mode & S_IFMT;
	h->dev = st.st_dev;
	h->ino = st.st_ino;
	return h;
}

static void done(struct agent *a, struct handle *h)
{
	handle_ready(a->handles, h, false);
	handle_put(a->handles, h);
}

#endif
