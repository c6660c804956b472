#include "channel.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "call.h"
#include "frame.h"
#include "link.h"
#include "ofd.h"
#include "rules.h"
#include "state.h"
#include "util.h"

/* How often a call that waits looks whether a signal has come, in ms: one of a thousand more seldom than one alone. */
#define LOOK_MS(waiters) (20 + (int)(waiters))

static struct channel *channels;
static unsigned waiters; /* calls that wait for any of them */

struct channel *channel_new(const struct mount *m, uint64_t handle)
{
	struct channel *ch = xcalloc(1, sizeof(*ch));

	ch->mount = m;
	ch->handle = handle;
	ch->refs = 1;
	pthread_cond_init(&ch->news[0], NULL);
	pthread_cond_init(&ch->news[1], NULL);
	ch->next = channels;
	channels = ch;
	return ch;
}

bool channel_any(void)
{
	return channels;
}

void channel_unref(struct channel *ch)
{
	struct channel **p = &channels;

	if (--ch->refs)
		return;
	while (*p != ch)
		p = &(*p)->next;
	*p = ch->next;
	free(ch);
}

static void wake_all(struct channel *ch)
{
	pthread_cond_broadcast(&ch->news[0]);
	pthread_cond_broadcast(&ch->news[1]);
}

/* One for a byte or a place, and its own reply wakes the next: if all asked for it, all but one would have asked in vain. */
static void wake(struct channel *ch)
{
	if (ch->ready & ~(uint32_t)(POLLIN | POLLOUT))
		wake_all(ch);
	else if (ch->ready & POLLIN)
		pthread_cond_signal(&ch->news[0]);
	if (ch->ready & POLLOUT)
		pthread_cond_signal(&ch->news[1]);
}

static void wait_for_news(struct channel *ch, uint32_t events)
{
	waiters++;
	state_wait_ms(&ch->news[!(events & POLLIN)], LOOK_MS(waiters));
	waiters--;
}

static void update(struct channel *ch, uint32_t ready, uint64_t serial)
{
	/* A reply is handled by the thread that waits for it, a push by the one that reads: either may be late. */
	if (serial <= ch->serial)
		return;
	ch->serial = serial;
	ch->ready = ready;
	if (ch->changed)
		ch->changed(ch, ch->arg);
}

void channel_push(const struct mount *m, const rfs_Ready *r)
{
	for (struct channel *ch = channels; ch; ch = ch->next) {
		if (ch->handle != r->handle || ch->mount != m)
			continue;
		if (ch->pending) {
			ch->pending = false;
			ch->error = r->error > EHWPOISON ? -EPROTO : -(int)r->error;
			wake_all(ch);
		}
		update(ch, r->ready, r->serial);
		wake(ch);
		return;
	}
}

void channel_renew(const struct mount *m, uint64_t handle, int lost)
{
	for (struct channel *ch = channels; ch; ch = ch->next) {
		if (ch->handle != handle || ch->mount != m)
			continue;
		ch->serial = 0;
		if (!lost)
			return;
		if (ch->pending)
			ch->error = -ESTALE;
		ch->pending = false;
		/* Whoever asks finds out. */
		update(ch, POLLIN | POLLOUT | POLLERR | POLLHUP, UINT64_MAX);
		wake_all(ch);
		return;
	}
}

/* One request about CH; REP's payload is the caller's to free after success. What it came to, or a negative errno. */
static long ask(struct call *c, struct channel *ch, const rfs_Request *req, const void *data, size_t len,
		struct link_reply *rep)
{
	ch->refs++;
	long rc = call_rpc(c, ch->mount, req, data, len, rep);

	if (!rc && (rep->msg.which_op != rfs_Reply_channel_tag || rep->msg.op.channel.result < -EHWPOISON)) {
		link_reply_free(rep);
		rc = -EPROTO;
	}
	if (!rc) {
		update(ch, rep->msg.op.channel.ready, rep->msg.op.channel.serial);
		rc = rep->msg.op.channel.result;
		if (rc < 0)
			link_reply_free(rep); /* there should be none */
	}
	wake(ch);
	channel_unref(ch);
	return rc;
}

/* Why C must not go on to wait for CH, or 0. */
static int wait_over(struct call *c, const struct channel *ch)
{
	if (ch->mount->closing)
		return -EIO;
	return c && call_interrupted(c) ? -ERESTARTSYS : 0;
}

int channel_wait(struct call *c, struct channel *ch, uint32_t events, int ms)
{
	uint64_t until = now_ns() + (uint64_t)(ms > 0 ? ms : 0) * 1000000;
	int rc = 0;

	ch->refs++;
	while (!(ch->ready & events) && !(rc = wait_over(c, ch))) {
		if (ms >= 0 && now_ns() >= until) {
			rc = -ETIMEDOUT;
			break;
		}
		wait_for_news(ch, events);
	}
	channel_unref(ch);
	return rc;
}

