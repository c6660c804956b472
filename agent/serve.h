/* One stream: frames in, frames out, and the threads between them. */
#ifndef AGENT_SERVE_H
#define AGENT_SERVE_H

#include "agent.h"

/*
 * Serves A on IN and OUT until the stream ends, then ends the process: 0 after Goodbye or the end of the
 * stream, 125 when the client broke the protocol. Returns a negative errno only if it could not begin.
 */
int serve(struct agent *a, int in, int out);

#endif
