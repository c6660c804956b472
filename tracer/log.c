#include "log.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "log_decode.h"
#include "log_flags.h"
#include "log_text.h"
#include "log_trace.h"
#include "rules.h"
#include "stats.h"
#include "util.h"

/* The column at which strace puts "= RESULT", so that its users find things where they look for them. */
#define RESULT_COLUMN 40

static struct log_options options;
static struct trace_set traced;
static struct decode_style style;
static atomic_bool lines, counting;

/* Guards the descriptor: lines are written whole, and not after log_close. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int log_fd = -1;
static bool write_failed;

static atomic_uint_least64_t previous_stamp; /* -r */
static atomic_uint_least64_t line_begun;     /* a line is being written since then, or 0 */

static bool is_on(atomic_bool *flag)
{
	return atomic_load_explicit(flag, memory_order_relaxed);
}

/* 0 or a negative errno. A program may have made the terminal that we share with it non-blocking. */
static int write_whole(int fd, const char *data, size_t len)
{
	while (len) {
		ssize_t n = write(fd, data, len);

		if (n >= 0) {
			data += n;
			len -= (size_t)n;
		} else if (errno == EAGAIN) {
			poll(&(struct pollfd){.fd = fd, .events = POLLOUT}, 1, -1);
		} else if (errno != EINTR) {
			return -errno;
		}
	}
	return 0;
}

static void write_line(struct text *t)
{
	int r = 0;

	text_add(t, "\n");
	if (t->data[t->len - 1] != '\n')
		t->data[t->len - 1] = '\n'; /* cut at TEXT_MAX */
	pthread_mutex_lock(&lock);
	atomic_store_explicit(&line_begun, now_ns(), memory_order_relaxed);
	if (log_fd >= 0 && !write_failed)
		r = write_whole(log_fd, t->data, t->len);
	atomic_store_explicit(&line_begun, 0, memory_order_relaxed);
	write_failed |= r < 0;
	bool elsewhere = log_fd != STDERR_FILENO;
	pthread_mutex_unlock(&lock);
	if (r < 0 && elsewhere)
		log_error("-o %s: cannot write the log (%s); the program goes on without it", options.file,
			  strerror(-r));
}

static void add_stamp(struct text *t, uint64_t when)
{
	struct timespec now;
	struct tm tm;
	char s[32];

	if (options.stamp == LOG_TIME_RELATIVE) {
		uint64_t before = atomic_exchange(&previous_stamp, when), us;

		/* Threads may be overtaken between the trap and this line: never negative. */
		us = before && when > before ? (when - before) / 1000 : 0;
		text_format(t, "%6" PRIu64 ".%06" PRIu64 " ", us / 1000000, us % 1000000);
		return;
	}
	clock_gettime(CLOCK_REALTIME, &now);
	int64_t ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec - (int64_t)(now_ns() - when);
	time_t seconds = ns / 1000000000;
	long us = ns % 1000000000 / 1000;

	if (options.stamp == LOG_TIME_EPOCH) {
		text_format(t, "%" PRId64 ".%06ld ", (int64_t)seconds, us);
	} else if (localtime_r(&seconds, &tm) && strftime(s, sizeof(s), "%T", &tm)) {
		text_add(t, s);
		if (options.stamp == LOG_TIME_US)
			text_format(t, ".%06ld", us);
		text_add(t, " ");
	}
}

/* "4711  12:00:00 ": what every line starts with. WHEN is CLOCK_MONOTONIC. */
static void start_line(struct text *t, pid_t tid, uint64_t when)
{
	text_init(t);
	if (tid)
		text_format(t, "%-5d ", (int)tid);
	if (options.stamp != LOG_NO_TIME)
		add_stamp(t, when);
}

/* " <dir:/srv 0.3ms 1rt>": where the call went and what that cost. */
static void add_tag(struct text *t, const struct call *c, uint64_t ns)
{
	text_format(t, " <%s", mount_tag(c->mount));
	if (c->route == ROUTE_REMOTE)
		text_format(t, " %" PRIu64 ".%" PRIu64 "ms %urt", ns / 1000000, ns / 100000 % 10, c->round_trips);
	if (c->note)
		text_format(t, ", %s", c->note);
	text_add(t, ">");
}

static void write_call(const struct call *c, long result, uint64_t ns)
{
	CLEANUP_TEXT struct text t;
	struct decoding d = {&t, c, &style, result, result >= 0};

	start_line(&t, c->tid, c->start_ns);
	if (c->shown)
		text_add(&t, c->shown);
	else
		decode_call(&d);
	free(c->shown);
	text_add(&t, " ");
	text_pad(&t, RESULT_COLUMN);
	text_add(&t, "= ");
	decode_result(&d);
	if (options.spent)
		text_format(&t, " <%" PRIu64 ".%06" PRIu64 ">", ns / 1000000000, ns / 1000 % 1000000);
	add_tag(&t, c, ns);
	write_line(&t);
}

void log_prepare(struct call *c)
{
	if (!is_on(&lines) || !trace_shows(&traced, c->nr))
		return;
	CLEANUP_TEXT struct text t;
	struct decoding d = {&t, c, &style, 0, false};
	text_init(&t);
	decode_call(&d);
	text_add_bytes(&t, "", 1);
	c->shown = xstrdup(t.data);
}

