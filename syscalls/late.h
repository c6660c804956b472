/* Which changes of open files are sent behind: see behind.h. All want the state lock held. */
#ifndef SYSCALLS_LATE_H
#define SYSCALLS_LATE_H

#include <stdbool.h>
#include <stdint.h>

#include "remotefs.pb.h"

struct call;
struct ofd;
struct place;

/* Whether COUNT bytes that C's task writes to O at OFF, which no flags make special, may be sent behind. */
bool late_may_write(const struct call *c, const struct ofd *o, uint64_t off, uint64_t count);

/*
 * Sends LEN bytes of DATA behind, to be written to O at OFF, or with APPEND at its end; MOVES: O's position, which is locked, will
 * be behind them. 0 or a negative errno; -EAGAIN: behind_may has changed its mind, nothing is sent.
 */
int late_send(struct call *c, struct ofd *o, const void *data, size_t len, uint64_t off, bool append, bool moves);

/* Sends REQ, if it changes the mode, owner or times of the open file that P is, and will succeed as far as can be told. True: it is sent. */
bool late_change(struct call *c, const struct place *p, const rfs_Request *req);

#endif
