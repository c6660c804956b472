#include "task.h"

#include <signal.h>
#include <stdlib.h>

#include "util.h"

#define BUCKETS 256

pthread_mutex_t task_mutex = PTHREAD_MUTEX_INITIALIZER;

static struct task *tasks[BUCKETS];

static struct task **task_slot(pid_t tid)
{
	struct task **t = &tasks[(unsigned)tid % BUCKETS];

	while (*t && (*t)->tid != tid)
		t = &(*t)->next;
	return t;
}

struct task *task_find(pid_t tid)
{
	return *task_slot(tid);
}

struct task *task_get(pid_t tid)
{
	struct task **t = task_slot(tid);

	if (!*t) {
		*t = xcalloc(1, sizeof(**t));
		(*t)->tid = tid;
		(*t)->interruptible = -1;
	}
	return *t;
}

void task_remove(pid_t tid)
{
	struct task **slot = task_slot(tid);
	struct task *t = *slot;

	if (!t)
		return;
	*slot = t->next;
	free(t);
}

void task_rename(pid_t old, pid_t tid)
{
	struct task **slot = task_slot(old);
	struct task *t = *slot;

	if (!t)
		return;
	*slot = t->next;
	t->tid = tid;
	t->next = NULL;
	*task_slot(tid) = t;
}

void task_each(void (*visit)(const struct task *t, void *arg), void *arg)
{
	for (size_t i = 0; i < BUCKETS; i++)
		for (const struct task *t = tasks[i]; t; t = t->next)
			visit(t, arg);
}

static void kill_task(const struct task *t, void *arg)
{
	(void)arg;
	kill(t->tid, SIGKILL);
}

void task_kill_all(void)
{
	task_each(kill_task, NULL);
}
