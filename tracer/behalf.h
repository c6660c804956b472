/*
 * Doing file calls of our own as a task would do them: with its rights and its umask. For the places that the task's own call would
 * not lead to (place.h).
 */
#ifndef TRACER_BEHALF_H
#define TRACER_BEHALF_H

#include <sys/types.h>

/*
 * From here on the calling thread has the file rights of task TID (user, groups, capabilities) and its umask, until behalf_end.
 * Without the right to change them it keeps its own; then no task has others. May be called again.
 */
void behalf_begin(pid_t tid);

/* Ends what behalf_begin began, if it was called. */
void behalf_end(void);

#endif
