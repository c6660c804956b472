/*
 * delayrelay: a link with latency. Relays its standard input to a command's and the command's standard output
 * to its own, and holds every chunk back for a time each way; the bandwidth stays what it is.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CHUNK (64u << 10)
#define HELD_MAX (256u << 20) /* per direction; then its source has to wait */
#define SELF_TEST 256

struct chunk {
	STAILQ_ENTRY(chunk) next;
	int64_t due_ns;
	size_t len, sent; /* len 0: the end of the stream */
	uint8_t bytes[];
};

/* One direction. from is -1 behind its end, to is -1 once that is passed on. */
struct lane {
	int from, to;
	int to_flags;	   /* as they were: others may share that open file */
	const char *arrow; /* for the log */
	size_t held;
	int64_t last_due_ns;
	STAILQ_HEAD(, chunk) queue;
};

struct relay {
	struct lane up, down;
	int64_t delay_ns, jitter_ns;
	int child; /* pidfd; -1 once it has ended */
	FILE *log;
};

static int64_t now_ns(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

static void die(const char *what)
{
	fprintf(stderr, "delayrelay: %s: %s\n", what, strerror(errno));
	exit(125);
}

/* Takes in what FROM has; it is readable or at its end. */
static void lane_read(struct relay *r, struct lane *lane)
{
	static uint8_t bytes[CHUNK];
	ssize_t n = read(lane->from, bytes, sizeof(bytes));
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	int64_t jitter = r->jitter_ns ? (int64_t)(drand48() * r->jitter_ns) : 0, now = now_ns();
	size_t len = n > 0 ? n : 0;
	struct chunk *c = malloc(sizeof(*c) + len);
	if (!c)
		die("memory");
	memcpy(c->bytes, bytes, len);
	c->len = len;
	c->sent = 0;
	c->due_ns = now + r->delay_ns + jitter;
	if (c->due_ns < lane->last_due_ns)
		c->due_ns = lane->last_due_ns;
	lane->last_due_ns = c->due_ns;
	lane->held += c->len;
	STAILQ_INSERT_TAIL(&lane->queue, c, next);
	if (!c->len) {
		close(lane->from);
		lane->from = -1;
	}
	if (r->log)
		fprintf(r->log, "%" PRId64 " %s %zu\n", now / 1000, lane->arrow, c->len);
}

/* TO is gone, or has got everything: nothing more is to be read for it, which FROM's writer learns so. */
static void lane_close(struct lane *lane)
{
	struct chunk *c;
	while ((c = STAILQ_FIRST(&lane->queue))) {
		STAILQ_REMOVE_HEAD(&lane->queue, next);
		free(c);
	}
	if (lane->from >= 0)
		close(lane->from);
	if (lane->to >= 0) {
		fcntl(lane->to, F_SETFL, lane->to_flags);
		/* Where standard input and output are one socket, close alone ends nothing. */
		shutdown(lane->to, SHUT_WR);
		close(lane->to);
	}
	lane->from = lane->to = -1;
	lane->held = 0;
}

/* Passes on what is due, as far as TO takes it. False when TO is full. */
static bool lane_write(struct lane *lane)
{
	struct chunk *c;
	while ((c = STAILQ_FIRST(&lane->queue)) && c->due_ns <= now_ns()) {
		ssize_t n = c->len ? write(lane->to, c->bytes + c->sent, c->len - c->sent) : 0;
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return false;
		if (n < 0 || !c->len) {
			lane_close(lane);
			return true;
		}
		c->sent += n;
		lane->held -= n;
		if (c->sent < c->len)
			return false;
		STAILQ_REMOVE_HEAD(&lane->queue, next);
		free(c);
	}
	return true;
}

/* What to wait for: FDS[0] to read, FDS[1] to write. Makes *WAKE_NS the time when the next chunk is due. */
static void lane_poll(const struct lane *lane, bool full, struct pollfd fds[2], int64_t *wake_ns)
{
	const struct chunk *c = STAILQ_FIRST(&lane->queue);
	fds[0] = (struct pollfd){.fd = lane->held < HELD_MAX ? lane->from : -1, .events = POLLIN};
	/* With no events asked for, poll still tells when the reader of TO has gone. */
	fds[1] = (struct pollfd){.fd = lane->to, .events = full ? POLLOUT : 0};
	if (c && !full && c->due_ns < *wake_ns)
		*wake_ns = c->due_ns;
}

static bool lane_step(struct relay *r, struct lane *lane, const struct pollfd fds[2])
{
	if (fds[0].revents && lane->from >= 0)
		lane_read(r, lane);
	if ((fds[1].revents & (POLLERR | POLLHUP | POLLNVAL)) && lane->to >= 0)
		lane_close(lane);
	return lane_write(lane);
}

/* Until the command has ended and all it wrote is passed on. */
static void relay_run(struct relay *r)
{
	bool up_full = false, down_full = false;
	while (r->child >= 0 || r->down.to >= 0) {
		struct pollfd fds[5];
		int64_t wake_ns = INT64_MAX;
		lane_poll(&r->up, up_full, fds, &wake_ns);
		lane_poll(&r->down, down_full, fds + 2, &wake_ns);
		fds[4] = (struct pollfd){.fd = r->child, .events = POLLIN};
		int64_t left = wake_ns == INT64_MAX ? 0 : wake_ns - now_ns();
		if (left < 0)
			left = 0;
		struct timespec ts = {.tv_sec = left / 1000000000, .tv_nsec = left % 1000000000};
		if (ppoll(fds, 5, wake_ns == INT64_MAX ? NULL : &ts, NULL) < 0) {
			if (errno != EINTR)
				die("ppoll");
			continue;
		}
		up_full = !lane_step(r, &r->up, fds);
		down_full = !lane_step(r, &r->down, fds + 2);
		if (fds[4].revents) {
			close(r->child);
			r->child = -1;
		}
	}
}

static pid_t command_start(char **argv, int *to, int *from)
{
	char *shell[] = {"/bin/sh", "-c", argv[0], NULL};
	int in[2], out[2];
	if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0)
		die("pipe");
	pid_t pid = fork();
	if (pid < 0)
		die("fork");
	if (pid == 0) {
		signal(SIGPIPE, SIG_DFL);
		dup2(in[0], STDIN_FILENO);
		dup2(out[1], STDOUT_FILENO);
		execvp(argv[1] ? argv[0] : shell[0], argv[1] ? argv : shell);
		fprintf(stderr, "delayrelay: %s: %s\n", argv[0], strerror(errno));
		_exit(errno == ENOENT ? 127 : 126);
	}
	close(in[0]);
	close(out[1]);
	*to = in[1];
	*from = out[0];
	return pid;
}

