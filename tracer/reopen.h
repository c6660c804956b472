/*
 * What a link's agent has open for us and what we hold through it, kept in case that it ends with all of it: then another agent
 * is asked to open the same files again, the same locks are taken, and the same places watched. Everything here may be called from any thread, but for
 * what says otherwise.
 */
#ifndef TRACER_REOPEN_H
#define TRACER_REOPEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "remotefs.pb.h"

struct reopen;

/* What a request means for this, kept until it is answered: a few of the request's fields. */
struct reopen_note {
	unsigned op;      /* rfs_Request_*_tag; 0: nothing */
	uint64_t handle;  /* that it makes, ends or is about; 0: every one */
	uint32_t flags;   /* Open's, Flock's operation, Watch's mask */
	uint64_t ticket;  /* LockWait's, LockCancel's */
	uint64_t owner;   /* of a record lock … */
	uint32_t type;    /* … F_RDLCK, F_WRLCK, F_UNLCK … */
	uint64_t from, to; /* … and its bytes, both within */
	uint64_t instance; /* Watch's, Unwatch's … */
	int wd;            /* … and the number that is ended, or is to be had again; 0: all, or any */
};

/* A request of what is to be restored: reopen_request makes it when it is sent. */
struct reopen_step {
	struct reopen_note note;
	bool reopens; /* a Reopen; else NOTE's op */
};

/* Nothing is open. */
struct reopen *reopen_new(void);
void reopen_free(struct reopen *r);

/* What REQ means, in NOTE. */
void reopen_note(const rfs_Request *req, struct reopen_note *note);

/* A request with NOTE is about to be sent. R may be NULL here and in the next two: then nothing is kept. */
void reopen_sent(struct reopen *r, const struct reopen_note *note);

/* It was done: REP is the reply, or NULL for a request that has none. By the reader, in the order of the stream. */
void reopen_done(struct reopen *r, const struct reopen_note *note, const rfs_Reply *rep);

/* PUSH came. By the reader, in the order of the stream. */
void reopen_push(struct reopen *r, const rfs_Push *push);

/*
 * What another agent has to be asked for, in this order: *STEPS is the caller's to free. The second list, which wants the replies to
 * the first, restores what is held through the handles that are still there; the third has it tell of channels. Their number.
 */
typedef size_t reopen_list(struct reopen *r, struct reopen_step **steps);
reopen_list reopen_files, reopen_locks, reopen_starts;

/* And watches, each instance's in the order of their numbers. Of those that are refused nothing is kept. */
reopen_list reopen_watches;

/* The request of STEP in REQ. */
void reopen_request(struct reopen *r, const struct reopen_step *step, rfs_Request *req);

/* REP is the reply to STEP. By the reader. */
void reopen_answered(struct reopen *r, const struct reopen_step *step, const rfs_Reply *rep);

/* A handle that could not be restored, with the errno of why: its file's, or -EAGAIN when a lock of it was not to be had. */
struct reopen_lost {
	uint64_t handle;
	int why;
};

/*
 * The handles that were lost since the last call, in *LOST, which the caller frees. Their number. What lost only its lock is still
 * open at the agent: the caller sends its Close and, as it will be ESTALE, its Reopen.
 */
size_t reopen_lost(struct reopen *r, struct reopen_lost **lost);

/* What became of a handle at another agent: LOST is the errno of why it is no file any more, positive; 0: it is the same as before. */
struct reopen_file {
	uint64_t handle;
	int lost;
	bool fresh;        /* … since the latest agent */
	bool closing;      /* its Close was sent: nobody will use it */
	uint32_t coherent; /* rfs_Coherent */
};

/* What became of everything at another agent. */
struct reopen_report {
	struct reopen_file *files; /* all handles, by number; the caller frees them … */
	size_t count;              /* … so many */
	size_t watches, ended;     /* watches, and those that were not to be had again */
};

void reopen_report(struct reopen *r, struct reopen_report *report);

/* Whether REQ, of which nobody knows whether it was done, may be done (again). */
bool reopen_repeats(const rfs_Request *req);

/* How many handles there are. */
size_t reopen_count(struct reopen *r);

#endif
