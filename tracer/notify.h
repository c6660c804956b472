/* Seccomp user notification: receiving calls and answering them. */
#ifndef TRACER_NOTIFY_H
#define TRACER_NOTIFY_H

#include <stdbool.h>

struct call;

/*
 * Starts serving the listener LISTENER (owned from here on) with one worker that leads and others that
 * follow as they are needed. 0 or a negative errno.
 */
int notify_start(int listener);

/* Whether calls are notified: notify_start has been called. */
bool notify_active(void);

/*
 * The calling worker is about to wait: lets another worker receive. Harmless when called again, or on a
 * thread that is no worker.
 */
void notify_promote(void);

/* As call_install_fd. */
int notify_install_fd(struct call *c, int src, int at, bool cloexec);

/* True while C's task still waits for its answer. */
bool notify_valid(const struct call *c);

#endif
