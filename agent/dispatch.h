/* Which handler answers which request. */
#ifndef AGENT_DISPATCH_H
#define AGENT_DISPATCH_H

#include "agent.h"

/* What must happen in the order of the stream: an Open reserves its handle. OP->req is set. */
void dispatch_prepare(struct op *op);

/* Answers OP->req into OP->reply and OP->out. */
void dispatch_run(struct op *op);

/* What REQ is called in a line for humans. */
const char *dispatch_name(const rfs_Request *req);

/* Whether REQ is usually answered faster than another thread is woken up. */
bool dispatch_is_quick(const rfs_Request *req);

/* Whether REQ may change what a path leads to, or whether it leads there. */
bool dispatch_changes_names(const rfs_Request *req);

/* Whether whoever has the answer may have a lock. */
bool dispatch_takes_lock(const rfs_Request *req);

/* The payload that the reply may have at most, for the budget. */
size_t dispatch_cost(const rfs_Request *req);

#endif
