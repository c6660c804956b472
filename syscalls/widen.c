#include "widen.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "call.h"
#include "util.h"

/* Builds the program once. */
static int program_get(enum filter_message which, struct sock_fprog *program)
{
	static struct sock_fprog programs[FILTER_EVERY];
	int rc = programs[which].filter ? 0 : filter_build_added(which, &programs[which]);

	*program = programs[which];
	return rc;
}

/* PROGRAM at ADDR of the task, as seccomp(2) takes it. */
static int program_put(struct call *c, uint64_t addr, const struct sock_fprog *program)
{
	struct sock_fprog there = { .len = program->len, .filter = (struct sock_filter *)(addr + sizeof(there)) };
	int rc = call_write(c, addr, &there, sizeof(there));

	return rc ? rc : call_write(c, addr + sizeof(there), program->filter, program->len * sizeof(*program->filter));
}

static int install(struct call *c, uint64_t addr)
{
	long rc = call_inject(c, SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_SPEC_ALLOW, addr);

	/* It has changed its user since it was root's: without this its bytes would be lost. */
	if (rc == -EACCES && call_inject(c, SYS_prctl, PR_SET_NO_NEW_PRIVS, 1) == 0)
		rc = call_inject(c, SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_SPEC_ALLOW, addr);
	/* The number of a thread that has a filter of its own and cannot share: it is that thread's loss. */
	if (rc > 0)
		rc = call_inject(c, SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, addr);
	return (int)rc;
}

int widen(struct call *c, enum filter_message which)
{
	struct sock_fprog program;
	int rc;

	if (c->message == (unsigned long)which || c->message == FILTER_EVERY)
		return 0;
	rc = program_get(which, &program);
	if (rc)
		return rc;
	size_t size = sizeof(program) + program.len * sizeof(*program.filter);
	long addr = call_scratch(c, size);
	if (addr < 0)
		return (int)addr;
	rc = program_put(c, (uint64_t)addr, &program);
	rc = rc ? rc : install(c, (uint64_t)addr);
	call_inject(c, SYS_munmap, (uint64_t)addr, size);
	return rc;
}
