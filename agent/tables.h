/* What an agent knows of its client's open files, and how it comes to know it. */
#ifndef AGENT_TABLES_H
#define AGENT_TABLES_H

#include "agent.h"
#include "conn.h"

/* Empty ones. 0 or -ENOMEM. */
int tables_new(struct agent *a);

/*
 * Those of a process that was killed, from the journal; OLD is the connection that it had, which is closed, as is all that nobody knows
 * of. There is no other thread. 0 or -ENOMEM.
 */
int tables_restore(struct agent *a, struct conn *old);

/* Goes on with what waits or is watched; every thread has been started. 0 or a negative errno. */
int tables_go_on(struct agent *a);

#endif
