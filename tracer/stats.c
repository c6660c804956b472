#include "stats.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util.h"

struct counts {
	uint64_t calls, errors, remote, local, round_trips, bytes_in, bytes_out, ns;
};

struct counters {
	atomic_uint_least64_t calls, errors, remote, local, round_trips, bytes_in, bytes_out, ns;
};

/* One per number; the one behind the last is for numbers that the table does not have. */
static struct counters counters[TRACE_NUMBERS + 1];
static atomic_uint_least64_t stops, notifications;
static const char *trap = "none";

static void add(atomic_uint_least64_t *counter, uint64_t n)
{
	if (n)
		atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

static uint64_t get(atomic_uint_least64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

void stats_count(const struct call *c, long result, uint64_t ns)
{
	struct counters *s = &counters[c->row ? c->row->nr : TRACE_NUMBERS];

	add(&s->calls, 1);
	add(&s->errors, result < 0 && result >= -4095 /* CALL_CONTINUE is none */);
	add(&s->remote, c->route == ROUTE_REMOTE);
	add(&s->local, c->route == ROUTE_LOCAL);
	add(&s->round_trips, c->round_trips);
	add(&s->bytes_in, c->bytes_in);
	add(&s->bytes_out, c->bytes_out);
	add(&s->ns, ns);
}

void stats_set_trap(const char *how)
{
	trap = how;
}

void stats_count_stop(void)
{
	add(&stops, 1);
}

void stats_count_notification(void)
{
	add(&notifications, 1);
}

static struct counts counts_of(int i)
{
	struct counters *s = &counters[i];

	return (struct counts){get(&s->calls),	     get(&s->errors),	get(&s->remote),    get(&s->local),
			       get(&s->round_trips), get(&s->bytes_in), get(&s->bytes_out), get(&s->ns)};
}

static void counts_add(struct counts *sum, const struct counts *c)
{
	sum->calls += c->calls;
	sum->errors += c->errors;
	sum->remote += c->remote;
	sum->local += c->local;
	sum->round_trips += c->round_trips;
	sum->bytes_in += c->bytes_in;
	sum->bytes_out += c->bytes_out;
	sum->ns += c->ns;
}

static const char *name_of(int i)
{
	return i == TRACE_NUMBERS ? "unknown" : table_row(i)->name;
}

struct line {
	int i;
	struct counts c;
};

static int by_time(const void *a, const void *b)
{
	const struct line *x = a, *y = b;

	if (x->c.ns != y->c.ns)
		return x->c.ns < y->c.ns ? 1 : -1;
	return x->i - y->i;
}

static void add_line(struct text *t, const struct counts *c, double percent, const char *name)
{
	text_format(t, "%6.2f %11.6f %11" PRIu64 " %9" PRIu64, percent, (double)c->ns / 1e9,
		    c->calls ? c->ns / 1000 / c->calls : 0, c->calls);
	if (c->errors)
		text_format(t, " %9" PRIu64, c->errors);
	else
		text_format(t, " %9s", "");
	text_format(t, " %9" PRIu64 " %9" PRIu64 " %11" PRIu64 " %12" PRIu64 " %s\n", c->remote, c->local,
		    c->round_trips, c->bytes_in + c->bytes_out, name);
}

void stats_table(struct text *t, const struct trace_set *set, const struct link_totals *totals)
{
	static const char rule[] = "------ ----------- ----------- --------- --------- --------- --------- "
				   "----------- ------------ ----------------\n";
	struct line lines[TRACE_NUMBERS + 1];
	struct counts sum = {0};
	int n = 0;

	for (int i = 0; i <= TRACE_NUMBERS; i++) {
		struct counts c = counts_of(i);
		if (!c.calls || !(i == TRACE_NUMBERS ? set->others : set->shown[i]))
			continue;
		counts_add(&sum, &c);
		lines[n++] = (struct line){i, c};
	}
	qsort(lines, (size_t)n, sizeof(lines[0]), by_time);
	text_add(t, "% time     seconds  usecs/call     calls    errors    remote     local round trips        bytes "
		    "syscall\n");
	text_add(t, rule);
	for (int i = 0; i < n; i++)
		add_line(t, &lines[i].c, sum.ns ? 100.0 * (double)lines[i].c.ns / (double)sum.ns : 0,
			 name_of(lines[i].i));
	text_add(t, rule);
	add_line(t, &sum, 100, "total");
	text_format(t,
		    "links: %" PRIu64 " round trips, %" PRIu64 " requests, %" PRIu64 " bytes in, %" PRIu64
		    " bytes out; trap %s: %" PRIu64 " notifications, %" PRIu64 " ptrace stops\n",
		    totals->round_trips, totals->requests, totals->bytes_in, totals->bytes_out, trap,
		    get(&notifications), get(&stops));
}

static void add_json_call(struct text *t, const char *name, const struct counts *c)
{
	text_format(t,
		    "    \"%s\": {\"calls\": %" PRIu64 ", \"errors\": %" PRIu64 ", \"remote_calls\": %" PRIu64
		    ", \"local_calls\": %" PRIu64 ", \"round_trips\": %" PRIu64 ", \"bytes_in\": %" PRIu64
		    ", \"bytes_out\": %" PRIu64 ", \"ns\": %" PRIu64 "}",
		    name, c->calls, c->errors, c->remote, c->local, c->round_trips, c->bytes_in, c->bytes_out, c->ns);
}

/* Adds all counts as one JSON object. */
static void add_json(struct text *t, const struct link_totals *totals)
{
	struct counts sum = {0}, c;
	const char *separator = "\n";

	for (int i = 0; i <= TRACE_NUMBERS; i++) {
		c = counts_of(i);
		counts_add(&sum, &c);
	}
	text_format(t,
		    "{\n  \"trap\": \"%s\",\n  \"round_trips\": %" PRIu64 ",\n  \"requests\": %" PRIu64 ",\n  \"notifications\": %" PRIu64
		    ",\n  \"ptrace_stops\": %" PRIu64 ",\n  \"bytes_in\": %" PRIu64 ",\n  \"bytes_out\": %" PRIu64
		    ",\n",
		    trap, totals->round_trips, totals->requests, get(&notifications), get(&stops), totals->bytes_in,
		    totals->bytes_out);
	text_format(t, "  \"remote_calls\": %" PRIu64 ",\n  \"local_calls\": %" PRIu64 ",\n  \"syscalls\": {",
		    sum.remote, sum.local);
	for (int i = 0; i <= TRACE_NUMBERS; i++) {
		c = counts_of(i);
		if (!c.calls)
			continue;
		text_add(t, separator);
		separator = ",\n";
		add_json_call(t, name_of(i), &c);
	}
	text_add(t, "\n  }\n}\n");
}

static int write_all(int fd, const char *data, size_t len)
{
	while (len) {
		ssize_t n = write(fd, data, len);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			data += n;
			len -= (size_t)n;
		}
	}
	return 0;
}

int stats_write(const char *file, const struct link_totals *totals)
{
	char temporary[PATH_MAX];
	struct stat st;
	/* A device or a pipe that somebody reads must not be replaced by a file. */
	bool direct = lstat(file, &st) == 0 && !S_ISREG(st.st_mode);
	int r;

	if (snprintf(temporary, sizeof(temporary), "%s.%d.tmp", file, (int)getpid()) >= (int)sizeof(temporary))
		return -ENAMETOOLONG;
	CLEANUP_FD int fd = open(direct ? file : temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0666);
	if (fd < 0)
		return -errno;
	CLEANUP_TEXT struct text t;
	text_init(&t);
	add_json(&t, totals);
	r = write_all(fd, t.data, t.len);
	if (direct)
		return r;
	if (!r && rename(temporary, file) < 0)
		r = -errno;
	if (r)
		unlink(temporary);
	return r;
}

void stats_reset(void)
{
	static const struct counts zero;

	for (int i = 0; i <= TRACE_NUMBERS; i++) {
		struct counters *s = &counters[i];

		s->calls = zero.calls;
		s->errors = s->remote = s->local = s->round_trips = s->bytes_in = s->bytes_out = s->ns = 0;
	}
	stops = notifications = 0;
}
