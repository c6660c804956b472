/* A process beside which the agent runs: its root, its rights and its environment. */
#ifndef AGENT_PROCESS_H
#define AGENT_PROCESS_H

#include <sys/types.h>

struct process {
	int root;    /* O_PATH */
	int environ; /* readable: its environment; -1 if there is no process */
};

/*
 * Opens what process PID has, and takes its user, groups and capabilities, as far as they are not more than we have. To be
 * called before there are threads. 0, or a negative errno with what could not be done in *WHAT.
 */
int process_become(pid_t pid, struct process *p, const char **what);

#endif
