/* The first request: who the client is, and whether its session is to outlive its connection, and us. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "keep.h"
#include "keeper.h"
#include "resolve.h"
#include "rights.h"
#include "serve_int.h"

#define GREET_PROTOCOL 1
#define GREET_ORDERS UINT64_C(1)
#define GREET_TICKETS UINT64_C(2)
#define GREET_CAPABILITIES (GREET_ORDERS | GREET_TICKETS)

/* Without one the session outlives its connection only. True: we go on after another process. */
static bool greet_keeper(struct serve *s)
{
	int r = keep_begin();

	if (!r)
		r = keeper_start();
	if (r < 0) {
		keep_give_up();
		if (r != -EINVAL) /* of an emulator that knows forks and threads only */
			agent_say("if this process is killed, its open files are lost: no keeper can be made: %s", strerror(-r));
	}
	return r > 0;
}

/* Whether the client gets the session that it wants. */
static bool greet_session(struct serve *s, const rfs_Hello *hello)
{
	int r;

	if (hello->session.size != SESSION_NAME || hello->secret.size != SESSION_SECRET)
		return false;
	session_begin(s->session, hello);
	r = attach_listen(s);
	if (!r)
		return true;
	session_end(s->session);
	agent_say("a connection that breaks cannot be taken up again: %s", strerror(-r));
	return false;
}

/* 0, or the errno that is the answer. */
static int greet_hello(struct serve *s, const rfs_Hello *hello, rfs_HelloReply *reply)
{
	static const char program[] = "remotefs-agent " VERSION;

	if (hello->version == 0)
		return EPROTONOSUPPORT;
	s->greeted = true;
	if (hello->read_only)
		s->agent->root.read_only = true;
	if (!resolve_set_view(&s->agent->root, &hello->at, &hello->sub))
		return EPROTO;
	reply->version = GREET_PROTOCOL;
	reply->capabilities = hello->capabilities & GREET_CAPABILITIES;
	s->agent->tickets = reply->capabilities & GREET_TICKETS;
	reply->max_payload = FRAME_MAX_PAYLOAD;
	reply->uid = geteuid();
	rights_over_files(&reply->owns_all, &reply->gives_away);
	reply->program.size = sizeof(program) - 1;
	memcpy(reply->program.bytes, program, sizeof(program) - 1);
	reply->resumes = greet_session(s, hello);
	return 0;
}

static void greet_one(struct serve *s, struct job *job)
{
	if (job->req.which_op == rfs_Request_resume_tag) {
		job->reply.error = (uint32_t)-attach_forward(s, &job->req.op.resume);
	} else if (job->req.which_op == rfs_Request_hello_tag) {
		job->reply.error = (uint32_t)greet_hello(s, &job->req.op.hello, &job->reply.op.hello);
		job->reply.which_op = job->reply.error ? 0 : rfs_Reply_hello_tag;
	} else {
		agent_say("the client did not say hello first; giving up");
		_exit(125);
	}
	if (!s->greeted)
		output_early(s, job);
}

bool greet(struct serve *s, struct job *job)
{
	int r;

	do {
		job_clear(job);
		r = input_next(s, job);
		if (r)
			_exit(r == -EPROTO || r == -ENOMEM ? 125 : 0);
		greet_one(s, job);
		free(job->payload);
		job->payload = NULL;
	} while (!s->greeted);
	job->op.agent = s->agent;
	job->op.req = &job->req;
	job->op.reply = &job->reply;
	return atomic_load(&s->session->begun) && greet_keeper(s);
}
