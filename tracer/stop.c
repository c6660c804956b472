#include "stop.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <unistd.h>

#include "elf.h"
#include "filter.h"
#include "locks.h"
#include "log.h"
#include "notify.h"
#include "stop_int.h"
#include "task.h"
#include "util.h"

/* ---- the ptrace thread; the task lock is held ---- */

/* ESRCH: the task was killed meanwhile; its death is the next thing reported. */
static void resume(const struct stop *s, int request)
{
	ptrace(request, s->call.tid, 0, 0L);
}

#define KERNEL_SIGSET_SIZE 8L

/* A signal handler must not run with the registers of an injected call. SIGSTOP and SIGKILL touch none. */
static void hold_signals(struct stop *s)
{
	const uint64_t all = ~UINT64_C(0);

	if (!s->masked && ptrace(PTRACE_GETSIGMASK, s->call.tid, KERNEL_SIGSET_SIZE, &s->mask) == 0)
		s->masked = ptrace(PTRACE_SETSIGMASK, s->call.tid, KERNEL_SIGSET_SIZE, &all) == 0;
}

static void release_signals(struct stop *s)
{
	if (s->masked)
		ptrace(PTRACE_SETSIGMASK, s->call.tid, KERNEL_SIGSET_SIZE, &s->mask);
	s->masked = false;
}

/* The task goes on into NR. */
static int begin(struct stop *s, int nr, const uint64_t arg[6])
{
	struct user_regs_struct r = s->regs;

	if (s->phase == BEFORE) {
		regs_replace_call(&r, nr, arg);
		s->phase = INSIDE;
	} else if (!s->execed && regs_can_repeat(s->call.tid, &r)) {
		hold_signals(s);
		regs_repeat_call(&r, nr, arg);
		s->phase = REPEATING;
	} else {
		return -EFAULT;
	}
	regs_write(s->call.tid, &r);
	resume(s, PTRACE_SYSCALL);
	return 0;
}

static void answer_injected(struct stop *s, long result)
{
	s->wish = WISH_NONE;
	s->result = result;
	pthread_cond_signal(&s->answered);
}

static void inject(struct stop *s)
{
	hold_signals(s);
	s->last = false;
	int rc = begin(s, s->nr, s->arg);
	if (rc < 0)
		answer_injected(s, rc);
}

static void hand_over(struct stop *s, long result)
{
	s->over = true;
	s->result = result;
	worker_submit(&s->job);
}

/* No filter picks the calls that stop: all do. */
static bool every_call;

void stop_start(bool every)
{
	every_call = every;
	stop_hear_workers();
}

/* The request that a task is resumed with outside of trapped calls. */
static int go_on(void)
{
	return every_call ? PTRACE_SYSCALL : PTRACE_CONT;
}

/* The program goes on. */
static void end(struct stop *s)
{
	struct task *t = task_find(s->call.tid);

	if (t && t->stop == s)
		t->stop = NULL;
	resume(s, go_on());
	pthread_cond_destroy(&s->answered);
	free(s);
}

static void end_with_result(struct stop *s, long result)
{
	struct user_regs_struct r = s->regs;

	if (s->execed) {
		end(s);
		return;
	}
	regs_set_result(&r, result);
	regs_write(s->call.tid, &r);
	/*
	 * The kernel looks at restart codes only where it looks for signals, and the one we saw may have gone
	 * to another thread.
	 */
	if (regs_is_restart(result))
		ptrace(PTRACE_INTERRUPT, s->call.tid, 0, 0);
	end(s);
}

/* The call is not done, and RESULT is its result. */
static void skip(struct stop *s, long result)
{
	struct user_regs_struct r = s->regs;

	regs_skip_call(&r, result);
	regs_write(s->call.tid, &r);
	if (!regs_is_restart(result)) {
		end(s);
		return;
	}
	/* In a skipped call the kernel restarts nothing: the result is put where the call was done. */
	s->phase = INSIDE;
	s->last = s->over = true;
	resume(s, PTRACE_SYSCALL);
}

