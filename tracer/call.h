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

	enum call_route route;
	const struct mount *mount; /* the remote tree it touched, NULL when local */
	unsigned round_trips;
	uint64_t bytes_in, bytes_out; /* payload and paths, on the wire */
	const char *note;             /* static text for the log's <…>, or NULL: "not emulated" … */
};

/*
 * Asks the target of M: link_call, but with the state lock released while waiting and the round trip
 * counted. 0 when the target did it; its errno or the link's, negated. REP is freed on failure; on
 * success the caller frees it. Pointers into shared state must be held by reference across it.
 */
int call_rpc(struct call *c, const struct mount *m, const rfs_Request *req, const void *payload,
	     size_t payload_len, struct link_reply *rep);

#endif
