#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "progress.h"
#include "said_int.h"
#include "util.h"

#define REPORT_FD (STDERR_FILENO + 1)
#define TERM_WAIT_MS 500
#define TICK_MS 100

int64_t child_now_ms(void)
{
	return (int64_t)(now_ns() / 1000000);
}

/* Moves FD above the standard descriptors, which child_become overwrites. */
static int fd_raise(int fd)
{
	if (fd < 0 || fd > STDERR_FILENO)
		return fd;
	int high = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	close(fd);
	return high;
}

static void fd_close(int fd)
{
	if (fd >= 0)
		close(fd);
}

/*
 * Becomes ARGV; only async-signal-safe calls (and execvp, which is one in glibc). The child has a session of its own, so that the
 * terminal's ^C and ^Z are the program's alone, and none of our descriptors: a copy of the stream's other end would hide our
 * death from it. That end of file is what stops it when we are killed; PR_SET_PDEATHSIG would not do: it
 * fires when the *thread* that started the agent ends, and does not reach what a shell runs in turn.
 */
static void __attribute__((noreturn)) child_become(char *const argv[], int in, int out, int err, int report)
{
	sigset_t none;
	setsid();
	for (int sig = 1; sig < NSIG; sig++)
		signal(sig, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	dup2(in, STDIN_FILENO);
	dup2(out, STDOUT_FILENO);
	if (err >= 0)
		dup2(err, STDERR_FILENO);
	if (report != REPORT_FD)
		dup3(report, REPORT_FD, O_CLOEXEC);
	closefrom(REPORT_FD + 1);
	execvp(argv[0], argv);
	int error = errno;
	ssize_t n = write(REPORT_FD, &error, sizeof(error));
	_exit(n == sizeof(error) ? 127 : 126);
}

int child_start(char *const argv[], int in, int out, int err, pid_t *pid)
{
	int report[2], error = 0;

	if (pipe2(report, O_CLOEXEC) < 0)
		return -errno;
	report[1] = fd_raise(report[1]);
	*pid = fork();
	if (*pid == 0)
		child_become(argv, in, out, err, report[1]);
	if (*pid < 0)
		error = errno;
	fd_close(report[1]);
	while (*pid > 0 && read(report[0], &error, sizeof(error)) < 0 && errno == EINTR)
		continue;
	close(report[0]);
	if (*pid > 0 && error)
		waitpid(*pid, NULL, 0);
	return -error;
}

/* A pipe whose end THEIRS (0 to read, 1 to write) a child can get. */
static int pipe_for(int ends[2], int theirs)
{
	if (pipe2(ends, O_CLOEXEC) < 0) {
		ends[0] = ends[1] = -1;
		return -errno;
	}
	ends[theirs] = fd_raise(ends[theirs]);
	return ends[theirs] < 0 ? -EMFILE : 0;
}

int child_start_socket(char *const argv[], int collect, struct target_stream *s)
{
	int pair[2], err[2] = { -1, -1 };

	*s = (struct target_stream){ .in = -1, .out = -1 };
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	int theirs = fd_raise(pair[1]);
	int rc = theirs < 0 ? -EMFILE : collect ? pipe_for(err, 1) : 0;
	rc = rc ? rc : child_start(argv, theirs, theirs, err[1], &s->pid);
	fd_close(theirs);
	fd_close(err[1]);
	if (rc) {
		close(pair[0]);
		fd_close(err[0]);
		return rc;
	}
	s->in = s->out = pair[0];
	s->said = collect ? said_new(err[0]) : NULL;
	return 0;
}

/* Pipes, because some programs treat a socket as standard input or output differently. */
int child_start_pipes(char *const argv[], int collect, struct target_stream *s)
{
	int to[2] = { -1, -1 }, from[2] = { -1, -1 }, err[2] = { -1, -1 };
	int rc = pipe_for(to, 0);

	*s = (struct target_stream){ .in = -1, .out = -1 };
	rc = rc ? rc : pipe_for(from, 1);
	rc = rc || !collect ? rc : pipe_for(err, 1);
	rc = rc ? rc : child_start(argv, to[0], from[1], err[1], &s->pid);
	fd_close(to[0]);
	fd_close(from[1]);
	fd_close(err[1]);
	if (rc) {
		fd_close(to[1]);
		fd_close(from[0]);
		fd_close(err[0]);
		return rc;
	}
	s->in = from[0];
	s->out = to[1];
	s->said = collect ? said_new(err[0]) : NULL;
	return 0;
}

void child_drop(struct target_stream *s)
{
	fd_close(s->in);
	if (s->out != s->in)
		fd_close(s->out);
	child_stop(s->pid, 0);
	if (s->said)
		said_free(s->said);
	*s = (struct target_stream){ .in = -1, .out = -1 };
}

/* ---- running one to its end ---- */

void child_ending_signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGHUP);
	sigaddset(set, SIGQUIT);
}

