/* What tells a file from every other one, so that it is found again when all its descriptors are gone. */
#ifndef AGENT_TICKET_H
#define AGENT_TICKET_H

#include <stdbool.h>

#include "agent.h"

/*
 * Describes FD, of which ATTR was just asked, in T. PATH is where it is below ROOT: "" when it has no name, NULL when
 * the kernel is to be asked. Never fails: what cannot be had is left out, and the file is then harder to find.
 */
void ticket_make(const struct root *root, int fd, const rfs_Attr *attr, const char *path, rfs_Ticket *t);

/* T as bytes in OUT; none if they do not fit. */
void ticket_encode(const rfs_Ticket *t, rfs_OpenReply_ticket_t *out);

/* BYTES, from anybody, as a ticket. False: they are none. */
bool ticket_decode(const rfs_Reopen_ticket_t *bytes, rfs_Ticket *t);

/* Whether the file FD (O_PATH does) is the one that T was made for. 0, -ESTALE for another, or a negative errno. */
int ticket_check(const struct root *root, int fd, const rfs_Ticket *t);

#endif
