#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

#define FATE_WAIT_MS 200
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

void stream_adopt(struct stream *s, struct stream *new)
{
	uint64_t kicks;
	ssize_t n = read(s->kick, &kicks, sizeof(kicks));
	(void)n;
	close(s->in);
	if (s->out != s->in)
		close(s->out);
	s->in = new->in;
	s->out = new->out;
	s->in_is_socket = new->in_is_socket;
	s->out_is_socket = new->out_is_socket;
	s->agent = new->agent;
	if (new->program[0]) { /* it was greeted */
		memcpy(s->program, new->program, sizeof(s->program));
		s->agent_is = new->agent_is;
	}
	s->why[0] = '\0';
	close(new->kick);
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
	pb_ostream_t out = pb_ostream_from_buffer(r->bytes + FRAME_HEADER_SIZE, FRAME_MAX_MESSAGE - STREAM_SEEN_ROOM);
	if (payload_len > FRAME_MAX_PAYLOAD || !pb_encode(&out, rfs_Request_fields, req))
		return -EMSGSIZE;
	r->payload = payload;
	r->header = (struct frame_header){
		.kind = FRAME_REQUEST, .message_len = out.bytes_written, .payload_len = payload_len};
	return 0;
}

struct stream_request *stream_copy_request(const struct stream_request *r)
{
	size_t head = offsetof(struct stream_request, bytes) + FRAME_HEADER_SIZE + r->header.message_len + STREAM_SEEN_ROOM;
	uint8_t *copy = malloc(head + r->header.payload_len);
	if (!copy)
		return NULL;
	memcpy(copy, r, head - STREAM_SEEN_ROOM);
	struct stream_request *to = (struct stream_request *)copy;
	to->payload = copy + head;
	if (r->header.payload_len)
		memcpy(copy + head, r->payload, r->header.payload_len);
	return to;
}

void stream_fill_iov(struct stream_request *r, uint32_t id, uint64_t seen, struct iovec iov[2])
{
	struct frame_header header = r->header;
	/* Fields may stand behind each other in any order, so this one need not be encoded with the rest. */
	pb_ostream_t out = pb_ostream_from_buffer(r->bytes + FRAME_HEADER_SIZE + header.message_len, STREAM_SEEN_ROOM);
	if (seen && pb_encode_tag(&out, PB_WT_VARINT, rfs_Request_seen_tag) && pb_encode_varint(&out, seen))
		header.message_len += out.bytes_written;
	header.id = id;
	frame_encode(r->bytes, &header);
	iov[0] = (struct iovec){r->bytes, FRAME_HEADER_SIZE + header.message_len};
	iov[1] = (struct iovec){(void *)r->payload, header.payload_len};
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
	return frame_advance(&msg->msg_iov, &msg->msg_iovlen, (size_t)n);
}

int stream_wait_out(struct stream *s, int64_t deadline_ms)
{
	return stream_poll(s, s->out, POLLOUT, deadline_ms);
}

int stream_wait_either(struct stream *s)
{
	struct pollfd fds[3] = {{.fd = s->in, .events = POLLIN}, {.fd = s->out, .events = POLLOUT}, {.fd = s->kick, .events = POLLIN}};
	for (;;) {
		int n = poll(fds, 3, -1);
		if (n > 0)
			return fds[2].revents ? -ECANCELED : (fds[0].revents ? POLLIN : 0) | (fds[1].revents ? POLLOUT : 0);
		if (errno != EINTR)
			return -errno;
	}
}
