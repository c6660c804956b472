/*
 * What is known of remote names: attributes (of the name itself, as lstat gives them) and absent names.
 * An entry is here only while its agent has promised to tell of changes. All functions want the state lock.
 */
#ifndef TRACER_CACHE_H
#define TRACER_CACHE_H

#include <stdbool.h>
#include <stdint.h>

#include "remotefs.pb.h"

struct mount;

/*
 * A moment: what was asked of an agent at one moment may be put in the cache later only if nothing it
 * speaks of has changed since.
 */
uint64_t cache_now(void);

/*
 * Looks PATH (target's view, normalised) up. 1: known, ATTR filled in; 0: unknown; -ENOENT: known to be
 * absent.
 */
int cache_find(const struct mount *m, const char *path, rfs_Attr *attr);

/* Remembers ATTR (NULL: absent) for PATH as of the moment SINCE; does nothing if it changed since then. */
void cache_put(const struct mount *m, const char *path, const rfs_Attr *attr, uint64_t since);

/* PATH changed, and with SUBTREE everything below it. */
void cache_forget(const struct mount *m, const char *path, bool subtree);

/* Every name of an inode changed. */
void cache_forget_inode(const struct mount *m, uint32_t dev_major, uint32_t dev_minor, uint64_t ino);

/* PATH's own entry and that of the directory it is in: a name was made or removed there. */
void cache_forget_name(const struct mount *m, const char *path, bool subtree);

#endif
