/* The byte stream below a link: whole frames in, whole frames out, and why it ended. */
#ifndef TRACER_STREAM_H
#define TRACER_STREAM_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "frame.h"
#include "link.h"
#include "remotefs.pb.h"

struct stream {
	int in, out; /* may be equal */
	int kick;    /* eventfd; readable from stream_stop on */
	bool in_is_socket, out_is_socket;
	pid_t agent;	      /* 0: none */
	atomic_bool finished; /* its end is expected by now: nobody asks why */
	atomic_uint_fast64_t bytes_in, bytes_out;

	/* For one reading thread at a time. */
	int64_t deadline_ms; /* for reading, of stream_now_ms; 0: none */
	char program[65];    /* what the agent calls itself, after stream_greet … */
	struct link_agent agent_is; /* … and what it says of itself */
	char why[320];	     /* one clause, after stream_receive or stream_violation failed */
	uint8_t message[FRAME_MAX_MESSAGE];
};

/* A request on its way. */
struct stream_request {
	struct frame_header header; /* of the message as it was encoded */
	const void *payload;
	uint8_t bytes[FRAME_HEADER_SIZE + FRAME_MAX_MESSAGE]; /* room for the header, the message, and STREAM_SEEN_ROOM */
};

#define STREAM_SEEN_ROOM 12 /* what stream_fill_iov may add */

int64_t stream_now_ms(void);

/* Takes ownership of IN and OUT. 0 or a negative errno; stream_close either way. */
int stream_init(struct stream *s, int in, int out, pid_t agent);
void stream_close(struct stream *s);

/*
 * Reads a frame: its message into s->message, its payload into *PAYLOAD, which the caller frees whatever
 * is returned. 0, -ETIMEDOUT at the deadline, or another negative errno for a stream that is of no more use.
 */
int stream_receive(struct stream *s, struct frame_header *header, uint8_t **payload);

/* Takes a reply or a push out of s->message. 0 or -EPROTO. */
int stream_decode_reply(struct stream *s, const struct frame_header *header, rfs_Reply *msg);
int stream_decode_push(struct stream *s, const struct frame_header *header, rfs_Push *msg);

/* Records that the agent sent WHAT, which it must not. -EPROTO. */
int stream_violation(struct stream *s, const char *what);

/* 0 or -EMSGSIZE. PAYLOAD is not copied. */
int stream_encode_request(struct stream_request *r, const rfs_Request *req, const void *payload, size_t payload_len);

/* A copy of R that stream_fill_iov can be called for, with its payload. NULL: ENOMEM. To be freed with free. */
struct stream_request *stream_copy_request(const struct stream_request *r);

/* Gives R its id, and Request.seen if that is not 0, and lays the two parts of its frame out in IOV. Perhaps again and again. */
void stream_fill_iov(struct stream_request *r, uint32_t id, uint64_t seen, struct iovec iov[2]);

/* Sends what fits without waiting and moves MSG's iovec on. 1 when all is sent, 0 when not, or a negative errno. */
int stream_send_now(struct stream *s, struct msghdr *msg);

/* Waits until some bytes can be sent. 0, -ETIMEDOUT at DEADLINE_MS (0: none), -ECANCELED by stream_stop, … */
int stream_wait_out(struct stream *s, int64_t deadline_ms);

/* Waits until bytes can be sent or read: POLLIN, POLLOUT or both, or a negative errno. */
int stream_wait_either(struct stream *s);

struct link_greeting;
struct link_session;

/*
 * The first exchange: request 1, which asks for SESSION, if that is not NULL. 0 and the largest payload in *MAX_PAYLOAD, or a
 * negative errno with the reason in s->why.
 */
int stream_greet(struct stream *s, const struct link_greeting *greeting, const struct link_session *session, int timeout_ms,
		 uint32_t *max_payload);

/*
 * In the place of that: SESSION, of which SEEN frames were read, is to go on on this stream. 0 and the agent's answer, -ENOENT when the
 * agent that had it is gone, -EAGAIN when it is there and does not answer, or another negative errno with the reason in s->why.
 */
int stream_resume(struct stream *s, const struct link_session *session, uint64_t seen, int timeout_ms, rfs_ResumeReply *resumed);

/* Has the agent end, and waits for that. */
void stream_dismiss(struct stream *s, int timeout_ms);

/* S, which was stopped and nobody uses, is NEW from here on, whose ends and agent it takes. What S was is closed; its agent is the caller's. */
void stream_adopt(struct stream *s, struct stream *new);

/* Wakes, until stream_adopt, whoever reads or writes. Any thread. */
void stream_stop(struct stream *s);

/* ---- the writing side: whole frames, one writer at a time, and a queue for those that may not wait ---- */

#define SENDER_EVENT 1 /* epoll data of the stream's writing end */

struct sender {
	struct stream *stream;
	int epoll;
	int out; /* a second descriptor of stream->out: the set may hold the first for reading */
	pthread_mutex_t writing;
	bool midway; /* the writer's frame is out in part */
	atomic_bool knocked; /* somebody wanted the queue to be sent while it was another one's turn */
	pthread_mutex_t lock;
	uint8_t *queue; /* bytes that wait: LEN from FIRST on */
	size_t room, first;
	atomic_size_t len;
	size_t ahead; /* … and of these, that go out before the writer's frame */
};

void sender_init(struct sender *s, struct stream *stream);
void sender_destroy(struct sender *s);

/* Adds the stream's writing end to EPOLL with SENDER_EVENT, for which sender_ready wants to be called. */
int sender_watch(struct sender *s, int epoll);

/* The stream is another one, of which nothing was written yet; with the writer's turn. 0 or a negative errno. */
int sender_renew(struct sender *s);

/* What is in the queue now goes out before the writer's frame, what comes later behind it. With the writer's turn. */
void sender_claim(struct sender *s);

/* Around sender_try and sender_finish: no other frame gets in between. False: not within DEADLINE_MS. */
void sender_begin(struct sender *s);
bool sender_begin_until(struct sender *s, int64_t deadline_ms);
void sender_end(struct sender *s);

/* Sends the claimed part of the queue and what fits of MSG without waiting. 1 when all is sent, 0 when not, or a negative errno. */
int sender_try(struct sender *s, struct msghdr *msg);

/* Sends the rest. 0, or a negative errno: stream_wait_out's too. */
int sender_finish(struct sender *s, struct msghdr *msg, int64_t deadline_ms);

/*
 * Adds what IOV has, a whole frame, to the queue. Never waits. 0, -ENOMEM, or -ENOBUFS when there is no room; not if it MUST go: what
 * ends something is no more than what has begun.
 */
int sender_add(struct sender *s, const struct iovec iov[2], bool must);

/* Sends what there is in the queue, if the writing end takes it and nobody else does. Never waits. */
void sender_flush(struct sender *s);

#endif
