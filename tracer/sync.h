/*
 * Bytes that tracees write natively: a remote file at a low descriptor (a shell's `> file`) is written to
 * its placeholder by the kernel, and brought from there to the agent. All functions want the state lock.
 */
#ifndef TRACER_SYNC_H
#define TRACER_SYNC_H

#include <stdbool.h>

struct call;
struct ofd;

/*
 * Lets the kernel write O from now on: fills the placeholder (open as FD) and remembers what the agent
 * has. 0, or a negative errno with O still emulated.
 */
int sync_start(struct call *c, struct ofd *o, int fd);

/* The placeholder of O was modified, or a description that could write was CLOSED. */
void sync_touched(struct ofd *o, bool closed);

/* Brings everything touched to the agents. Waits for them; C may be NULL. */
void sync_run(struct call *c);

/* Brings O's bytes to the agent now and returns the first error since the last call, 0 when all went well. */
int sync_flush(struct call *c, struct ofd *o);

/* The file was truncated to LENGTH by a call: the placeholder follows. */
void sync_truncated(struct ofd *o, unsigned long long length);

/* True while any file can be written natively: only then is there anything to drain before a call. */
bool sync_active(void);

/* Frees what sync keeps for O. */
void sync_free(struct ofd *o);

#endif
