/* A link and its peer: a thread that runs a script on the other end of a socket pair or of two pipes. */
#ifndef TEST_LINK_H
#define TEST_LINK_H

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <pb_decode.h>
#include <pb_encode.h>

#include "frame.h"
#include "frame_io.h"
#include "link_int.h"

#define OPEN_MS 5000

static const struct link_greeting greeting = { .at = "", .sub = "" };

/* ---- the peer ---- */

struct peer {
	int in, out;
	pthread_t thread;
	void (*script)(struct peer *p);
	rfs_Request req;
	struct frame_header header;
	uint8_t payload[FRAME_MAX_PAYLOAD];
	uint32_t version, error;
};

static inline bool peer_get(struct peer *p)
{
	uint8_t buf[FRAME_MAX_MESSAGE];
	if (frame_read_full(p->in, buf, FRAME_HEADER_SIZE) < 0)
		return false;
	assert_int_equal(frame_decode(buf, &p->header), 0);
	assert_int_equal(p->header.kind, FRAME_REQUEST);
	if (frame_read_full(p->in, buf, p->header.message_len) < 0)
		return false;
	if (p->header.payload_len && frame_read_full(p->in, p->payload, p->header.payload_len) < 0)
		return false;
	pb_istream_t in = pb_istream_from_buffer(buf, p->header.message_len);
	return pb_decode(&in, rfs_Request_fields, &p->req);
}

static inline void peer_frame(struct peer *p, struct frame_header h, const pb_msgdesc_t *fields, const void *msg,
			      const void *payload)
{
	uint8_t buf[FRAME_HEADER_SIZE + FRAME_MAX_MESSAGE];
	pb_ostream_t out = pb_ostream_from_buffer(buf + FRAME_HEADER_SIZE, FRAME_MAX_MESSAGE);
	pb_encode(&out, fields, msg);
	h.message_len = out.bytes_written;
	frame_encode(buf, &h);
	struct iovec iov[2] = {{buf, FRAME_HEADER_SIZE + h.message_len}, {(void *)payload, h.payload_len}};
	frame_writev_full(p->out, iov, 2);
}

/* Bytes as they are. */
static inline void peer_write(struct peer *p, const void *bytes, size_t len)
{
	frame_writev_full(p->out, &(struct iovec){(void *)bytes, len}, 1);
}

/* A WriteReply whose offset is NUMBER. */
static inline void peer_answer(struct peer *p, uint32_t id, uint64_t number, const void *payload, size_t len)
{
	rfs_Reply reply = {.which_op = rfs_Reply_write_tag, .op.write.offset = number};
	peer_frame(p, (struct frame_header){.kind = FRAME_REPLY, .id = id, .payload_len = len}, rfs_Reply_fields,
		   &reply, payload);
}

static inline void peer_push(struct peer *p, uint64_t number)
{
	rfs_Push push = {.which_event = rfs_Push_changed_tag, .event.changed.handle = number};
	peer_frame(p, (struct frame_header){.kind = FRAME_PUSH}, rfs_Push_fields, &push, NULL);
}

static inline void peer_hello(struct peer *p)
{
	rfs_Reply reply = {.error = p->error, .which_op = rfs_Reply_hello_tag, .op.hello.version = p->version};
	assert_true(peer_get(p));
	assert_int_equal(p->req.which_op, rfs_Request_hello_tag);
	peer_frame(p, (struct frame_header){.kind = FRAME_REPLY, .id = p->header.id}, rfs_Reply_fields, &reply, NULL);
}

/* Answers the goodbye that was just read. */
static inline void peer_bye(struct peer *p)
{
	rfs_Reply reply = {0};
	assert_int_equal(p->req.which_op, rfs_Request_goodbye_tag);
	peer_frame(p, (struct frame_header){.kind = FRAME_REPLY, .id = p->header.id}, rfs_Reply_fields, &reply, NULL);
}

static inline void *peer_main(void *arg)
{
	struct peer *p = arg;
	p->script(p);
	close(p->in);
	if (p->out != p->in)
		close(p->out);
	return NULL;
}

/* ---- our side ---- */

struct seen {
	atomic_uint pushes, lost;
	uint64_t last; /* not atomic: the callbacks come one at a time */
	char why[320];
};

