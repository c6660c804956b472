/*
 * Asynchronous I/O contexts (io_setup(2)) that have events of ours: what was done on remote files. The context
 * and its ring of native events in the task's memory stay the kernel's; our events are kept here. So that no
 * library looks for events in the ring alone, its magic number is taken away: they call the kernel then, and
 * that is us. All functions want the state lock held.
 */
#ifndef SYSCALLS_AIO_RING_H
#define SYSCALLS_AIO_RING_H

#include <linux/aio_abi.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct call;

/* The context CTX of C's task has, or (MAKE) gets events of ours. False: it has none, or is no context. */
bool aio_ring_ours(struct call *c, uint64_t ctx, bool make);

/* Whether CTX, which is ours, has room for one more event. */
bool aio_ring_room(struct call *c, uint64_t ctx);

/* Adds E to CTX, which is ours, and wakes who waits there. */
void aio_ring_put(struct call *c, uint64_t ctx, const struct io_event *e);

/*
 * Moves up to MAX events, ours and the kernel's, out of CTX to address TO of C's task. How many; -EINVAL when it is no
 * context any more, -EFAULT with nothing taken.
 */
long aio_ring_take(struct call *c, uint64_t ctx, uint64_t to, size_t max);

/* Waits for events of anybody's for at most NS. */
void aio_ring_wait(uint64_t ns);

/* CTX of C's task is destroyed. */
void aio_ring_forget(struct call *c, uint64_t ctx);

#endif
