#include "task.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/kcmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

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

bool task_share_fds(pid_t a, pid_t b)
{
	return a == b || syscall(SYS_kcmp, a, b, KCMP_FILES, 0, 0) == 0;
}

struct files_search { struct task *task; uint64_t files; };

/* Takes the number of a task that shares its table; one that T had before must be kept, or be no longer shared. */
static void find_files(const struct task *t, void *arg)
{
	struct files_search *s = arg;

	if (t != s->task && t->files && !s->files && (!s->task->files || t->files == s->task->files) &&
	    task_share_fds(t->tid, s->task->tid))
		s->files = t->files;
}

struct files_users { const struct task *task; bool any; };

static void find_users(const struct task *t, void *arg)
{
	struct files_users *u = arg;

	u->any |= t != u->task && t->files == u->task->files;
}

uint64_t task_files(pid_t tid)
{
	static uint64_t last;
	struct files_search s = { .task = task_get(tid) };
	struct files_users u = { .task = s.task };

	if (s.task->files && !s.task->files_left)
		return s.task->files;
	s.task->files_left = false;
	task_each(find_files, &s);
	if (!s.files && s.task->files)
		task_each(find_users, &u); /* alone with it: unshare(2) and exec leave the table as it is then */
	if (s.files)
		s.task->files = s.files;
	else if (!s.task->files || u.any)
		s.task->files = ++last;
	return s.task->files;
}

void task_cloned(pid_t parent, pid_t child)
{
	if (task_share_fds(parent, child))
		task_get(child)->files = task_files(parent);
}

void task_unshared(pid_t tid)
{
	task_get(tid)->files_left = true;
}

void task_each(void (*visit)(const struct task *t, void *arg), void *arg)
{
	for (size_t i = 0; i < BUCKETS; i++)
		for (const struct task *t = tasks[i]; t; t = t->next)
			visit(t, arg);
}

void task_each_fd(pid_t tid, task_fd_visitor *visit, void *arg)
{
	char path[64], link[PATH_MAX];

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)tid);
	DIR *dir = opendir(path);
	for (struct dirent *e; dir && (e = readdir(dir));) {
		ssize_t n = readlinkat(dirfd(dir), e->d_name, link, sizeof(link) - 1);

		if (n < 0)
			continue;
		link[n] = '\0';
		visit(tid, atoi(e->d_name), link, arg);
	}
	if (dir)
		closedir(dir);
}

struct fds { int limit, open; };

static void count_below(pid_t tid, int fd, const char *link, void *arg)
{
	struct fds *f = arg;

	(void)tid;
	(void)link;
	f->open += fd < f->limit;
}

bool task_fds_full(pid_t tid)
{
	struct rlimit r;
	char last[64];

	if (prlimit(tid, RLIMIT_NOFILE, NULL, &r) < 0 || r.rlim_cur > INT_MAX)
		return false;
	/* Numbers are given from below: the last one tells nearly always. */
	snprintf(last, sizeof(last), "/proc/%d/fd/%d", (int)tid, (int)r.rlim_cur - 1);
	if (r.rlim_cur && faccessat(AT_FDCWD, last, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		return false;
	struct fds f = { .limit = (int)r.rlim_cur };
	task_each_fd(tid, count_below, &f);
	return f.open >= f.limit;
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
