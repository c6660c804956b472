/*
 * Fetching ahead: of a directory that is being read through, the small files and the listings of the directories in it come
 * before they are asked for, into the cache. All functions want the state lock held.
 */
#ifndef TRACER_AHEAD_H
#define TRACER_AHEAD_H

#include <stdbool.h>
#include <stdint.h>

#include "remotefs.pb.h"

struct call;
struct mount;

/* Files up to this size are fetched ahead, and as much of a listing. */
#define AHEAD_SIZE (128u << 10)

/* Whether LEN bytes that came with R are all of the file, or the whole listing. */
bool ahead_is_whole(const rfs_OpenReply *r, size_t len);

/* A program begins to read the listing of PATH (target's view, normalised) in M. */
void ahead_listed(const struct mount *m, const char *path);

/* A program opens PATH, a DIRECTORY or a file, to read it: what is likely to follow is asked for. */
void ahead_opened(const struct mount *m, const char *path, bool directory);

/* A program's call had to ask the agent about PATH: if that goes on, the listing of its directory will answer. */
void ahead_asked(const struct mount *m, const char *path);

/* What is known of PATH answered a call: a listing that came ahead was of use. */
void ahead_looked(const struct mount *m, const char *path);

/* Waits, for C, while the bytes of PATH are on their way: whether they were. */
bool ahead_await(struct call *c, const struct mount *m, const char *path);

/* The same for the listing of the directory that PATH is in. */
bool ahead_await_listing(struct call *c, const struct mount *m, const char *path);

#endif
