#include "flight.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "call.h"
#include "link.h"
#include "rules.h"
#include "state.h"
#include "util.h"

/* So many pieces are asked for at once before it is known how far and how fast the link is. */
#define WINDOW_FIRST 16
#define WINDOW_LEAST 4
#define SLACK_NS UINT64_C(10000000)

struct flight_piece {
	struct flight_taken is;
	uint64_t asked_ns, took_ns;
	bool done;
	bool unwanted; /* nobody waits for it: it is freed when it is done */
};

static pthread_cond_t landed = PTHREAD_COND_INITIALIZER;

static void done(struct link_reply *rep, int rc, void *arg)
{
	struct flight_piece *p = arg;

	if (p->unwanted) {
		free(p);
		return;
	}
	p->done = true;
	p->took_ns = now_ns() - p->asked_ns;
	p->is.got = rc ? rc : rep->payload_len > p->is.len ? -EPROTO : (long)rep->payload_len;
	if (p->is.got >= 0) {
		p->is.data = rep->payload;
		rep->payload = NULL;
	}
	pthread_cond_broadcast(&landed);
}

void flight_add(struct flight *f, uint64_t off, size_t len, uint64_t mark)
{
	rfs_Request req = { .which_op = rfs_Request_read_tag,
			    .op.read = { .handle = f->handle, .offset = off, .size = (uint32_t)len } };
	struct flight_piece *p = xcalloc(1, sizeof(*p));

	p->is = (struct flight_taken){ .off = off, .len = len, .mark = mark };
	p->asked_ns = now_ns();
	f->window = f->window ? f->window : WINDOW_FIRST;
	f->piece[(f->first + f->count++) % FLIGHT_PIECES] = p;
	int rc = call_start(f->c, f->mount, &req, NULL, 0, done, p);
	if (rc) {
		p->done = true;
		p->is.got = rc;
	}
}

static void wait_for(struct flight *f, const struct flight_piece *p)
{
	link_count_wait(f->mount->link);
	mount_waits(f->mount, 1);
	while (!p->done)
		state_wait(&landed);
	mount_waits(f->mount, -1);
	if (f->c) {
		f->c->round_trips++;
		f->c->bytes_in += p->is.got > 0 ? (uint64_t)p->is.got : 0;
	}
}

/*
 * What is on its way beyond the way's length only waits in front of the link, and what others ask for waits behind it: a piece that took
 * twice as long as the fastest has waited.
 */
static void adapt(struct flight *f, const struct flight_piece *p)
{
	if (!p->took_ns)
		return;
	if (!f->least_ns || p->took_ns < f->least_ns)
		f->least_ns = p->took_ns;
	if (p->took_ns > 2 * f->least_ns + SLACK_NS)
		f->window -= f->window > WINDOW_LEAST;
	else
		f->window += f->window < FLIGHT_PIECES;
}

void flight_take(struct flight *f, struct flight_taken *t)
{
	struct flight_piece *p = f->piece[f->first];

	if (!p->done)
		wait_for(f, p);
	f->first = (f->first + 1) % FLIGHT_PIECES;
	f->count--;
	adapt(f, p);
	*t = p->is;
	free(p);
}

void flight_end(struct flight *f)
{
	for (; f->count; f->count--, f->first = (f->first + 1) % FLIGHT_PIECES) {
		struct flight_piece *p = f->piece[f->first];

		p->unwanted = true;
		if (p->done) {
			free(p->is.data);
			free(p);
		}
	}
}
