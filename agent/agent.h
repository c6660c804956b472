/* What the parts of the agent share: one agent serves one stream and one tree. */
#ifndef AGENT_AGENT_H
#define AGENT_AGENT_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "remotefs.pb.h"
#include "watch.h"

struct channels;
struct doubt_note;
struct handles;
struct locks;
struct observer;
struct session;

/* The tree that is served. Nothing outside it can be named. */
struct root {
	int fd;           /* O_PATH */
	bool use_openat2; /* else walk.c does its work */
	bool read_only;   /* resolve.c refuses to open anything in a way that changes it */
	char *at, *sub;   /* an absolute link's text that starts with AT leads to SUB; NULL: none does */
};

struct agent {
	struct root root;
	struct handles *handles;
	struct watcher *watcher;
	struct locks *locks;
	struct observer *observer;
	struct channels *channels;
	bool tickets;      /* the client wants them, see reopen.c */
	struct session *session;
	void (*push)(void *to, const rfs_Push *push); /* writes one of which there is no second one: with PUSH_TO */
	void *push_to;
	unsigned int patience; /* seconds that the client may say nothing; 0: as long as it likes */
	int environ; /* readable: of the process that it runs beside; -1: there is none */
};

/* One request while it is being answered. */
struct op {
	struct agent *agent;
	const rfs_Request *req;
	const uint8_t *data; /* its payload; never NULL when a handler runs */
	size_t data_len;
	rfs_Reply *reply;    /* zeroed before the handler runs; error is set from the handler's result */
	uint8_t *out;        /* the reply's payload: malloc'ed by the handler, freed by serve.c */
	size_t out_len;
	struct doubt_note *note;        /* what OP notes for who may have to do it again; NULL: there is no session */
	const struct doubt_note *doubt; /* what a process that was killed doing the same noted; NULL: nothing, or none was */
	struct handle *opening; /* Open: the reserved handle, see handle_reserve */
	struct handle *opened;  /* … or, if a process that was killed has opened it, that; a reference */
	struct promise promise; /* what the reply says about later pushes */
};

/* One line for humans on stderr, with the program's name in front. */
void agent_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
