/* The seccomp filter, generated from the syscall table. */
#ifndef TRACER_FILTER_H
#define TRACER_FILTER_H

#include <linux/filter.h>
#include <stdbool.h>
#include <stdint.h>

#include "table.h"

/* The message of a ptrace stop at a call, if there is more to tell than that it is trapped. */
enum filter_message {
	FILTER_FOREIGN = 2, /* a call of another architecture (int 0x80) */
	/*
	 * A filter that tasks get besides when they first need it, for good, and their threads and children with
	 * them. Where one could be needed again a call stops with its number: nobody has to remember who has it.
	 */
	FILTER_PASSING, /* stops at CLASS_PASSING */
	FILTER_LOW,     /* stops at CLASS_FD, CLASS_FCNTL and CLASS_DUP on numbers below FD_BASE */
	FILTER_EVERY,   /* every call stops: none of them is needed */
};

/*
 * Builds the program for the table and the range FD_BASE..FD_TOP. The caller frees PROGRAM->filter.
 * 0 or a negative errno.
 */
int filter_build(struct sock_fprog *program);

/* The same for FILTER_PASSING or FILTER_LOW. */
int filter_build_added(enum filter_message which, struct sock_fprog *program);

/*
 * Installs PROGRAM on the calling thread. With NOTIFY emulated calls are notified, and the result is the
 * listener; else they are ptrace stops, and it is 0. A negative errno: -EBUSY when a filter above has a
 * listener, -EINVAL when the kernel has no user notification (no filters at all). Changes PROGRAM;
 * async-signal-safe.
 */
int filter_install(const struct sock_fprog *program, bool notify);

/*
 * Whether the call of ROW (NULL: not in the table) with ARG is trapped, in whatever way. EVERY: where each call
 * stops, and so no filter is added.
 */
bool filter_traps(const struct syscall_row *row, const uint64_t arg[6], bool every);

/* Whether calls of ROW that are trapped are ptrace stops in any case. */
bool filter_stops(const struct syscall_row *row);

/* Whether a notified call that is being answered is left alone by signals (5.19), and by what looks like one. */
bool filter_waits_killable(void);

#endif
