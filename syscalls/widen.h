/* Filters that tasks get besides their first: see tracer/filter.h. Want the state lock held. */
#ifndef SYSCALLS_WIDEN_H
#define SYSCALLS_WIDEN_H

#include "filter.h"

struct call;

/*
 * In a stopped call: C's task and its threads have the filter WHICH (FILTER_PASSING, FILTER_LOW) from now on. 0 or a
 * negative errno, such as a filter of its own may say. A task that is not privileged gets no_new_privs with it.
 */
int widen(struct call *c, enum filter_message which);

#endif
