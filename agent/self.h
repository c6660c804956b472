/* The agent's own executable file: removed, or looked at for agents that serve. */
#ifndef AGENT_SELF_H
#define AGENT_SELF_H

/* Removes the file that we were started from, if it still has its name there; says nothing if that cannot be done. */
void self_unlink(void);

/* From now on, and as long as we live, self_hold of the same file sees us. Does nothing if the file cannot be read. */
void self_serving(void);

/*
 * Returns 0 when for SECONDS on end nobody was serving, or at once on SIGTERM, SIGINT or SIGHUP; a negative errno if the
 * file cannot be opened. Reaps every child, as the first process of a container must.
 */
int self_hold(unsigned int seconds);

#endif
