#include "stop.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <unistd.h>

#include "call.h"
#include "elf.h"
#include "log.h"
#include "ofd.h"
#include "regs.h"
#include "state.h"
#include "task.h"
#include "util.h"
#include "worker.h"

enum phase {
	BEFORE,  /* stands where the program made its call: it has not been done */
	BEHIND,   /* stands behind a call that it has done for us, or instead of the program's */
	REPEATING, /* goes on to its syscall instruction: the next stop is an entry */
	INSIDE,    /* is in a call: the next stop is its exit */
};

enum wish {
	WISH_NONE,
	WISH_INJECT, /* do NR with ARG and tell the worker */
	WISH_FINISH, /* what RESULT stands for */
};

struct stop {
	struct job job;
	struct call call;
	struct user_regs_struct regs; /* as the program made its call */
	enum phase phase;
	bool last; /* the call that is being done is the program's, or what its handler made of it */
	bool over; /* … and it has been done: RESULT is its result */
	bool execed;
	bool dead;
	bool masked; /* signals wait until the injected calls are done; MASK is the program's */
	uint64_t mask;

	struct job order;
	bool posted;
	enum wish wish;
	int nr;
	uint64_t arg[6];
	long result;
	struct stop_install install;
	pthread_cond_t answered;
};

/* What workers want of the ptrace thread. */
static struct job *orders, **last_order = &orders;
static pthread_t ptrace_thread;

void stop_start(void)
{
	ptrace_thread = pthread_self();
}

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

/* The program goes on. */
static void end(struct stop *s, int request)
{
	struct task *t = task_find(s->call.tid);

	if (t && t->stop == s)
		t->stop = NULL;
	resume(s, request);
	pthread_cond_destroy(&s->answered);
	free(s);
}

static void end_with_result(struct stop *s, long result)
{
	struct user_regs_struct r = s->regs;

	if (s->execed) {
		end(s, PTRACE_CONT);
		return;
	}
	regs_set_result(&r, result);
	regs_write(s->call.tid, &r);
	release_signals(s);
	/*
	 * The kernel looks at restart codes only where it looks for signals, and the one we saw may have gone
	 * to another thread.
	 */
	if (regs_is_restart(result))
		ptrace(PTRACE_INTERRUPT, s->call.tid, 0, 0);
	end(s, PTRACE_CONT);
}

