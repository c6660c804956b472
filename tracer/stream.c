#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <pb_decode.h>
#include <pb_encode.h>

#include "link.h"
#include "stream.h"
#include "child.h"

#define PROTOCOL_VERSION 1
#define FATE_WAIT_MS 200
/* What is queued are requests with no payload or a small one. The largest part of it is what behind.c allows itself. */
#define QUEUE_MAX (32u << 20)
#define MAX_ERRNO 4095 /* include/linux/err.h */

int64_t stream_now_ms(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * INT64_C(1000) + ts.tv_nsec / 1000000;
}

static bool fd_is_stream_socket(int fd)
{
	int type = 0;
	socklen_t len = sizeof(type);
	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_STREAM;
}

int stream_init(struct stream *s, int in, int out, pid_t agent)
{
	*s = (struct stream){.in = in, .out = out, .agent = agent};
	s->in_is_socket = fd_is_stream_socket(in);
	s->out_is_socket = fd_is_stream_socket(out);
	s->kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	int err = s->kick < 0 ? -errno : 0;
	/* A writer blocked in a full pipe could not be woken by stream_stop. */
	int flags = fcntl(out, F_GETFL);
	if (!err && !s->out_is_socket && (flags < 0 || fcntl(out, F_SETFL, flags | O_NONBLOCK) < 0))
		err = -errno;
	return err;
}

void stream_close(struct stream *s)
{
	close(s->in);
	if (s->out != s->in)
		close(s->out);
	if (s->kick >= 0)
		close(s->kick);
}

void stream_stop(struct stream *s)
{
	uint64_t one = 1;
	ssize_t n = write(s->kick, &one, sizeof(one));
	(void)n;
	if (s->in_is_socket)
		shutdown(s->in, SHUT_RDWR);
}

/* Waits until FD is ready for EVENTS. */
static int stream_poll(struct stream *s, int fd, short events, int64_t deadline_ms)
{
	struct pollfd fds[2] = {{.fd = fd, .events = events}, {.fd = s->kick, .events = POLLIN}};
	for (;;) {
		int64_t left = deadline_ms ? deadline_ms - stream_now_ms() : -1;
		if (deadline_ms && left < 0)
			left = 0;
		int n = poll(fds, 2, (int)left);
		if (n == 0)
			return -ETIMEDOUT;
		if (n > 0)
			return fds[1].revents ? -ECANCELED : 0;
		if (errno != EINTR)
			return -errno;
	}
}

/* ---- reasons ---- */

/* The agent did WHAT to the stream; if it has ended, how it did tells more. */
static int stream_explain_end(struct stream *s, const char *what)
{
	char fate[128];
	if (s->agent > 0 && !atomic_load(&s->finished) && child_fate(s->agent, FATE_WAIT_MS, fate, sizeof(fate)) == 0)
		what = fate;
	snprintf(s->why, sizeof(s->why), "the agent %s", what);
	return -EIO;
}

static int stream_explain_errno(struct stream *s, int err)
{
	if (err == -ETIMEDOUT)
		return err;
	if (err == -ECANCELED)
		return stream_explain_end(s, "stopped taking requests");
	snprintf(s->why, sizeof(s->why), "reading from the agent failed: %s", strerror(-err));
	return err;
}

/* Shows LEN bytes, at most a header, as text if they are text. */
static void bytes_show(char *out, size_t size, const uint8_t *bytes, size_t len)
{
	bool text = true;
	size_t at = 0;
	for (size_t i = 0; i < len; i++)
		text = text && ((bytes[i] >= ' ' && bytes[i] < 0x7f) || bytes[i] == '\n' || bytes[i] == '\r');
	for (size_t i = 0; i < len && at < size; i++) {
		if (!text)
			at += snprintf(out + at, size - at, "%s%02x", i ? " " : "", bytes[i]);
		else if (bytes[i] < ' ')
			at += snprintf(out + at, size - at, "%s\\%c", i ? "" : "\"", bytes[i] == '\n' ? 'n' : 'r');
		else
			at += snprintf(out + at, size - at, "%s%c", i ? "" : "\"", bytes[i]);
	}
	if (text && at < size)
		snprintf(out + at, size - at, "\"");
}

static int stream_explain_garbage(struct stream *s, const uint8_t *bytes, size_t len)
{
	char shown[FRAME_HEADER_SIZE * 3 + 3];
	bytes_show(shown, sizeof(shown), bytes, len);
	snprintf(s->why, sizeof(s->why),
		 "the agent's side sent something that is not the remotefs protocol (first bytes: %s)", shown);
	return -EPROTO;
}

