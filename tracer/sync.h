/*
 * Bytes that tasks write natively, into an image: through a low descriptor (a shell's `> file`) or a shared
 * mapping. They are brought from there to the agent. While an image is written so it is the authority on
 * the file for all tasks. A page is the agent's if it is what it was when it last came from there or went
 * there, which is told by its hash: the kernel does not tell which pages were stored into. All functions
 * want the state lock held.
 */
#ifndef TRACER_SYNC_H
#define TRACER_SYNC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "digest.h"

struct call;
struct image;
struct mount;
struct ofd;

#define SYNC_PAGE DIGEST_PAGE

/*
 * Lets the kernel write O from now on: fills its image, which is watched for writes. 0, or a negative
 * errno with O still emulated.
 */
int sync_native(struct call *c, struct ofd *o);

/* O, if the kernel writes it, is about to lose O_APPEND: its image gets what is before the end. 0 or a negative errno. */
int sync_anywhere(struct call *c, struct ofd *o);

/* Lets tasks store into mappings of O, which can be read and written. 0 or a negative errno. */
int sync_mapped(struct call *c, struct ofd *o);

/* I was written natively. */
void sync_touched(struct image *i);

/* The last copy of O, which could write natively, is gone: its bytes go to the agent with the next sync_run. */
void sync_closed(struct ofd *o);

/* Brings everything touched to the agents. Waits for them; C may be NULL. */
void sync_run(struct call *c);

/*
 * The program has ended: from now on what is brought is sent only, where no lock depends on it being there. Whether answers to that are
 * still to come; they come before the goodbye's. And waits for them, and tells what could not be stored.
 */
void sync_part(void);
bool sync_has_left(void);
void sync_land(void);

/* Brings all that was written on M (NULL: anywhere). Errors stay for the files' own calls. */
void sync_all(struct call *c, const struct mount *m);

/*
 * Brings what was written in LEN bytes from OFF of I to the agent now (LEN UINT64_MAX: to the end) and
 * returns the first error since the last call, 0 when all went well. I may be NULL.
 */
int sync_flush(struct call *c, struct image *i, uint64_t off, uint64_t len);

/* The same, with the error left for who asks next: 0 or a negative errno. */
int sync_push(struct call *c, struct image *i);

/*
 * Around a call that makes a file shorter, whichever that is, up to where its image follows: no image is locked meanwhile, so that
 * bytes that are on their way to the agent are there before it, those that come behind it are in the image behind it, too.
 */
void sync_hold(void);
void sync_release(void);

/* True when tasks have made I longer than the file is at the agent. */
bool sync_has_grown(const struct image *i);

/* How long the agent has the file of I, which is synchronised. */
uint64_t sync_size(const struct image *i);

/* True when the image of O's file, and not the agent, knows what is in it. */
bool sync_decides(const struct ofd *o);

/* True while any file can be written natively: only then is there anything to drain before a call. */
bool sync_active(void);

/* Around a change of I's file at the agent, and in I: no flush may bring older bytes meanwhile. I may be NULL. Not twice, nor in sync_hold. */
void sync_lock(struct image *i);
void sync_unlock(struct image *i);

/* LEN bytes DATA (NULL: zeros) of our own are about to be written to I at OFF; the agent has them. */
void sync_before_write(struct image *i, const void *data, size_t len, uint64_t off);

/* The file was made SIZE bytes long by a call of ours, which still has sync_hold: I follows. */
void sync_resize(struct image *i, uint64_t size);

/* The file is SIZE bytes long by a call of ours; of I, which is appended to without its bytes being there, that is all to follow. */
void sync_follow_size(struct image *i, uint64_t size);

/* Whether the agent has the page of I that SIZE is in as it is here; to be asked before I is cut off there. */
bool sync_end_is_clean(const struct image *i, uint64_t size);

/* The file and I are SIZE bytes long now. CLEAN: what sync_end_is_clean said; if it is not, the page is brought. */
void sync_resized(struct image *i, uint64_t size, bool clean);

/* Around each change that we make in I: it is not to be taken for a task's. */
void sync_change_begin(struct image *i);
void sync_change_end(struct image *i);

/* *DIGEST is that of the page at OFF of I as the agent has it; false when that is not known. */
bool sync_known(const struct image *i, uint64_t off, uint64_t *digest);

/* True when the page of I at OFF, or LEN bytes of it, are as the agent has them. */
bool sync_is_clean(const struct image *i, const uint8_t *page, size_t len, uint64_t off);

/* The agent has this page at OFF of I, of which the file has LEN bytes. */
void sync_brought(struct image *i, const uint8_t *page, size_t len, uint64_t off);

/* O can no longer write natively, and is being freed. */
void sync_drop(struct ofd *o);

#endif
