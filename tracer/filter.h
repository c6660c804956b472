/* The seccomp filter, generated from the syscall table. */
#ifndef TRACER_FILTER_H
#define TRACER_FILTER_H

#include <linux/filter.h>
#include <stdbool.h>
#include <stdint.h>

#include "table.h"

/*
 * Builds the program for the table and the range FD_BASE..FD_TOP. The caller frees PROGRAM->filter.
 * 0 or a negative errno.
 */
int filter_build(struct sock_fprog *program);

/* The message of a seccomp stop at a call of another architecture (int 0x80). */
#define FILTER_FOREIGN 2

/*
 * Installs PROGRAM on the calling thread. With NOTIFY emulated calls are notified, and the result is the
 * listener; else they are ptrace stops, and it is 0. A negative errno: -EBUSY when a filter above has a
 * listener, -EINVAL when the kernel has no user notification (no filters at all). Changes PROGRAM;
 * async-signal-safe.
 */
int filter_install(const struct sock_fprog *program, bool notify);

/* Whether the call of ROW (NULL: not in the table) with ARG is trapped, in whatever way. */
bool filter_traps(const struct syscall_row *row, const uint64_t arg[6]);

#endif