static bool is_over(int64_t deadline_ms)
{
	sigset_t pending, ending;

	child_ending_signals(&ending);
	return child_now_ms() >= deadline_ms ||
	       (sigpending(&pending) == 0 && sigandset(&ending, &ending, &pending) == 0 && !sigisemptyset(&ending));
}

int child_wait_readable(int fd, int64_t deadline_ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	for (;;) {
		int64_t left = deadline_ms - child_now_ms();

		if (is_over(deadline_ms))
			return -ETIMEDOUT;
		int n = poll(&p, 1, left < TICK_MS ? (int)left : TICK_MS);
		if (n > 0)
			return 0;
		progress_tick();
	}
}

/* Reads what there is of FD behind the *AT bytes of BUF; what there is no room for is dropped. False at the end. */
static bool take_output(int fd, char *buf, size_t room, size_t *at)
{
	char spare[4096];
	bool full = *at + 1 >= room;
	ssize_t n = full ? read(fd, spare, sizeof(spare)) : read(fd, buf + *at, room - 1 - *at);

	*at += n > 0 && !full ? (size_t)n : 0;
	return n > 0 || (n < 0 && errno == EINTR);
}

bool child_printed(const struct output *o, const char *word)
{
	return memmem(o->out, o->out_len, word, strlen(word));
}

/* What is written to a child's standard input, whose end is not told by itself. */
struct feed {
	int to, from;
	size_t at, len;
	bool all; /* nothing is left */
	char buf[65536];
};

static void feed_more(struct feed *f)
{
	if (f->at == f->len) {
		ssize_t n = read(f->from, f->buf, sizeof(f->buf));

		f->all = n <= 0;
		f->at = 0;
		f->len = n > 0 ? (size_t)n : 0;
	}
	ssize_t n = write(f->to, f->buf + f->at, f->len - f->at);
	f->at += n > 0 ? (size_t)n : 0;
	/* A child that reads no more has its reasons, and says them. */
	f->all |= n < 0 && errno != EAGAIN && errno != EINTR;
}

static void feed_end(struct feed *f)
{
	fd_close(f->to);
	f->to = -1;
}

/* Until both are at their ends; F may be NULL. 0 or -ETIMEDOUT. */
static int collect(int out, int err, struct feed *f, struct output *o, int64_t deadline_ms)
{
	struct pollfd p[3] = { { .fd = out, .events = POLLIN }, { .fd = err, .events = POLLIN }, { .fd = -1, .events = POLLOUT } };
	size_t err_len = 0;

	while (p[0].fd >= 0 || p[1].fd >= 0) {
		if (is_over(deadline_ms))
			return -ETIMEDOUT;
		p[2].fd = f && !f->all ? f->to : -1;
		if (poll(p, 3, TICK_MS) > 0) {
			if (p[0].revents && !take_output(out, o->out, sizeof(o->out), &o->out_len))
				p[0].fd = -1;
			if (p[1].revents && !take_output(err, o->err, sizeof(o->err), &err_len))
				p[1].fd = -1;
			if (p[2].fd >= 0 && p[2].revents)
				feed_more(f);
		}
		if (f && f->all && f->to >= 0 && child_printed(o, CHILD_WANTS_END))
			feed_end(f);
		progress_tick();
	}
	return 0;
}

