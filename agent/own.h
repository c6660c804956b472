/*
 * Changes that the client asked for and follows by itself (Request.own): their events are not passed on, and
 * what they came to is looked at, and promised, behind them.
 */
#ifndef AGENT_OWN_H
#define AGENT_OWN_H

#include <stdbool.h>

struct op;

/* Whether OP's request can be such a change. */
bool own_applies(const struct op *op);

/*
 * Runs FN, OP's handler, as such a change. FN's result; after a success the reply says what is there now, with the
 * promise if it can be given.
 */
int own_run(struct op *op, int (*fn)(struct op *op));

#endif
