/* An agent in a place where commands can be run: it is found there or brought there, with nothing but a shell and cat. */
#ifndef TRACER_SHELL_H
#define TRACER_SHELL_H

#include "reach.h"

struct shell {
	struct words command; /* runs what is put behind it there, with our standard streams */
	bool quoted;	      /* what is put behind it is one word, for another shell (ssh) */
	const char *args;     /* the agent's options; nothing that a shell would touch */
	const char *who;      /* the command's name for messages: "kubectl" */
	const char *target;   /* the target's name for messages */
};

/*
 * Starts the agent there: one command if it is there already, one more to bring it. 0 with *S; -ENOEXEC when there is no shell or no
 * directory where a program can be put, or another negative errno; then with a clause in ERR.
 */
int shell_start(const struct reach *r, const struct shell *sh, struct target_stream *s, char *err, size_t err_len);

/* The name of an image with nothing but the agent that this machine would bring: the same contents, the same name. */
void shell_agent_image(char *name, size_t len);

#endif
