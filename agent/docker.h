/* Docker's socket, or Podman's, which answers the same. */
#ifndef AGENT_DOCKER_H
#define AGENT_DOCKER_H

#include <stddef.h>
#include <sys/types.h>

#define DOCKER_ANSWER_MAX (1 << 20)
#define DOCKER_SECONDS 3

/*
 * Asks at SOCKET for container ID, in which there is nothing that a URL would have to escape, and puts the whole ID in
 * WHOLE. Returns its process; -ENOENT: there is no such container; -ESRCH: it does not run; -EMSGSIZE, -ETIMEDOUT,
 * -EBADMSG: more than DOCKER_ANSWER_MAX bytes, nothing whole after DOCKER_SECONDS, not what was expected; else why it cannot
 * be asked.
 */
int docker_pid(const char *socket, const char *id, char *whole, size_t whole_len);

#endif
