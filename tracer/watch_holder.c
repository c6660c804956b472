#include <linux/kcmp.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "task.h"
#include "watch_int.h"

bool instance_is(const struct instance *i, pid_t pid, int fd)
{
	return syscall(SYS_kcmp, getpid(), pid, KCMP_FILE, (unsigned long)i->fd, (unsigned long)fd) == 0;
}

static void look_at_fd(pid_t tid, int fd, const char *link, void *arg)
{
	struct instance *i = arg;

	if (strcmp(link, "anon_inode:inotify") || !instance_is(i, tid, fd))
		return;
	i->holder = tid;
	i->holder_fd = fd;
	i->missing_since = 0;
}

static void look_at_task(const struct task *t, void *arg)
{
	const struct instance *i = arg;

	if (i->missing_since)
		task_each_fd(t->tid, look_at_fd, arg);
}

void instance_look(struct instance *i, uint64_t now)
{
	i->checked = now;
	if (instance_is(i, i->holder, i->holder_fd)) {
		i->missing_since = 0;
		return;
	}
	uint64_t since = i->missing_since ? i->missing_since : now;
	i->missing_since = since;
	task_lock();
	task_each(look_at_task, i);
	task_unlock();
}
