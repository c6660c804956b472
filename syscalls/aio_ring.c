#include "aio_ring.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include "call.h"
#include "notify.h"
#include "state.h"
#include "util.h"

/* fs/aio.c: struct aio_ring, which libaio knows as well. */
struct ring {
	uint32_t id, nr, head, tail, magic, compat, incompat, header_length;
};

#define KERNEL_MAGIC 0xa10a10a1u
#define OUR_MAGIC 0x52465354u

struct context {
	struct context *next;
	pid_t process;
	uint64_t ctx;
	struct io_event *events;
	size_t count, room;
};

static struct context *contexts;
static pthread_cond_t arrived = PTHREAD_COND_INITIALIZER;

static struct context **context_slot(pid_t process, uint64_t ctx)
{
	struct context **p = &contexts;

	while (*p && !((*p)->process == process && (*p)->ctx == ctx))
		p = &(*p)->next;
	return p;
}

static void context_free(struct context **slot)
{
	struct context *k = *slot;

	*slot = k->next;
	free(k->events);
	free(k);
}

/* Exits and execs end contexts without a word. */
static void forget_dead(void)
{
	for (struct context **p = &contexts; *p;) {
		if (kill((*p)->process, 0) < 0 && errno == ESRCH)
			context_free(p);
		else
			p = &(*p)->next;
	}
}

static bool read_ring(struct call *c, uint64_t ctx, struct ring *r)
{
	return call_read(c, ctx, r, sizeof(*r)) == 0 && (r->magic == KERNEL_MAGIC || r->magic == OUR_MAGIC);
}

static struct context *context_make(struct call *c, uint64_t ctx)
{
	uint32_t magic = OUR_MAGIC;
	struct context *k;

	if (call_write(c, ctx + offsetof(struct ring, magic), &magic, sizeof(magic)) < 0)
		return NULL;
	forget_dead();
	k = xcalloc(1, sizeof(*k));
	k->process = call_process(c);
	k->ctx = ctx;
	k->next = contexts;
	contexts = k;
	return k;
}

static struct context *context_find(struct call *c, uint64_t ctx)
{
	return *context_slot(call_process(c), ctx);
}

bool aio_ring_ours(struct call *c, uint64_t ctx, bool make)
{
	struct context **slot = context_slot(call_process(c), ctx);
	struct ring r;

	if ((!*slot && !make) || !read_ring(c, ctx, &r))
		return false;
	/* A new one where an old one was: our events were the old one's. */
	if (*slot && r.magic == KERNEL_MAGIC)
		context_free(slot);
	return context_find(c, ctx) || (make && context_make(c, ctx));
}

bool aio_ring_room(struct call *c, uint64_t ctx)
{
	const struct context *k = context_find(c, ctx);
	struct ring r;

	return k && read_ring(c, ctx, &r) && k->count + 1 < r.nr;
}

void aio_ring_put(struct call *c, uint64_t ctx, const struct io_event *e)
{
	struct context *k = context_find(c, ctx);

	if (!k) /* destroyed meanwhile */
		return;
	if (k->count == k->room) {
		k->room = k->room ? 2 * k->room : 16;
		k->events = xrealloc(k->events, k->room * sizeof(*k->events));
	}
	k->events[k->count++] = *e;
	pthread_cond_broadcast(&arrived);
}

static long take_ours(struct call *c, struct context *k, uint64_t to, size_t max)
{
	size_t n = k->count < max ? k->count : max;

	if (n && call_write(c, to, k->events, n * sizeof(*k->events)) < 0)
		return -EFAULT;
	k->count -= n;
	memmove(k->events, k->events + n, k->count * sizeof(*k->events));
	return (long)n;
}

/* As user space may, too: what is between head and tail is there, and head moves behind what was taken. */
static long take_native(struct call *c, uint64_t ctx, uint64_t to, size_t max)
{
	struct io_event e;
	struct ring r;
	size_t n = 0;

	if (!read_ring(c, ctx, &r))
		return -EINVAL;
	for (; n < max && r.head < r.nr && r.tail < r.nr && r.head != r.tail; n++) {
		if (call_read(c, ctx + sizeof(r) + r.head * sizeof(e), &e, sizeof(e)) < 0 ||
		    call_write(c, to + n * sizeof(e), &e, sizeof(e)) < 0)
			return -EFAULT;
		r.head = (r.head + 1) % r.nr;
	}
	if (n && call_write(c, ctx + offsetof(struct ring, head), &r.head, sizeof(r.head)) < 0)
		return -EFAULT;
	return (long)n;
}

long aio_ring_take(struct call *c, uint64_t ctx, uint64_t to, size_t max)
{
	struct context *k = context_find(c, ctx);
	long ours, native;

	if (!k)
		return -EINVAL;
	ours = take_ours(c, k, to, max);
	if (ours < 0)
		return ours;
	native = take_native(c, ctx, to + (uint64_t)ours * sizeof(struct io_event), max - (size_t)ours);
	return native < 0 && !ours ? native : ours + (native > 0 ? native : 0);
}

void aio_ring_wait(uint64_t ns)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	ns += (uint64_t)until.tv_nsec;
	until.tv_sec += (time_t)(ns / 1000000000u);
	until.tv_nsec = (long)(ns % 1000000000u);
	notify_promote();
	pthread_cond_clockwait(&arrived, &state_mutex, CLOCK_MONOTONIC, &until);
}

void aio_ring_forget(struct call *c, uint64_t ctx)
{
	struct context **slot = context_slot(call_process(c), ctx);

	if (*slot)
		context_free(slot);
	pthread_cond_broadcast(&arrived);
}
