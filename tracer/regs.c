#include "regs.h"

#include <errno.h>
#include <sys/ptrace.h>

#include "call.h"

#define SYSCALL_SIZE 2 /* the instruction: 0f 05 */

int regs_read(pid_t tid, struct user_regs_struct *r)
{
	return ptrace(PTRACE_GETREGS, tid, 0, r) < 0 ? -errno : 0;
}

int regs_write(pid_t tid, const struct user_regs_struct *r)
{
	return ptrace(PTRACE_SETREGS, tid, 0, r) < 0 ? -errno : 0;
}

int regs_call(const struct user_regs_struct *r, uint64_t arg[6])
{
	const uint64_t found[6] = { r->rdi, r->rsi, r->rdx, r->r10, r->r8, r->r9 };

	for (int i = 0; i < 6; i++)
		arg[i] = found[i];
	return (int)r->orig_rax;
}

static void set_arguments(struct user_regs_struct *r, const uint64_t arg[6])
{
	r->rdi = arg[0];
	r->rsi = arg[1];
	r->rdx = arg[2];
	r->r10 = arg[3];
	r->r8 = arg[4];
	r->r9 = arg[5];
}

void regs_replace_call(struct user_regs_struct *r, int nr, const uint64_t arg[6])
{
	r->orig_rax = (unsigned long)nr;
	set_arguments(r, arg);
}

void regs_skip_call(struct user_regs_struct *r, long result)
{
	/* Number -1 makes the kernel skip the call and leave the result register alone. */
	r->orig_rax = (unsigned long)-1;
	r->rax = (unsigned long)result;
}

void regs_repeat_call(struct user_regs_struct *r, int nr, const uint64_t arg[6])
{
	r->rip -= SYSCALL_SIZE;
	r->rax = (unsigned long)nr;
	/* Not in a call: a stop signal on the way to the instruction must not make the kernel restart one. */
	r->orig_rax = (unsigned long)-1;
	set_arguments(r, arg);
}

bool regs_can_repeat(pid_t tid, const struct user_regs_struct *r)
{
	errno = 0;
	long word = ptrace(PTRACE_PEEKTEXT, tid, r->rip - SYSCALL_SIZE, 0);

	return !errno && (word & 0xffff) == 0x050f;
}

long regs_result(const struct user_regs_struct *r)
{
	return (long)r->rax;
}

void regs_set_result(struct user_regs_struct *r, long result)
{
	r->rax = (unsigned long)result;
}

bool regs_is_restart(long result)
{
	return result == -ERESTARTSYS || result == -ERESTARTNOINTR || result == -ERESTARTNOHAND ||
	       result == -ERESTART_RESTARTBLOCK;
}
