/*
 * The placeholder of a remote FIFO: a FIFO of ours, in which poll(2) finds what it would find in the remote one. A byte
 * that stands for data, a pipe that is full, an end that is shut: read and write are emulated, poll, select and epoll are
 * the kernel's own. Wants the state lock held.
 */
#ifndef TRACER_SHADOW_H
#define TRACER_SHADOW_H

#include <stdbool.h>
#include <stdint.h>

struct ofd;

/*
 * Makes the FIFO NAME, opens it as O->flags say, and unlinks it. A descriptor to be handed to a tracee and closed, or a
 * negative errno. O->shadow is set and shows nothing ready.
 */
int shadow_make(struct ofd *o, const char *name);

/* The inotify event that tells that a tracee may have closed O. */
uint32_t shadow_close_event(const struct ofd *o);

/* Shows READY, poll(2)'s bits. */
void shadow_show(struct ofd *o, uint32_t ready);

/* A descriptor of O was closed: lets go of the FIFO if no tracee has it any more. */
void shadow_closed(struct ofd *o);

void shadow_free(struct ofd *o);

/* A descriptor, in /proc/self/fd, that names the FIFO. */
int shadow_fd(const struct ofd *o);

#endif
