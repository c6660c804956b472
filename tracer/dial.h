/* Agents that listen: how one is reached. */
#ifndef TRACER_DIAL_H
#define TRACER_DIAL_H

#include <stddef.h>

/*
 * Connects to the agent that listens at ADDRESS, and has each side prove to the other that it knows the token: that in TOKEN_FILE,
 * or for NULL in the environment variable REMOTEFS_TOKEN. The variable is kept here and removed by the first call, so that the
 * program does not get it: to be called by one thread, while no other one uses the environment. At most TIMEOUT_MS in all.
 * A close-on-exec, blocking descriptor, which is the caller's, or a negative errno with one clause in ERR.
 */
int dial_open(const char *address, const char *token_file, int timeout_ms, char *err, size_t err_len);

#endif
