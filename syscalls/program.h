/* What execve comes to: the file that it names, and through `#!` lines the program that runs it. */
#ifndef SYSCALLS_PROGRAM_H
#define SYSCALLS_PROGRAM_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

struct call;
struct exe;
struct place;

#define PROGRAM_DEPTH 5 /* scripts that scripts are interpreted by: BINPRM_LOOP's limit */

struct program {
	struct exe *exe;  /* of the program, or NULL: LOCAL is to be run */
	struct exe *loader; /* of a dynamic remote program's interpreter; NULL: none, or a local one */
	char local[PATH_MAX];
	/* The arguments that `#!` lines put in the place of the program's own first one. Owned. */
	size_t arg_count;
	char *args[2 * PROGRAM_DEPTH + 1];
};

/*
 * Finds what running P comes to, which the task named as TEXT. 0; -ENOEXEC, -ELOOP and the errors of the path;
 * CALL_CONTINUE when the kernel finds it all by itself. Wants the state lock, and releases it while it waits.
 */
long program_find(struct call *c, struct place *p, const char *text, struct program *program);

void program_release(struct program *program);

/* The number at which a program's loader must be installed when it is run. */
int program_loader_number(void);

#endif
