/* RLIMIT_NOFILE as programs see it. */
#ifndef SYSCALLS_LIMIT_H
#define SYSCALLS_LIMIT_H

#include <sys/resource.h>
#include <sys/types.h>

/* ORIGINAL is our own limit before it was changed. Call after fd_range_init. */
void limit_init(const struct rlimit *original);

#endif
