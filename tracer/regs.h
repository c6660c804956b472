/* A stopped task's registers: the call it is in, and the call it is to do. x86-64. */
#ifndef TRACER_REGS_H
#define TRACER_REGS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/user.h>

/* Reads (writes) the registers of the stopped TID. 0 or a negative errno (-ESRCH: it was killed). */
int regs_read(pid_t tid, struct user_regs_struct *r);
int regs_write(pid_t tid, const struct user_regs_struct *r);

/* The call's number and six arguments. */
int regs_call(const struct user_regs_struct *r, uint64_t arg[6]);

/* At a call's entry: the kernel does NR with ARG instead. */
void regs_replace_call(struct user_regs_struct *r, int nr, const uint64_t arg[6]);

/* At a call's entry: the kernel does nothing, and RESULT (negative errno) is what the program gets. */
void regs_skip_call(struct user_regs_struct *r, long result);

/* At a call's exit: the program's syscall instruction is executed again, as NR with ARG. */
void regs_repeat_call(struct user_regs_struct *r, int nr, const uint64_t arg[6]);

/* Whether that is possible: the instruction before the stop of TID is still the one that made the call. */
bool regs_can_repeat(pid_t tid, const struct user_regs_struct *r);

/* At a call's exit: what the call answered. */
long regs_result(const struct user_regs_struct *r);
void regs_set_result(struct user_regs_struct *r, long result);

/* One of the kernel's own results: on the way back to the program it repeats the call or turns it into EINTR. */
bool regs_is_restart(long result);

#endif
