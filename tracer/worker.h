/* The threads that serve trapped calls: they may wait for an agent, the thread that follows the tasks may not. */
#ifndef TRACER_WORKER_H
#define TRACER_WORKER_H

/* Something to be done once; kept in the structure that it is about. */
struct job {
	struct job *next;
	void (*run)(struct job *job);
};

/* Starts a thread that runs RUN and ends with it. 0, or a negative errno when there are too many: see worker_start_missing. */
int worker_start(void *(*run)(void *arg));

/*
 * Tries again what could not be started: without it a call that waits may wait for one that nobody serves. To be called now and then.
 * 0, or the negative errno of one that still cannot be had.
 */
int worker_start_missing(void);

/* Starts the first worker for jobs, so that there is always one. 0 or a negative errno. */
int worker_init(void);

/*
 * Has JOB->run called by a worker, at once if a thread can be had. JOB must live until then. Never waits;
 * any thread.
 */
void worker_submit(struct job *job);

#endif
