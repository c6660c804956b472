/* The buffers that a call names in its task's memory: one, or an iovec. */
#ifndef SYSCALLS_BUFFERS_H
#define SYSCALLS_BUFFERS_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

struct call;

/* The kernel's own limit on one transfer (mm.h: INT_MAX & PAGE_MASK). */
#define MAX_RW_COUNT 0x7ffff000u

struct buffers {
	struct iovec iov[IOV_MAX];
	int count, at; /* AT and DONE: where the next byte goes */
	size_t done;
	size_t total;  /* bytes, MAX_RW_COUNT at most */
};

/* LEN bytes at ADDR. 0, or -EFAULT for what can be nobody's. */
int buffers_one(struct buffers *b, uint64_t addr, uint64_t len);

/* The COUNT iovecs at ADDR. 0, or what the kernel says of the vector: -EFAULT, -EINVAL. */
int buffers_vector(struct call *c, struct buffers *b, uint64_t addr, uint64_t count);

/* Moves up to LEN bytes between DATA and the buffers. How many; fewer before a bad page, -EFAULT at one. */
ssize_t buffers_copy(struct call *c, struct buffers *b, uint8_t *data, size_t len, bool to_task);

#endif
