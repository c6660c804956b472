/*
 * nulltrace NR[,NR...] COMMAND [ARG...]: the floor of every tracer that stops calls with ptrace. Follows
 * COMMAND and its children, has seccomp stop the calls of these numbers, and does nothing but let them go on.
 * Prints the number of stops on standard error when NULLTRACE_COUNT is set.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_NUMBERS 64
#define OPTIONS (PTRACE_O_EXITKILL | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | \
		 PTRACE_O_TRACESECCOMP | PTRACE_O_TRACEEXEC)

static void die(const char *what)
{
	fprintf(stderr, "nulltrace: %s: %s\n", what, strerror(errno));
	exit(125);
}

static void filter_install(char *numbers)
{
	struct sock_filter code[2 * MAX_NUMBERS + 2];
	struct sock_fprog program = {.filter = code};
	unsigned short n = 0;

	code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
	for (char *p = strtok(numbers, ","); p && n < 2 * MAX_NUMBERS; p = strtok(NULL, ",")) {
		code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)atoi(p), 0, 1);
		code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE);
	}
	code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	program.len = n;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0)
		die("seccomp");
}

static pid_t start(char *numbers, char **command)
{
	int go[2];
	char byte;

	if (pipe(go) < 0)
		die("pipe");
	pid_t pid = fork();
	if (pid < 0)
		die("fork");
	if (pid == 0) {
		close(go[1]);
		if (read(go[0], &byte, 1) < 0)
			die("read");
		close(go[0]);
		filter_install(numbers);
		execvp(command[0], command);
		die(command[0]);
	}
	if (ptrace(PTRACE_SEIZE, pid, 0, OPTIONS) < 0)
		die("seize");
	close(go[0]);
	close(go[1]);
	return pid;
}

/* The signal to go on with: 0 for what is not a signal. */
static int signal_of(int status)
{
	return status >> 16 ? 0 : WSTOPSIG(status);
}

int main(int argc, char **argv)
{
	unsigned long stops = 0;
	int status, result = 0;

	if (argc < 3) {
		fprintf(stderr, "usage: nulltrace NR[,NR...] COMMAND [ARG...]\n");
		return 2;
	}
	pid_t first = start(argv[1], argv + 2), tid;
	while ((tid = waitpid(-1, &status, __WALL)) > 0 || errno == EINTR) {
		if (tid > 0 && WIFSTOPPED(status)) {
			stops += status >> 16 == PTRACE_EVENT_SECCOMP;
			ptrace(PTRACE_CONT, tid, 0, (long)signal_of(status));
		} else if (tid == first) {
			result = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
		}
	}
	if (getenv("NULLTRACE_COUNT"))
		fprintf(stderr, "%lu stops\n", stops);
	return result;
}
