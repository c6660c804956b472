#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "dial.h"
#include "target.h"

#define AGENT_NAME "remotefs-agent"
#define DIR_PREFIX "dir/"
#define PID_PREFIX "pid/"
#define EXEC_PREFIX "exec:"
#define REPORT_FD (STDERR_FILENO + 1)
#define TERM_WAIT_MS 500
#define DIAL_MS 10000

/* Puts one clause into ERR and returns CODE. */
static int __attribute__((format(printf, 4, 5)))
target_fail(int code, char *err, size_t err_len, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	vsnprintf(err, err_len, format, args);
	va_end(args);
	return code;
}

/* What follows PREFIX in TARGET, or NULL. */
static const char *target_rest(const char *target, const char *prefix)
{
	size_t len = strlen(prefix);
	return strncmp(target, prefix, len) == 0 ? target + len : NULL;
}

int target_check(const char *target, char *err, size_t err_len)
{
	const char *dir = target_rest(target, DIR_PREFIX), *command = target_rest(target, EXEC_PREFIX);
	const char *pid = target_rest(target, PID_PREFIX);
	if (dial_is(target))
		return dial_check(target, err, err_len);
	if (dir && !*dir)
		return target_fail(-EINVAL, err, err_len, "the target \"%s\" names no directory: dir/PATH does",
				   target);
	if (command && strspn(command, " \t\n") == strlen(command))
		return target_fail(-EINVAL, err, err_len, "the target \"%s\" has no command: exec:COMMAND has", target);
	if (pid && (!isdigit((unsigned char)*pid) || strspn(pid, "0123456789") != strlen(pid) || strlen(pid) > 9 || !atoi(pid)))
		return target_fail(-EINVAL, err, err_len, "the target \"%s\" names no process: pid/N does, with its number",
				   target);
	if (!dir && !pid && !command)
		return target_fail(-EINVAL, err, err_len,
				   "\"%s\" is not a target: dir/PATH (a directory of this machine), pid/N (the root of a process "
				   "of this machine), exec:COMMAND (a command that leads to an agent), unix:PATH and "
				   "tcp:HOST:PORT (an agent that listens) are",
				   target);
	return 0;
}

bool target_is_here(const char *target)
{
	return target_rest(target, DIR_PREFIX) || target_rest(target, PID_PREFIX);
}

bool target_lacks_process(const char *target)
{
	return target_rest(target, DIR_PREFIX);
}

/* Makes TRIED absolute and free of symlinks in PATH (PATH_MAX bytes). 0 if it is a directory. */
static int dir_try(const char *tried, char *path)
{
	struct stat st;
	if (!realpath(tried, path) || stat(path, &st) < 0)
		return -errno;
	return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
}

/* dir/srv is ./srv where that exists and else /srv; dir//srv is /srv. TRIED has room for the second one. */
static int dir_resolve(const char *named, char *path, char *tried, size_t tried_len)
{
	int first = dir_try(named, path);
	snprintf(tried, tried_len, "%s", named);
	if (!first || named[0] == '/')
		return first;
	char absolute[PATH_MAX];
	int len = snprintf(absolute, sizeof(absolute), "/%s", named);
	int second = len < (int)sizeof(absolute) ? dir_try(absolute, path) : -ENAMETOOLONG;
	if (second && first != -ENOENT)
		return first;
	if (second && second != -ENOENT)
		snprintf(tried, tried_len, "%s", absolute);
	return second;
}

static int dir_find(const char *named, char *path, char *err, size_t err_len)
{
	char tried[PATH_MAX];
	int rc = dir_resolve(named, path, tried, sizeof(tried));
	if (rc == -ENOENT && named[0] != '/')
		return target_fail(rc, err, err_len, "there is no directory \"%s\" here and no \"/%s\"", named, named);
	if (rc == -ENOENT)
		return target_fail(rc, err, err_len, "there is no directory \"%s\"", named);
	if (rc == -ENOTDIR)
		return target_fail(rc, err, err_len, "\"%s\" is not a directory", tried);
	if (rc)
		return target_fail(rc, err, err_len, "the directory \"%s\" cannot be used: %s", tried, strerror(-rc));
	return 0;
}

