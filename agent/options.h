/* What remotefs-agent was told on its command line. */
#ifndef AGENT_OPTIONS_H
#define AGENT_OPTIONS_H

#include <stdbool.h>
#include <sys/types.h>

#include "rights.h"

#define EXIT_USAGE 2
#define EXIT_OWN 125

/* The strings are those of argv. */
struct options {
	const char *root, *container; /* of these and the next two one is given */
	pid_t process;                /* whose root it is, and whose rights are taken; 0: of none */
	bool inside;
	struct identity as;
	unsigned int hold;    /* seconds; 0: serve */
	unsigned int patience; /* seconds of a client's silence; 0: as long as it likes */
	const char *announce, *listen, *token_file; /* or NULL */
	bool stdio, read_only, openat2, unlink;
};

/* Fills in O. Ends the process after --help, --version and, with a line on stderr, if something is wrong. */
void options_parse(int argc, char **argv, struct options *o);

/* Ends the process with the status for wrong options and a line on stderr that says WHY. */
_Noreturn void options_usage(const char *why);

#endif
