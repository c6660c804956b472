/* Filters that tasks get besides their first: see tracer/filter.h. Want the state lock held. */
#ifndef SYSCALLS_WIDEN_H
#define SYSCALLS_WIDEN_H

#include "filter.h"

struct call;

/*
 * In a stopped call: C's task and its threads have the filter WHICH (FILTER_PASSING, FILTER_LOW) from now on. 0 or a
 * negative errno: -EACCES when the task may not have filters any more (it has changed its user, and no_new_privs is
 * not set), or what a filter of its own says.
 */
int widen(struct call *c, enum filter_message which);

#endif
