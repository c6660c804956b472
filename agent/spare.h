/* Descriptors that the client's files cannot have, so that a connection that broke can be taken up again when there are no others. */
#ifndef AGENT_SPARE_H
#define AGENT_SPARE_H

#include <stdbool.h>

/* From here on some of those that the limit allows are spared. Once, in the process that serves: its keeper spares none. */
void spare_begin(void);

/* USED: what is opened next may have them; else they are spared again. For the one thread that takes connections. */
void spare_use(bool used);

#endif
