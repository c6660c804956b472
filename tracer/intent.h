/* What a call is about to do with the paths that it names. */
#ifndef TRACER_INTENT_H
#define TRACER_INTENT_H

#include <stdbool.h>

struct call;

/*
 * Whether C changes what its paths name, or might by what it asks for (an open for writing, access with W_OK): the rules send reads
 * and changes to different places. As its row of the table says.
 */
bool intent_writes(const struct call *c);

#endif
