/* What the agent gives up before it hears a client: a mistake of its own must not be of more use to one than what it may ask for. */
#ifndef AGENT_CONFINE_H
#define AGENT_CONFINE_H

/*
 * Gives up, for this process and all that come of it, what serving a tree does not take: capabilities, new rights by a program that is
 * executed, and system calls (-EPERM from there on). To be called when everything has been opened, and while there is one thread. What
 * the kernel has no means for stays. 0, or a negative errno: nothing may be served.
 */
int confine(void);

#endif
