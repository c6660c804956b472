/* The file that a request changes or asks about, whatever it is. */
#ifndef AGENT_SUBJECT_H
#define AGENT_SUBJECT_H

#include "resolve.h"

/* One place, opened with O_PATH, or the handle itself. */
struct subject {
	struct place place;
	int fd;
	bool own; /* FD is to be closed */
};

/*
 * Finds WHERE (PRESENT: the message had one); NOFOLLOW: a link in its last component is itself the subject. An
 * empty path is the handle's open file. 0, or a negative errno; S is to be given to subject_put in any case.
 */
int subject_get(struct op *op, bool present, const rfs_Where *where, bool nofollow, struct subject *s);
void subject_put(struct subject *s);

/*
 * The way to FD's file through /proc, for calls that refuse an O_PATH descriptor and have no other name for what it
 * stands for; it leads to a link itself, if FD was opened as one. TEXT has at least 32 bytes and is returned.
 */
const char *subject_proc(int fd, char *text);

/* Makes the reply a StatReply with FD's attributes. 0 or a negative errno. */
int subject_reply_attr(struct op *op, int fd);

#endif
