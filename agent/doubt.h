/*
 * Requests that were being done when their process was killed. What changes something and cannot be done twice notes, just before
 * it begins, what will tell whether it was done; the client sends it again, and who took over looks. The kernel kills between
 * system calls, not in them: each was done wholly, or not at all, or (write) up to where the file position is.
 */
#ifndef AGENT_DOUBT_H
#define AGENT_DOUBT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct op;

enum doubt_kind { DOUBT_NONE, DOUBT_BEGUN, DOUBT_OPENED, DOUBT_CREATE, DOUBT_REMOVE, DOUBT_RENAME, DOUBT_APPEND, DOUBT_APPENDED };

/* In shared memory. What is behind KIND was written before it. */
struct doubt_note {
	atomic_uint kind;
	int32_t fd;                 /* OPENED: what it is; it stays open. APPEND: the handle's */
	bool there;                 /* CREATE: the name was, and is not ours */
	uint64_t dev[2], ino[2];    /* of the names; ino 0: there was none */
	int64_t size;               /* APPEND: of the file */
	int64_t before;             /* APPEND: bytes that were written already, when one was killed earlier */
	int64_t written, offset;    /* APPENDED: as in WriteReply. APPEND: offset is where it ended, once it was looked for */
};

/* Forgets what N is about. */
void doubt_clear(struct doubt_note *n);

/* Whether OP was begun by a process that was killed, and may have been done. */
bool doubt_is(const struct op *op);

/* OP cannot be looked for later. 0; -EIO, with a line: it was begun already, so nobody knows whether it was done. */
int doubt_once(struct op *op);

/* OP begins, and who repeats it takes the error that then comes (doubt_is) for what it means: that it was done. */
void doubt_begin(struct op *op);

/* FD is what OP opened. */
void doubt_opened(struct op *op, int fd);

/* OP closes what it opened: it fails. */
void doubt_closes(struct op *op);

/* What OP had opened already, now the caller's, or -1. */
int doubt_fd(const struct op *op);

/*
 * The three that follow return 1 if OP was done; 0 if it is to be done now; -EIO, with a line, if nobody knows. Slashes behind a
 * last component (LAST, FROM, TO) count for nothing.
 */

/* LAST in DIR is made by a call that fails if it is there; TYPE: S_IFMT of what it makes, 0: another name for what has one. */
int doubt_create(struct op *op, int dir, const char *last, mode_t type);

/* The same for an open with O_EXCL: THERE says whether the name is there. It fails no more if it must not. */
int doubt_exclusive(struct op *op, bool there, int *flags);

int doubt_remove(struct op *op, int dir, const char *last);

int doubt_rename(struct op *op, int from_dir, const char *from, int to_dir, const char *to);

/*
 * OP appends its data to FD, with whose position nobody else does anything until doubt_appended. How many bytes of it are there
 * already, and then *OFFSET, where they end; or what it failed with, or -EIO, with a line.
 */
ssize_t doubt_append(struct op *op, int fd, int64_t *offset);

/* It is over: WRITTEN bytes (or an error) up to OFFSET. */
void doubt_appended(struct op *op, ssize_t written, int64_t offset);

/* For who took over, before any request: N holds what can be seen only now. */
void doubt_look(struct doubt_note *n);

/* OP's request cannot be known to be done: -EIO, with a line. */
int doubt_unknown(const struct op *op);

#endif
