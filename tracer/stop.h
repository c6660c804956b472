/* Calls that are trapped by a ptrace stop (CLASS_TRACE), because their arguments may be rewritten. */
#ifndef TRACER_STOP_H
#define TRACER_STOP_H

#include <stdbool.h>
#include <sys/types.h>

/* Task TID stands at a seccomp stop: runs the call's handler. True when its syscall-exit stop is wanted too. */
bool stop_syscall(pid_t tid);

/* Task TID stands at a syscall-exit stop that was asked for. */
void stop_syscall_exit(pid_t tid);

/*
 * Task TID stands at a signal. If it took back a trapped call that nobody had received yet, the call is made
 * again afterwards, handler or not: file calls are not interrupted by signals.
 */
void stop_signal(pid_t tid);

/* Task TID has a new program. */
void stop_exec_done(pid_t tid);

#endif
