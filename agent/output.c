/* Replies and pushes onto the stream. */
#include <errno.h>
#include <pb_encode.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dispatch.h"
#include "handle.h"
#include "observe.h"
#include "plain.h"
#include "serve_int.h"

#define OUTPUT_MESSAGE (rfs_Reply_size > rfs_Push_size ? rfs_Reply_size : rfs_Push_size)
#define OUTPUT_FRAME (FRAME_HEADER_SIZE + OUTPUT_MESSAGE)
#define OUTPUT_BATCH 65536

/* Encodes a frame without its payload. Returns its length; every message fits. */
static size_t output_encode(uint8_t *out, struct frame_header h, const pb_msgdesc_t *fields, const void *msg)
{
	pb_ostream_t o = pb_ostream_from_buffer(out + FRAME_HEADER_SIZE, OUTPUT_MESSAGE);

	if (!pb_encode(&o, fields, msg))
		abort(); /* a bounded message into a buffer of its bound */
	h.message_len = o.bytes_written;
	frame_encode(out, &h);
	return FRAME_HEADER_SIZE + o.bytes_written;
}

static size_t output_invalidate(uint8_t *out, const char *path, bool subtree)
{
	rfs_Push push = { .which_event = rfs_Push_invalidate_tag };
	size_t len = strlen(path);

	memcpy(push.event.invalidate.path.bytes, path, len);
	push.event.invalidate.path.size = len;
	push.event.invalidate.subtree = subtree;
	return output_encode(out, (struct frame_header){ .kind = FRAME_PUSH }, rfs_Push_fields, &push);
}

static size_t output_changed(uint8_t *out, uint64_t handle)
{
	rfs_Push push = { .which_event = rfs_Push_changed_tag, .event.changed.handle = handle };

	return output_encode(out, (struct frame_header){ .kind = FRAME_PUSH }, rfs_Push_fields, &push);
}

/* A client that no longer reads has gone, or comes again on another connection; it will not learn of it on this one anyway. */
static void output_write(struct serve *s, struct iovec *iov, int count)
{
	if (s->lost || !conn_write_full(&s->conn, iov, count))
		return;
	if (!atomic_load(&s->session->begun))
		_exit(0);
	s->lost = true;
}

void output_push(void *serve, const rfs_Push *push)
{
	struct serve *s = serve;
	uint8_t frame[OUTPUT_FRAME];
	struct iovec iov = { frame, output_encode(frame, (struct frame_header){ .kind = FRAME_PUSH }, rfs_Push_fields, push) };

	pthread_mutex_lock(&s->write_lock);
	session_keep(s->session, &iov, 1);
	output_write(s, &iov, 1);
	pthread_mutex_unlock(&s->write_lock);
}

void output_lock_end(void *serve, uint64_t ticket, int error)
{
	rfs_Push push = { .which_event = rfs_Push_lock_end_tag, .event.lock_end = { .ticket = ticket, .error = (uint32_t)error } };
	struct serve *s = serve;

	watch_catch_up(s->agent->watcher);
	output_push(s, &push);
}

void output_ready(void *serve, const rfs_Ready *r)
{
	rfs_Push push = { .which_event = rfs_Push_ready_tag, .event.ready = *r };

	output_push(serve, &push);
}

/* A batch of encoded pushes. The write lock is held while there is one. */
struct batch {
	struct serve *serve;
	size_t len;
	uint8_t data[OUTPUT_BATCH];
};

static void output_flush(struct batch *b)
{
	struct iovec iov = { b->data, b->len };

	if (b->len)
		output_write(b->serve, &iov, 1);
	b->len = 0;
}

static uint8_t *output_room(struct batch *b)
{
	if (b->len + OUTPUT_FRAME > sizeof(b->data))
		output_flush(b);
	return b->data + b->len;
}

static void output_event(void *batch, const struct observed *e)
{
	rfs_Push push = { .which_event = rfs_Push_watched_tag };
	rfs_Event *event = &push.event.watched;
	struct batch *b = batch;

	event->instance = e->instance;
	event->wd = e->wd;
	event->mask = e->mask;
	event->name.size = strlen(e->name);
	memcpy(event->name.bytes, e->name, event->name.size);
	event->to_wd = e->to_wd;
	event->to_name.size = strlen(e->to_name);
	memcpy(event->to_name.bytes, e->to_name, event->to_name.size);
	uint8_t *to = output_room(b);
	struct iovec iov = { to, output_encode(to, (struct frame_header){ .kind = FRAME_PUSH }, rfs_Push_fields, &push) };

	session_keep(b->serve->session, &iov, 1);
	b->len += iov.iov_len;
}

/* The write lock is held. While nobody reads them they are left to the kernel, whose queue has an end. */
static void output_events(struct serve *s)
{
	struct batch b;

	if (s->lost)
		return;
	b.serve = s;
	b.len = 0;
	observe_take(s->agent->observer, output_event, &b);
	output_flush(&b);
}

void output_observed(void *serve)
{
	struct serve *s = serve;

	pthread_mutex_lock(&s->write_lock);
	output_events(s);
	pthread_mutex_unlock(&s->write_lock);
}

