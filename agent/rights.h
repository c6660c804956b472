/* Who a process is and what it may: read of one, and taken by us. */
#ifndef AGENT_RIGHTS_H
#define AGENT_RIGHTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Real, effective, saved, and for files, as /proc/PID/status has them. */
struct ids {
	unsigned real, effective, saved, files;
};

struct rights {
	struct ids user, group;
	gid_t *groups; /* owned, see rights_free */
	size_t group_count;
	uint64_t permitted, effective, bounding; /* capabilities */
	bool exact; /* else one without the right to change who he is may stay with his groups, if the user is the same */
};

/* Who to be instead of the process. */
struct identity {
	bool given;
	uid_t uid;
	gid_t gid;
};

/* Reads the rights of the process whose directory in proc is DIR. 0 or a negative errno; rights_free in any case. */
int rights_read(int dir, struct rights *r);

/* Makes R exactly those of WHO: no further groups, and none of R's capabilities unless WHO is root. */
void rights_as(struct rights *r, const struct identity *who);

/*
 * Takes R, as far as it is not more than we have; what is lost so cannot be had again. To be called before there are
 * threads. 0, or a negative errno with the capability that was needed in *MISSING; then who we are may be half changed.
 */
int rights_take(const struct rights *r, const char **missing);

/* Whether rights_take would succeed: found out by a child, of which there is nothing to be taken back. */
bool rights_can_take(const struct rights *r);

void rights_free(struct rights *r);

/* Whether we may do with all files what their owners may (CAP_FOWNER), and give them to anybody (CAP_CHOWN). */
void rights_over_files(bool *owns_all, bool *gives_away);

#endif
