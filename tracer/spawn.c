#include "spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

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

	if (getrlimit(RLIMIT_NOFILE, &r) < 0)
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

/* Runs in the child; on the socket, in turn: go; the listener's number; taken; the errno of exec. */
static void child_run(int sock, const char *path, char **argv, const struct inherited *original,
		      const struct sock_fprog *program, bool keep_privileges)
{
	int word = 0;

	if (read(sock, &word, sizeof(word)) != sizeof(word))
		_exit(EXIT_OWN_FAILURE);
	raise_limit();
	if (!keep_privileges)
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	int listener = filter_install(program);
	if (write(sock, &listener, sizeof(listener)) != sizeof(listener) ||
	    read(sock, &word, sizeof(word)) != sizeof(word))
		_exit(EXIT_OWN_FAILURE);
	close(listener);
	reset_signals(original);
	execve(path, argv, environ);
	word = errno;
	if (write(sock, &word, sizeof(word)) < 0)
		_exit(EXIT_OWN_FAILURE);
	_exit(word == ENOENT ? 127 : 126);
}

static int take_listener(pid_t pid, int sock)
{
	int word = 0, listener;

	if (write(sock, &word, sizeof(word)) != sizeof(word) || read(sock, &listener, sizeof(listener)) != sizeof(listener))
		return -EPIPE;
	if (listener < 0)
		return listener;
	CLEANUP_FD int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	int fd = (int)syscall(SYS_pidfd_getfd, pidfd, listener, 0);
	if (fd < 0)
		return -errno;
	if (write(sock, &word, sizeof(word)) != sizeof(word)) {
		close(fd);
		return -EPIPE;
	}
	return fd;
}

static const char *listener_error(int rc)
{
	switch (rc) {
	case -EBUSY:
		return "this process already runs under a seccomp listener (another supervisor, or the container runtime's)";
	case -EINVAL:
	case -ENOSYS:
		return "the kernel has no seccomp user notification (Linux 5.0 and CONFIG_SECCOMP_FILTER are needed)";
	case -EACCES:
		return "seccomp needs CAP_SYS_ADMIN or no_new_privs, and neither could be had";
	default:
		return strerror(-rc);
	}
}

int spawn(const char *path, char **argv, const struct sock_fprog *filter, const struct inherited *original, struct spawned *s,
	  char *err, size_t err_len)
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
		child_run(sock[1], path, argv, original, filter, keep);
	}
	close(sock[1]);
	s->failure = sock[0];
	if (s->pid < 0) {
		snprintf(err, err_len, "fork: %s", strerror(errno));
		return -errno;
	}
	if (ptrace(PTRACE_SEIZE, s->pid, 0, TRACE_OPTIONS) < 0) {
		snprintf(err, err_len, "cannot trace the program: %s (is ptrace forbidden here? see kernel.yama.ptrace_scope)",
			 strerror(errno));
		return -errno;
	}
	s->listener = take_listener(s->pid, sock[0]);
	if (s->listener < 0)
		snprintf(err, err_len, "cannot trap system calls: %s", listener_error(s->listener));
	return s->listener < 0 ? s->listener : 0;
}
