/* Another agent is asked for what the one that ended had open for us, before it is asked for anything else. */
#include <errno.h>
#include <stdlib.h>
#include <sys/inotify.h>

#include <pb_decode.h>

#include "link_int.h"
#include "reopen.h"

#define AGENTS_MAX 3 /* that end with a request: perhaps for it */

struct restore {
	struct link *link;
	uint64_t number; /* of the last request */
	size_t left;     /* answers that are awaited */
};

struct restored {
	struct restore *restore;
	struct reopen_step step;
};

static bool is_watched_again(const struct reopen_step *step, const rfs_Reply *rep)
{
	return !rep->error && rep->which_op == rfs_Reply_watch_tag && rep->op.watch.wd == step->note.wd;
}

/* To those who wait for a lock, look at a channel, or watch what is not there any more, the answer is as good as a push. */
static void answer_push(struct link *l, const struct reopen_step *step, const rfs_Reply *rep)
{
	rfs_Push push = {0};
	const rfs_ChannelReply *channel = &rep->op.channel;
	if (step->note.ticket && (rep->error || !rep->op.lock_wait.waits)) {
		push.which_event = rfs_Push_lock_end_tag;
		push.event.lock_end = (rfs_LockEnd){.ticket = step->note.ticket, .error = rep->error};
	} else if (step->note.op == rfs_Request_start_tag && !rep->error && !channel->pending) {
		push.which_event = rfs_Push_ready_tag;
		push.event.ready = (rfs_Ready){.handle = step->note.handle, .ready = channel->ready, .serial = channel->serial};
	} else if (step->note.op == rfs_Request_watch_tag && !is_watched_again(step, rep)) {
		push.which_event = rfs_Push_watched_tag;
		push.event.watched = (rfs_Event){.instance = step->note.instance, .wd = step->note.wd, .mask = IN_IGNORED};
	}
	if (push.which_event && l->callbacks.push)
		l->callbacks.push(l, &push, l->callbacks.arg);
}

static void restored(struct link_reply *rep, int rc, void *arg)
{
	struct restored *r = arg;
	struct link *l = r->restore->link;
	r->restore->left--;
	if (!rc) {
		reopen_answered(l->reopen, &r->step, &rep->msg);
		answer_push(l, &r->step, &rep->msg);
	}
	free(r);
}

/* Sends REQ; its answer, if it has one, comes to STEP. 0 or a negative errno. */
static int restore_send(struct restore *r, const rfs_Request *req, const struct reopen_step *step)
{
	struct restored *arg = step ? malloc(sizeof(*arg)) : NULL;
	struct link_pending *c = link_pending_new(req, restored, arg);
	if (!c || (step && !arg)) {
		free(arg);
		link_pending_free(c);
		return -ENOMEM;
	}
	c->number = ++r->number;
	if (step) {
		*arg = (struct restored){r, *step};
		r->left++;
		c->resend = true; /* an answer before all of it is out is an agent's lie, and would free it */
		link_pending_add(r->link, c);
	}
	int err = link_resend(r->link, c);
	if (!step)
		link_pending_free(c);
	else if (!err)
		c->resend = false;
	return err;
}

/* Reads until everything is answered. */
static int restore_wait(struct restore *r)
{
	while (r->left)
		if (!link_read(r->link) || r->link->ended)
			return -EIO;
	return 0;
}

static int restore_list(struct restore *r, reopen_list *list)
{
	struct reopen_step *steps;
	size_t count = list(r->link->reopen, &steps);
	rfs_Request *req = calloc(1, sizeof(*req));
	int err = req ? 0 : -ENOMEM;
	for (size_t i = 0; i < count && !err; i++) {
		reopen_request(r->link->reopen, &steps[i], req);
		err = restore_send(r, req, &steps[i]);
	}
	free(req);
	free(steps);
	return err ? err : restore_wait(r);
}

/* The agent has the files whose locks are lost: they are to be ESTALE there. */
static int restore_bury(struct restore *r)
{
	struct reopen_lost *lost;
	size_t count = reopen_lost(r->link->reopen, &lost);
	int err = 0;
	for (size_t i = 0; i < count && !err; i++) {
		struct reopen_step step = {.note = {.op = rfs_Request_reopen_tag, .handle = lost[i].handle}, .reopens = true};
		rfs_Request req = {.which_op = rfs_Request_close_tag, .ordered = true, .op.close.handle = lost[i].handle};
		if (lost[i].why != -EAGAIN)
			continue;
		err = restore_send(r, &req, NULL);
		reopen_request(r->link->reopen, &step, &req);
		err = err ? err : restore_send(r, &req, &step);
	}
	free(lost);
	return err ? err : restore_wait(r);
}

/* What was sent and not answered, and cannot be done twice, is of nobody knows what end. How many there are. */
static size_t end_unknown(struct link *l)
{
	struct link_pending *c, *next;
	rfs_Request *req = calloc(1, sizeof(*req));
	size_t count = 0;
	/* Nobody but us takes any off; what is added meanwhile is behind, and was not sent. */
	pthread_mutex_lock(&l->lock);
	c = TAILQ_FIRST(&l->pending);
	pthread_mutex_unlock(&l->lock);
	for (; c; c = next) {
		pthread_mutex_lock(&l->lock);
		next = TAILQ_NEXT(c, entry);
		pthread_mutex_unlock(&l->lock);
		if (c->resend)
			continue;
		const struct stream_request *o = c->request;
		c->taken++;
		pb_istream_t in = pb_istream_from_buffer(o->bytes + FRAME_HEADER_SIZE, o->header.message_len);
		c->resend = req && (c->taken < AGENTS_MAX || c == l->goodbye) && pb_decode(&in, rfs_Request_fields, req) && reopen_repeats(req);
		if (c->resend)
			continue;
		link_end_call(l, c, -EIO);
		count++;
	}
	free(req);
	return count;
}

/* What is left of a restoration that failed. */
static void restore_forget(struct link *l)
{
	struct link_pending *c, *next;
	for (c = TAILQ_FIRST(&l->pending); c; c = next) {
		next = TAILQ_NEXT(c, entry);
		if (c->then == restored)
			link_end_call(l, c, -EIO);
	}
}

int link_reopen(struct link *l, uint64_t *number)
{
	struct restore r = {.link = l};
	struct reopen_report report;
	int err = restore_list(&r, reopen_files);
	err = err ? err : restore_list(&r, reopen_locks);
	err = err ? err : restore_bury(&r);
	err = err ? err : restore_list(&r, reopen_watches);
	if (err) {
		restore_forget(l);
		return err;
	}
	size_t unknown = end_unknown(l);
	reopen_report(l->reopen, &report);
	if (l->callbacks.reopened)
		l->callbacks.reopened(l, &report, unknown, l->callbacks.arg);
	free(report.files);
	err = restore_list(&r, reopen_starts);
	if (err)
		restore_forget(l);
	*number = r.number;
	return err;
}