static void finish(struct stop *s)
{
	const struct call *c = &s->call;
	bool rewritten = s->result == CALL_REWRITE, kernels = rewritten || s->result == CALL_CONTINUE;

	s->wish = WISH_NONE;
	if (kernels && s->phase == BEFORE && !rewritten && !c->after) {
		end(s);
	} else if (kernels) {
		s->last = true;
		/* Its instruction was taken away while it stood: this is what executing it comes to. */
		if (begin(s, rewritten ? c->rewrite_nr : c->nr, rewritten ? c->rewrite_arg : c->arg) < 0)
			hand_over(s, -EFAULT);
	} else if (s->phase == BEFORE) {
		skip(s, s->result);
	} else {
		end_with_result(s, s->result);
	}
}

/* What was wished of a task that is gone. */
static void finish_dead(struct stop *s)
{
	if (s->wish == WISH_INJECT) {
		answer_injected(s, -ESRCH);
	} else if (!s->over && s->call.after && (s->result == CALL_CONTINUE || s->result == CALL_REWRITE)) {
		s->wish = WISH_NONE;
		hand_over(s, -ESRCH);
	} else {
		pthread_cond_destroy(&s->answered);
		free(s);
	}
}

static void obey(struct job *order)
{
	struct stop *s = (struct stop *)((char *)order - offsetof(struct stop, order));

	s->posted = false;
	if (s->dead)
		finish_dead(s);
	else if (s->wish == WISH_INJECT)
		inject(s);
	else
		finish(s);
}

bool stop_apply(void)
{
	bool any = false;

	task_lock();
	for (struct job *j; (j = stop_next_order()); any = true)
		j->run(j);
	task_unlock();
	return any;
}

/* The program's own call; NULL when the task was killed meanwhile. */
static struct stop *stop_new(pid_t tid, unsigned long message)
{
	struct user_regs_struct r;

	if (regs_read(tid, &r) < 0)
		return NULL;
	struct stop *s = xcalloc(1, sizeof(*s));
	s->job.run = stop_serve;
	s->order.run = obey;
	s->regs = r;
	s->install.src = -1;
	pthread_cond_init(&s->answered, NULL);
	s->call.stop = s;
	s->call.message = message;
	s->call.tid = tid;
	s->call.nr = regs_call(&r, s->call.arg);
	s->call.foreign = message == FILTER_FOREIGN;
	s->call.row = s->call.foreign ? NULL : table_row(s->call.nr);
	s->call.start_ns = now_ns();
	s->call.expected = CALL_CONTINUE;
	return s;
}

/* T is at the entry of a call that is emulated. */
static int trap(struct task *t, unsigned long message)
{
	t->stop = stop_new(t->tid, message);
	if (t->stop)
		worker_submit(&t->stop->job);
	return STOP_STAY;
}

/* What the filter would have done, where there is none. */
static int pick(struct task *t)
{
	struct __ptrace_syscall_info info;

	long rc = ptrace(PTRACE_GET_SYSCALL_INFO, t->tid, sizeof(info), &info);

	if (rc < 0 && errno == EIO)
		die("cannot trap system calls: the kernel has neither seccomp filters nor PTRACE_GET_SYSCALL_INFO (Linux 5.3)");
	if (rc < 0 || info.op != PTRACE_SYSCALL_INFO_ENTRY)
		return go_on();
	if (info.arch != AUDIT_ARCH_X86_64)
		return trap(t, FILTER_FOREIGN);
	const struct syscall_row *row = table_row((int)info.entry.nr);
	uint64_t arg[6];
	for (int i = 0; i < 6; i++)
		arg[i] = info.entry.args[i];
	if (!row || row->class != CLASS_NOSYS)
		return filter_traps(row, arg, true) ? trap(t, FILTER_EVERY) : go_on();
	struct stop *s = stop_new(t->tid, FILTER_EVERY);
	if (s)
		skip(s, -ENOSYS);
	return STOP_STAY;
}

int stop_seccomp(pid_t tid)
{
	unsigned long message = 0;

	ptrace(PTRACE_GETEVENTMSG, tid, 0, &message);
	task_lock();
	struct task *t = task_get(tid);
	/* Ours, when the filter sees it again. */
	int request = t->stop ? PTRACE_SYSCALL : trap(t, message);
	task_unlock();
	return request;
}