static void lane_init(struct lane *lane, int from, int to, const char *arrow)
{
	*lane = (struct lane){.from = from, .to = to, .arrow = arrow};
	STAILQ_INIT(&lane->queue);
	lane->to_flags = fcntl(to, F_GETFL);
	if (lane->to_flags < 0 || fcntl(to, F_SETFL, lane->to_flags | O_NONBLOCK) < 0)
		die("fcntl");
}

static int relay_command(struct relay *r, char **argv)
{
	int to, from, status;
	signal(SIGPIPE, SIG_IGN);
	pid_t pid = command_start(argv, &to, &from);
	/* The kernel may otherwise be 50 us late with each timeout. */
	prctl(PR_SET_TIMERSLACK, 1);
	r->child = syscall(SYS_pidfd_open, pid, 0);
	if (r->child < 0)
		die("pidfd_open");
	lane_init(&r->up, STDIN_FILENO, to, ">");
	lane_init(&r->down, from, STDOUT_FILENO, "<");
	relay_run(r);
	waitpid(pid, &status, 0);
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* ---- the test of ourselves ---- */

/* Starts "delayrelay -d DELAY_US cat" behind two pipes. */
static pid_t self_start(int delay_us, int *to, int *from)
{
	char delay[16], *argv[] = {"/proc/self/exe", "-d", delay, "--", "cat", NULL};
	snprintf(delay, sizeof(delay), "%d", delay_us);
	return command_start(argv, to, from);
}

static bool self_end(pid_t pid, int to, int from)
{
	char byte;
	int status;
	close(to);
	bool clean = read(from, &byte, 1) == 0;
	close(from);
	waitpid(pid, &status, 0);
	return clean && status == 0;
}

static int compare_double(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return x < y ? -1 : x > y;
}

/* The median of ROUNDS round trips, in microseconds. */
static double self_round_trip(int to, int from, int rounds)
{
	double *us = calloc(rounds, sizeof(*us));
	char bytes[32] = "";
	for (int i = 0; i < rounds; i++) {
		int64_t start = now_ns();
		if (write(to, bytes, sizeof(bytes)) != sizeof(bytes))
			die("write");
		for (size_t got = 0; got < sizeof(bytes);) {
			ssize_t n = read(from, bytes, sizeof(bytes) - got);
			if (n <= 0)
				die("read");
			got += n;
		}
		us[i] = (now_ns() - start) / 1e3;
	}
	qsort(us, rounds, sizeof(*us), compare_double);
	double median = us[rounds / 2];
	free(us);
	return median;
}

static bool self_test_delay(int delay_us)
{
	int to, from;
	pid_t pid = self_start(delay_us, &to, &from);
	double median = self_round_trip(to, from, delay_us > 5000 ? 100 : 500), want = 2.0 * delay_us;
	bool good = median < want * 1.2 + 300 && median > want * 0.8 - 300;
	good = self_end(pid, to, from) && good;
	printf("delay %5d us each way: round trip median %8.1f us, %+.1f us  %s\n", delay_us, median, median - want,
	       good ? "ok" : "OFF");
	return good;
}

static bool self_test_bandwidth(int delay_us)
{
	static char bytes[CHUNK];
	const size_t total = 64u << 20;
	int to, from;
	pid_t pid = self_start(delay_us, &to, &from);
	int64_t start = now_ns();
	pid_t writer = fork();
	if (writer == 0) {
		for (size_t sent = 0; sent < total; sent += sizeof(bytes))
			if (write(to, bytes, sizeof(bytes)) != sizeof(bytes))
				_exit(1);
		_exit(0);
	}
	size_t got = 0;
	for (ssize_t n; got < total && (n = read(from, bytes, sizeof(bytes))) > 0;)
		got += n;
	double seconds = (now_ns() - start) / 1e9, rate = got / seconds / 1e6;
	waitpid(writer, NULL, 0);
	bool good = self_end(pid, to, from) && got == total && rate > 10;
	printf("delay %5d us each way: %zu of %zu bytes there and back, %.0f MB/s  %s\n", delay_us, got, total, rate,
	       good ? "ok" : "OFF");
	return good;
}

static int self_test(void)
{
	static const int delays[] = {0, 500, 10000};
	bool good = true;
	signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; i < sizeof(delays) / sizeof(delays[0]); i++)
		good = self_test_delay(delays[i]) && good;
	good = self_test_bandwidth(0) && good;
	good = self_test_bandwidth(10000) && good;
	return good ? 0 : 1;
}

