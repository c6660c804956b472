/* Which requests only look: they may be asked again after a reply was lost. */
#ifndef PROTO_PLAIN_H
#define PROTO_PLAIN_H

#include <stdbool.h>

/* OP is rfs_Request.which_op. Both ends must agree: an agent keeps the reply of every other request until it was read. */
bool request_is_plain(unsigned op);

#endif
