/* What watch.c, promise.c and event.c share. Everything is guarded by the watcher's lock, but for what `reading` guards. */
#ifndef AGENT_WATCH_INT_H
#define AGENT_WATCH_INT_H

#include <pthread.h>
#include <sys/queue.h>

#include "watch.h"

#define WATCH_BUCKETS 4096
#define WATCH_DIR_MAX 16384

struct dir_watch {
	int wd;
	unsigned int children; /* watches directly below */
	TAILQ_ENTRY(dir_watch) by_use;
	struct dir_watch *next_path, *next_wd;
	char path[];
};

struct file_watch {
	int wd;
	struct handle *handles;
	struct file_watch *next_wd;
};

struct watcher {
	pthread_mutex_t reading; /* from the moment that events are taken until their notices are sent; before lock */
	pthread_mutex_t lock;
	const struct root *root;
	int inotify;     /* -1: nothing is ever promised */
	int wake;        /* eventfd: there are notices to send */
	int mounts;      /* /proc/self/mountinfo: a mount hides names without an inotify event */
	TAILQ_HEAD(dir_watches, dir_watch) by_use; /* what has not been wanted for the longest time is the first */
	uint64_t renames; /* counts events that may change which directory a path names */
	unsigned int dirs;
	struct dir_watch *by_path[WATCH_BUCKETS], *by_wd[WATCH_BUCKETS];
	struct file_watch *files[WATCH_BUCKETS];
	struct promise *promises;
	struct watch_own *own; /* changes under way */
	uint64_t *promised; /* hashes of names the client may keep: see promise.c */
	unsigned int promised_count;
	uint64_t seed;
	struct notices *pending;
	struct notices *spare; /* empty; who reads has it */
	void (*send)(void *arg, const struct notices *n);
	void *send_arg;
};

struct dir_watch *watch_find_wd(struct watcher *w, int wd);
struct file_watch *watch_find_file(struct watcher *w, int wd);

/* PATH and everything below it is watched no more. */
void watch_drop_tree(struct watcher *w, const char *path);

/* Whether PATH is BELOW's ancestor or the same. */
bool watch_path_covers(const char *path, const char *below);

/* The directory that PATH is in, into PARENT (PATH_MAX bytes); false for the root. */
bool watch_parent(const char *path, char *parent);

/* Queues Invalidate{PATH, SUBTREE} and breaks the promises about it. */
void notice_name(struct watcher *w, const char *path, bool subtree);

/* The same, only if PATH has been promised since the last time. */
void notice_if_promised(struct watcher *w, const char *path, bool subtree);

/* Queues Changed for H. */
void notice_handle(struct watcher *w, struct handle *h);

/* Everything may have changed. */
void notice_all(struct watcher *w);

/* Lets the event thread send what is pending. */
void notice_wake(struct watcher *w);

/* An empty set of notices, or NULL; and emptying one. */
struct notices *notices_new(void);
void notices_clear(struct notices *n);

/* The event thread. */
void *event_main(void *watcher);

#endif