/* ---- options ---- */

static int64_t option_us(const char *text)
{
	char *end;
	errno = 0;
	long us = strtol(text, &end, 10);
	if (errno || *end || end == text || us < 0 || us > 60000000) {
		fprintf(stderr, "delayrelay: \"%s\" is no number of microseconds up to a minute\n", text);
		exit(125);
	}
	return us * INT64_C(1000);
}

static void usage(void)
{
	fputs("usage: delayrelay -d USEC [--jitter USEC] [--log FILE] -- COMMAND [ARG...]\n"
	      "       delayrelay --self-test\n"
	      "COMMAND without arguments is run by sh -c.\n",
	      stderr);
	exit(125);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"delay", required_argument, NULL, 'd'},
						{"jitter", required_argument, NULL, 'j'},
						{"log", required_argument, NULL, 'l'},
						{"self-test", no_argument, NULL, SELF_TEST},
						{0}};
	struct relay r = {0};
	int o;
	while ((o = getopt_long(argc, argv, "+d:j:l:", options, NULL)) >= 0) {
		switch (o) {
		case 'd':
			r.delay_ns = option_us(optarg);
			break;
		case 'j':
			r.jitter_ns = option_us(optarg);
			break;
		case 'l':
			r.log = fopen(optarg, "we");
			if (!r.log)
				die(optarg);
			setlinebuf(r.log);
			break;
		case SELF_TEST:
			return self_test();
		default:
			usage();
		}
	}
	if (optind == argc)
		usage();
	return relay_command(&r, argv + optind);
}
