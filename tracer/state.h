/* The one lock over tasks, open files and caches; released while a call waits for an agent. */
#ifndef TRACER_STATE_H
#define TRACER_STATE_H

#include <pthread.h>

extern pthread_mutex_t state_mutex;

static inline void state_lock(void)
{
	pthread_mutex_lock(&state_mutex);
}

static inline void state_unlock(void)
{
	pthread_mutex_unlock(&state_mutex);
}

/*
 * Waits on COND with the state lock. A notification worker gives up the lead first: nobody else could
 * receive what it is waiting for.
 */
void state_wait(pthread_cond_t *cond);

/* The same for MS milliseconds at most. */
void state_wait_ms(pthread_cond_t *cond, int ms);

#endif
