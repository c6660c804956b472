/*
 * Reading files whose changes the agent tells of: what is known is not asked for again, what will be read next is asked for
 * before it is, and all of a file that is read here and there. All functions want the state lock held.
 */
#ifndef SYSCALLS_READAHEAD_H
#define SYSCALLS_READAHEAD_H

#include <stddef.h>
#include <stdint.h>

struct call;
struct chunk;
struct ofd;

/* Bytes of O's file from OFF, as remote_data. O's agent tells of changes (rfs_Coherent_HANDLE). 0 or a negative errno. */
int readahead_data(struct call *c, struct ofd *o, uint64_t off, const uint8_t **data, size_t *len);

/*
 * Asks for K of O's file and waits for it; K's reference stays the caller's. Points *DATA at its bytes from OFF on, up to *LEN,
 * until the next such call for the file. 0 or a negative errno.
 */
int readahead_ask(struct call *c, struct ofd *o, struct chunk *k, uint64_t off, const uint8_t **data, size_t *len);

#endif
