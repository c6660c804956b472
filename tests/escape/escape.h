/* Ways out of an agent's root, tried by whoever may send it any request. */
#ifndef ESCAPE_H
#define ESCAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "remotefs.pb.h"

/* ---- client.c: one agent, asked directly ---- */

struct agent_how {
	const char *binary;
	const char *root;
	bool walk;   /* it does without openat2 */
	uid_t uid;   /* whose process it is */
};

void client_start(const struct agent_how *how);

/* Becomes UID for good, without any groups. */
void client_become(uid_t uid);

/* Sends REQ with PAYLOAD (NULL: none) and waits. The reply's errno; the reply is in `reply`, its payload in `payload`. */
int client_ask(const rfs_Request *req, const char *payload);
extern rfs_Reply reply;
extern uint8_t *payload;
extern size_t payload_len;

/* What was pushed since the last call of this. */
extern unsigned pushes;

pid_t client_agent(void);
void client_stop(void);

/* ---- outside.c: what must stay as it is, and unknown ---- */

/* Makes DIR with files that say what nothing else says, and a name that nothing else has. Everybody may do everything there. */
void outside_make(const char *dir);

/* Makes PATH, a file that says the same but may be touched. */
void outside_put(const char *path);

/* Whether LEN bytes have any of that. */
bool outside_told(const void *bytes, size_t len);

/* The first thing about DIR that is not as it was, or was read, in TEXT. False: there is none. */
bool outside_touched(char text[256]);

/* ---- ops.c: all that takes a path ---- */

/* Each request that there is for a path, with PATH from the directory DIR (0: the root); TOLD is called with its name before. */
void ops_try(uint64_t dir, const char *path, void (*told)(const char *op));

/* One of them, by a random number; the first OPS_OPEN open something, as late as can be after it was looked at. */
#define OPS_OPEN 6
void ops_try_one(uint64_t dir, const char *path, unsigned which);

/* Opens PATH with FLAGS. Its handle, or 0. */
uint64_t ops_open(uint64_t dir, const char *path, int flags);

/* ---- seal.c: where nothing can be harmed ---- */

enum seal { SEAL_NONE, SEAL_INSIDE, SEAL_OUTSIDE };

/*
 * As root. SEAL_INSIDE: this is a new process, in namespaces of its own in which everything is read-only but DIR, an empty tmpfs.
 * SEAL_OUTSIDE: that process has ended, with STATUS. SEAL_NONE: it cannot be made, WHY is missing.
 */
enum seal seal_enter(const char *dir, int *status, char why[128]);

/* Ends with a FAIL line unless this process cannot change the machine: as root, anything but what is in DIR. */
void seal_prove(const char *dir);

/* Mounts procfs at PATH, to be written to but for what is the machine's. False: it cannot be mounted. */
bool seal_proc(const char *path);

/* ---- main.c ---- */

/* Prints one line and counts it. */
void pass(const char *format, ...) __attribute__((format(printf, 1, 2)));
void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
void skip(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Ends with a line: the test itself is wrong. */
void must(long rc, const char *what);

/* Runs COMMAND; it must succeed. */
void shell(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ---- paths.c, handles.c, race.c: what is tried, in the directory "tree" beside "outside", which are in the current one ---- */
void try_paths(const struct agent_how *how);
void try_mounts(const struct agent_how *how);
void try_handles(const struct agent_how *how);
void try_race(const struct agent_how *how, unsigned seconds);

#endif
