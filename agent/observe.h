/*
 * The program's own inotify instances: for each there is one here, and its events are sent as they are. What the
 * agent watches for itself (watch.h) is merged and translated; these must come one by one and in their order.
 */
#ifndef AGENT_OBSERVE_H
#define AGENT_OBSERVE_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

struct observer;

/* One event; names are "" where the event has none. The pointers are good until the callback returns. */
struct observed {
	uint64_t instance;
	int wd;            /* -1: IN_Q_OVERFLOW */
	uint32_t mask;     /* as the kernel gave it; never IN_MOVED_TO if the other end is watched */
	const char *name;
	int to_wd;         /* of an IN_MOVED_FROM: where the IN_MOVED_TO is, 0 if that is not watched */
	const char *to_name;
};

/* An observer without instances, or NULL. */
struct observer *observe_new(void);

/* Whether there is any instance. */
bool observe_any(const struct observer *o);

/*
 * READY is called with ARG by a thread of the observer's whenever events wait. It has to call observe_take.
 */
void observe_start(struct observer *o, void (*ready)(void *arg), void *arg);

/*
 * Goes on with the instances of the journal, another process's, in an observer without any; after observe_start. Where that
 * process may have taken events without telling, IN_Q_OVERFLOW is the first event. 0 or a negative errno.
 */
int observe_restore(struct observer *o);

/*
 * Hands every event that is waiting to EMIT, in order. What a system call changed before the call of
 * observe_take is among them: inotify queues an event before the call that caused it returns. One caller at a time. What EMIT was handed is told: it keeps it.
 */
void observe_take(struct observer *o, void (*emit)(void *arg, const struct observed *e), void *arg);

#endif