static int run(char *const argv[], int input, struct feed *f, struct output *o, int64_t deadline_ms)
{
	int out[2], err[2] = { -1, -1 };
	pid_t pid = 0;

	memset(o, 0, sizeof(*o));
	int rc = pipe_for(out, 1);
	rc = rc ? rc : pipe_for(err, 1);
	rc = rc ? rc : child_start(argv, input, out[1], err[1], &pid);
	fd_close(out[1]);
	fd_close(err[1]);
	if (!rc) {
		rc = collect(out[0], err[0], f, o, deadline_ms);
		int status = child_stop(pid, rc ? 0 : 1000);
		rc = rc ? rc : status;
	}
	fd_close(out[0]);
	fd_close(err[0]);
	return rc;
}

int child_command(char *const argv[], int input, struct output *o, int64_t deadline_ms)
{
	CLEANUP_FD int none = input < 0 ? open("/dev/null", O_RDONLY | O_CLOEXEC) : -1;

	return run(argv, input < 0 ? none : input, NULL, o, deadline_ms);
}

int child_upload(char *const argv[], int input, struct output *o, int64_t deadline_ms)
{
	CLEANUP_FREE struct feed *f = xcalloc(1, sizeof(*f));
	int ends[2];
	int rc = pipe_for(ends, 0);

	if (rc)
		return rc;
	CLEANUP_FD int theirs = ends[0];
	f->to = ends[1];
	f->from = input;
	fcntl(f->to, F_SETFL, O_NONBLOCK);
	rc = run(argv, theirs, f, o, deadline_ms);
	feed_end(f);
	return rc;
}

/* ---- ending ---- */

static void sleep_ms(int ms)
{
	struct timespec ts = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };
	nanosleep(&ts, NULL);
}

/* Waits for PID to end and leaves it to be reaped, so that its number stays its own. */
static int child_wait(pid_t pid, int timeout_ms, siginfo_t *info)
{
	for (int waited = 0;; waited++) {
		info->si_pid = 0;
		if (waitid(P_PID, pid, info, WEXITED | WNOHANG | WNOWAIT) < 0 && errno != EINTR)
			return -errno;
		if (info->si_pid)
			return 0;
		if (waited >= timeout_ms)
			return -ETIMEDOUT;
		sleep_ms(1);
	}
}

int child_fate(pid_t pid, int timeout_ms, char *text, size_t len)
{
	siginfo_t info;
	int rc = child_wait(pid, timeout_ms, &info);
	if (rc)
		return rc;
	const char *name = info.si_code == CLD_EXITED ? NULL : sigabbrev_np(info.si_status);
	if (name)
		snprintf(text, len, "was killed by SIG%s", name);
	else if (info.si_code != CLD_EXITED)
		snprintf(text, len, "was killed by signal %d", info.si_status);
	else
		snprintf(text, len, "exited with status %d%s", info.si_status,
			 info.si_status == 127	 ? " (command not found)"
			 : info.si_status == 126 ? " (command cannot be run)"
						 : "");
	return 0;
}

int child_stop(pid_t pid, int grace_ms)
{
	siginfo_t info;
	int status = 0;

	if (pid <= 0)
		return 0;
	int rc = child_wait(pid, grace_ms, &info);
	/* The group too: of "a | b" the shell is one, and its number is free for others only once it is reaped. */
	pid_t group = getpgid(pid) == pid ? -pid : pid;
	kill(group, SIGTERM);
	if (rc == -ETIMEDOUT)
		rc = child_wait(pid, TERM_WAIT_MS, &info);
	if (rc == -ETIMEDOUT)
		kill(group, SIGKILL);
	if (rc != -ECHILD)
		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			continue;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
