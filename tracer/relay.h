/*
 * Relays: AF_UNIX sockets of tracees whose other end is at the target. The program has a real socket of its own, connected
 * to one of ours or bound to a private name; threads move the bytes. All functions want the state lock held.
 */
#ifndef TRACER_RELAY_H
#define TRACER_RELAY_H

#include <stdint.h>
#include <sys/socket.h>

struct mount;

/*
 * Connects SOCK, a description of the tracee's socket, to one of ours, and relays between that and the connected channel
 * HANDLE of M, which is the relay's from here on, also on failure. NAME is what the peer was called by the program, and
 * THERE what the kernel at the target calls it. 0 or the negative errno of connect(2).
 */
int relay_connect(const struct mount *m, uint64_t handle, int sock, const struct sockaddr_storage *name, socklen_t len,
		  const char *there);

/*
 * Binds SOCK to a private name, known to the program as NAME, and connects to it whoever connects to the bound channel
 * HANDLE of M, which is taken over and there is called THERE. 0 or the negative errno of bind(2).
 */
int relay_bind(const struct mount *m, uint64_t handle, int sock, const struct sockaddr_storage *name, socklen_t len,
	       const char *there);

/* Whether there is a relay, or was. */
int relay_any(void);

/*
 * NAME (LEN bytes) is an address that the kernel tells: if it is one of ours, what the program knows it by is put there and
 * its length returned, else 0.
 */
socklen_t relay_name(struct sockaddr_storage *name, socklen_t len);

/* The channel at the target that is bound for the socket with the private name NAME: 0 and *M, *HANDLE, or -ENOENT. */
int relay_listener(const struct sockaddr_storage *name, socklen_t len, const struct mount **m, uint64_t *handle);

/*
 * The program has ended: waits until what it has sent is at the target, MS milliseconds at most. How many relays still had
 * something then.
 */
unsigned relay_finish(int ms);

#endif
