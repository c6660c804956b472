#include "stop.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <unistd.h>

#include "call.h"
#include "elf.h"
#include "log.h"
#include "ofd.h"
#include "state.h"
#include "task.h"
#include "util.h"

static void rewrite(const struct call *c, struct user_regs_struct *regs)
{
	state_lock();
	struct task *t = task_get(c->tid);
	t->rewritten = true;
	t->first_arg = regs->rdi;
	state_unlock();
	regs->orig_rax = (unsigned long)c->rewrite_nr;
	regs->rdi = c->rewrite_arg0;
	ptrace(PTRACE_SETREGS, c->tid, 0, regs);
}

static void skip(const struct call *c, struct user_regs_struct *regs, long result)
{
	/* Number -1 makes the kernel skip the call and leave the result register alone. */
	regs->orig_rax = (unsigned long)-1;
	regs->rax = (unsigned long)result;
	ptrace(PTRACE_SETREGS, c->tid, 0, regs);
}

bool stop_syscall(pid_t tid)
{
	struct user_regs_struct regs;

	if (ptrace(PTRACE_GETREGS, tid, 0, &regs) < 0)
		return false;
	struct call c = { .row = table_row((int)regs.orig_rax),
			  .nr = (int)regs.orig_rax,
			  .tid = tid,
			  .start_ns = now_ns(),
			  .expected = CALL_CONTINUE,
			  .arg = { regs.rdi, regs.rsi, regs.rdx, regs.r10, regs.r8, regs.r9 } };
	long result = call_dispatch(&c);

	if (result == CALL_REWRITE) {
		rewrite(&c, &regs);
		return true;
	}
	log_call(&c, result);
	if (result != CALL_CONTINUE)
		skip(&c, &regs, result);
	return false;
}

void stop_syscall_exit(pid_t tid)
{
	struct user_regs_struct regs;

	state_lock();
	struct task *t = task_find(tid);
	bool rewritten = t && t->rewritten;
	uint64_t first = rewritten ? t->first_arg : 0;
	if (rewritten)
		t->rewritten = false;
	state_unlock();
	/* Compilers may count on argument registers surviving a syscall. */
	if (rewritten && ptrace(PTRACE_GETREGS, tid, 0, &regs) == 0) {
		regs.rdi = first;
		ptrace(PTRACE_SETREGS, tid, 0, &regs);
	}
}

#define ERESTARTNOINTR 513

/* Whether the filter notifies this call. */
static bool was_notified(const struct syscall_row *row, const uint64_t *args)
{
	if (row->class == CLASS_PATH || row->class == CLASS_ANYFD || row->class == CLASS_LIMIT)
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
	struct user_regs_struct regs;

	if (ptrace(PTRACE_GETREGS, tid, 0, &regs) < 0 || (long)regs.rax != -ERESTARTSYS)
		return;
	const uint64_t args[6] = { regs.rdi, regs.rsi, regs.rdx, regs.r10, regs.r8, regs.r9 };
	const struct syscall_row *row = table_row((int)regs.orig_rax);
	if (!row || !was_notified(row, args))
		return;
	state_lock();
	const struct task *t = task_find(tid);
	bool interruptible = t && t->interruptible == (int)regs.orig_rax;
	state_unlock();
	if (interruptible)
		return;
	/* WAIT_KILLABLE_RECV holds from the moment we receive; before that the wait can be interrupted. */
	regs.rax = (unsigned long)-ERESTARTNOINTR;
	ptrace(PTRACE_SETREGS, tid, 0, &regs);
}

void stop_exec_done(pid_t tid)
{
	char link[64];
	struct elf_info info;

	state_lock();
	struct task *t = task_find(tid);
	if (t)
		t->cwd_fd = 0; /* it was close-on-exec */
	state_unlock();
	if (!log_active())
		return;
	snprintf(link, sizeof(link), "/proc/%d/exe", (int)tid);
	CLEANUP_FD int fd = open(link, O_RDONLY | O_CLOEXEC);
	if (fd >= 0 && elf_classify(fd, &info) == 0)
		log_line(tid, "program: %s", elf_describe(&info));
}
