#include "said_int.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "child.h"
#include "log.h"
#include "util.h"

#define STACK (256u << 10)

struct said {
	int fd;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool ended, dropped; /* the thread, or whoever asked, is gone: the other one frees */
	bool passing;
	char tag[80];
	size_t len;
	char text[8192]; /* what was said, or while it is passed on the beginning of a line */
};

static void said_destroy(struct said *s)
{
	close(s->fd);
	pthread_mutex_destroy(&s->lock);
	pthread_cond_destroy(&s->changed);
	free(s);
}

/* A line of kubectl's own log, "E1130 07:56:51.013090   27632 v2.go:167] …": what matters of it comes once more as its error. */
static bool is_log(const char *line)
{
	int at = 0;

	return strchr("EWI", *line) && sscanf(line + 1, "%*4d %*2d:%*2d:%*d.%*d %*d %*[^] ]%n", &at) == 0 && at && line[at + 1] == ']';
}

/* The whole lines of S go to the user. */
static void pass_lines(struct said *s, bool all)
{
	char *line = s->text, *end;

	s->text[s->len] = '\0';
	while ((end = strchr(line, '\n')) || (all && *line)) {
		if (end)
			*end = '\0';
		line[strcspn(line, "\r")] = '\0';
		if (*line && !is_log(line))
			log_error("%s: %s", s->tag, line);
		line = end ? end + 1 : s->text + s->len;
	}
	s->len -= (size_t)(line - s->text);
	memmove(s->text, line, s->len);
}

static void take(struct said *s, const char *data, size_t len)
{
	size_t room = sizeof(s->text) - 1 - s->len;

	/* A flood's beginning tells more than its end. */
	if (len > room && !s->passing)
		len = room;
	for (size_t n; len; data += n, len -= n) {
		n = len < room ? len : room;
		memcpy(s->text + s->len, data, n);
		s->len += n;
		if (s->passing)
			pass_lines(s, s->len + 1 == sizeof(s->text));
		room = sizeof(s->text) - 1 - s->len;
	}
}

static void *said_thread(void *arg)
{
	struct said *s = arg;
	char buf[2048];
	ssize_t n;

	while ((n = read(s->fd, buf, sizeof(buf))) > 0 || (n < 0 && errno == EINTR)) {
		pthread_mutex_lock(&s->lock);
		if (n > 0 && !s->dropped)
			take(s, buf, (size_t)n);
		pthread_mutex_unlock(&s->lock);
	}
	pthread_mutex_lock(&s->lock);
	if (s->passing && !s->dropped)
		pass_lines(s, true);
	s->ended = true;
	bool last = s->dropped;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
	if (last)
		said_destroy(s);
	return NULL;
}

struct said *said_new(int fd)
{
	struct said *s = xcalloc(1, sizeof(*s));
	pthread_condattr_t monotonic;

	s->fd = fd;
	pthread_mutex_init(&s->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&s->changed, &monotonic);
	pthread_condattr_destroy(&monotonic);
	s->ended = thread_start(STACK, said_thread, s) < 0;
	return s;
}

void said_free(struct said *s)
{
	pthread_mutex_lock(&s->lock);
	s->dropped = true;
	bool last = s->ended;
	pthread_mutex_unlock(&s->lock);
	if (last)
		said_destroy(s);
}

void said_text(struct said *s, int wait_ms, char *text, size_t len)
{
	uint64_t until = now_ns() + (uint64_t)wait_ms * 1000000;
	struct timespec t = { .tv_sec = (time_t)(until / 1000000000), .tv_nsec = (long)(until % 1000000000) };

	text[0] = '\0';
	if (!s)
		return;
	pthread_mutex_lock(&s->lock);
	while (!s->ended && pthread_cond_timedwait(&s->changed, &s->lock, &t) != ETIMEDOUT)
		continue;
	snprintf(text, len, "%.*s", (int)s->len, s->text);
	pthread_mutex_unlock(&s->lock);
}

void said_add(struct said *s, const char *line)
{
	if (!s || !*line)
		return;
	pthread_mutex_lock(&s->lock);
	take(s, line, strlen(line));
	take(s, "\n", 1);
	pthread_mutex_unlock(&s->lock);
}

void said_pass_on(struct said *s, const char *tag)
{
	if (!s)
		return;
	pthread_mutex_lock(&s->lock);
	s->passing = true;
	s->len = 0;
	snprintf(s->tag, sizeof(s->tag), "%s", tag);
	pthread_mutex_unlock(&s->lock);
}

void said_keep(struct said *s)
{
	if (!s)
		return;
	pthread_mutex_lock(&s->lock);
	s->passing = false;
	s->len = 0;
	pthread_mutex_unlock(&s->lock);
}
