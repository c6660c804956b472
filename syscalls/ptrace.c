/* ptrace: a task has one tracer, which is us, so the kernel refuses another. Here it is only said why. */
#include <sys/ptrace.h>
#include <unistd.h>

#include "call.h"
#include "handlers.h"
#include "log.h"

static bool wants_tracer(const struct call *c)
{
	switch (c->arg[0]) {
	case PTRACE_TRACEME:
		return true;
	case PTRACE_ATTACH:
	case PTRACE_SEIZE:
		return call_tracer_of((pid_t)c->arg[1]) == getpid(); /* also of a child that nobody here has heard of yet */
	default:
		return false;
	}
}

long sys_ptrace(struct call *c)
{
	static bool told; /* strace tries three times */

	if (!wants_tracer(c))
		return CALL_CONTINUE;
	c->note = "refused";
	if (!told)
		log_error("process %d: ptrace refused: a process has one tracer, and here that is remotefs-trace: -v shows the calls; debug the program without it",
			  (int)c->tid);
	told = true;
	return CALL_CONTINUE;
}
