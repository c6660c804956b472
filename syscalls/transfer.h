/* Moving bytes between two descriptors, each remote or local. All want the state lock held. */
#ifndef SYSCALLS_TRANSFER_H
#define SYSCALLS_TRANSFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "ofd.h"

struct call;

/* One end of a transfer: a remote file, a local one, or (a low number) a remote one that the kernel works on. */
struct end {
	struct ofd *o; /* a reference; NULL: local */
	int fd;        /* our copy of the task's descriptor; -1: emulated */
	mode_t type;   /* S_IFMT */
	int flags;     /* open(2) flags */
};

/* Takes descriptor FD of C's task. 0 or -EBADF (O_PATH, too); end_close either way. */
int end_open(struct call *c, int fd, struct end *e);
void end_close(struct end *e);
#define END_CLOSED { .fd = -1 }
#define CLEANUP_END __attribute__((cleanup(end_close)))

bool end_can_read(const struct end *e);
bool end_can_write(const struct end *e);

static inline bool end_is_emulated(const struct end *e)
{
	return e->o && e->fd < 0;
}

/* A FIFO or device at the target. */
static inline bool end_is_channel(const struct end *e)
{
	return e->o && e->o->channel;
}

/* Both are at the same target, and what it has is what the task sees: the agent can move the bytes itself. */
bool ends_at_target(const struct end *in, const struct end *out);

/* Whether bytes can be copied from file to file (generic_file_rw_checks): 0, -EISDIR, -EINVAL, -EBADF. */
int ends_check_files(const struct end *in, const struct end *out);

/*
 * Whether the file systems of both ends know files that reach over FROM, as sendfile(2) wants it for LEN bytes from
 * there (which io_verify allows): 0 or -EOVERFLOW.
 */
int ends_check_reach(struct call *c, const struct end *in, const struct end *out, int64_t from, size_t len);

/* Takes (gives back) the right to use the offsets of both ends. */
void ends_lock(struct call *c, struct end *in, struct end *out);
void ends_unlock(struct end *in, struct end *out);

/* E's file offset; -ESPIPE for what has none. */
int64_t end_pos(const struct end *e);
void end_set_pos(struct end *e, int64_t pos);

/*
 * Moves up to COUNT bytes from IN at *FROM to OUT at *TO (TO NULL: a stream, or the offset of a local
 * file), and both offsets with them. How many, or a negative errno when none were; -ERESTARTSYS when a
 * signal came before any. A closed stream costs the task a SIGPIPE.
 */
long transfer(struct call *c, struct end *in, struct end *out, int64_t *from, int64_t *to, size_t count);

/*
 * As transfer, at the target: nothing travels. SPLICE: as sendfile(2) does it, else as copy_file_range(2).
 */
long transfer_at_target(struct call *c, struct end *in, struct end *out, int64_t *from, int64_t *to, size_t count,
			bool splice);

/* Waits until E is ready for EVENTS, or broken. 0, or -ERESTARTSYS when the task has a signal to take. */
int end_wait(struct call *c, const struct end *e, short events);

/* Up to LEN bytes of the file IN at OFF into BUF: how many, 0 at its end, or a negative errno. */
ssize_t end_take(struct call *c, struct end *in, uint8_t *buf, size_t len, int64_t off);

/* Up to LEN bytes to OUT, at *TO if that is not NULL: how many, or a negative errno (-ERESTARTSYS: a signal came first). */
ssize_t end_give(struct call *c, struct end *out, const uint8_t *buf, size_t len, int64_t *to);

/* What the kernel does to a task that writes where nobody reads: a SIGPIPE, and -EPIPE to be returned. */
long end_broken(struct call *c);

#endif
