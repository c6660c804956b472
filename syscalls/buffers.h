/* A tracee's buffers, as read, write and their vector forms name them. */
#ifndef SYSCALLS_BUFFERS_H
#define SYSCALLS_BUFFERS_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

struct call;

struct buffers {
	struct iovec iov[IOV_MAX];
	int count, at; /* AT and DONE: where the next byte goes */
	size_t done;
	size_t total;
};

/* B is the LEN bytes at ADDR, or as much as one transfer may move. */
void buffers_one(struct buffers *b, uint64_t addr, uint64_t len);

/* B is the COUNT iovecs at ADDR. False when the kernel would refuse the vector: then it shall. */
bool buffers_vector(struct call *c, struct buffers *b, uint64_t addr, uint64_t count);

/* Moves up to LEN bytes between DATA and the buffers. How many; fewer before a bad page, -EFAULT at one. */
ssize_t buffers_copy(struct call *c, struct buffers *b, uint8_t *data, size_t len, bool to_task);

#endif
