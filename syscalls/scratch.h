/* Memory in a task that the task knows nothing of, for what execve takes by pointer. */
#ifndef SYSCALLS_SCRATCH_H
#define SYSCALLS_SCRATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct call;

struct scratch {
	uint64_t addr; /* 0: none */
	size_t size;
	pid_t lender;       /* the parent whose memory it is in, when that is shared (vfork); else 0 */
	uint64_t cookie[2]; /* stands in front of it: that it is still there, and still ours */
};

/* At least SIZE bytes for C's task, which is stopped. 0 or a negative errno. */
int scratch_get(struct call *c, size_t size, struct scratch *s);

/*
 * S is not needed any more: the exec has FAILED, or it went well and the memory is gone with the old program; a
 * parent's stays, and is used again the next time.
 */
void scratch_done(struct call *c, const struct scratch *s, bool failed);

#endif
