/* Between watch.c, which knows the instances, and watch_below.c, which hears what happens below an overlay. */
#ifndef TRACER_WATCH_INT_H
#define TRACER_WATCH_INT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "carrier.h"
#include "remotefs.pb.h"

struct call;
struct mount;
struct place;

/* A remote place that an instance watches. */
struct watch {
	struct watch *next;
	const struct mount *mount;
	int remote_wd; /* its number at the agent */
	uint32_t mask;
	struct carrier carrier;
	/* Of a directory of an overlay's upper layer: where the target tells what happens in the one below it. */
	struct {
		const struct mount *mount; /* NULL: nowhere */
		int wd;
		int dir; /* the directory of the upper layer, O_PATH */
	} below;
};

/* An event that came before the answer that tells what it is about. */
struct early {
	struct early *next;
	const struct mount *mount;
	rfs_Event event;
};

struct instance {
	struct instance *next;
	uint64_t number; /* the agents' name for it */
	int fd;          /* ours */
	struct watch *watches;
	int adding;      /* answers that are awaited */
	struct early *early;
	unsigned early_count;

	/* Where a tracee had it last. Our own descriptor keeps it from ending, so we must look. */
	pid_t holder;
	int holder_fd;
	uint64_t checked, missing_since; /* now_ns; 0: it is not missing */
};

/* Whether FD of process PID is instance I. */
bool instance_is(const struct instance *i, pid_t pid, int fd);

/* Looks at time NOW for a task that has I open; the usual one is found at once. */
void instance_look(struct instance *i, uint64_t now);

/* The watch of instance NUMBER that M's agent knows by REMOTE_WD, or NULL. */
struct watch *watch_known(uint64_t number, const struct mount *m, int remote_wd);

/*
 * W, a watch of P in an overlay's upper layer, which is in instance NUMBER, hears from here on also what others change in the directory of
 * the target that is seen through it. Harmless when there is none, or W is NULL.
 */
void below_listen(struct call *c, struct watch *w, uint64_t number, const struct place *p);

/* Whether an event of M about NAME is of the layer below W, and not to be seen through it. */
bool below_hides(const struct watch *w, const struct mount *m, const char *name);

/* The target says that what W hears of it has ended; and: W, of instance NUMBER, ends. */
void below_forget(struct watch *w);
void below_end(struct watch *w, uint64_t number);

#endif
