/* Reading, writing and asking FIFOs and devices: ofds that have a channel. Wants the state lock held. */
#ifndef SYSCALLS_FLOW_H
#define SYSCALLS_FLOW_H

#include <stdbool.h>
#include <stdint.h>

struct buffers;
struct call;
struct ofd;

/*
 * Gives O, just opened at the agent, its channel if it is to have one, and waits for a FIFO's other end. 0 or a negative
 * errno, -ERESTARTSYS included.
 */
int flow_open(struct call *c, struct ofd *o);

/* read(2) and write(2) on O; OFF is a device's offset, or negative, FLAGS are preadv2(2)'s. What the call is to answer. */
long flow_read(struct call *c, struct ofd *o, struct buffers *b, int64_t off, unsigned flags);
long flow_write(struct call *c, struct ofd *o, struct buffers *b, int64_t off, unsigned flags);

/* Waits until a read of the FIFO O may find something, or its end. 0, or -ERESTARTSYS when a signal came first, or -EIO. */
int flow_wait_readable(struct call *c, struct ofd *o);

/* read(2) of the FIFO O, which waits for something if WAIT is set. */
long flow_read_fifo(struct call *c, struct ofd *o, struct buffers *b, bool wait);

/* A descriptor of this machine's device of the same number as O, which does the same on every machine; or a negative errno. */
int flow_open_twin(const struct ofd *o);

/* fallocate(2) of a device. */
long flow_allocate(const struct ofd *o, int mode, int64_t off, int64_t len);

/* lseek(2) of a device. */
long flow_seek(struct call *c, struct ofd *o, int64_t off, unsigned whence);

/* F_GETPIPE_SZ, F_SETPIPE_SZ; ioctl(2). */
long flow_pipe_size(struct call *c, struct ofd *o, int command);
long flow_ioctl(struct call *c, struct ofd *o, unsigned request);

/*
 * Puts O at the number TO, below FD_BASE, where nothing is trapped: a pipe with a pump behind it, or the device of the same
 * number here. What dup2(2) is to answer.
 */
long flow_put_low(struct call *c, struct ofd *o, int to, bool cloexec);

#endif
