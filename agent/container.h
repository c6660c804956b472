/* The process of a container on this node, by the container's ID. */
#ifndef AGENT_CONTAINER_H
#define AGENT_CONTAINER_H

#include <stddef.h>
#include <sys/types.h>

/*
 * Looks for the first process of container ID: a whole ID, at least 12 hexadecimal digits of one that no other begins
 * with, or what Docker calls a name; "SCHEME://" before it is passed over. It asks Docker, and looks into the state of the
 * other runtimes and into the control groups of all processes, below ROOT ("" but for tests) and below ROOT/host, where
 * agents in a pod may have what is the node's. Returns its number, with where it was found in HOW; 0, with one line in
 * ERR that says what is the matter.
 */
pid_t container_find(const char *root, const char *id, char *how, size_t how_len, char *err, size_t err_len);

#endif