int stream_violation(struct stream *s, const char *what)
{
	snprintf(s->why, sizeof(s->why), "the agent broke the remotefs protocol: it sent %s", what);
	return -EPROTO;
}

/* ---- reading ---- */

/* Reads LEN bytes; fewer only where the stream ends. A reader of a pipe cannot be woken by shutdown: it polls. */
static ssize_t stream_read(struct stream *s, void *buf, size_t len)
{
	bool poll_first = !s->in_is_socket || s->deadline_ms;
	size_t got = 0;
	while (got < len) {
		int err = poll_first ? stream_poll(s, s->in, POLLIN, s->deadline_ms) : 0;
		if (err)
			return err;
		uint8_t *to = (uint8_t *)buf + got;
		ssize_t n = s->in_is_socket ? recv(s->in, to, len - got, poll_first ? 0 : MSG_WAITALL)
					    : read(s->in, to, len - got);
		/* An agent that ends with bytes of ours unread is seen as a reset of a socket. */
		if (n == 0 || (n < 0 && errno == ECONNRESET))
			break;
		if (n > 0)
			got += n;
		else if (errno == EAGAIN)
			poll_first = true;
		else if (errno != EINTR)
			return -errno;
	}
	atomic_fetch_add_explicit(&s->bytes_in, got, memory_order_relaxed);
	return got;
}

/* Reads LEN bytes in the middle of a frame. */
static int stream_read_part(struct stream *s, void *buf, size_t len)
{
	ssize_t n = stream_read(s, buf, len);
	if (n < 0)
		return stream_explain_errno(s, n);
	return (size_t)n == len ? 0 : stream_explain_end(s, "closed the connection in the middle of a message");
}

static int stream_read_header(struct stream *s, struct frame_header *header)
{
	uint8_t raw[FRAME_HEADER_SIZE], ours[FRAME_HEADER_SIZE];
	const size_t magic_len = 2;
	ssize_t n = stream_read(s, raw, sizeof(raw));
	if (n < 0)
		return stream_explain_errno(s, n);
	if (n == 0)
		return stream_explain_end(s, "closed the connection");
	frame_encode(ours, &(struct frame_header){.kind = FRAME_REPLY});
	if (memcmp(raw, ours, (size_t)n < magic_len ? (size_t)n : magic_len) != 0)
		return stream_explain_garbage(s, raw, n);
	if (n < FRAME_HEADER_SIZE)
		return stream_explain_end(s, "closed the connection in the middle of a message");
	return frame_decode(raw, header) < 0 ? stream_violation(s, "a malformed header") : 0;
}

int stream_receive(struct stream *s, struct frame_header *header, uint8_t **payload)
{
	*payload = NULL;
	int err = stream_read_header(s, header);
	if (!err && header->message_len)
		err = stream_read_part(s, s->message, header->message_len);
	if (err || !header->payload_len)
		return err;
	*payload = malloc(header->payload_len);
	if (!*payload)
		return stream_explain_errno(s, -ENOMEM);
	return stream_read_part(s, *payload, header->payload_len);
}

int stream_decode_reply(struct stream *s, const struct frame_header *header, rfs_Reply *msg)
{
	pb_istream_t in = pb_istream_from_buffer(s->message, header->message_len);
	if (header->kind != FRAME_REPLY || !pb_decode(&in, rfs_Reply_fields, msg) || msg->error > MAX_ERRNO)
		return stream_violation(s, "a malformed reply");
	return 0;
}

int stream_decode_push(struct stream *s, const struct frame_header *header, rfs_Push *msg)
{
	pb_istream_t in = pb_istream_from_buffer(s->message, header->message_len);
	if (header->id || header->payload_len || !pb_decode(&in, rfs_Push_fields, msg))
		return stream_violation(s, "a malformed push");
	return 0;
}

/* ---- writing ---- */

int stream_encode_request(struct stream_request *r, const rfs_Request *req, const void *payload, size_t payload_len)
{
	pb_ostream_t out = pb_ostream_from_buffer(r->bytes + FRAME_HEADER_SIZE, FRAME_MAX_MESSAGE);
	if (payload_len > FRAME_MAX_PAYLOAD || !pb_encode(&out, rfs_Request_fields, req))
		return -EMSGSIZE;
	r->payload = payload;
	r->header = (struct frame_header){
		.kind = FRAME_REQUEST, .message_len = out.bytes_written, .payload_len = payload_len};
	return 0;
}

void stream_fill_iov(struct stream_request *r, uint32_t id, struct iovec iov[2])
{
	r->header.id = id;
	frame_encode(r->bytes, &r->header);
	iov[0] = (struct iovec){r->bytes, FRAME_HEADER_SIZE + r->header.message_len};
	iov[1] = (struct iovec){(void *)r->payload, r->header.payload_len};
}

