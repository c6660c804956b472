/* Opening what is known: without waiting for the agent. */
#ifndef SYSCALLS_KNOWN_H
#define SYSCALLS_KNOWN_H

#include <stdbool.h>
#include <stdint.h>

#include "remotefs.pb.h"

struct call;
struct link_reply;
struct ofd;
struct place;

/*
 * Opens P for C from the cache, REQ (an Open) being what the agent is told meanwhile. The ofd, whose one reference is the
 * caller's; NULL: it is not known well enough, or FLAGS want more than to read it. May wait for bytes that are on their way.
 */
struct ofd *known_open(struct call *c, const struct place *p, int flags, rfs_Request *req);

/*
 * What REP, of an Open of P with FLAGS that was asked for at SINCE (cache_now) and succeeded, brought: a whole small file or listing
 * is kept for the next one. Whether it was.
 */
bool known_keep(const struct place *p, int flags, const struct link_reply *rep, uint64_t since);

#endif
