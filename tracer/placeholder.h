/*
 * Placeholders: the real kernel files that tracees hold in place of remote ones, so that the kernel does
 * numbering, dup, fork, exec, close-on-exec, poll and mmap by itself. Those of one remote file are
 * descriptions of one image (image.h), an unnamed file on tmpfs, named in /proc by its inode number; a
 * directory's is an empty directory that was removed right after it was opened, named by a serial number
 * (so are images opened with O_NOFOLLOW first). Which description of an image it is tells a record lock, on
 * one byte that is the ofd's tag: the kernel shows it in /proc, and drops it with the description's last
 * copy, mappings included. The locks of tasks are held at the target. All functions want the state lock held.
 */
#ifndef TRACER_PLACEHOLDER_H
#define TRACER_PLACEHOLDER_H

#include <stddef.h>
#include <stdint.h>

#include "image.h"
#include "ofd.h"

/*
 * Finds a place for placeholders: /dev/shm, else $XDG_RUNTIME_DIR, else $TMPDIR or /tmp. 0 or a negative
 * errno with one clause in ERR.
 */
int placeholder_init(char *err, size_t err_len);

/*
 * Makes the placeholder of the non-directory O, and with the file's first one an image of its size. Returns
 * a descriptor of ours, opened as O->flags say, to be handed to a tracee and closed; or a negative errno.
 * With NATIVE the kernel's file flags are all of O's (-ELOOP: not possible with O_NOFOLLOW any more).
 */
int placeholder_file(struct ofd *o, bool native);

/* The same for the FIFO O, whose channel is to be shown by it. */
int placeholder_fifo(struct ofd *o);

/* The same for the directory O. */
int placeholder_dir(struct ofd *o);

/*
 * Makes a directory that holds the symbolic link NAME with TEXT and nothing else. A descriptor of it, and its path in
 * DIR for placeholder_unlink; or a negative errno.
 */
int placeholder_link(const char *name, const char *text, char *dir, size_t len);

/* Removes the directory DIR and its link. */
void placeholder_unlink(const char *dir);

/* The image that a link text of /proc/PID/fd or cwd is in, or NULL. */
struct image *placeholder_image(const char *text);

/* The ofd whose placeholder, a description of I, the link LINK ("/proc/PID/fd/N") leads to, or NULL; of any other link, one of I's. */
struct ofd *placeholder_owner(const struct image *i, const char *link);

/* The image whose inotify watch is WD, or NULL. */
struct image *placeholder_by_watch(int wd);

/* A path for something that has to have a name beside the placeholders; WHAT is the end of it. */
void placeholder_name(char *out, size_t len, const char *what);

/* True while a task has a copy or a mapping of the file O. */
bool placeholder_is_open(const struct ofd *o);

/* Calls VISIT for every image. */
void placeholder_each(void (*visit)(struct image *i, void *arg), void *arg);

/* I has no more ofds. */
void placeholder_free(struct image *i);

#endif
