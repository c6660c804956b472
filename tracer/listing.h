/* A directory's entries as the agent sends them: Entry messages, each behind its length. */
#ifndef TRACER_LISTING_H
#define TRACER_LISTING_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "remotefs.pb.h"

struct mount;

/*
 * Takes the entry at *AT of LIST, of LEN bytes, and moves *AT behind it. 1; 0 at the end; -EPROTO for bytes that are none, or a
 * name that cannot be one: then *AT is the end.
 */
int listing_next(const uint8_t *list, size_t len, size_t *at, rfs_Entry *e);

/* Whether LIST, of LEN bytes, has the NAME, of N bytes. True also when it cannot be told. */
bool listing_has(const uint8_t *list, size_t len, const char *name, size_t n);

/*
 * Puts NAME (at most NAME_MAX bytes), of TYPE (DT_*; 0: not known), at the end of LIST (malloc'ed), of *LEN bytes, with no inode number: it was made
 * by us. The list, perhaps elsewhere, and its length in *LEN.
 */
uint8_t *listing_add(uint8_t *list, size_t *len, const char *name, unsigned type);

/*
 * Tells the cache of all entries of LIST, of LEN bytes, which is DIR's in M and was asked for at SINCE (cache_now): that answers
 * the stats that are likely to follow. Whether its attributes were to be had, so that names may be looked for in it. Wants the state
 * lock held.
 */
bool listing_learn(const struct mount *m, const char *dir, const uint8_t *list, size_t len, uint64_t since);

/* The path of E, which is in DIR. 0 or -ENAMETOOLONG. */
int listing_path(const char *dir, const rfs_Entry *e, char path[PATH_MAX]);

#endif
