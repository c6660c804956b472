/* The command line. */
#ifndef TRACER_OPTIONS_H
#define TRACER_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "log.h"

#define EXIT_USAGE 2

enum mode {
	MODE_READ,  /* remote files are read only: what would change the target is refused */
	MODE_WRITE, /* remote files are read and written */
	MODE_LOCAL, /* everything is local: the log and the counts only */
	MODE_LOCAL_OVERRIDES, /* what no rule makes remote is local */
};

enum trap {
	TRAP_AUTO,   /* the best that the kernel offers */
	TRAP_NOTIFY, /* seccomp user notification or nothing */
	TRAP_PTRACE, /* ptrace stops */
};

struct mount_option {
	char *path;    /* absolute, normalised path in the program's eyes */
	char *target;  /* as target_check accepts it */
	char *subpath; /* absolute, normalised path in the target's eyes; "/" unless given */
};

struct options {
	struct log_options log;
	char *target; /* the tree at /, or NULL */
	struct mount_option *mounts;
	size_t mount_count;
	enum mode mode;
	enum trap trap;
	bool posix_numbers; /* remote descriptors have the lowest free numbers, too */
	char **program_argv; /* the program and its arguments: the end of ARGV */
};

/*
 * Parses ARGV into O, which is overwritten. 0; EXIT_USAGE when something was refused, with one line on
 * standard error that says what, why and what to do; -1 when the command line asked for --help or
 * --version, which were printed. Strings that O takes from ARGV are not copied.
 */
int options_parse(int argc, char **argv, struct options *o);

/* Frees what options_parse allocated. */
void options_free(struct options *o);

#endif
