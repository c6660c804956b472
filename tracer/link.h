/* One connection to an agent: request ids, waiting for replies, pushes, loss. */
#ifndef TRACER_LINK_H
#define TRACER_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "remotefs.pb.h"

struct link;
struct reopen_report;

struct link_reply {
	rfs_Reply msg;
	uint8_t *payload;   /* owned by the reply; freed by link_reply_free */
	size_t payload_len;
};

struct link_callbacks {
	/*
	 * A push arrived. Called in stream order with replies, never two at once, on whichever thread reads: the
	 * link's own, or one inside link_call. Must not call link_call; may call link_send.
	 */
	void (*push)(struct link *l, const rfs_Push *push, void *arg);
	/*
	 * The connection is gone for good, or link_close had to give up. Called once, on the thread that reads;
	 * WHY is one clause in English ("the agent was killed by SIGKILL").
	 */
	void (*lost)(struct link *l, const char *why, void *arg);
	/*
	 * The connection broke: starts what leads to the agent again, as a child of the calling thread. 0 with both ends and the child
	 * (0: none) as for link_open, or a negative errno with one clause in ERR; -ENODEV: there is no use in trying again. NULL: `lost` at once.
	 */
	int (*redial)(int *in, int *out, pid_t *agent_pid, char *err, size_t err_len, void *arg);
	uint32_t redial_ms; /* for how long that is tried */
	bool linger;	    /* the agent is not ours alone: it is to wait that long, too */
	/*
	 * The agent had ended with all that was open, and another one has its place. REPORT tells what became of that;
	 * UNKNOWN requests got -EIO, because nobody knows whether they were done. Called as `push` is, before anything else is asked.
	 */
	void (*reopened)(struct link *l, const struct reopen_report *report, size_t unknown, void *arg);
	void *arg;
};

/* Since the first exchange, which is not counted in round trips and requests: it serves no call. */
struct link_totals { uint64_t round_trips, requests, bytes_in, bytes_out; };

/* A bit of Hello's capabilities: requests may be ordered. */
#define LINK_ORDERS UINT64_C(1)
/* Another: what is open can be opened again by another agent. */
#define LINK_TICKETS UINT64_C(2)

/* What the agent says of itself. */
struct link_agent {
	bool orders;     /* it knows of ordered requests */
	bool resumes;    /* a connection that breaks can be taken up again … */
	bool tickets;    /* … and if the agent has ended, another one finds the open files */
	uint32_t uid;    /* its files may be changed by it … */
	bool owns_all;   /* … and if this is set, all … */
	bool gives_away; /* … and given to any user and group */
};

/* What Hello tells the agent: the promise not to change anything, and where the program sees (AT) what part (SUB) of the tree. */
struct link_greeting {
	bool read_only;
	const char *at, *sub; /* absolute, normalised; both empty: the program sees the tree as it is */
};

/*
 * Speaks Hello on the two ends of a byte stream (they may be the same descriptor) and starts the reader
 * thread. Takes ownership of both descriptors, also on failure. TAG ("dir:/srv") is copied and used in
 * messages. AGENT_PID is the process behind the stream (0: none): it must be a child of the calling
 * thread, is reaped by link_close, and its status is part of the reason given when the stream ends.
 * TIMEOUT_MS bounds the first exchange. NULL on failure, with the agent ended and reaped and one clause of
 * reason in ERR (ERR_LEN bytes).
 */
struct link *link_open(int in, int out, pid_t agent_pid, const char *tag, const struct link_greeting *greeting, int timeout_ms,
		       const struct link_callbacks *callbacks, char *err, size_t err_len);

/*
 * Sends REQ, with PAYLOAD_LEN bytes of PAYLOAD behind it, and waits for the reply: one round trip.
 * 0 when a reply came (REP->msg.error is then the target's errno) or a negative errno: -EIO when the link
 * is lost, -EMSGSIZE when REQ breaks a limit. Any thread; many at once. REP is valid only after 0.
 */
int link_call(struct link *l, const rfs_Request *req, const void *payload, size_t payload_len,
	      struct link_reply *rep);

/*
 * A request of link_start is done: RC is link_call's result, REP as there, and what is left in it is freed afterwards.
 * Called in stream order with pushes and other replies, on whichever thread reads. Must not call link_call, nor link_start
 * with a payload that is not small.
 */
typedef void link_done(struct link_reply *rep, int rc, void *arg);

/* Up to so many bytes of payload are queued at once, whether or not the stream takes them now. */
#define LINK_SMALL (64u << 10)

/*
 * As link_call, but does not wait for the reply: THEN is called with it and ARG. In order with this thread's calls. 0, or a
 * negative errno as link_send; then THEN is not called. With a payload of more than LINK_SMALL it waits until the stream has
 * taken that, so no lock may be held that a callback of the link's wants. Counts no round trip: see link_count_wait.
 */
int link_start(struct link *l, const rfs_Request *req, const void *payload, size_t payload_len, link_done *then, void *arg);

/* A program's call has to wait for what link_start asked for: that is its round trip. */
void link_count_wait(struct link *l);

/*
 * Sends REQ, in order with this thread's calls, and never waits, whatever locks are held; the agent sends no
 * reply. 0 or a negative errno as link_call; -ENOBUFS when the agent has taken nothing for megabytes.
 */
int link_send(struct link *l, const rfs_Request *req);

/* Frees what link_call put into REP. Harmless on a zeroed one. */
void link_reply_free(struct link_reply *rep);

/* A handle number never given out before on this link; never 0. */
uint64_t link_new_handle(struct link *l);

/* What the agent calls itself: "remotefs-agent 0.1.0", any bytes but NUL. Lives as long as L. */
const char *link_program(const struct link *l);

/* Lives as long as L. */
const struct link_agent *link_agent(const struct link *l);

struct link_totals link_totals(const struct link *l);

/* For how many milliseconds the agent has been out of reach, with one clause of why in WHY (LEN bytes); 0: it is not. */
int64_t link_away(struct link *l, char *why, size_t len);

/*
 * Sends the goodbye, which is answered after everything else, and does not wait: for when answers are still to come. However long it
 * takes to get it out; nothing may be sent any more.
 */
void link_say_goodbye(struct link *l);

/*
 * Says goodbye, if that was not done, waits at most TIMEOUT_MS for the answer, ends the agent and frees L.
 * 0; -EIO when the stream ended without the answer (what was sent last may not have been done). Calls that
 * are under way get -EIO; none may begin any more. A link that is just being made anew is left to the end of the process.
 */
int link_close(struct link *l, int timeout_ms);

#endif
