/* Descriptors of remote files at numbers that the kernel chooses. */
#ifndef SYSCALLS_FD_H
#define SYSCALLS_FD_H

#include <stdbool.h>

struct call;
struct ofd;

/*
 * A task is about to get O at a number below FD_BASE, where reads and writes are not trapped: sees to it that it
 * works. SRC is a descriptor of ours for it. In a stopped call the task is C's, unless it is PASSED on to another. 0
 * or a negative errno, then it was said why. Wants the state lock, may wait for the agent.
 */
int fd_lower(struct call *c, struct ofd *o, int src, bool passed);

/*
 * The lowest of standard input, output and error, from FROM on, that C's task has not open, or -1. Who closes one of them
 * counts on the next open or dup to give it (GNU tar does, and aborts if not), so there the kernel has to choose the
 * number.
 */
int fd_free_standard(const struct call *c, int from);

#endif
