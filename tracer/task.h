/* What the ptrace thread knows of each task. Wants the state lock held. */
#ifndef TRACER_TASK_H
#define TRACER_TASK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "place.h"

struct task {
	struct task *next;
	pid_t tid;
	int interruptible;     /* the last trapped call, if a signal may end it in the kernel's own way, else -1 */
	bool rewritten;        /* its syscall-exit stop is due: then FIRST_ARG goes back into its register */
	uint64_t first_arg;
	struct place *pending; /* where the path of pending_nr leads, which is being done as fchdir(pending_fd) */
	int pending_nr;
	int pending_fd;
	int cwd_fd;            /* the descriptor the last such chdir left behind, 0: none … */
	uint64_t cwd_key;      /* … and the placeholder it was */
};

/* The task numbered TID, made if it was not known. */
struct task *task_get(pid_t tid);

/* The task, or NULL. */
struct task *task_find(pid_t tid);

void task_remove(pid_t tid);

/* Calls VISIT for every task. */
void task_each(void (*visit)(const struct task *t, void *arg), void *arg);

/* Sends SIGKILL to every task. */
void task_kill_all(void);

#endif
