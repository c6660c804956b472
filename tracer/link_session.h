/* By what an agent knows again whom it serves, when the connection broke. */
#ifndef TRACER_LINK_SESSION_H
#define TRACER_LINK_SESSION_H

#include <stdint.h>

struct link_session {
	uint8_t name[16], secret[32];
	uint32_t linger_ms; /* how long the agent waits for another connection */
	uint32_t stream;    /* the agent's number for this one */
	uint32_t attempt;   /* streams that were tried after the first */
};

#endif
