/*
 * Carriers: what an inotify instance of a tracee watches here in the place of something remote, a directory or a
 * file of ours on tmpfs. A remote event becomes an event of the instance by being done to the carrier, with the
 * watch's mask opened for that one event only; so numbers of watches, names, cookies, merging, overflow,
 * poll and read are the kernel's own. All functions want the state lock held.
 */
#ifndef TRACER_CARRIER_H
#define TRACER_CARRIER_H

#include <stdbool.h>
#include <stdint.h>

struct carrier {
	int inotify;     /* our descriptor of the instance; the owner's */
	int wd;          /* 0: gone, and the instance knows it */
	bool directory;
	bool oneshot;    /* the next event is the last */
	uint64_t serial; /* its name */
};

/* One end of an event: its carrier, and the name in it, "" for the watched object itself. */
struct carried {
	struct carrier *carrier;
	const char *name;
};

/*
 * Makes K, a DIRECTORY or a file, and lets INOTIFY watch it. The number of the watch, or a negative errno
 * (-ENOSPC: no room for it, or no watch left).
 */
int carrier_make(struct carrier *k, int inotify, bool directory);

/* Ends K's watch, which the instance is told by IN_IGNORED, and removes it. Harmless when it is gone. */
void carrier_end(struct carrier *k);

/*
 * Makes the one event of MASK (a single IN_ bit) happen AT; an IN_MOVED_FROM also at TO, if TO has a carrier.
 * DIRECTORY: the name is a directory's (IN_ISDIR). A carrier whose last event it was is gone afterwards.
 * 0, -EINVAL for what is no event, or the errno of what could not be done.
 */
int carrier_event(const struct carried *at, const struct carried *to, uint32_t mask, bool directory);

/* Overflows the queue of INOTIFY, because events for it were lost. 0 or a negative errno. */
int carrier_overflow(int inotify);

/* Removes what carriers left on disk. */
void carrier_finish(void);

#endif