/* What was read with an Open can be read again, and is not kept. */
static void output_keep(struct serve *s, struct job *job, const struct iovec *iov)
{
	uint8_t head[OUTPUT_FRAME];
	struct frame_header h = { .kind = FRAME_REPLY, .id = job->id };
	struct iovec bare = { head, 0 };

	if (job->req.which_op == rfs_Request_hello_tag)
		return; /* what is counted begins behind it */
	if (request_is_plain(job->req.which_op)) {
		session_count(s->session, 1);
	} else if (job->reply.which_op == rfs_Reply_open_tag && job->op.out_len) {
		job->reply.op.open.complete = false;
		bare.iov_len = output_encode(head, h, rfs_Reply_fields, &job->reply);
		session_keep(s->session, &bare, 1);
	} else {
		session_keep(s->session, iov, 2);
	}
}

void output_early(struct serve *s, const struct job *job)
{
	uint8_t frame[OUTPUT_FRAME];
	struct frame_header h = { .kind = FRAME_REPLY, .id = job->id };
	struct iovec iov = { frame, output_encode(frame, h, rfs_Reply_fields, &job->reply) };

	output_write(s, &iov, 1);
}

void output_reply(struct serve *s, struct job *job)
{
	uint8_t head[OUTPUT_FRAME], tail[2 * OUTPUT_FRAME];
	struct frame_header h = { .kind = FRAME_REPLY, .id = job->id, .payload_len = job->op.out_len };
	struct promise *p = &job->op.promise;
	struct iovec iov[3] = { { head, 0 }, { job->op.out, job->op.out_len }, { tail, 0 } };
	bool silent = !job->id || job->req.which_op == rfs_Request_close_tag;

	if (!silent)
		iov[0].iov_len = output_encode(head, h, rfs_Reply_fields, &job->reply);
	/* What the request did is told before its answer: a program that has it looks by other names, and for its events. */
	/* And whoever gets a lock must not believe what somebody else has changed before he gave it back. */
	if (dispatch_changes_names(&job->req) || dispatch_takes_lock(&job->req))
		watch_catch_up(s->agent->watcher);
	pthread_mutex_lock(&s->write_lock);
	output_events(s);
	promise_settle(s->agent->watcher, p);
	if (p->name_broken)
		iov[2].iov_len += output_invalidate(tail, p->path, true);
	if (p->handle_broken)
		iov[2].iov_len += output_changed(tail + iov[2].iov_len, p->handle);
	if (!silent) {
		output_keep(s, job, iov);
		session_count(s->session, p->name_broken + p->handle_broken);
		output_write(s, iov, 3);
	}
	s->answered = true;
	session_done(job->work);
	pthread_mutex_unlock(&s->write_lock);
}

void output_notices(void *serve, const struct notices *n)
{
	struct batch b;
	unsigned int i;

	b.serve = serve;
	b.len = 0;
	pthread_mutex_lock(&b.serve->write_lock);
	if (!b.serve->answered) {
		pthread_mutex_unlock(&b.serve->write_lock);
		return;
	}
	session_count(b.serve->session, n->all + n->names + n->handles);
	if (n->all)
		b.len += output_invalidate(output_room(&b), "/", true);
	for (i = 0; i < n->names; i++)
		b.len += output_invalidate(output_room(&b), n->name[i].path, n->name[i].subtree);
	for (i = 0; i < n->handles; i++)
		b.len += output_changed(output_room(&b), n->handle[i]);
	output_flush(&b);
	pthread_mutex_unlock(&b.serve->write_lock);
}


/* Nothing is promised by a handle any more. */
static void output_doubt(struct batch *b)
{
	struct handles *t = b->serve->agent->handles;

	handles_lock(t);
	for (struct handle *h = NULL; (h = handles_next(t, h));) {
		b->len += output_changed(output_room(b), h->number);
		session_count(b->serve->session, 1);
	}
	handles_unlock(t);
}

void output_resumed(struct serve *s, const rfs_ResumeReply *resumed)
{
	rfs_Reply reply = { .which_op = rfs_Reply_resume_tag, .op.resume = *resumed };
	struct batch b = { .serve = s };
	uint8_t *frame = malloc(FRAME_HEADER_SIZE + FRAME_MAX_MESSAGE + FRAME_MAX_PAYLOAD);
	uint64_t at = s->session->tail;
	size_t len;

	b.len = output_encode(output_room(&b), (struct frame_header){ .kind = FRAME_REPLY, .id = 1 }, rfs_Reply_fields, &reply);
	output_flush(&b);
	while (frame && (len = session_next(s->session, &at, frame, FRAME_HEADER_SIZE + FRAME_MAX_MESSAGE + FRAME_MAX_PAYLOAD)))
		output_write(s, &(struct iovec){ frame, len }, 1);
	free(frame);
	b.len += output_invalidate(output_room(&b), "/", true);
	session_count(s->session, 1);
	output_doubt(&b);
	output_flush(&b);
}