/* The exit of the call that S's task was in. The request to resume it with. */
static int call_done(struct stop *s)
{
	struct user_regs_struct r;

	if (regs_read(s->call.tid, &r) < 0)
		return STOP_STAY;
	long result = regs_result(&r);
	s->phase = BEHIND;
	/* Who serves the call may want to know which signals would end it. */
	release_signals(s);
	if (s->last && s->over)
		end_with_result(s, s->result);
	else if (s->last)
		hand_over(s, s->execed ? 0 : result);
	else if (regs_is_restart(result)) /* by a SIGSTOP: nothing else gets through */
		inject(s);
	else
		answer_injected(s, result);
	return STOP_STAY;
}

int stop_syscall(pid_t tid)
{
	int request = go_on();

	task_lock();
	struct task *t = task_get(tid);
	struct stop *s = t->stop;
	if (!s) {
		request = every_call ? pick(t) : PTRACE_CONT;
	} else if (s->phase == REPEATING) {
		s->phase = INSIDE;
		if (s->last)
			release_signals(s);
		request = PTRACE_SYSCALL;
	} else if (s->phase == INSIDE) {
		request = call_done(s);
	}
	task_unlock();
	return request;
}

int stop_other(pid_t tid)
{
	task_lock();
	struct task *t = task_find(tid);
	int request = t && t->stop ? PTRACE_SYSCALL : go_on();
	task_unlock();
	return request;
}

static void abandon(struct task *t)
{
	struct stop *s = t->stop;

	if (!s)
		return;
	t->stop = NULL;
	s->dead = true;
	/* What is posted is seen to when its turn comes; at a stop it is the worker's. */
	if (s->posted || s->phase == BEFORE || s->phase == BEHIND)
		return;
	if (s->last)
		s->result = CALL_CONTINUE;
	finish_dead(s);
}

void stop_task_gone(pid_t tid)
{
	task_lock();
	struct task *t = task_find(tid);
	if (t)
		abandon(t);
	task_remove(tid);
	task_unlock();
	locks_check_soon();
}

static void tell_program(pid_t tid)
{
	char link[64];
	struct elf_info info;

	snprintf(link, sizeof(link), "/proc/%d/exe", (int)tid);
	CLEANUP_FD int fd = open(link, O_RDONLY | O_CLOEXEC);
	if (fd >= 0 && elf_classify(fd, &info) == 0)
		log_line(tid, "program: %s", elf_describe(&info));
}

void stop_exec_done(pid_t tid, pid_t old)
{
	/* The thread takes the number of its process, whose first thread has gone without a word. */
	if (old != tid)
		stop_task_gone(tid);
	task_lock();
	if (old != tid)
		task_rename(old, tid);
	struct task *t = task_find(tid);
	if (t && t->stop) {
		t->stop->execed = true;
		t->stop->call.tid = tid;
	}
	task_unlock();
	if (log_active())
		tell_program(tid);
}

void stop_put_result(pid_t tid)
{
	struct user_regs_struct r;
	uint64_t args[6];

	task_lock();
	struct task *t = task_find(tid);
	long result = t ? t->replace : 0;
	if (result) {
		t->replace = 0;
		if (regs_read(tid, &r) == 0 && regs_call(&r, args) == t->replace_nr && args[0] == t->replace_arg && !regs_result(&r)) {
			regs_set_result(&r, result);
			regs_write(tid, &r);
		}
	}
	task_unlock();
}

/* ---- signals ---- */

void stop_signal(pid_t tid)
{
	struct user_regs_struct r;
	uint64_t args[6];

	if (!notify_active() || regs_read(tid, &r) < 0 || regs_result(&r) != -ERESTARTSYS)
		return;
	int nr = regs_call(&r, args);
	const struct syscall_row *row = table_row(nr);
	if (!row || filter_stops(row) || !filter_traps(row, args, false))
		return;
	task_lock();
	const struct task *t = task_find(tid);
	bool leave = t && (t->stop || (t->interruptible == nr && t->interruptible_arg == args[0]));
	task_unlock();
	if (leave)
		return;
	/* WAIT_KILLABLE_RECV holds from the moment we receive; before that the wait can be interrupted. */
	regs_set_result(&r, -ERESTARTNOINTR);
	regs_write(tid, &r);
}
