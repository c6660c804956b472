/*
 * Calls that are trapped by ptrace stops. The task stands still while a worker serves its call like a
 * notified one; the worker may wait for the agent, and it may have the task do other calls first
 * (call_inject): these are done with the program's own syscall instruction, through registers alone, nothing
 * is written to its memory.
 *
 * A stop belongs to the worker while the task stands, and to the ptrace thread while the task runs. Only the
 * ptrace thread may make ptrace requests, so workers post what they want and ring.
 */
#ifndef TRACER_STOP_H
#define TRACER_STOP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct stop;

/* ---- for the ptrace thread ---- */

/* A stopped task is left standing: a worker has its call. No ptrace request has this value. */
#define STOP_STAY (-1)

/*
 * From now on the calling thread is the one that stop_apply is called by, and that workers ring. EVERY: no
 * seccomp filter traps calls, so all of them stop.
 */
void stop_start(bool every);

/* Does what workers have posted. False when there was nothing. */
bool stop_apply(void);

/*
 * Task TID stands at a seccomp stop; at a syscall entry or exit; at another stop. The ptrace request to
 * resume it with, or STOP_STAY.
 */
int stop_seccomp(pid_t tid);
int stop_syscall(pid_t tid);
int stop_other(pid_t tid);

/*
 * Task TID stands at a signal. If it took back a trapped call that nobody had received yet, the call is made
 * again afterwards, handler or not: file calls are not interrupted by signals.
 */
void stop_signal(pid_t tid);

/* Task TID, which was OLD (the same but for an exec from a thread), has a new program. */
void stop_exec_done(pid_t tid, pid_t old);

/* Task TID stands at any stop: see stop_replace. */
void stop_put_result(pid_t tid);

/* Task TID is gone. */
void stop_task_gone(pid_t tid);

/* ---- for workers ---- */

/*
 * Makes the task do NR with ARG and waits for it, without the state lock. Its result, a negative errno
 * included; -ESRCH when the task is gone, -EFAULT when its syscall instruction is.
 */
long stop_inject(struct stop *s, int nr, const uint64_t arg[6]);

/* As call_install_fd, by a notified call that the task is made to do. */
long stop_install_fd(struct stop *s, int src, int at, bool cloexec);

/* False once the task is gone. */
bool stop_valid(const struct stop *s);

/*
 * TID, which waits in a notified call, will look for signals on its way back to the program: only there does
 * the kernel take a restart code as one. Waits for the ptrace thread.
 */
void stop_interrupt(pid_t tid);

/*
 * TID, which waits in call NR with first argument ARG, gets RESULT when the kernel, which is about to be told to do the call,
 * returns 0.
 */
void stop_replace(pid_t tid, int nr, uint64_t arg, long result);

/* A number that no kernel has and the filter notifies: ADDFD needs a notification. */
#define STOP_INSTALL_NR 4095

/* What a notified STOP_INSTALL_NR has to install: as for call_install_fd. */
struct stop_install {
	int src; /* -1: nothing */
	int at;
	bool cloexec;
};

/* Whether TID, which has made a notified call, makes it for us: then there is nothing to be emulated. */
bool stop_has(pid_t tid, struct stop_install *wanted);

#endif