/* The call is not done, and RESULT is its result. */
static void skip(struct stop *s, long result)
{
	struct user_regs_struct r = s->regs;

	regs_skip_call(&r, result);
	regs_write(s->call.tid, &r);
	if (!regs_is_restart(result)) {
		end(s, PTRACE_CONT);
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
		end(s, PTRACE_CONT);
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
	for (; orders; any = true) {
		struct job *j = orders;

		orders = j->next;
		if (!orders)
			last_order = &orders;
		j->run(j);
	}
	task_unlock();
	return any;
}

static void serve(struct job *job);

/* The program's own call; NULL when the task was killed meanwhile. */
static struct stop *stop_new(pid_t tid)
{
	struct user_regs_struct r;

	if (regs_read(tid, &r) < 0)
		return NULL;
	struct stop *s = xcalloc(1, sizeof(*s));
	s->job.run = serve;
	s->order.run = obey;
	s->regs = r;
	s->install.src = -1;
	pthread_cond_init(&s->answered, NULL);
	s->call.stop = s;
	s->call.tid = tid;
	s->call.nr = regs_call(&r, s->call.arg);
	s->call.row = table_row(s->call.nr);
	s->call.start_ns = now_ns();
	s->call.expected = CALL_CONTINUE;
	return s;
}

int stop_seccomp(pid_t tid)
{
	int request = STOP_STAY;

	task_lock();
	struct task *t = task_get(tid);
	if (t->stop) {
		request = PTRACE_SYSCALL; /* ours: the filter has seen it again */
	} else {
		t->stop = stop_new(tid);
		if (t->stop)
			worker_submit(&t->stop->job);
	}
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
	int request = PTRACE_CONT;

	task_lock();
	struct task *t = task_find(tid);
	struct stop *s = t ? t->stop : NULL;
	if (s && s->phase == REPEATING) {
		s->phase = INSIDE;
		if (s->last)
			release_signals(s);
		request = PTRACE_SYSCALL;
	} else if (s && s->phase == INSIDE) {
		request = call_done(s);
	}
	task_unlock();
	return request;
}

int stop_other(pid_t tid)
{
	task_lock();
	struct task *t = task_find(tid);
	int request = t && t->stop ? PTRACE_SYSCALL : PTRACE_CONT;
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

/* ---- signals ---- */

/* Whether the filter notifies this call. */
static bool was_notified(const struct syscall_row *row, const uint64_t *args)
{
	if (row->class == CLASS_PATH || row->class == CLASS_ANY || row->class == CLASS_ANYFD || row->class == CLASS_LIMIT)
		return true;
	if (row->class != CLASS_FD && row->class != CLASS_FCNTL)
		return false;
	for (int i = 0; i < 6; i++)
		if (row->args[i] == A_FD && (int)args[i] >= FD_BASE && (int)args[i] < FD_TOP)
			return true;
	return false;
}

void stop_signal(pid_t tid)
{
	struct user_regs_struct r;
	uint64_t args[6];

	if (regs_read(tid, &r) < 0 || regs_result(&r) != -ERESTARTSYS)
		return;
	int nr = regs_call(&r, args);
	const struct syscall_row *row = table_row(nr);
	if (!row || !was_notified(row, args))
		return;
	task_lock();
	const struct task *t = task_find(tid);
	bool leave = t && (t->stop || t->interruptible == nr);
	task_unlock();
	if (leave)
		return;
	/* WAIT_KILLABLE_RECV holds from the moment we receive; before that the wait can be interrupted. */
	regs_set_result(&r, -ERESTARTNOINTR);
	regs_write(tid, &r);
}

/* ---- workers ---- */

static void post(struct job *order)
{
	order->next = NULL;
	*last_order = order;
	last_order = &order->next;
	/* It sleeps in sigwait: the kernel rings the same bell for the tasks. */
	pthread_kill(ptrace_thread, SIGCHLD);
}

static void wish(struct stop *s, enum wish what)
{
	s->wish = what;
	s->posted = true;
	post(&s->order);
}

struct interruption {
	struct job order;
	pid_t tid;
	bool done;
	pthread_cond_t told;
};

static void interrupt(struct job *order)
{
	struct interruption *i = (struct interruption *)((char *)order - offsetof(struct interruption, order));

	ptrace(PTRACE_INTERRUPT, i->tid, 0, 0);
	i->done = true;
	pthread_cond_signal(&i->told);
}

void stop_interrupt(pid_t tid)
{
	struct interruption i = { .order.run = interrupt, .tid = tid, .told = PTHREAD_COND_INITIALIZER };

	task_lock();
	post(&i.order);
	while (!i.done)
		pthread_cond_wait(&i.told, &task_mutex);
	task_unlock();
}

/* What the program gets of a call that the kernel has done. */
static long look_after(struct call *c, long result)
{
	if (!c->after)
		return result;
	state_lock();
	result = c->after(c, result);
	state_unlock();
	return result;
}

static void serve(struct job *job)
{
	struct stop *s = (struct stop *)((char *)job - offsetof(struct stop, job));
	struct call *c = &s->call;
	long result = s->over ? look_after(c, s->result) : call_dispatch(c);
	/* What the kernel will answer is logged when it has. */
	bool unknown = !s->over && (result == CALL_REWRITE || (result == CALL_CONTINUE && (c->after || s->phase == BEHIND)));

	if (!unknown)
		log_call(c, result == CALL_CONTINUE ? c->expected : result);
	task_lock();
	s->result = result;
	wish(s, WISH_FINISH);
	task_unlock();
}

long stop_inject(struct stop *s, int nr, const uint64_t arg[6])
{
	long result = -ESRCH;

	task_lock();
	if (!s->dead) {
		s->nr = nr;
		memcpy(s->arg, arg, sizeof(s->arg));
		wish(s, WISH_INJECT);
		while (s->wish == WISH_INJECT)
			pthread_cond_wait(&s->answered, &task_mutex);
		result = s->result;
	}
	task_unlock();
	return result;
}

long stop_install_fd(struct stop *s, int src, int at, bool cloexec)
{
	static const uint64_t none[6];

	task_lock();
	s->install = (struct stop_install){ .src = src, .at = at, .cloexec = cloexec };
	task_unlock();
	long rc = stop_inject(s, STOP_INSTALL_NR, none);
	task_lock();
	s->install.src = -1;
	task_unlock();
	return rc;
}

bool stop_valid(const struct stop *s)
{
	task_lock();
	bool valid = !s->dead;
	task_unlock();
	return valid;
}

bool stop_has(pid_t tid, struct stop_install *wanted)
{
	task_lock();
	const struct task *t = task_find(tid);
	bool found = t && t->stop;
	if (found)
		*wanted = t->stop->install;
	task_unlock();
	return found;
}
