#include "worker.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "util.h"

#define MAX_WORKERS 4096
#define WORKER_STACK (512u << 10)

static atomic_int workers;

static pthread_mutex_t queue_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t queue_filled = PTHREAD_COND_INITIALIZER;
static struct job *first, **last = &first;
static int queued; /* jobs that nobody has taken */
static int idle;   /* workers that wait for one */

static void *work(void *arg);

/* What could not be started, of jobs' workers and of others. */
static void *(*_Atomic missing[2])(void *arg);

int worker_start(void *(*run)(void *arg))
{
	int rc = atomic_fetch_add(&workers, 1) < MAX_WORKERS ? thread_start(WORKER_STACK, run, NULL) : -EAGAIN;

	if (rc) {
		atomic_fetch_sub(&workers, 1);
		atomic_store(&missing[run == work], run);
	}
	return rc;
}

/* How many jobs have nobody who waits for one. */
static int crowd(void)
{
	pthread_mutex_lock(&queue_mutex);
	int n = queued - idle;
	pthread_mutex_unlock(&queue_mutex);
	return n;
}

int worker_start_missing(void)
{
	int rc = 0;

	for (unsigned i = 0; i < 2; i++) {
		void *(*run)(void *arg) = atomic_exchange(&missing[i], NULL);
		int n = !run ? 0 : run == work ? crowd() : 1, err = 0;

		while (n-- > 0 && !err)
			err = worker_start(run);
		rc = err ? err : rc;
	}
	return rc;
}

static struct job *job_take(void)
{
	pthread_mutex_lock(&queue_mutex);
	idle++;
	while (!first)
		pthread_cond_wait(&queue_filled, &queue_mutex);
	idle--;
	struct job *j = first;
	first = j->next;
	if (!first)
		last = &first;
	queued--;
	pthread_mutex_unlock(&queue_mutex);
	return j;
}

static void *work(void *arg)
{
	for (;;) {
		struct job *j = job_take();

		j->run(j);
	}
	return arg;
}

int worker_init(void)
{
	return worker_start(work);
}

void worker_submit(struct job *job)
{
	job->next = NULL;
	pthread_mutex_lock(&queue_mutex);
	*last = job;
	last = &job->next;
	bool crowded = ++queued > idle;
	pthread_cond_signal(&queue_filled);
	pthread_mutex_unlock(&queue_mutex);
	/* When no thread can be had, the job waits for one that is busy. */
	if (crowded)
		worker_start(work);
}
