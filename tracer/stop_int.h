/* What stop.c (the ptrace thread) and stop_work.c (the workers) share. */
#ifndef TRACER_STOP_INT_H
#define TRACER_STOP_INT_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "call.h"
#include "regs.h"
#include "stop.h"
#include "worker.h"

enum phase {
	BEFORE,    /* stands where the program made its call: it has not been done */
	BEHIND,    /* stands behind a call that it has done for us, or instead of the program's */
	REPEATING, /* goes on to its syscall instruction: the next stop is an entry */
	INSIDE,    /* is in a call: the next stop is its exit */
};

enum wish {
	WISH_NONE,
	WISH_INJECT, /* do NR with ARG and tell the worker */
	WISH_FINISH, /* what RESULT stands for */
};

struct stop {
	struct job job;
	struct call call;
	struct user_regs_struct regs; /* as the program made its call */
	enum phase phase;
	bool last; /* the call that is being done is the program's, or what its handler made of it */
	bool over; /* … and it has been done: RESULT is its result */
	bool execed;
	bool dead;
	bool masked; /* signals wait until an injected call is done; MASK is the program's */
	uint64_t mask;

	struct job order;
	bool posted;
	enum wish wish;
	int nr;
	uint64_t arg[6];
	long result;
	struct stop_install install;
	pthread_cond_t answered;
};

/* Workers ring the calling thread from now on. */
void stop_hear_workers(void);

/* Takes the next order that a worker has posted; NULL when there is none. Wants the task lock. */
struct job *stop_next_order(void);

/* Serves the call of a stop, or what is to be done when it has been done: its JOB. */
void stop_serve(struct job *job);

#endif
