/* What tells a file from every other one, so that it is found again when all its descriptors are gone. */
#ifndef AGENT_TICKET_H
#define AGENT_TICKET_H

#include <stdbool.h>

#include "agent.h"

#define TICKET_MAX sizeof(((rfs_OpenReply *)0)->ticket.bytes)

/*
 * Describes FD, of which ATTR was just asked, in T. PATH is where it is below ROOT: "" when it has no name, NULL when
 * the kernel is to be asked. Never fails: what cannot be had is left out, and the file is then harder to find.
 */
void ticket_make(const struct root *root, int fd, const rfs_Attr *attr, const char *path, rfs_Ticket *t);

/* T as bytes in OUT, of TICKET_MAX: how many; 0 if they do not fit. */
pb_size_t ticket_encode(const rfs_Ticket *t, uint8_t *out);

/* SIZE BYTES, from anybody, as a ticket. False: they are none. */
bool ticket_decode(const uint8_t *bytes, size_t size, rfs_Ticket *t);

/* Whether the file FD (O_PATH does) is the one that T was made for. 0, -ESTALE for another, or a negative errno. */
int ticket_check(const struct root *root, int fd, const rfs_Ticket *t);

#endif
