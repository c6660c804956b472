/* Open files by the numbers the client gave them. */
#ifndef AGENT_HANDLE_H
#define AGENT_HANDLE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct channel;
struct file_watch;
struct keep_handle;
struct root;

struct handle {
	uint64_t number;
	uint64_t serial;   /* in the order of the stream */
	int fd;            /* -1 while it is being opened, and when that failed */
	int flags;         /* as opened: access mode and O_PATH */
	mode_t type;       /* S_IFMT */
	dev_t dev;
	ino_t ino;
	char *path;        /* directories: below the root, as told to the client */
	bool dead;         /* its file is lost: all that names it is ESTALE */
	bool ready;        /* guarded by the table's lock */
	int refs;          /* guarded by the table's lock */
	struct keep_handle *kept; /* in the journal, from ready on; NULL: there is none */
	struct handle *next;
	atomic_bool locked; /* a lock was asked for through it */
	struct channel *channel; /* FIFOs, devices, sockets; NULL for what has a size */
	bool lent, own_locks; /* its description holds an owner's locks, its own; guarded by the locks' lock */
	pthread_mutex_t position; /* the descriptor's file position, which lseek moves as well: whoever uses it holds this */

	/* guarded by the watcher's lock */
	struct file_watch *watch;
	struct handle *watch_next;
	bool told;         /* Changed was sent and the client has not looked since */
};

struct handles;

/* Whether others notice the end of handle NUMBER: it may hold locks, or is a channel. */
bool handle_is_locked(struct handles *t, uint64_t number);

/* A new empty table, or NULL. */
struct handles *handles_new(void);

/*
 * Puts the handles of the journal into the empty table: those that another process had, whose descriptors are ours. Directories
 * have their path only if it is still the one that the client was told. 0 or -ENOMEM.
 */
int handles_restore(struct handles *t, const struct root *root);

/*
 * The handle behind H in T, the first one for NULL; NULL: there is none. For who has no other thread yet that makes or closes handles,
 * or between handles_lock and handles_unlock, where nothing else of T may be asked for.
 */
struct handle *handles_next(const struct handles *t, const struct handle *h);
void handles_lock(struct handles *t);
void handles_unlock(struct handles *t);

/*
 * The open files of T that are inode INO of DEV (INO 0: all of them), each with a new reference, in *LIST, which the caller frees.
 * Their number; 0 without memory.
 */
size_t handles_of(struct handles *t, dev_t dev, ino_t ino, struct handle ***list);

/* A lock is about to be asked for through H. */
void handle_note_lock(struct handle *h);

/*
 * Reserves NUMBER for an Open that follows. Requests that name it wait until handle_ready. The caller
 * owns a reference. 0; -EBADF for number 0; -EEXIST when it is in use; -ENFILE beyond the limit; -ENOMEM.
 */
int handle_reserve(struct handles *t, uint64_t number, struct handle **out);

/* Ends the wait: with the descriptor that was put into H, or (FAILED) taking H out of the table again. */
void handle_ready(struct handles *t, struct handle *h, bool failed);

/* The open file NUMBER with a new reference; waits while it is being opened. 0, -EBADF, or -ESTALE for one that is dead. */
int handle_get(struct handles *t, uint64_t number, struct handle **out);

/*
 * The same for a request that makes OPENING itself (NULL: makes none): it waits only for what was reserved before, so that no
 * two wait for each other, and none for itself. -EBADF for what was not.
 */
int handle_get_before(struct handles *t, const struct handle *opening, uint64_t number, struct handle **out);

/* Whether H, to which the caller has a reference, was taken out of the table. */
bool handle_is_closed(struct handles *t, const struct handle *h);

/* One more reference to H, of which the caller has one: its number may stand for another by now. */
void handle_ref(struct handles *t, struct handle *h);

/* Gives a reference back; the last one closes the descriptor. */
void handle_put(struct handles *t, struct handle *h);

/* Takes NUMBER out of the table; the caller now owns the table's reference. 0 or -EBADF. */
int handle_remove(struct handles *t, uint64_t number, struct handle **out);

#endif
