/*
 * The launcher thread: starts the agents, so that they are its children and not the ptrace thread's,
 * and then passes signals on to the program.
 */
#ifndef TRACER_LAUNCH_H
#define TRACER_LAUNCH_H

#include <stddef.h>
#include <sys/types.h>

struct mount;
struct options;

/* Begins to start the agents of all targets in O, which must live on. 0 or a negative errno. */
int launch_begin(const struct options *o);

/* Waits until they have answered; their mounts are added. 0, or a negative errno with a clause in ERR. */
int launch_wait(char *err, size_t err_len);

/* From now on signals sent to us go to PROGRAM. */
void launch_forward_signals(pid_t program);

/* The run is over: a link that ends is no loss any more. */
void launch_finishing(void);

/* Ends the link of M's agent, which has MS to answer the goodbye. */
void launch_goodbye(struct mount *m, int ms);

#endif
