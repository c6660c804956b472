#include "spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "call.h"
#include "filter.h"
#include "ofd.h"
#include "util.h"

#define TRACE_OPTIONS                                                                                               \
	(PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | \
	 PTRACE_O_TRACEEXEC | PTRACE_O_TRACESECCOMP)

static int is_program(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	return access(path, X_OK) < 0 ? -errno : 0;
}

int spawn_find(const char *program, char *out, size_t len)
{
	const char *path = getenv("PATH");
	int worst = -ENOENT;

	if (strchr(program, '/')) {
		if (strlen(program) >= len)
			return -ENAMETOOLONG;
		strcpy(out, program);
		return is_program(out);
	}
	for (path = path ? path : "/usr/local/bin:/usr/bin:/bin"; *program;) {
		size_t n = strcspn(path, ":");

		if (n + strlen(program) + 3 < len) {
			snprintf(out, len, "%.*s/%s", n ? (int)n : 1, n ? path : ".", program);
			int rc = is_program(out);
			if (!rc)
				return 0;
			if (rc == -EACCES)
				worst = rc;
		}
		if (!path[n])
			break;
		path += n + 1;
	}
	return worst;
}

/* The setuid programs keep their rights when the tracer may trace them anyway (as strace does). */
static bool may_skip_no_new_privs(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { 0 };

	return syscall(SYS_capget, &header, data) == 0 && data[0].effective & (1u << CAP_SYS_ADMIN);
}

/* Descriptor numbers from FD_BASE on must be within the task's limit to be handed out. */
static void raise_limit(void)
{
	struct rlimit r;

	if (fd_all_trapped() || getrlimit(RLIMIT_NOFILE, &r) < 0)
		return;
	if (r.rlim_cur < (rlim_t)FD_TOP)
		r.rlim_cur = (rlim_t)FD_TOP;
	setrlimit(RLIMIT_NOFILE, &r);
}

static void reset_signals(const struct inherited *original)
{
	sigaction(SIGCHLD, &original->on_child, NULL);
	sigprocmask(SIG_SETMASK, &original->mask, NULL);
}

/* How calls are trapped, best first. */
enum way { BY_NOTIFICATION, BY_STOPS, BY_EVERY_STOP };

struct plan {
	const char *path;
	char **argv;
	const struct sock_fprog *filter;
	const struct inherited *original;
	enum way way;
};

/* Runs in the child; on the socket, in turn: go; the listener's number; taken; the errno of exec. */
static void child_run(int sock, const struct plan *p, bool keep_privileges)
{
	int word = 0, listener = 0;

	if (recv(sock, &word, sizeof(word), 0) != sizeof(word))
		_exit(EXIT_OWN_FAILURE);
	raise_limit();
	if (!keep_privileges)
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (p->way != BY_EVERY_STOP)
		listener = filter_install(p->filter, p->way == BY_NOTIFICATION);
	/* Neither is trapped, as read and write may be: nobody listens yet. */
	if (send(sock, &listener, sizeof(listener), 0) != sizeof(listener) ||
	    recv(sock, &word, sizeof(word), 0) != sizeof(word))
		_exit(EXIT_OWN_FAILURE);
	if (p->way == BY_NOTIFICATION)
		close(listener);
	reset_signals(p->original);
	execvpe(p->path, p->argv, p->original->environ); /* a name without a slash is for the target's directories */
	word = errno;
	if (write(sock, &word, sizeof(word)) < 0)
		_exit(EXIT_OWN_FAILURE);
	_exit(word == ENOENT || word == ENOTDIR ? 127 : 126);
}

/* Our own descriptor of the child's LISTENER; -ENOTTY unless all that is needed besides works. */
static int take_listener(pid_t pid, int listener)
{
	CLEANUP_FD int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	CLEANUP_FD int fd = (int)syscall(SYS_pidfd_getfd, pidfd, listener, 0);
	struct seccomp_notif_addfd nobody = { .srcfd = (uint32_t)fd };

	/* Where ADDFD is known, there is no such notification. */
	if (fd < 0 || ioctl(fd, SECCOMP_IOCTL_NOTIF_ADDFD, &nobody) == 0 || errno != ENOENT)
		return -ENOTTY;
	return fcntl(fd, F_DUPFD_CLOEXEC, 0);
}

