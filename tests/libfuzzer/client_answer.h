/* What an honest agent might say to a request. */
#ifndef LIBFUZZER_CLIENT_ANSWER_H
#define LIBFUZZER_CLIENT_ANSWER_H

#include <stddef.h>

#include "remotefs.pb.h"

struct link_reply;

/* The answer to REQ, which has PAYLOAD_LEN bytes with it, in REP, which is zeroed before and the caller's to free. */
void client_answer(const rfs_Request *req, size_t payload_len, struct link_reply *rep);

/* REP, which has no payload yet, gets one of LEN bytes. */
void client_answer_bytes(struct link_reply *rep, size_t len);

#endif
