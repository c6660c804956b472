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
#include "link_session.h"
#include "reopen.h"
#include "stream.h"

/*
 * Whoever waits for a reply reads the stream itself: one thread at a time has the reader's role. With
 * `lock` held, exactly one of these is true:
 *   - `reading`: one thread has the role and will leave it;
 *   - the epoll set is armed: the poller thread takes the role when something arrives;
 *   - `down`: the connection broke, and the poller thread makes a new one;
 *   - `ended`: nothing will be read any more.
 * Arming a readable stream reports it at once, so nothing that arrives between two readers is missed.
 * Only the reader, or while it is down the poller, takes calls off `pending`, so it may use a call found there without the lock.
 * Requests are numbered in the order in which they are sent, or will be.
 * Lock order: the sender's, lock.
 */
struct link_pending {
	TAILQ_ENTRY(link_pending) entry;
	uint32_t id;
	uint64_t number;
	unsigned op;
	bool resend;		       /* it is not on the new connection yet, nor was it, whole, on the last one */
	size_t queued;		       /* bytes that it was in the sender's queue; 0: it was sent at once */
	unsigned taken;		       /* agents that have ended with it */
	struct reopen_note note;
	struct stream_request *request; /* for that; owned, if `then` is set or it is one-way */
	struct link_reply *rep;
	int result;
	bool done;
	bool sending; /* from its request; a reply may come before all of that is out, if the agent lies or the link ends … */
	bool over;    /* … and `then` be called: who sends frees it afterwards */
	bool waiting; /* asleep on wake, or about to be; cleared by the thread that posts it, once */
	bool reader;  /* has the role */
	sem_t wake;
	link_done *then; /* nobody waits: called and freed instead */
	void *arg;
};

TAILQ_HEAD(link_pendings, link_pending);

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
	struct link_pendings pending;
	struct link_pendings oneway; /* no reply comes, and nobody knows yet whether the agent has got them */
	uint32_t last_id;
	bool ids_again; /* all numbers were given out once */
	uint64_t last_number;
	bool reading;
	bool down;
	bool ended;
	int64_t since_ms; /* it is down … */
	char why[320];	  /* … and this is why */
	struct link_pending *goodbye; /* once it is said */
	char verdict[96]; /* why link_close gave up */

	struct link_session session; /* if agent_is.resumes */
	struct reopen *reopen;	     /* what is open and locked; NULL: nobody will ask */
	bool half;		     /* the agent has not got all of that, or is not known to have begun */
	bool answered;		     /* it has answered a request of the program's, or is the first one … */
	unsigned vain;		     /* … and so many before it had not, one after the other, since … */
	int64_t vain_ms;
	struct link_greeting greeting;
	int timeout_ms; /* for an exchange */
	atomic_uint_fast64_t seen, told; /* frames read from this connection, and of these the agent knows */
	atomic_uint_fast64_t kept;	 /* bytes of replies that it keeps until it is told */

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

/* ---- between the files of this module ---- */

/*
 * What link_call and the like have begun cannot be read from here any more. True: that is not the end of it; the poller thread
 * has the reader's role from here on. By the reader, ERR is why.
 */
bool link_lose(struct link *l, int err);

/* Another name and secret for what comes next. NULL: a connection that breaks is not taken up again. */
const struct link_session *link_new_session(struct link *l);

/* Makes a new connection and sends again what the agent has not got; by the poller. False: that failed, and the link has ended. */
bool link_again(struct link *l);

/*
 * Has the agent, which was just greeted, open and lock all that the one before it had, and ends what nobody knows whether it was done; by the
 * poller. 0 and in *NUMBER how many requests that took, or a negative errno.
 */
int link_reopen(struct link *l, uint64_t *number);

/* Sends C, and reads meanwhile: the agent may be unable to read on before somebody reads what it sent. By the poller. 0 or -EIO. */
int link_resend(struct link *l, struct link_pending *c);

/* A request without a payload that nobody waits for, or NULL; it is pending from link_pending_add on, under a new id. */
struct link_pending *link_pending_new(const rfs_Request *req, link_done *then, void *arg);
void link_pending_add(struct link *l, struct link_pending *c);
void link_pending_free(struct link_pending *c);

/* Handles one frame; the calling thread has the role. False: it has it no longer. */
bool link_read(struct link *l);

/* C, which is pending, has RESULT; by the reader, without the lock. C may be gone afterwards. */
void link_end_call(struct link *l, struct link_pending *c, int result);

/* Takes the one-way requests below NUMBER for received. With the lock held. */
void link_forget_oneway(struct link *l, uint64_t number);

#endif
