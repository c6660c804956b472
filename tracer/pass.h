/*
 * Open files between us and a stopped task where no notification could carry them. The task receives or
 * sends a message with SCM_RIGHTS, from a page of memory that it maps for it: that needs no right of the one
 * over the other, so it works for tasks that have changed their user as well.
 */
#ifndef TRACER_PASS_H
#define TRACER_PASS_H

#include <stdbool.h>

struct call;

/* As call_get_fd, by pidfd_getfd: -ENOSYS or -EPERM where that is not to be had. */
int pass_share(const struct call *c, int fd);

/* As call_install_fd and call_get_fd, for a stopped call. Keep the state lock as it is. */
int pass_to_task(struct call *c, int src, int at, bool cloexec);
int pass_from_task(struct call *c, int fd);

#endif