/* The base name of the program that COMMAND runs, as far as that shows: "A=1 exec /x/ssh host" is "ssh". */
static void exec_tag(const char *command, char *tag, size_t len)
{
	size_t n;
	for (;; command += n) {
		command += strspn(command, " \t\n");
		n = strcspn(command, " \t\n");
		bool assignment = memchr(command, '=', n) != NULL;
		if (!n || (!assignment && !(n == 4 && strncmp(command, "exec", n) == 0)))
			break;
	}
	const char *base = command;
	for (const char *p = command; p < command + n; p++)
		if (*p == '/')
			base = p + 1;
	snprintf(tag, len, "exec:%.*s", (int)(command + n - base), base);
}

void target_tag(const char *target, char *tag, size_t len)
{
	const char *dir = target_rest(target, DIR_PREFIX), *command = target_rest(target, EXEC_PREFIX);
	const char *pid = target_rest(target, PID_PREFIX);
	char path[PATH_MAX], tried[PATH_MAX];
	if (dir)
		snprintf(tag, len, "dir:%s", dir_resolve(dir, path, tried, sizeof(tried)) == 0 ? path : dir);
	else if (pid)
		snprintf(tag, len, "pid:%s", pid);
	else if (command)
		exec_tag(command, tag, len);
	else
		snprintf(tag, len, "%s", target);
}

void target_absolute(const char *target, char *absolute, size_t len)
{
	const char *dir = target_rest(target, DIR_PREFIX);
	char path[PATH_MAX], tried[PATH_MAX];

	if (dir && dir_resolve(dir, path, tried, sizeof(tried)) == 0)
		snprintf(absolute, len, DIR_PREFIX "%s", path);
	else
		snprintf(absolute, len, "%s", target);
}

/* ---- starting ---- */

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
 * Becomes ARGV; only async-signal-safe calls. The child has a session of its own, so that the terminal's ^C
 * and ^Z are the program's alone, and none of our descriptors: a copy of the stream's other end would hide our
 * death from it. That end of file is what stops it when we are killed; PR_SET_PDEATHSIG would not do: it
 * fires when the *thread* that started the agent ends, and does not reach what a shell runs in turn.
 */