/* Moves MSG's iovec N bytes on. True when nothing is left. */
static bool msg_advance(struct msghdr *msg, size_t n)
{
	while (msg->msg_iovlen && n >= msg->msg_iov->iov_len) {
		n -= msg->msg_iov->iov_len;
		msg->msg_iov++;
		msg->msg_iovlen--;
	}
	if (!msg->msg_iovlen)
		return true;
	msg->msg_iov->iov_base = (char *)msg->msg_iov->iov_base + n;
	msg->msg_iov->iov_len -= n;
	return false;
}

/* A pipe knows no MSG_NOSIGNAL: the SIGPIPE that its writer's thread has now got, blocked, is nobody's. */
static ssize_t pipe_writev(int fd, const struct msghdr *msg)
{
	static const struct timespec now;
	sigset_t set;
	ssize_t n = writev(fd, msg->msg_iov, msg->msg_iovlen);
	if (n < 0 && errno == EPIPE) {
		sigemptyset(&set);
		sigaddset(&set, SIGPIPE);
		sigtimedwait(&set, NULL, &now);
		errno = EPIPE;
	}
	return n;
}

int stream_send_now(struct stream *s, struct msghdr *msg)
{
	ssize_t n = s->out_is_socket ? sendmsg(s->out, msg, MSG_NOSIGNAL | MSG_DONTWAIT) : pipe_writev(s->out, msg);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	atomic_fetch_add_explicit(&s->bytes_out, n, memory_order_relaxed);
	return msg_advance(msg, n);
}

int stream_wait_out(struct stream *s, int64_t deadline_ms)
{
	return stream_poll(s, s->out, POLLOUT, deadline_ms);
}

/* ---- the first exchange ---- */

static int hello_send(struct stream *s, const struct link_greeting *greeting)
{
	struct stream_request r;
	rfs_Request req = {.which_op = rfs_Request_hello_tag};
	struct iovec iov[2];
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};
	req.op.hello.version = PROTOCOL_VERSION;
	req.op.hello.capabilities = LINK_ORDERS;
	req.op.hello.read_only = greeting->read_only;
	BYTES_PUT(req.op.hello.at, greeting->at);
	BYTES_PUT(req.op.hello.sub, greeting->sub);
	BYTES_PUT(req.op.hello.program, "remotefs-trace " VERSION);
	int err = stream_encode_request(&r, &req, NULL, 0);
	stream_fill_iov(&r, 1, iov);
	while (!err && (err = stream_wait_out(s, s->deadline_ms)) == 0)
		err = stream_send_now(s, &msg);
	return err < 0 ? err : 0;
}

static int hello_check(struct stream *s, const struct frame_header *header, const rfs_Reply *reply)
{
	const rfs_HelloReply *hello = &reply->op.hello;
	if (header->id != 1 || (!reply->error && reply->which_op != rfs_Reply_hello_tag))
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

int stream_greet(struct stream *s, const struct link_greeting *greeting, int timeout_ms, uint32_t *max_payload)
{
	struct frame_header header;
	uint8_t *payload = NULL;
	rfs_Reply reply;
	s->deadline_ms = stream_now_ms() + timeout_ms;
	int err = hello_send(s, greeting);
	/* An agent that takes no greeting has ended: what it said and how it ended tells more than EPIPE. */
	if (err != -ETIMEDOUT)
		err = stream_receive(s, &header, &payload);
	if (!err)
		err = stream_decode_reply(s, &header, &reply);
	if (!err)
		err = hello_check(s, &header, &reply);
	free(payload);
	if (err == -ETIMEDOUT)
		snprintf(s->why, sizeof(s->why), "the agent did not answer within %g s", timeout_ms / 1000.0);
	s->deadline_ms = 0;
	if (err)
		return err;
	snprintf(s->program, sizeof(s->program), "%.*s", (int)reply.op.hello.program.size, (const char *)reply.op.hello.program.bytes);
	s->agent_is = (struct link_agent){ .orders = reply.op.hello.capabilities & LINK_ORDERS,
					   .uid = reply.op.hello.uid,
					   .owns_all = reply.op.hello.owns_all,
					   .gives_away = reply.op.hello.gives_away };
	*max_payload = FRAME_MAX_PAYLOAD;
	if (reply.op.hello.max_payload && reply.op.hello.max_payload < FRAME_MAX_PAYLOAD)
		*max_payload = reply.op.hello.max_payload;
	return 0;
}

/* ---- one writer at a time ---- */

void sender_init(struct sender *s, struct stream *stream)
{
	*s = (struct sender){.stream = stream, .epoll = -1, .out = -1};
	pthread_mutex_init(&s->writing, NULL);
	pthread_mutex_init(&s->lock, NULL);
}

int sender_watch(struct sender *s, int epoll)
{
	struct epoll_event ev = {.events = EPOLLONESHOT, .data.u32 = SENDER_EVENT};
	s->epoll = epoll;
	s->out = fcntl(s->stream->out, F_DUPFD_CLOEXEC, 0);
	return s->out < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, s->out, &ev) < 0 ? -errno : 0;
}

