#include "loop.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "log.h"
#include "stop.h"
#include "task.h"

static pid_t main_pid;
static int main_status;
static atomic_int aborted;

void loop_abort(void)
{
	task_lock();
	atomic_store(&aborted, 1);
	task_kill_all();
	task_unlock();
}

int loop_aborted(void)
{
	return atomic_load(&aborted);
}

static void task_seen(pid_t tid)
{
	task_lock();
	task_get(tid);
	/* A child born while loop_abort went round. */
	if (atomic_load(&aborted))
		kill(tid, SIGKILL);
	task_unlock();
}

static void task_gone(pid_t tid, int status)
{
	log_exited(tid, status);
	if (tid == main_pid)
		main_status = status;
	stop_task_gone(tid);
}

/* ESRCH: the task was killed meanwhile; its death is the next thing reported. */
static void resume(int request, pid_t tid, int sig)
{
	if (request != STOP_STAY)
		ptrace(request, tid, 0, (long)sig);
}

static bool is_stopping(int sig)
{
	return sig == SIGSTOP || sig == SIGTSTP || sig == SIGTTIN || sig == SIGTTOU;
}

static void handle_group_stop(pid_t tid, int sig)
{
	log_stopped(tid, sig);
	resume(PTRACE_LISTEN, tid, 0);
	/* Whoever started us waits for us, not for the program: stop as it did, go on when it is told to. */
	if (tid == main_pid)
		kill(getpid(), SIGSTOP);
}

/* An exec from a thread: the thread goes on under its process's number, and its own is gone. */
static void handle_exec(pid_t tid)
{
	unsigned long old = (unsigned long)tid;

	ptrace(PTRACE_GETEVENTMSG, tid, 0, &old);
	stop_exec_done(tid, (pid_t)old);
	resume(stop_other(tid), tid, 0);
}

static void handle_clone(pid_t tid)
{
	unsigned long child = 0;

	if (ptrace(PTRACE_GETEVENTMSG, tid, 0, &child) < 0 || !child)
		return;
	task_lock();
	task_cloned(tid, (pid_t)child);
	task_unlock();
}

static void handle_stop(pid_t tid, int status)
{
	int event = status >> 16, sig = WSTOPSIG(status);

	log_count_stop();
	stop_put_result(tid);
	switch (event) {
	case PTRACE_EVENT_SECCOMP:
		resume(stop_seccomp(tid), tid, 0);
		return;
	case PTRACE_EVENT_EXEC:
		handle_exec(tid);
		return;
	case PTRACE_EVENT_STOP:
		if (is_stopping(sig))
			handle_group_stop(tid, sig);
		else
			resume(stop_other(tid), tid, 0);
		return;
	case 0:
		break;
	default: /* fork, vfork, clone: the child reports by itself */
		handle_clone(tid);
		resume(stop_other(tid), tid, 0);
		return;
	}
	if (sig == (SIGTRAP | 0x80)) {
		resume(stop_syscall(tid), tid, 0);
		return;
	}
	log_signal(tid, sig);
	stop_signal(tid);
	resume(stop_other(tid), tid, sig);
}

/* __WNOTHREAD: the agents are children of another thread, and not ours to wait for. */
static pid_t next_event(int *status)
{
	pid_t tid;

	do
		tid = waitpid(-1, status, __WALL | __WNOTHREAD | WNOHANG);
	while (tid < 0 && errno == EINTR);
	return tid;
}

int loop_run(pid_t pid, bool every_call)
{
	sigset_t bell;
	int status, sig;

	main_pid = pid;
	sigemptyset(&bell);
	sigaddset(&bell, SIGCHLD);
	stop_start(every_call);
	for (;;) {
		pid_t tid = next_event(&status);

		if (tid < 0)
			return main_status;
		if (tid > 0 && WIFSTOPPED(status)) {
			task_seen(tid);
			handle_stop(tid, status);
		} else if (tid > 0) {
			task_gone(tid, status);
		}
		/* Every event of a task and every order of a worker leaves the signal pending: none is slept over. */
		if (!stop_apply() && !tid)
			sigwait(&bell, &sig);
	}
}