void log_call(const struct call *c, long result)
{
	if (!is_on(&lines) && !is_on(&counting))
		return;
	uint64_t ns = now_ns() - c->start_ns;
	if (is_on(&counting))
		stats_count(c, result, ns);
	if (is_on(&lines) && trace_shows(&traced, c->nr))
		write_call(c, result, ns);
}

bool log_active(void)
{
	return is_on(&lines);
}

void log_set_trap(const char *how)
{
	stats_set_trap(how);
}

void log_count_stop(void)
{
	if (is_on(&counting))
		stats_count_stop();
}

void log_count_notification(void)
{
	if (is_on(&counting))
		stats_count_notification();
}

static bool wants_events(void)
{
	return is_on(&lines) && !options.quiet;
}

void log_exited(pid_t tid, int wait_status)
{
	if (!wants_events())
		return;
	CLEANUP_TEXT struct text t;
	start_line(&t, tid, now_ns());
	if (WIFSIGNALED(wait_status)) {
		text_add(&t, "+++ killed by ");
		flags_add_signal(&t, WTERMSIG(wait_status));
		text_add(&t, WCOREDUMP(wait_status) ? " (core dumped) +++" : " +++");
	} else {
		text_format(&t, "+++ exited with %d +++", WEXITSTATUS(wait_status));
	}
	write_line(&t);
}

static void write_signal(pid_t tid, const char *before, int sig)
{
	if (!wants_events())
		return;
	CLEANUP_TEXT struct text t;
	start_line(&t, tid, now_ns());
	text_add(&t, before);
	flags_add_signal(&t, sig);
	text_add(&t, " ---");
	write_line(&t);
}

void log_signal(pid_t tid, int sig)
{
	write_signal(tid, "--- ", sig);
}

void log_stopped(pid_t tid, int sig)
{
	write_signal(tid, "--- stopped by ", sig);
}

/* What a message quotes may come from a program or from the other side: no line breaks, no terminal codes. */
static void add_message(struct text *t, const char *format, va_list ap)
{
	char s[4096];

	vsnprintf(s, sizeof(s), format, ap);
	for (char *p = s; *p; p++)
		if (iscntrl((unsigned char)*p))
			*p = '?';
	text_add(t, s);
}

void log_line(pid_t tid, const char *format, ...)
{
	va_list ap;

	if (!is_on(&lines))
		return;
	CLEANUP_TEXT struct text t;
	start_line(&t, tid, now_ns());
	va_start(ap, format);
	add_message(&t, format, ap);
	va_end(ap);
	write_line(&t);
}

void log_error(const char *format, ...)
{
	CLEANUP_TEXT struct text t;
	va_list ap;

	text_init(&t);
	text_add(&t, "remotefs-trace: ");
	va_start(ap, format);
	add_message(&t, format, ap);
	va_end(ap);
	text_add(&t, "\n");
	write_whole(STDERR_FILENO, t.data, t.len);
	pthread_mutex_lock(&lock);
	if (is_on(&lines) && log_fd >= 0 && log_fd != STDERR_FILENO && !write_failed)
		write_failed = write_whole(log_fd, t.data, t.len) < 0;
	pthread_mutex_unlock(&lock);
}

void log_tell_stuck(uint64_t ns)
{
	static uint64_t told;
	uint64_t begun = atomic_load(&line_begun), now = now_ns();

	/* Where the log is standard error, nobody would read this either. */
	if (!options.file || !begun || now - begun < ns || now - told < ns)
		return;
	told = now;
	CLEANUP_TEXT struct text t;
	text_init(&t);
	text_format(&t, "remotefs-trace: -o %s: the log has not taken a line for %u s; the program waits for it\n", options.file,
		    (unsigned)((now - begun) / 1000000000));
	write_whole(STDERR_FILENO, t.data, t.len);
}

void log_set_fd_namer(log_fd_namer *name)
{
	style.fd_namer = name;
}

int log_open(const struct log_options *o)
{
	char err[256];
	int r;

	options = *o;
	style.string_max = o->string_max < TEXT_MAX ? o->string_max : TEXT_MAX;
	style.show_paths = o->show_paths;
	write_failed = false;
	previous_stamp = 0;
	r = trace_parse(o->trace, &traced, err, sizeof(err));
	if (r)
		return r;
	if (o->file) {
		log_fd = open(o->file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0666);
		if (log_fd < 0)
			return -errno;
	} else {
		log_fd = o->verbose || o->counts ? STDERR_FILENO : -1;
	}
	counting = o->counts || o->stats_file;
	lines = log_fd >= 0 && !o->counts;
	return 0;
}

void log_close(const struct link_totals *totals)
{
	int r = 0;

	lines = false;
	if (options.counts && log_fd >= 0) {
		CLEANUP_TEXT struct text t;

		text_init(&t);
		stats_table(&t, &traced, totals);
		r = write_whole(log_fd, t.data, t.len);
	}
	if (r < 0)
		log_error("-o %s: cannot write the table (%s); use another file", options.file, strerror(-r));
	if (options.stats_file) {
		r = stats_write(options.stats_file, totals);
		if (r < 0)
			log_error("--stats %s: cannot write the counts (%s); use another file", options.stats_file,
				  strerror(-r));
	}
	counting = false;
	pthread_mutex_lock(&lock);
	if (log_fd >= 0 && log_fd != STDERR_FILENO)
		close(log_fd);
	log_fd = -1;
	pthread_mutex_unlock(&lock);
}
