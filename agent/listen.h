/* Agents that are reached by a socket: one child for each client that knows the token. */
#ifndef AGENT_LISTEN_H
#define AGENT_LISTEN_H

#include <signal.h>
#include <stddef.h>
#include <sys/types.h>

#include "auth.h"

struct clients;

struct listener {
	int fd, signals;
	sigset_t mask; /* before the signals were taken */
	struct clients *clients;
	char name[320]; /* the address, with the port that it came to be */
	const char *path; /* of a unix socket, which is removed at the end; else NULL */
	dev_t dev;
	ino_t ino;
};

/*
 * Listens on ADDRESS (see address.h), whose host is a number or localhost. A unix socket is made with mode 0600, in the place of
 * one that nobody listens on; ADDRESS is kept. To be called before there are threads. 0, or a negative errno with one clause in
 * ERR (ERR_LEN bytes); -EINVAL: of the address.
 */
int listen_open(const char *address, struct listener *l, char *err, size_t err_len);

/*
 * Says where it listens, then makes a child for each connection, at most 64 at once, and lets it return the connection's
 * descriptor when its client has proved that it knows TOKEN. The calling process itself ends in here, with status 0, by SIGTERM,
 * or by SIGINT if that was not ignored; the children stay as long as their streams. TOKEN is wiped in the child.
 */
int listen_wait(struct listener *l, struct auth_token *token);

/* Removes the unix socket that listen_open made, if it is still there. Harmless on a zeroed listener. */
void listen_remove(const struct listener *l);

#endif
