/* One trapped syscall, from the trap to its answer. */
#ifndef TRACER_CALL_H
#define TRACER_CALL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "link.h"
#include "table.h"

struct mount;
struct ofd;

/* A handler's answer that stands for "let the kernel do it". No errno and no result has this value. */
#define CALL_CONTINUE (-100000L)
/* At a ptrace stop: let the kernel do rewrite_nr instead, with rewrite_arg0 as its first argument. */
#define CALL_REWRITE (-100001L)

/* The kernel's own: do the call again if the signal that interrupted it has SA_RESTART or no handler, else EINTR. */
#define ERESTARTSYS 512

/* Where a call went, for the log. */
enum call_route {
	ROUTE_LOCAL,  /* the kernel did it */
	ROUTE_REMOTE, /* answered from the target, or from what is known of it */
};

struct call {
	const struct syscall_row *row; /* NULL for a number beyond the table */
	int nr;
	pid_t tid;
	uint64_t arg[6];
	uint64_t cookie;   /* the notification's id */
	uint64_t start_ns; /* CLOCK_MONOTONIC, when the trap was received */

	int rewrite_nr;
	uint64_t rewrite_arg0;

	/* With CALL_CONTINUE: what the kernel is bound to answer, for the log; CALL_CONTINUE when unknown. */
	long expected;

	enum call_route route;
	const struct mount *mount; /* the remote tree it touched, NULL when local */
	unsigned round_trips;
	uint64_t bytes_in, bytes_out; /* payload and paths, on the wire */
	const char *note;             /* static text for the log's <…>, or NULL: "not emulated" … */
};

/*
 * Runs C's handler and puts what it decided into C's log fields. Takes the state lock. Returns the
 * call's result (negative errno) or CALL_CONTINUE.
 */
long call_dispatch(struct call *c);

/*
 * Gives descriptor SRC (which stays the caller's) to C's task: at number AT, or at the lowest free one
 * when AT is negative. The number, or a negative errno (-EMFILE).
 */
int call_install_fd(struct call *c, int src, int at, bool cloexec);

/*
 * Copies LEN bytes from (to) the task's memory: 0, or -EFAULT unless all could be copied. The copy is
 * known to be of the task that made the call, not of one that got its number later.
 */
int call_read(struct call *c, uint64_t addr, void *buf, size_t len);
int call_write(struct call *c, uint64_t addr, const void *buf, size_t len);

/* Marks C as answered from M. */
void call_remote(struct call *c, const struct mount *m);

/* ENOSYS for what is not emulated on a remote object, saying so in the log. */
long call_unsupported(struct call *c, const struct mount *m);

/* What a call without a handler comes to: unsupported on remote objects, else the kernel's. */
long call_default(struct call *c);

/* The caller's umask, read from /proc; 022 when it cannot be read. */
unsigned call_umask(const struct call *c);

/* The process (thread group) that C's task belongs to. */
pid_t call_process(const struct call *c);

/*
 * Whether a signal is pending that C's task does not block, or the task is gone: a call that waits answers
 * -ERESTARTSYS then. No signal wakes a task whose call we answer, so whoever waits long looks now and then.
 * Reads /proc; does not need the state lock.
 */
bool call_interrupted(const struct call *c);

/* A descriptor of ours for the open file that FD is in C's task; the caller closes it. Negative errno. */
int call_get_fd(struct call *c, int fd);

/*
 * Asks the target of M: link_call, but with the state lock released while waiting and the round trip
 * counted. 0 when the target did it; its errno or the link's, negated. REP is freed on failure; on
 * success the caller frees it. Pointers into shared state must be held by reference across it.
 */
int call_rpc(struct call *c, const struct mount *m, const rfs_Request *req, const void *payload,
	     size_t payload_len, struct link_reply *rep);

#endif
