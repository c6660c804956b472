/*
 * What is known of remote names: attributes (of the name itself, as lstat gives them), absent names, and of some the
 * bytes: those of a small file, all of them, or a directory's whole listing (Entry messages). An entry is here only while its agent has promised to tell of changes. All functions want the state lock.
 */
#ifndef TRACER_CACHE_H
#define TRACER_CACHE_H

#include <stdbool.h>
#include <stddef.h>
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

/*
 * ON: what agents promise to tell of is believed until they do, else nothing is kept and everything asked. LEASE, in ns: for how
 * long names are believed of which no change would be told; 0: not at all. Called once, at the start.
 */
void cache_policy(bool on, uint64_t lease);
bool cache_is_off(void);

/* As cache_put for a name of which the agent promised nothing: for the time of cache_policy, or until we change anything at all. */
void cache_lease(const struct mount *m, const char *path, const rfs_Attr *attr, uint64_t since);

/* The most bytes that are kept, unless cache_limit says otherwise. */
#define CACHE_BYTES (64u << 20)

/* Bytes kept of all names together, at most. They are taken off what pages.h may keep. */
void cache_limit(size_t bytes);

/*
 * Keeps the LEN BYTES (malloc'ed; taken over) of PATH, if what is known of it is ATTR, with which they came, and nothing of it has
 * changed since the moment SINCE. What was not used the longest makes room.
 */
void cache_put_bytes(const struct mount *m, const char *path, const rfs_Attr *attr, uint8_t *bytes, size_t len, uint64_t since);

/* The bytes of PATH, *LEN of them, with ATTR; they stay the cache's, until its next change. NULL: not known. */
const uint8_t *cache_bytes(const struct mount *m, const char *path, rfs_Attr *attr, size_t *len);

/* Whether the bytes of what was A are those of what is B. Access times do not count. */
bool cache_same(const rfs_Attr *a, const rfs_Attr *b);

/* Marks that stay with an entry as long as it is known. */
enum { CACHE_COMING = 1 /* its bytes were asked for */, CACHE_AHEAD = 2 /* they came before anybody wanted them */, CACHE_QUIET = 4 /* O_NOATIME is allowed */,
       CACHE_SEARCH = 8 /* of a listing: names in it may be looked for, so one that it has not is ENOENT */,
       CACHE_GROWN = 16 /* … and it has names that we made: it can be searched, and not be listed */,
       CACHE_OURS = 32 /* we have made it, or a name in it, so there we can make more */ };

/* Sets or clears MARKS of PATH. Whether one of them was set. */
bool cache_mark(const struct mount *m, const char *path, uint8_t marks, bool on);
bool cache_marked(const struct mount *m, const char *path, uint8_t marks);

/*
 * PATH, of TYPE (DT_*; 0: any), was made or found by us as ATTR says (NULL: not known) when asked at SINCE. What was known of the names in its
 * directory is known still, and this one with them; its agent tells nothing of that (Request.own).
 */
void cache_made(const struct mount *m, const char *path, unsigned type, const rfs_Attr *attr, uint64_t since);

/* Attributes of PATH were changed by us. The names in a directory stay known. */
void cache_changed(const struct mount *m, const char *path);

/*
 * PATH is there, with ATTR as far as can be told before the agent has said it; and the same for a directory that we are making, and in
 * which there is nothing but what we make. That it is so says CACHE_CONFIRM, with what the agent said when asked at SINCE.
 */
void cache_assume(const struct mount *m, const char *path, const rfs_Attr *attr);
void cache_expect(const struct mount *m, const char *path, const rfs_Attr *attr);
void cache_confirm(const struct mount *m, const char *path, const rfs_Attr *attr, uint64_t since);

/* What was last known of PATH, or assumed. False: nothing. */
bool cache_last(const struct mount *m, const char *path, rfs_Attr *attr);

/* Whether PATH, and every other name of ATTR's file, is as it was at SINCE, as far as was heard. */
bool cache_is_current(const struct mount *m, const char *path, const rfs_Attr *attr, uint64_t since);

/* Whether it is known that PATH is there, and that it is a directory, even if its attributes are not. */
bool cache_exists(const struct mount *m, const char *path);
bool cache_is_directory(const struct mount *m, const char *path);

/* PATH changed, and with SUBTREE everything below it. */
void cache_forget(const struct mount *m, const char *path, bool subtree);

/* Every name of an inode changed. */
void cache_forget_inode(const struct mount *m, uint32_t dev_major, uint32_t dev_minor, uint64_t ino);

/* PATH's own entry and that of the directory it is in: a name was made or removed there. */
void cache_forget_name(const struct mount *m, const char *path, bool subtree);

#endif
