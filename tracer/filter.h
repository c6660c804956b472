/* The seccomp filter, generated from the syscall table. */
#ifndef TRACER_FILTER_H
#define TRACER_FILTER_H

#include <linux/filter.h>
#include <stddef.h>

/*
 * Builds the program for the table and the range FD_BASE..FD_TOP. The caller frees PROGRAM->filter.
 * 0 or a negative errno.
 */
int filter_build(struct sock_fprog *program);

/*
 * Installs PROGRAM on the calling thread, with a listener. The listener, or a negative errno: -EBUSY
 * when a filter above has one, -EINVAL when the kernel has no user notification. Async-signal-safe.
 */
int filter_install(const struct sock_fprog *program);

#endif
