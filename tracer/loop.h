/* The ptrace thread: follows the tree of tasks from the first exec to the last exit. */
#ifndef TRACER_LOOP_H
#define TRACER_LOOP_H

#include <stdbool.h>
#include <sys/types.h>

/*
 * Follows the tracees of the calling thread until none is left. The wait status of MAIN_PID. EVERY_CALL: as
 * for stop_start.
 */
int loop_run(pid_t main_pid, bool every_call);

/* Ends the run with exit status 125: every task, known or new, is killed. Any thread. */
void loop_abort(void);

/* True once loop_abort was called. */
int loop_aborted(void);

#endif
