/*
 * Coherence: what the client may keep because the agent tells it of changes.
 *
 * A name is promised while inotify watches the directory it is in and every directory above; an open file
 * while its inode is watched. The order that makes it safe: promise, watch, look, answer. A change that is
 * noticed between looking and answering breaks the promise, and its push is sent (again) behind the
 * answer: see promise_settle.
 */
#ifndef AGENT_WATCH_H
#define AGENT_WATCH_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct handle;
struct handles;
struct root;
struct watcher;

/* What one answer in the making says. Zeroed: nothing. */
struct promise {
	struct promise *next;
	bool made;
	uint64_t handle;     /* 0: none */
	bool handle_broken;
	bool subtree;        /* names directly below PATH, too */
	bool name_broken;
	char path[PATH_MAX]; /* "": none */
};

#define NOTICE_MAX 1024

struct notice {
	char *path;
	bool subtree;
};

/* Pushes on their way. More than NOTICE_MAX names become one: everything. */
struct notices {
	bool all;            /* "/" and everything below */
	unsigned int names;
	unsigned int handles;
	struct notice name[NOTICE_MAX];
	uint64_t *handle;
};

enum watch_state {
	WATCH_NO = 0,
	WATCH_ABSENT, /* a directory above the name does not exist, and its appearance would be noticed */
	WATCH_YES,
};

/* A watcher of the tree below ROOT; where inotify is refused, one that never promises anything. NULL: ENOMEM. */
struct watcher *watch_new(const struct root *root);

/*
 * Watches again what the client was promised to be told of, by the journal, of the handles of T; names it was promised are not, and
 * nobody knows what was pushed last. Before watch_start. 0; -ENOMEM: a change would go unnoticed.
 */
int watch_restore(struct watcher *w, struct handles *t);

/*
 * Starts the thread that hands pushes to SEND. SEND must not keep N; it is never called with a lock of
 * the watcher's held. 0 or a negative errno.
 */
int watch_start(struct watcher *w, void (*send)(void *arg, const struct notices *n), void *arg);

/* Has sent, when it returns, what is promised no more because of what was changed before the call. Any thread; waits for the stream. */
void watch_catch_up(struct watcher *w);

/* Watches the directories that PATH ("/a/b") is in, and with SELF the directory PATH too. */
enum watch_state watch_name(struct watcher *w, const char *path, bool self);

/* Watches the regular file that H is. False: changes would go unnoticed. */
bool watch_file(struct watcher *w, struct handle *h);

/* H is being closed. */
void watch_forget(struct watcher *w, struct handle *h);

/* A change of the client's own at PATH: what tells of it alone is not told. Kept by the caller from begin to end. */
struct watch_own {
	struct watch_own *next;
	uint32_t mask; /* inotify events … */
	bool seen;     /* … and whether there were any */
	char path[PATH_MAX];
};

/* OWN->path is about to be changed, which MASK's events tell of. */
void watch_own_begin(struct watcher *w, struct watch_own *own, uint32_t mask);

/*
 * It is done, or FAILED: then events of it were somebody else's. Events of before this call are done with when it returns; what
 * they told of is to be looked at behind it.
 */
void watch_own_end(struct watcher *w, struct watch_own *own, bool failed);

/* P will say something about PATH; SUBTREE: and about names in it. */
void promise_name(struct watcher *w, struct promise *p, const char *path, bool subtree);

/* PATH is a name in the directory that a promise with SUBTREE is about. */
void promise_child(struct watcher *w, const char *path);

/* P will say something about the open file H, and H has been looked at. */
void promise_handle(struct watcher *w, struct promise *p, struct handle *h);

/*
 * The answer is about to be written; the caller keeps everything else off the stream. P's *_broken tell
 * which pushes must follow it.
 */
void promise_settle(struct watcher *w, struct promise *p);

#endif
