/* What the places share where a container is looked for. */
#ifndef AGENT_CONTAINER_INT_H
#define AGENT_CONTAINER_INT_H

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

struct search {
	const char *root, *id;
	bool prefix; /* longer IDs that begin with it are meant, too */
	int proc;    /* ROOT/proc */
	pid_t pid;   /* what was found, 0: nothing yet */
	bool ambiguous, stopped;
	char where[PATH_MAX];
	char denied[PATH_MAX]; /* what we had no right to look into, or "" */
};

/* Whether NAME is the ID that is looked for, or one that it is the beginning of. */
bool search_matches(const struct search *s, const char *name);

/* PID was found at WHERE: another one than before is one too many. */
void search_found(struct search *s, pid_t pid, const char *where);

/* In the files that containerd, CRI-O, Podman, runc and crun keep. */
void container_in_state(struct search *s);

/* In the control groups that processes are in. */
void container_in_cgroups(struct search *s);

/* Whether process PID is of the container with that whole ID, as its control group or its mounts tell. */
bool container_has(int proc, pid_t pid, const char *id);

#endif
