/* The first exchange on a stream: a greeting, or what takes up a session again. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "link_session.h"
#include "stream.h"

#define PROTOCOL_VERSION 1

/* Sends REQ as request 1 and takes its reply. 0 or a negative errno with the reason in s->why. */
static int exchange(struct stream *s, const rfs_Request *req, int timeout_ms, rfs_Reply *reply)
{
	struct stream_request r;
	struct iovec iov[2];
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};
	struct frame_header header;
	uint8_t *payload = NULL;
	int err = stream_encode_request(&r, req, NULL, 0);
	stream_fill_iov(&r, 1, 0, iov);
	s->deadline_ms = stream_now_ms() + timeout_ms;
	int sent = 0;
	while (!err && !sent && (err = stream_wait_out(s, s->deadline_ms)) == 0)
		sent = stream_send_now(s, &msg);
	/* An agent that takes no greeting has ended: what it said and how it ended tells more than EPIPE. */
	if (err != -ETIMEDOUT)
		err = stream_receive(s, &header, &payload);
	if (!err)
		err = stream_decode_reply(s, &header, reply);
	free(payload);
	if (err == -ETIMEDOUT)
		snprintf(s->why, sizeof(s->why), "the agent did not answer within %g s", timeout_ms / 1000.0);
	s->deadline_ms = 0;
	return !err && header.id != 1 ? stream_violation(s, "no answer to the greeting") : err;
}

static void hello_fill(rfs_Request *req, const struct link_greeting *greeting, const struct link_session *session)
{
	req->which_op = rfs_Request_hello_tag;
	req->op.hello.version = PROTOCOL_VERSION;
	req->op.hello.capabilities = LINK_ORDERS;
	req->op.hello.read_only = greeting->read_only;
	BYTES_PUT(req->op.hello.at, greeting->at);
	BYTES_PUT(req->op.hello.sub, greeting->sub);
	BYTES_PUT(req->op.hello.program, "remotefs-trace " VERSION);
	if (!session)
		return;
	req->op.hello.capabilities |= LINK_TICKETS;
	req->op.hello.session.size = sizeof(session->name);
	memcpy(req->op.hello.session.bytes, session->name, sizeof(session->name));
	req->op.hello.secret.size = sizeof(session->secret);
	memcpy(req->op.hello.secret.bytes, session->secret, sizeof(session->secret));
	req->op.hello.linger_ms = session->linger_ms;
}

static int hello_check(struct stream *s, const rfs_Reply *reply)
{
	const rfs_HelloReply *hello = &reply->op.hello;
	if (!reply->error && reply->which_op != rfs_Reply_hello_tag)
		return stream_violation(s, "no answer to the greeting");
	if (reply->error) {
		snprintf(s->why, sizeof(s->why), "the agent refused the connection: %s", strerror(reply->error));
		return -EPROTO;
	}
	if (hello->version < 1 || hello->version > PROTOCOL_VERSION) {
		snprintf(s->why, sizeof(s->why), "the agent speaks version %u of the protocol, this program up to %u",
			 (unsigned)hello->version, (unsigned)PROTOCOL_VERSION);
		return -EPROTO;
	}
	return 0;
}

int stream_greet(struct stream *s, const struct link_greeting *greeting, const struct link_session *session, int timeout_ms,
		 uint32_t *max_payload)
{
	rfs_Request req = {0};
	rfs_Reply reply;
	hello_fill(&req, greeting, session);
	int err = exchange(s, &req, timeout_ms, &reply);
	if (!err)
		err = hello_check(s, &reply);
	if (err)
		return err;
	const rfs_HelloReply *hello = &reply.op.hello;
	snprintf(s->program, sizeof(s->program), "%.*s", (int)hello->program.size, (const char *)hello->program.bytes);
	s->agent_is = (struct link_agent){.orders = hello->capabilities & LINK_ORDERS,
					  .resumes = session && hello->resumes,
					  .tickets = hello->capabilities & LINK_TICKETS,
					  .uid = hello->uid,
					  .owns_all = hello->owns_all,
					  .gives_away = hello->gives_away};
	*max_payload = FRAME_MAX_PAYLOAD;
	if (hello->max_payload && hello->max_payload < FRAME_MAX_PAYLOAD)
		*max_payload = hello->max_payload;
	return 0;
}

void stream_dismiss(struct stream *s, int timeout_ms)
{
	rfs_Request req = {.which_op = rfs_Request_goodbye_tag};
	rfs_Reply reply;
	exchange(s, &req, timeout_ms, &reply);
}

int stream_resume(struct stream *s, const struct link_session *session, uint64_t seen, int timeout_ms, rfs_ResumeReply *resumed)
{
	rfs_Request req = {.which_op = rfs_Request_resume_tag, .op.resume = {.stream = session->stream, .seen = seen, .attempt = session->attempt}};
	rfs_Reply reply;
	req.op.resume.session.size = sizeof(session->name);
	memcpy(req.op.resume.session.bytes, session->name, sizeof(session->name));
	req.op.resume.secret.size = sizeof(session->secret);
	memcpy(req.op.resume.secret.bytes, session->secret, sizeof(session->secret));
	int err = exchange(s, &req, timeout_ms, &reply);
	if (err)
		return err;
	if (reply.error) {
		snprintf(s->why, sizeof(s->why), "the agent that had the open files %s", reply.error == EAGAIN ? "does not answer" : "is gone");
		return reply.error == ENOENT || reply.error == EAGAIN ? -(int)reply.error : -EPROTO;
	}
	if (reply.which_op != rfs_Reply_resume_tag)
		return stream_violation(s, "no answer to the greeting");
	*resumed = reply.op.resume;
	return 0;
}