static inline void on_push(struct link *l, const rfs_Push *push, void *arg)
{
	struct seen *s = arg;
	assert_int_equal(push->which_event, rfs_Push_changed_tag);
	assert_int_equal(push->event.changed.handle, s->last + 1);
	s->last++;
	atomic_fetch_add(&s->pushes, 1);
}

static inline void on_lost(struct link *l, const char *why, void *arg)
{
	struct seen *s = arg;
	snprintf(s->why, sizeof(s->why), "%s", why);
	atomic_fetch_add(&s->lost, 1);
}

static struct peer *peer;
static struct seen seen;
static char err[320];

static inline struct link *open_pair(const int ours[2], const int theirs[2], void (*script)(struct peer *p),
				     int timeout_ms)
{
	struct link_callbacks callbacks = {.push = on_push, .lost = on_lost, .arg = &seen};
	uint32_t version = peer->version, error = peer->error;
	memset(&seen, 0, sizeof(seen));
	*peer = (struct peer){.in = theirs[0], .out = theirs[1], .script = script, .version = version, .error = error};
	pthread_create(&peer->thread, NULL, peer_main, peer);
	return link_open(ours[0], ours[1], 0, "test", &greeting, timeout_ms, &callbacks, err, sizeof(err));
}

static inline struct link *open_sockets(void (*script)(struct peer *p), int timeout_ms)
{
	int pair[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	return open_pair((int[]){pair[0], pair[0]}, (int[]){pair[1], pair[1]}, script, timeout_ms);
}

static inline struct link *open_pipes(void (*script)(struct peer *p))
{
	int to[2], from[2];
	assert_int_equal(pipe(to), 0);
	assert_int_equal(pipe(from), 0);
	return open_pair((int[]){from[0], to[1]}, (int[]){to[0], from[1]}, script, OPEN_MS);
}

static inline struct link *open_good(void (*script)(struct peer *p))
{
	struct link *l = open_sockets(script, OPEN_MS);
	assert_non_null(l);
	return l;
}

static inline void open_fails(void (*script)(struct peer *p), const char *reason)
{
	assert_null(open_sockets(script, OPEN_MS));
	pthread_join(peer->thread, NULL);
	if (!strstr(err, reason))
		fail_msg("\"%s\" does not say \"%s\"", err, reason);
}

static inline void close_good(struct link *l)
{
	assert_int_equal(link_close(l, OPEN_MS), 0);
	pthread_join(peer->thread, NULL);
	assert_int_equal(seen.lost, 0);
}

/* Asks for NUMBER; returns what the reply carries, or a negative errno. */
static inline int64_t ask(struct link *l, uint64_t number)
{
	rfs_Request req = {.which_op = rfs_Request_write_tag, .op.write.offset = number};
	struct link_reply rep;
	int rc = link_call(l, &req, NULL, 0, &rep);
	if (rc)
		return rc;
	assert_int_equal(rep.msg.which_op, rfs_Reply_write_tag);
	link_reply_free(&rep);
	return rep.msg.op.write.offset;
}

/* The supervisor blocks all signals and takes one that is pending for a wish of the user's. */
static inline void no_sigpipe(void)
{
	sigset_t set;
	sigpending(&set);
	assert_int_equal(sigismember(&set, SIGPIPE), 0);
}

static inline void lost_because(struct link *l, const char *reason)
{
	assert_int_equal(ask(l, 1), -EIO);
	rfs_Request req = {.which_op = rfs_Request_close_tag};
	assert_int_equal(link_send(l, &req), -EIO);
	assert_int_equal(seen.lost, 1);
	if (!strstr(seen.why, reason))
		fail_msg("\"%s\" does not say \"%s\"", seen.why, reason);
	assert_int_equal(link_close(l, OPEN_MS), -EIO);
	assert_int_equal(seen.lost, 1);
	no_sigpipe();
}

static inline int setup(void **state)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGPIPE);
	sigprocmask(SIG_BLOCK, &set, NULL);
	peer = calloc(1, sizeof(*peer));
	peer->version = 1;
	return 0;
}

static inline int teardown(void **state)
{
	free(peer);
	return 0;
}

static inline void sleep_ms(int ms)
{
	poll(NULL, 0, ms);
}

#endif
