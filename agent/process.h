/* A process beside which the agent runs: its root, its rights and its environment. */
#ifndef AGENT_PROCESS_H
#define AGENT_PROCESS_H

#include <sys/types.h>

#include "rights.h"

/* Both are the caller's, also after an error; -1: not opened. */
struct process {
	int root;    /* O_PATH */
	int environ; /* readable: its environment */
};

/*
 * These three take rights, and are to be called before there are threads; what they open is opened before. AS, where
 * given, is who to be instead. 0, or a negative errno with what could not be done in *WHAT.
 */

/* Opens what process PID has, and takes its user, groups and capabilities, as far as they are not more than we have. */
int process_become(pid_t pid, const struct identity *as, struct process *p, const char **what);

/*
 * The same for the process that the container around us was started for, with our own root. Whose rights may not be read
 * or taken leaves us with ours, whose environment may not be read with our own: this is no error.
 */
int process_inside(const struct identity *as, struct process *p, const char **what);

/* Becomes AS, with nothing of another process. */
int process_as(const struct identity *as, const char **what);

#endif
