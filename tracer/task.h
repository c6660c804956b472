/*
 * What the ptrace thread knows of each task. It has a lock of its own, the innermost: the ptrace thread never
 * takes the state lock, because who holds that may be waiting for a task to get on.
 */
#ifndef TRACER_TASK_H
#define TRACER_TASK_H

#include <pthread.h>
#include <stdint.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct stop;

struct task {
	struct task *next;
	pid_t tid;
	int interruptible;    /* the last notified call, if a signal may end it in the kernel's own way, else -1 … */
	uint64_t interruptible_arg; /* … when its first argument is still this: a descriptor, mostly */
	long replace;      /* stop_replace: the result of its call REPLACE_NR, of which REPLACE_ARG is the first argument; 0: none */
	int replace_nr;
	uint64_t replace_arg;
	struct stop *stop; /* the call that is served at stops of the task, NULL when none */
	uint64_t files;    /* task_files, 0: not asked yet */
	bool files_left;   /* it may have left those it shared */
};

extern pthread_mutex_t task_mutex;

static inline void task_lock(void)
{
	pthread_mutex_lock(&task_mutex);
}

static inline void task_unlock(void)
{
	pthread_mutex_unlock(&task_mutex);
}

/* All functions want the task lock held. */

/* The task numbered TID, made if it was not known. */
struct task *task_get(pid_t tid);

/* The task, or NULL. */
struct task *task_find(pid_t tid);

void task_remove(pid_t tid);

/* Task OLD goes on as TID, whose own record must be gone. */
void task_rename(pid_t old, pid_t tid);

/*
 * A number for the descriptor table that TID uses (the kernel's owner of record locks), the same for all tasks that
 * share it, never 0 and never given again.
 */
uint64_t task_files(pid_t tid);

/* PARENT made CHILD: a thread, a process, or something in between. */
void task_cloned(pid_t parent, pid_t child);

/* TID may have a descriptor table of its own from now on (unshare, exec). */
void task_unshared(pid_t tid);

/* Calls VISIT for every task. */
void task_each(void (*visit)(const struct task *t, void *arg), void *arg);

/*
 * Calls VISIT for every descriptor that task TID has open, with the text of its link in /proc. Needs no lock; the
 * task may be any.
 */
typedef void task_fd_visitor(pid_t tid, int fd, const char *link, void *arg);
void task_each_fd(pid_t tid, task_fd_visitor *visit, void *arg);

/* Whether task TID has no number left below its RLIMIT_NOFILE, so that the kernel would say EMFILE. */
bool task_fds_full(pid_t tid);

/* Whether A and B have one table of descriptors, as threads have. */
bool task_share_fds(pid_t a, pid_t b);

/* Sends SIGKILL to every task. */
void task_kill_all(void);

#endif
