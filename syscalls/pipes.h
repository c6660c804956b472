/*
 * What splice(2) and its kin do with pipes: those of this machine and FIFOs at the target. An end that is a pipe has the type
 * S_IFIFO. All want the state lock held.
 */
#ifndef SYSCALLS_PIPES_H
#define SYSCALLS_PIPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "transfer.h"

struct call;
struct buffers;

/*
 * From the file IN at *OFF into the pipe OUT, up to COUNT bytes, and *OFF with them: what splice_file_to_pipe does. Waits for room in
 * OUT. How many, or 0 for none, -EAGAIN with NONBLOCK, -ERESTARTSYS when a signal came first, -EPIPE with a SIGPIPE for the task when
 * nobody reads; -EINVAL for directories, -ENOSYS for what is neither and goes to the target.
 */
long pipes_fill(struct call *c, struct end *in, struct end *out, int64_t *off, size_t count, bool nonblock);

/*
 * From the pipe IN to OUT, a pipe or anything else that can be written, at *OFF (NULL: it has none). How many, or a negative
 * errno when there were none.
 */
long pipes_drain(struct call *c, struct end *in, struct end *out, int64_t *off, size_t count, bool nonblock);

/* The same between two pipes, with the bytes left in IN: tee(2). */
long pipes_copy(struct call *c, struct end *in, struct end *out, size_t count, bool nonblock);

/* From the task's memory into the pipe OUT: vmsplice(2). */
long pipes_fill_from(struct call *c, struct buffers *b, struct end *out, bool nonblock);

#endif
