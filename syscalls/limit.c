/*
 * RLIMIT_NOFILE as the program sees it: it starts with the range of emulated descriptors inside, and what it sets
 * is shown to it again, but the real limit stays, or those descriptors could not be handed out.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "call.h"
#include "handlers.h"
#include "limit.h"
#include "ofd.h"
#include "util.h"

struct process_limit {
	struct process_limit *next;
	pid_t pid;
	struct rlimit limit;
};

static struct rlimit initial;
static struct process_limit *limits; /* of processes that set one, and their children */

void limit_init(const struct rlimit *original)
{
	initial = *original;
	if (initial.rlim_max > (rlim_t)FD_TOP)
		initial.rlim_max = (rlim_t)FD_TOP;
	/* Above every descriptor that open gives: glibc's posix_spawn refuses to dup2 one beyond the limit. */
	initial.rlim_cur = initial.rlim_max;
}

static struct process_limit *find(pid_t pid)
{
	struct process_limit *l = limits;

	while (l && l->pid != pid)
		l = l->next;
	return l;
}

/* Process numbers come round again. */
static void forget_dead(void)
{
	for (struct process_limit **l = &limits; *l;) {
		struct process_limit *next = (*l)->next;

		if (kill((*l)->pid, 0) < 0 && errno == ESRCH) {
			free(*l);
			*l = next;
		} else {
			l = &(*l)->next;
		}
	}
}

static void set(pid_t pid, const struct rlimit *limit)
{
	forget_dead();
	struct process_limit *l = find(pid);

	if (!l) {
		l = xcalloc(1, sizeof(*l));
		l->pid = pid;
		l->next = limits;
		limits = l;
	}
	l->limit = *limit;
}

/* A process that set none has its parent's. */
static struct rlimit current(pid_t pid)
{
	const struct process_limit *l = NULL;

	for (pid_t p = pid; limits && !l && p > 1; p = call_parent_of(p))
		l = find(p);
	return l ? l->limit : initial;
}

static long limit_common(struct call *c, pid_t pid, uint64_t new_addr, uint64_t old_addr)
{
	struct rlimit now, new;

	if (fd_all_trapped())
		return CALL_CONTINUE;
	now = current(pid);

	if (new_addr) {
		if (call_read(c, new_addr, &new, sizeof(new)) < 0)
			return CALL_CONTINUE;
		if (new.rlim_cur > new.rlim_max)
			return -EINVAL;
		if (new.rlim_max > now.rlim_max)
			return -EPERM; /* even with the right to: what is above is not for the program */
	}
	if (old_addr && call_write(c, old_addr, &now, sizeof(now)) < 0)
		return -EFAULT;
	if (new_addr)
		set(pid, &new);
	return 0;
}

long sys_getrlimit(struct call *c)
{
	return c->arg[1] ? limit_common(c, call_process(c), 0, c->arg[1]) : CALL_CONTINUE;
}

long sys_setrlimit(struct call *c)
{
	return c->arg[1] ? limit_common(c, call_process(c), c->arg[1], 0) : CALL_CONTINUE;
}

long sys_prlimit64(struct call *c)
{
	pid_t self = call_process(c), pid = c->arg[0] ? (pid_t)c->arg[0] : self;

	/* Another process's limit is shown by the kernel if it is none of ours. */
	if (pid != self && !find(pid))
		return CALL_CONTINUE;
	return limit_common(c, pid, c->arg[2], c->arg[3]);
}
