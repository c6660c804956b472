#include "client_agent.h"

#include <errno.h>
#include <pb_decode.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "client_answer.h"
#include "link.h"
#include "mutate.h"
#include "push.h"
#include "rules.h"
#include "state.h"

struct link {
	struct mount *mount;
};

struct started {
	TAILQ_ENTRY(started) entry;
	struct link *link;
	rfs_Request req;
	size_t payload_len;
	link_done *then;
	void *arg;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards what follows */
static TAILQ_HEAD(, started) started = TAILQ_HEAD_INITIALIZER(started);
static const uint8_t *script;
static size_t script_len, script_at;
static bool starving;
static struct link links[4];
static size_t link_count;
static atomic_uint_fast64_t handles = 1;

struct link *client_agent_link(struct mount *m)
{
	links[link_count].mount = m;
	return &links[link_count++];
}

void client_agent_begin(const uint8_t *data, size_t len)
{
	pthread_mutex_lock(&lock);
	script = data;
	script_len = len;
	script_at = 0;
	starving = false;
	pthread_mutex_unlock(&lock);
}

void client_agent_starve(void)
{
	pthread_mutex_lock(&lock);
	script_len = 0;
	script_at = 0;
	starving = true;
	pthread_mutex_unlock(&lock);
}

/* The next frame, which stays where it is until script_at is moved behind it. The lock is held. */
static bool peek(struct frame_header *h, const uint8_t **message, const uint8_t **payload)
{
	const uint8_t *at = script + script_at;

	if (script_len - script_at < FRAME_HEADER_SIZE || frame_decode(at, h) ||
	    script_len - script_at - FRAME_HEADER_SIZE < h->message_len + h->payload_len)
		return false;
	*message = at + FRAME_HEADER_SIZE;
	*payload = *message + h->message_len;
	return true;
}

static void skip(const struct frame_header *h)
{
	script_at += FRAME_HEADER_SIZE + h->message_len + h->payload_len;
}

/* ---- what this one says ---- */

static void change(struct link_reply *rep, uint32_t seed)
{
	struct mutate m;

	mutate_seed(&m, seed, &mutate_input.words);
	if (mutate_below(&m, 4))
		mutate_change(&m, rfs_Reply_fields, &rep->msg, 1 + (unsigned)mutate_below(&m, 3));
	if (mutate_below(&m, 3) == 0) { /* the payload, too */
		size_t len = mutate_below(&m, 3) ? mutate_below(&m, rep->payload_len + 64) : mutate_below(&m, FRAME_MAX_PAYLOAD);
		uint8_t *bytes = calloc(1, len + 1);

		memcpy(bytes, rep->payload ? rep->payload : (uint8_t *)"", len < rep->payload_len ? len : rep->payload_len);
		free(rep->payload);
		rep->payload = len ? bytes : NULL;
		rep->payload_len = len;
		if (!len)
			free(bytes);
	}
	for (size_t n = mutate_below(&m, 4); n > 0 && rep->payload_len; n--)
		rep->payload[mutate_below(&m, rep->payload_len)] ^= (uint8_t)mutate_below(&m, 256);
}

static void say_it(const rfs_Request *req, size_t payload_len, struct link_reply *rep, const struct frame_header *h, const uint8_t *message,
		   const uint8_t *payload)
{
	pb_istream_t in = pb_istream_from_buffer(message, h->message_len);

	if (h->message_len && pb_decode(&in, rfs_Reply_fields, &rep->msg)) {
		if (h->payload_len) {
			client_answer_bytes(rep, h->payload_len);
			memcpy(rep->payload, payload, h->payload_len);
		}
		return;
	}
	memset(rep, 0, sizeof(*rep));
	client_answer(req, payload_len, rep);
	if (h->id)
		change(rep, h->id);
}

static void deliver_push(const uint8_t *message, size_t len)
{
	pb_istream_t in = pb_istream_from_buffer(message, len);
	rfs_Push push = { 0 };

	if (!pb_decode(&in, rfs_Push_fields, &push))
		return;
	for (size_t i = 0; i < link_count; i++)
		push_receive(&links[i], &push, links[i].mount);
}

/* Pushes up to the next other frame. Without locks. */
static void deliver_pushes(void)
{
	const uint8_t *message, *payload;
	struct frame_header h;

	for (;;) {
		pthread_mutex_lock(&lock);
		bool mine = peek(&h, &message, &payload) && h.kind == FRAME_PUSH;
		if (mine)
			skip(&h);
		pthread_mutex_unlock(&lock);
		if (!mine)
			return;
		deliver_push(message, h.message_len);
	}
}

/* The answer to REQ. Without the state lock. */
static int reply_to(const rfs_Request *req, size_t payload_len, struct link_reply *rep)
{
	const uint8_t *message = NULL, *payload = NULL;
	struct frame_header h;

	memset(rep, 0, sizeof(*rep));
	deliver_pushes();
	pthread_mutex_lock(&lock);
	if (starving) {
		pthread_mutex_unlock(&lock);
		return -EIO;
	}
	if (peek(&h, &message, &payload) && h.kind == FRAME_REPLY)
		skip(&h);
	else
		h = (struct frame_header){ .kind = FRAME_REPLY };
	say_it(req, payload_len, rep, &h, message, payload);
	pthread_mutex_unlock(&lock);
	/* As stream_decode_reply has it. */
	if (rep->msg.error <= 4095)
		return 0;
	link_reply_free(rep);
	return -EIO;
}

static bool finish_one(void)
{
	struct link_reply *rep = calloc(1, sizeof(*rep));

	pthread_mutex_lock(&lock);
	struct started *s = TAILQ_FIRST(&started);
	if (s)
		TAILQ_REMOVE(&started, s, entry);
	pthread_mutex_unlock(&lock);
	if (s) {
		int rc = reply_to(&s->req, s->payload_len, rep);

		s->then(rep, rc, s->arg);
		link_reply_free(rep);
	}
	free(rep);
	free(s);
	return s != NULL;
}

bool client_agent_news(void)
{
	const uint8_t *message, *payload;
	struct frame_header h;

	if (finish_one())
		return true;
	pthread_mutex_lock(&lock);
	bool push = peek(&h, &message, &payload) && h.kind == FRAME_PUSH;
	pthread_mutex_unlock(&lock);
	deliver_pushes();
	return push;
}

bool client_agent_next_call(struct frame_header *h, const uint8_t **payload)
{
	const uint8_t *message;

	for (;;) {
		deliver_pushes();
		pthread_mutex_lock(&lock);
		bool any = peek(h, &message, payload);
		if (any)
			skip(h);
		pthread_mutex_unlock(&lock);
		if (!any || h->kind == FRAME_REQUEST)
			return any;
	}
}

void client_agent_end(void)
{
	rfs_Push all = { .which_event = rfs_Push_invalidate_tag, .event.invalidate = { .subtree = true, .path = { .size = 1, .bytes = "/" } } };

	while (finish_one())
		;
	for (size_t i = 0; i < link_count; i++)
		push_receive(&links[i], &all, links[i].mount);
}

/* ---- link.h ---- */

int link_call(struct link *l, const rfs_Request *req, const void *payload, size_t payload_len, struct link_reply *rep)
{
	/* What was asked for earlier is answered earlier. */
	while (finish_one())
		;
	return reply_to(req, payload_len, rep);
}

int link_start(struct link *l, const rfs_Request *req, const void *payload, size_t payload_len, link_done *then, void *arg)
{
	struct started *s = calloc(1, sizeof(*s));

	*s = (struct started){ .link = l, .req = *req, .payload_len = payload_len, .then = then, .arg = arg };
	pthread_mutex_lock(&lock);
	TAILQ_INSERT_TAIL(&started, s, entry);
	pthread_mutex_unlock(&lock);
	return 0;
}

int link_send(struct link *l, const rfs_Request *req)
{
	return 0;
}

void link_count_wait(struct link *l)
{
}

void link_reply_free(struct link_reply *rep)
{
	free(rep->payload);
	rep->payload = NULL;
	rep->payload_len = 0;
}

uint64_t link_new_handle(struct link *l)
{
	return atomic_fetch_add(&handles, 1);
}

const char *link_program(const struct link *l)
{
	return "";
}

const struct link_agent *link_agent(const struct link *l)
{
	static const struct link_agent is = { .orders = true, .uid = 0, .owns_all = true, .gives_away = true };

	return &is;
}