static void __attribute__((noreturn)) child_become(char *const argv[], int in, int out, int report)
{
	sigset_t none;
	setsid();
	for (int sig = 1; sig < NSIG; sig++)
		signal(sig, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	dup2(in, STDIN_FILENO);
	dup2(out, STDOUT_FILENO);
	if (report != REPORT_FD)
		dup3(report, REPORT_FD, O_CLOEXEC);
	closefrom(REPORT_FD + 1);
	execv(argv[0], argv);
	int err = errno;
	ssize_t n = write(REPORT_FD, &err, sizeof(err));
	_exit(n == sizeof(err) ? 127 : 126);
}

/* Runs ARGV with IN and OUT as its standard input and output. 0, or the errno of what failed, the exec included. */
static int child_start(char *const argv[], int in, int out, pid_t *pid)
{
	int report[2], err = 0;
	if (pipe2(report, O_CLOEXEC) < 0)
		return -errno;
	report[1] = fd_raise(report[1]);
	*pid = fork();
	if (*pid == 0)
		child_become(argv, in, out, report[1]);
	if (*pid < 0)
		err = errno;
	fd_close(report[1]);
	while (*pid > 0 && read(report[0], &err, sizeof(err)) < 0 && errno == EINTR)
		continue;
	close(report[0]);
	if (*pid > 0 && err)
		waitpid(*pid, NULL, 0);
	return -err;
}

/* An agent of ours for WHAT: --root PATH or --process PID. */
static int agent_start(const char *option, const char *what, const char *agent, struct target_stream *stream)
{
	char *argv[] = {(char *)agent, "--stdio", (char *)option, (char *)what, NULL};
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	int theirs = fd_raise(pair[1]);
	int err = theirs < 0 ? -EMFILE : child_start(argv, theirs, theirs, &stream->pid);
	fd_close(theirs);
	if (err)
		close(pair[0]);
	stream->in = stream->out = pair[0];
	return err;
}

/* Pipes, because some programs treat a socket as standard input or output differently. */
static int exec_start(const char *command, struct target_stream *stream)
{
	char *argv[] = {"/bin/sh", "-c", (char *)command, NULL};
	int to[2] = {-1, -1}, from[2] = {-1, -1}, err = 0;
	if (pipe2(to, O_CLOEXEC) < 0 || pipe2(from, O_CLOEXEC) < 0)
		err = -errno;
	to[0] = fd_raise(to[0]);
	from[1] = fd_raise(from[1]);
	if (!err && (to[0] < 0 || from[1] < 0))
		err = -EMFILE;
	if (!err)
		err = child_start(argv, to[0], from[1], &stream->pid);
	fd_close(to[0]);
	fd_close(from[1]);
	if (err) {
		fd_close(to[1]);
		fd_close(from[0]);
	}
	stream->in = from[0];
	stream->out = to[1];
	return err;
}

int target_start(const char *target, const char *agent, struct target_stream *stream, char *err, size_t err_len)
{
	char path[PATH_MAX];
	const char *dir = target_rest(target, DIR_PREFIX), *pid = target_rest(target, PID_PREFIX);
	const char *program = target_is_here(target) ? agent : "/bin/sh";
	int rc = target_check(target, err, err_len);
	if (!rc && dir)
		rc = dir_find(dir, path, err, err_len);
	if (rc)
		return rc;
	if (dial_is(target)) {
		rc = dial_open(target, NULL, DIAL_MS, err, err_len);
		*stream = (struct target_stream){.in = rc, .out = rc};
		return rc < 0 ? rc : 0;
	}
	if (target_is_here(target))
		rc = agent_start(dir ? "--root" : "--process", dir ? path : pid, agent, stream);
	else
		rc = exec_start(target_rest(target, EXEC_PREFIX), stream);
	if (rc)
		return target_fail(rc, err, err_len, "\"%s\" cannot be run: %s", program, strerror(-rc));
	return 0;
}

int target_find_agent(char *path, size_t len, char *err, size_t err_len)
{
	char self[PATH_MAX], beside[PATH_MAX + sizeof(AGENT_NAME) + 1] = "";
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (n > 0) {
		self[n] = '\0';
		snprintf(beside, sizeof(beside), "%s/" AGENT_NAME, dirname(self));
	}
	const char *places[] = {beside, LIBEXECDIR "/" AGENT_NAME};
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		if (access(places[i], X_OK) == 0 && (size_t)snprintf(path, len, "%s", places[i]) < len)
			return 0;
	return target_fail(-ENOENT, err, err_len, "the agent program is missing: it is neither \"%s\" nor \"%s\"",
			   places[0], places[1]);
}

/* ---- ending ---- */

static void sleep_ms(int ms)
{
	struct timespec ts = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
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

int target_fate(pid_t pid, int timeout_ms, char *text, size_t len)
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

void target_stop(pid_t pid, int grace_ms)
{
	siginfo_t info;
	if (pid <= 0)
		return;
	int rc = child_wait(pid, grace_ms, &info);
	/* The group too: of "a | b" the shell is one, and its number is free for others only once it is reaped. */
	pid_t group = getpgid(pid) == pid ? -pid : pid;
	kill(group, SIGTERM);
	if (rc == -ETIMEDOUT)
		rc = child_wait(pid, TERM_WAIT_MS, &info);
	if (rc == -ETIMEDOUT)
		kill(group, SIGKILL);
	if (rc != -ECHILD)
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			continue;
}
