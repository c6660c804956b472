/* The writing side of a stream: whole frames, one writer at a time, and a queue for those that may not wait. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "stream.h"

/* What is queued are requests with no payload or a small one. The largest part of it is what behind.c allows itself. */
#define QUEUE_MAX (32u << 20)
/* A larger one is given back when it is empty. */
#define QUEUE_KEPT (1u << 20)

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

int sender_renew(struct sender *s)
{
	/* By closing alone it would stay in the set as long as anybody has a copy. */
	epoll_ctl(s->epoll, EPOLL_CTL_DEL, s->out, NULL);
	close(s->out);
	s->midway = false;
	pthread_mutex_lock(&s->lock);
	atomic_store(&s->len, 0);
	s->first = s->ahead = 0;
	pthread_mutex_unlock(&s->lock);
	return sender_watch(s, s->epoll);
}

void sender_destroy(struct sender *s)
{
	if (s->out >= 0)
		close(s->out);
	free(s->queue);
	pthread_mutex_destroy(&s->writing);
	pthread_mutex_destroy(&s->lock);
}

/* Sends what fits of the queue, or with CLAIMED of what was claimed; the writer only. 1 when that is all, 0 when not, or a negative errno. */
static int queue_flush(struct sender *s, bool claimed)
{
	if (!(claimed ? s->ahead : atomic_load(&s->len)))
		return 1;
	pthread_mutex_lock(&s->lock);
	size_t want = claimed ? s->ahead : s->len;
	struct iovec iov = {s->queue + s->first, want};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	int rc = stream_send_now(s->stream, &msg);
	size_t sent = rc > 0 ? want : want - iov.iov_len;
	atomic_store(&s->len, s->len - sent);
	s->first = s->len ? s->first + sent : 0;
	s->ahead -= sent < s->ahead ? sent : s->ahead;
	if (!s->len && s->room > QUEUE_KEPT) {
		free(s->queue);
		s->queue = NULL;
		s->room = 0;
	}
	pthread_mutex_unlock(&s->lock);
	return rc;
}

void sender_claim(struct sender *s)
{
	s->ahead = atomic_load(&s->len);
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
 * once more after it let go. What does not fit now is left to the poller; who is told but once that there is
 * room, and if that is before the turn is free, knocks.
 */
void sender_end(struct sender *s)
{
	int rc;
	do {
		struct epoll_event ev = {.events = EPOLLOUT | EPOLLONESHOT, .data.u32 = SENDER_EVENT};
		rc = queue_flush(s, false);
		if (rc < 0)
			stream_stop(s->stream);
		if (rc == 0)
			epoll_ctl(s->epoll, EPOLL_CTL_MOD, s->out, &ev);
		pthread_mutex_unlock(&s->writing);
	} while ((rc > 0 || (rc == 0 && atomic_exchange(&s->knocked, false))) && atomic_load(&s->len) &&
		 pthread_mutex_trylock(&s->writing) == 0);
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
	/* What others left in the queue goes before a frame or behind it, never into the middle of one. */
	int rc = s->midway ? 1 : queue_flush(s, true);
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

/* Makes room for NEED bytes in all. What waits is moved only when as much has gone out since: a long queue may be sent in many small parts. */
static int queue_make_room(struct sender *s, size_t need)
{
	if (s->first + need <= s->room)
		return 0;
	if (need > s->room || s->first < s->len) {
		uint8_t *queue = realloc(s->queue, s->first + need * 2);
		if (!queue)
			return -ENOMEM;
		s->queue = queue;
		s->room = s->first + need * 2;
		return 0;
	}
	memmove(s->queue, s->queue + s->first, s->len);
	s->first = 0;
	return 0;
}

int sender_add(struct sender *s, const struct iovec iov[2], bool must)
{
	pthread_mutex_lock(&s->lock);
	size_t need = s->len + iov[0].iov_len + iov[1].iov_len;
	int err = need > QUEUE_MAX && !must ? -ENOBUFS : queue_make_room(s, need);
	if (!err) {
		uint8_t *end = s->queue + s->first + s->len;
		memcpy(end, iov[0].iov_base, iov[0].iov_len);
		if (iov[1].iov_len)
			memcpy(end + iov[0].iov_len, iov[1].iov_base, iov[1].iov_len);
		atomic_store(&s->len, need);
	}
	pthread_mutex_unlock(&s->lock);
	return err;
}

void sender_flush(struct sender *s)
{
	if (pthread_mutex_trylock(&s->writing) != 0) {
		atomic_store(&s->knocked, true);
		if (pthread_mutex_trylock(&s->writing) != 0)
			return;
	}
	sender_end(s);
}
