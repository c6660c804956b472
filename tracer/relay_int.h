/* Inside of the relays: the relay itself (relay.c), and how it comes to be (relay_connect.c, relay_bind.c). */
#ifndef TRACER_RELAY_INT_H
#define TRACER_RELAY_INT_H

#include <limits.h>
#include <stdbool.h>

#include "relay.h"

#define RELAY_PIECE (256u << 10) /* larger than any message of a socket that keeps them (net.core.wmem_max) */
#define RELAY_LOOK_MS 200        /* how often a socket of the program's is looked for */
#define RELAY_RETRY_MS 10        /* how often a full queue is tried again */

/* What the program takes a private address for. */
struct relay_name {
	struct sockaddr_storage ours, shown;
	socklen_t ours_len, shown_len;
};

struct relay {
	struct relay *next;
	struct channel *channel;
	const struct mount *mount;
	uint64_t handle;
	int type;      /* SOCK_STREAM … */
	int fd;        /* ours: the tracee's peer, or of a bound socket an O_PATH descriptor of its file */
	bool bound;
	char there[PATH_MAX]; /* what a bound socket is called at the target */
	bool up_done;  /* everything the program sent is at the target */
	bool dead;     /* the program's end is closed */
	int threads;
	struct relay_name name, own; /* of its peer or its bound socket; of a datagram socket that we had to name */
};

/* A relay for channel HANDLE of M, which is its own from here on, and a socket of TYPE. It ends with its last thread, or by relay_free. */
struct relay *relay_new(const struct mount *m, uint64_t handle, int type);

/* Frees R, which no thread runs for. */
void relay_free(struct relay *r);

/* Has a detached thread run RUN, which gives R back by relay_leave. 0 or a negative errno. */
int relay_start(struct relay *r, void *(*run)(void *));
void relay_leave(struct relay *r);

/* Moves the bytes both ways between R's descriptor and its channel. 0, or a negative errno: then R is freed. */
int relay_run(struct relay *r);

/* Waits MS milliseconds, or until a relay has moved on. */
void relay_pause(int ms);

/* The relay that is bound at the target of M and called THERE by the kernel there, or NULL. */
const struct relay *relay_bound(const struct mount *m, const char *there);

/* The program knows R's private address as NAME. */
void relay_show_as(struct relay *r, const struct sockaddr_storage *name, socklen_t len);

/* SOCK_STREAM …, or a negative errno. */
int relay_sock_type(int sock);

#endif