static const char *refusal(enum way way, int rc)
{
	switch (rc) {
	case -EBUSY:
		return "this process already runs under a seccomp listener (another supervisor, or the container runtime's)";
	case -EINVAL:
	case -ENOSYS:
		return way == BY_NOTIFICATION ? "the kernel has no seccomp user notification (Linux 5.9 is needed)" :
						"seccomp filters cannot be had (CONFIG_SECCOMP_FILTER is needed)";
	case -ENOTTY:
		return "seccomp notification lacks SECCOMP_IOCTL_NOTIF_ADDFD, or there is no pidfd_getfd (Linux 5.9 has both)";
	case -EACCES:
		return "seccomp needs CAP_SYS_ADMIN or no_new_privs, and neither could be had";
	default:
		return strerror(-rc);
	}
}

/* The child's half of the way: 0 when it is ready to exec. */
static int prepare(const struct plan *p, struct spawned *s)
{
	int word = 0, listener;

	if (write(s->failure, &word, sizeof(word)) != sizeof(word) ||
	    read(s->failure, &listener, sizeof(listener)) != sizeof(listener))
		return -EPIPE;
	s->listener = -1;
	if (listener >= 0 && p->way == BY_NOTIFICATION)
		s->listener = listener = take_listener(s->pid, listener);
	if (listener < 0)
		return listener;
	/* From its next stop on it is resumed to stop at every call. */
	if (p->way == BY_EVERY_STOP)
		ptrace(PTRACE_INTERRUPT, s->pid, 0, 0);
	return write(s->failure, &word, sizeof(word)) == sizeof(word) ? 0 : -EPIPE;
}

static void discard(struct spawned *s)
{
	int status;

	kill(s->pid, SIGKILL);
	while (waitpid(s->pid, &status, __WALL) == s->pid && WIFSTOPPED(status))
		;
	close(s->failure);
	if (s->listener >= 0)
		close(s->listener);
}

/* Why the child PID cannot be traced (RC), in ERR. */
static void tell_untraced(pid_t pid, int rc, char *err, size_t err_len)
{
	pid_t tracer = call_tracer_of(pid);

	if (tracer)
		snprintf(err, err_len, "cannot trace the program: process %d (strace -f, a debugger?) does already, and there can be one tracer only: do without it; -v shows the calls",
			 (int)tracer);
	else
		snprintf(err, err_len, "cannot trace the program: %s (is ptrace forbidden here? see kernel.yama.ptrace_scope)", strerror(-rc));
}

/* Starts the child. A negative errno with ERR, or 1 with ERR when calls cannot be trapped in this way. */
static int try(const struct plan *p, struct spawned *s, char *err, size_t err_len)
{
	int sock[2];
	bool keep = may_skip_no_new_privs();

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sock) < 0) {
		snprintf(err, err_len, "socketpair: %s", strerror(errno));
		return -errno;
	}
	s->pid = fork();
	if (s->pid == 0) {
		close(sock[0]);
		child_run(sock[1], p, keep);
	}
	close(sock[1]);
	s->failure = sock[0];
	if (s->pid < 0) {
		snprintf(err, err_len, "fork: %s", strerror(errno));
		return -errno;
	}
	if (ptrace(PTRACE_SEIZE, s->pid, 0, TRACE_OPTIONS) < 0) {
		int rc = -errno;
		tell_untraced(s->pid, rc, err, err_len);
		return rc;
	}
	int rc = prepare(p, s);
	if (!rc)
		return 0;
	snprintf(err, err_len, "%s", refusal(p->way, rc));
	discard(s);
	return 1;
}

int spawn(const char *path, char **argv, const struct sock_fprog *filter, enum trap trap,
	  const struct inherited *original, struct spawned *s, char *err, size_t err_len)
{
	struct plan p = { path, argv, filter, original, trap == TRAP_PTRACE ? BY_STOPS : BY_NOTIFICATION };
	enum way last = trap == TRAP_NOTIFY ? BY_NOTIFICATION : BY_EVERY_STOP;
	int rc;

	*s->why = '\0';
	for (; (rc = try(&p, s, err, err_len)) > 0 && p.way < last; p.way++)
		snprintf(s->why, sizeof(s->why), "%s", err);
	s->every = p.way == BY_EVERY_STOP;
	if (rc > 0) {
		snprintf(s->why, sizeof(s->why), "%s", err);
		snprintf(err, err_len, "cannot trap system calls: %s%s", s->why,
			 trap == TRAP_NOTIFY ? "; leave --trap notify out" : "");
	}
	return rc > 0 ? -EOPNOTSUPP : rc;
}
