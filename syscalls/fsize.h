/* RLIMIT_FSIZE: the kernel holds a task to it where it writes, and we write for it. */
#ifndef SYSCALLS_FSIZE_H
#define SYSCALLS_FSIZE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct call;

/* Whether C's task has such a limit at all. */
bool fsize_limited(const struct call *c);

/*
 * Shortens *COUNT bytes that C's task wants to write at POS to what its limit allows. 0, or -EFBIG when that
 * is nothing: then the task has its SIGXFSZ.
 */
int fsize_clip(struct call *c, uint64_t pos, size_t *count);

/* Whether C's task may make a file SIZE bytes long. 0, or -EFBIG and its SIGXFSZ. */
int fsize_check(struct call *c, uint64_t size);

#endif