int channel_start(struct call *c, struct channel *ch)
{
	rfs_Request req = { .which_op = rfs_Request_start_tag, .op.start.handle = ch->handle };
	struct link_reply rep;

	/* Before it is asked for: the push may be quicker than this thread. */
	ch->pending = true;
	int rc = (int)ask(c, ch, &req, NULL, 0, &rep);
	if (rc < 0)
		return rc;
	link_reply_free(&rep);
	if (!rep.msg.op.channel.pending)
		ch->pending = false;
	/* What has happened counts, even if a signal came as well. */
	while (ch->pending && !(rc = wait_over(c, ch)))
		wait_for_news(ch, POLLIN);
	/* A signal and the other end: what came first, the target knows. */
	if (rc == -ERESTARTSYS && channel_control(c, ch, rfs_Controls_GIVE_UP, 0) == 0)
		rc = 0;
	return rc ? rc : ch->error;
}

long channel_receive(struct call *c, struct channel *ch, size_t size, int64_t offset, struct link_reply *rep)
{
	rfs_Request req = { .which_op = rfs_Request_receive_tag,
			    .op.receive = { .handle = ch->handle,
					    .size = size < FRAME_MAX_PAYLOAD ? (uint32_t)size : FRAME_MAX_PAYLOAD,
					    .at = offset >= 0,
					    .offset = offset >= 0 ? (uint64_t)offset : 0 } };
	long n = ask(c, ch, &req, NULL, 0, rep);

	if (n >= 0 && rep->payload_len == (size_t)n && rep->payload_len <= size)
		return n;
	link_reply_free(rep);
	return n < 0 ? n : -EPROTO;
}

static long send_bytes(struct call *c, struct channel *ch, const rfs_Send *send, const void *data, size_t len)
{
	rfs_Request req = { .which_op = rfs_Request_send_tag, .op.send = *send };
	struct link_reply rep;
	long n = ask(c, ch, &req, data, len, &rep);

	if (n < 0)
		return n;
	link_reply_free(&rep);
	return (size_t)n <= len ? n : -EPROTO;
}

long channel_send(struct call *c, struct channel *ch, const void *data, size_t len, int64_t offset)
{
	const rfs_Send send = { .handle = ch->handle, .at = offset >= 0, .offset = offset >= 0 ? (uint64_t)offset : 0 };

	return send_bytes(c, ch, &send, data, len);
}

long channel_splice(struct call *c, struct channel *ch, const void *data, size_t len, int64_t offset)
{
	const rfs_Send send = { .handle = ch->handle, .spliced = true, .offset = (uint64_t)offset };

	return send_bytes(c, ch, &send, data, len);
}

long channel_control(struct call *c, struct channel *ch, uint32_t what, int64_t value)
{
	rfs_Request req = { .which_op = rfs_Request_control_tag,
			    .op.control = { .handle = ch->handle, .what = what, .value = value } };
	struct link_reply rep;
	long n = ask(c, ch, &req, NULL, 0, &rep);

	if (n >= 0)
		link_reply_free(&rep);
	return n;
}

int channel_accept(struct channel *ch, uint64_t handle)
{
	rfs_Request req = { .which_op = rfs_Request_accept_tag, .op.accept = { .listener = ch->handle, .handle = handle } };
	struct link_reply rep;
	long n = ask(NULL, ch, &req, NULL, 0, &rep);

	if (n >= 0)
		link_reply_free(&rep);
	return n < 0 ? (int)n : 0;
}

/* ---- what was taken and not read ---- */

/* Those who poll the FIFO find it readable, or no longer. */
static void show_back(struct node *n)
{
	for (struct ofd *o = n->ofds; o; o = o->next_of_node) {
		if (!o->channel)
			continue;
		if (o->channel->changed)
			o->channel->changed(o->channel, o->channel->arg);
		wake_all(o->channel);
	}
}

void ofd_put_back(struct ofd *o, const void *data, size_t len)
{
	struct node *n = o->node;

	/* In front: it was taken before what others have put back since. */
	n->back = xrealloc(n->back, n->back_len + len);
	memmove(n->back + len, n->back, n->back_len);
	memcpy(n->back, data, len);
	n->back_len += len;
	show_back(n);
}

/* Behind what was put back: what is still at the target, up to SIZE bytes in all. That there is none is no error. */
static void take_more(struct call *c, struct ofd *o, size_t size, struct link_reply *rep)
{
	struct link_reply more;
	long n = channel_receive(c, o->channel, size - rep->payload_len, -1, &more);

	if (n < 0)
		return;
	memcpy(rep->payload + rep->payload_len, more.payload, (size_t)n);
	rep->payload_len += (size_t)n;
	link_reply_free(&more);
}

long ofd_take(struct call *c, struct ofd *o, size_t size, int64_t offset, struct link_reply *rep)
{
	struct node *n = o->node;
	size_t len;

	size = size < FRAME_MAX_PAYLOAD ? size : FRAME_MAX_PAYLOAD;
	len = n->back_len < size ? n->back_len : size;
	if (!len)
		return channel_receive(c, o->channel, size, offset, rep);
	memset(rep, 0, sizeof(*rep));
	rep->payload = xcalloc(1, size);
	rep->payload_len = len;
	memcpy(rep->payload, n->back, len);
	n->back_len -= len;
	memmove(n->back, n->back + len, n->back_len);
	show_back(n);
	if (len < size)
		take_more(c, o, size, rep);
	return (long)rep->payload_len;
}
