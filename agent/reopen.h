/* Finding again, by its ticket, a file that no descriptor is open on any more. */
#ifndef AGENT_REOPEN_H
#define AGENT_REOPEN_H

#include "agent.h"

/*
 * The file that T was made for, opened with O_PATH: by its handle on the mounts below ROOT, or else by its path. Never another
 * file, and never one outside of ROOT, whatever T says. A descriptor, -ESTALE when it is not to be found, or a negative errno.
 */
int reopen_find(const struct root *root, const rfs_Ticket *t);

/*
 * As reopen_find; but where a directory is not to be found, the one that is at its path now, for one who wants to hear what comes
 * and goes there.
 */
int reopen_place(const struct root *root, const rfs_Ticket *t);

#endif
