/*
 * Placeholders: the real kernel files that tracees hold in place of remote ones, so that the kernel does
 * numbering, dup, fork, exec, close-on-exec, poll and mmap by itself. A regular file's is an unnamed
 * file on tmpfs, named in /proc by its inode number; a directory's is an empty directory that was
 * removed right after it was opened, named by a serial number (so are files with O_NOFOLLOW). inotify on the inode tells when the last
 * descriptor, mapping or cwd on it is gone. All functions want the state lock held.
 */
#ifndef TRACER_PLACEHOLDER_H
#define TRACER_PLACEHOLDER_H

#include <stddef.h>
#include <stdint.h>

#include "ofd.h"

/*
 * Finds a place for placeholders (/dev/shm, else $XDG_RUNTIME_DIR, else $TMPDIR or /tmp) and starts the
 * watch thread. 0 or a negative errno with one clause in ERR.
 */
int placeholder_init(char *err, size_t err_len);

/*
 * Makes the placeholder of the non-directory O with SIZE as its size and the LEN bytes at DATA as its
 * beginning. Returns a descriptor of ours, opened as O->flags say, to be handed to a tracee and closed;
 * or a negative errno (-ENOSPC: no room for the bytes, nothing was made).
 */
int placeholder_file(struct ofd *o, const void *data, size_t len, uint64_t size);

/* The same for the FIFO O, whose channel is to be shown by it. */
int placeholder_fifo(struct ofd *o);

/* The same for the directory O. */
int placeholder_dir(struct ofd *o);

/* Opens our own description of O's placeholder for reading and writing, given FD, any description of it. */
int placeholder_open_own(struct ofd *o, int fd);

/* From now on O is told of native writes (sync_touched). 0 or a negative errno. */
int placeholder_watch_writes(struct ofd *o);

/* Replaces the placeholder's bytes from OFF on; 0 or -ENOSPC. O must have an own description. */
int placeholder_write(struct ofd *o, const void *data, size_t len, uint64_t off);
int placeholder_resize(struct ofd *o, uint64_t size);

/* A path for something that has to have a name beside the placeholders; WHAT is the end of it. */
void placeholder_name(char *out, size_t len, const char *what);

/*
 * Handles the events queued so far: ofds whose last descriptor is gone are dropped, bytes written
 * natively are marked. Called before each remote call, so that what a task did natively comes first.
 */
void placeholder_drain(struct call *c);

/* Turns a link text of /proc/PID/fd or cwd into a placeholder's key; 0 when it is none of ours. */
uint64_t placeholder_key(const char *text);

#endif
