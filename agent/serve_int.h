/* What serve.c (threads), input.c and output.c (the stream) share. */
#ifndef AGENT_SERVE_INT_H
#define AGENT_SERVE_INT_H

#include <pthread.h>

#include "agent.h"
#include "conn.h"
#include "frame.h"
#include "session.h"

#define SERVE_THREADS 64         /* requests in work at once */
#define SERVE_BUDGET (32u << 20) /* bytes of their payloads, both ways */
#define SERVE_QUICK_MS 1         /* how long the leader may take for a quick request: once to twice that */
#define SERVE_IDLE_S 10          /* how long a thread waits for work before it ends */
#define SERVE_CLOSE_MS 1000      /* how long a watch waits for closes before it; a network can make them slow */
#define INPUT_BUFFER 65536

/* A request in work. */
struct job {
	uint32_t id;
	rfs_Request req;
	rfs_Reply reply;
	struct op op;
	struct session_work *work; /* its thread's place in the session */
	uint8_t *payload; /* owned */
	size_t cost;
};

struct serve {
	struct agent *agent;
	struct session *session;
	struct conn conn; /* changed by the leader, with both locks */
	int giver;        /* what the process that it came from waits for; -1: it is ours */
	bool greeted;

	/* Only the leader, the thread that reads, touches these. */
	uint8_t buffer[INPUT_BUFFER];
	size_t at, filled;

	pthread_mutex_t lock;      /* guards what follows */
	pthread_cond_t lead;       /* the leader's place is free */
	pthread_cond_t done;       /* a job has ended */
	bool leading;
	uint64_t term;             /* counts leaders: who finds another number is no longer the leader */
	uint64_t quick;            /* counts requests that the leader answers without handing over */
	bool quick_now;            /* it is answering one */
	bool sleeping;             /* the watchdog is, until the next one */
	pthread_cond_t watch;
	unsigned int threads, idle, working, closing;
	size_t cost;
	pthread_cond_t come;       /* somebody offers a connection */
	struct offer *offer;       /* owned; NULL: nobody does */

	pthread_mutex_t write_lock; /* one frame at a time on OUT; taken before the watcher's lock */
	bool lost;                  /* … which takes no more */
	bool took_over;             /* … the one of a process that was killed */
	bool answered;              /* … the first reply, before which nothing was promised and nothing is pushed */
};

/*
 * Reads the next request into JOB. 0; -ENODATA at a clean end of the stream; -EPROTO, with a line on stderr, when
 * it is not one; another negative errno of read(2).
 */
int input_next(struct serve *s, struct job *job);

/* The client's stream has ended: waits for a new one, for as long as the session lingers, and takes it. False: there is none. */
bool attach_await(struct serve *s);

/* Makes the place where clients of this session come again. 0 or a negative errno. */
int attach_listen(struct serve *s);

/* Waits there for them, from now on. 0 or a negative errno. */
int attach_start(struct serve *s);

/* A request that is read next. */
void job_clear(struct job *job);

/*
 * Reads until the client has said hello; JOB is that, and its reply is to be written. There may be no other thread: a client that
 * wants a session gets a keeper (keeper.h). True: this process goes on after one that was killed; JOB is nothing then.
 */
bool greet(struct serve *s, struct job *job);

/* Writes JOB's reply when there is nothing yet that it could be about. */
void output_early(struct serve *s, const struct job *job);

/*
 * The client wants to go on with a session, of which another process has the files: hands the stream over, and does not return.
 * A negative errno: that process does not exist (-ENOENT) or refuses (-EACCES).
 */
int attach_forward(struct serve *s, const rfs_Resume *resume);

/* The new stream's first frames: REPLY to Resume, what is kept, and that nothing is promised any more. Under the write lock. */
void output_resumed(struct serve *s, const rfs_ResumeReply *reply);

/* Writes a push of which there is no second one: for agent.push. */
void output_push(void *serve, const rfs_Push *push);

/* Writes the push for a lock's wait that is over: for locks_start. */
void output_lock_end(void *serve, uint64_t ticket, int error);

/* Writes JOB's reply, and behind it the pushes it needs; nothing for a request that has no reply. */
void output_reply(struct serve *s, struct job *job);

/* Writes the pushes of N: for watch_start. */
void output_notices(void *serve, const struct notices *n);

/* Writes the events that are waiting in the program's inotify instances: for observe_start. */
void output_observed(void *serve);

/* Writes one Ready: for channels_start. */
void output_ready(void *serve, const rfs_Ready *r);

/* Ends the process; never in the middle of a frame, unless the stream is stuck there. */
_Noreturn void serve_exit(struct serve *s, int status);

#endif
