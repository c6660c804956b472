/* From inside a container: which process is the one that it was started for. */
#ifndef AGENT_INSIDE_H
#define AGENT_INSIDE_H

#include <sys/types.h>

/*
 * Of the processes in PROC, a descriptor of a proc, whose root is that of PROC's "self", the one with the lowest number;
 * not "self", and nothing that came with it: those that it descends from and those of its session. 0 if there is none, or
 * none whose root we may look at.
 */
pid_t inside_main(int proc);

#endif
