/* What the two halves of a link share: requests and replies (link.c), opening and closing (link_open.c). */
#ifndef TRACER_LINK_INT_H
#define TRACER_LINK_INT_H

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "link.h"
#include "stream.h"

/*
 * Whoever waits for a reply reads the stream itself: one thread at a time has the reader's role. With
 * `lock` held, exactly one of these is true:
 *   - `reading`: one thread has the role and will leave it;
 *   - the epoll set is armed: the poller thread takes the role when something arrives;
 *   - `ended`: nothing will be read any more.
 * Arming a readable stream reports it at once, so nothing that arrives between two readers is missed.
 * Only the reader takes calls off `pending`, so it may use a call found there without the lock.
 * Lock order: the sender's, lock.
 */
struct link_pending {
	TAILQ_ENTRY(link_pending) entry;
	uint32_t id;
	struct link_reply *rep;
	int result;
	bool done;
	bool waiting; /* asleep on wake, or about to be; cleared by the thread that posts it, once */
	bool reader;  /* has the role */
	sem_t wake;
	link_done *then; /* nobody waits: called and freed instead */
	void *arg;
};

struct link {
	struct stream stream;
	struct sender sender;
	int epoll;
	char tag[128];
	struct link_callbacks callbacks;
	uint32_t max_payload;
	pthread_t poller;

	pthread_mutex_t lock;
	pthread_cond_t changed; /* for link_close: its goodbye is done */
	TAILQ_HEAD(pending, link_pending) pending;
	uint32_t last_id;
	bool reading;
	bool ended;
	struct link_pending *goodbye;
	char verdict[96]; /* why link_close gave up */

	atomic_uint inside; /* threads in link_call and link_send */
	atomic_uint_fast64_t last_handle, round_trips, requests;
};

/* How often, in ms, something is said to the agent, which may end when it hears nothing for long. */
extern int link_alive_ms;

/* Reads while nobody waits for a reply, so that pushes and the end of the stream are seen at once. ARG is the link. */
void *link_poll(void *arg);

/*
 * Makes C pending under a new id and sends O; the sender's turn is ours. What goes wrong with that is seen by
 * the reader, who finishes C. -EIO when the link has ended before; then C is not pending.
 */
int link_start_call(struct link *l, struct link_pending *c, struct stream_request *o, int64_t deadline_ms);

#endif