void sender_destroy(struct sender *s)
{
	if (s->out >= 0)
		close(s->out);
	free(s->queue);
	pthread_mutex_destroy(&s->writing);
	pthread_mutex_destroy(&s->lock);
}

/* Sends what fits of the queue; the writer only. 1 when it is empty, 0 when not, or a negative errno. */
static int queue_flush(struct sender *s)
{
	if (!atomic_load(&s->len))
		return 1;
	pthread_mutex_lock(&s->lock);
	struct iovec iov = {s->queue, s->len};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	int rc = stream_send_now(s->stream, &msg);
	size_t left = rc > 0 ? 0 : iov.iov_len;
	if (left < s->len)
		memmove(s->queue, s->queue + s->len - left, left);
	atomic_store(&s->len, left);
	pthread_mutex_unlock(&s->lock);
	return rc;
}

void sender_begin(struct sender *s)
{
	pthread_mutex_lock(&s->writing);
}

/* Polls, because where the agent reads no more the other writer has it until stream_stop. */
bool sender_begin_until(struct sender *s, int64_t deadline_ms)
{
	while (pthread_mutex_trylock(&s->writing) != 0) {
		if (stream_now_ms() >= deadline_ms)
			return false;
		usleep(1000);
	}
	return true;
}

/*
 * Who finds `writing` taken leaves its frame in the queue to the one who has it, so that one has to look
 * once more after it let go. What does not fit now is left to the poller.
 */
void sender_end(struct sender *s)
{
	int rc;
	do {
		struct epoll_event ev = {.events = EPOLLOUT | EPOLLONESHOT, .data.u32 = SENDER_EVENT};
		rc = queue_flush(s);
		if (rc < 0)
			stream_stop(s->stream);
		if (rc == 0)
			epoll_ctl(s->epoll, EPOLL_CTL_MOD, s->out, &ev);
		pthread_mutex_unlock(&s->writing);
	} while (rc > 0 && atomic_load(&s->len) && pthread_mutex_trylock(&s->writing) == 0);
}

static size_t msg_length(const struct msghdr *msg)
{
	size_t len = 0;
	for (size_t i = 0; i < msg->msg_iovlen; i++)
		len += msg->msg_iov[i].iov_len;
	return len;
}

int sender_try(struct sender *s, struct msghdr *msg)
{
	/* What others left in the queue goes before a frame, never into the middle of one. */
	int rc = s->midway ? 1 : queue_flush(s);
	if (rc <= 0)
		return rc;
	size_t before = msg_length(msg);
	rc = stream_send_now(s->stream, msg);
	s->midway = !rc && (s->midway || msg_length(msg) < before);
	return rc;
}

int sender_finish(struct sender *s, struct msghdr *msg, int64_t deadline_ms)
{
	for (;;) {
		int rc = stream_wait_out(s->stream, deadline_ms);
		if (rc)
			return rc;
		rc = sender_try(s, msg);
		if (rc)
			return rc < 0 ? rc : 0;
	}
}

int sender_queue(struct sender *s, const struct iovec iov[2])
{
	int err = 0;
	pthread_mutex_lock(&s->lock);
	size_t need = s->len + iov[0].iov_len + iov[1].iov_len;
	if (need > s->room) {
		size_t room = need * 2;
		uint8_t *queue = need > QUEUE_MAX ? NULL : realloc(s->queue, room);
		err = queue ? 0 : need > QUEUE_MAX ? -ENOBUFS : -ENOMEM;
		s->queue = queue ? queue : s->queue;
		s->room = queue ? room : s->room;
	}
	if (!err) {
		memcpy(s->queue + s->len, iov[0].iov_base, iov[0].iov_len);
		if (iov[1].iov_len)
			memcpy(s->queue + s->len + iov[0].iov_len, iov[1].iov_base, iov[1].iov_len);
		atomic_store(&s->len, need);
	}
	pthread_mutex_unlock(&s->lock);
	if (!err && pthread_mutex_trylock(&s->writing) == 0)
		sender_end(s);
	return err;
}

void sender_ready(struct sender *s)
{
	if (pthread_mutex_trylock(&s->writing) == 0)
		sender_end(s);
}
