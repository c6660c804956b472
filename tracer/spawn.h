/* Starting the program: fork, ptrace, filter, exec. */
#ifndef TRACER_SPAWN_H
#define TRACER_SPAWN_H

#include <linux/filter.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "options.h"

/* What we were started with and change for ourselves; the program gets it back. */
struct inherited {
	sigset_t mask;
	struct sigaction on_child; /* SIGCHLD's */
	char **environ;            /* or what is to take its place */
};

struct spawned {
	pid_t pid;
	int listener; /* owned by the caller; -1: calls are trapped by ptrace stops … */
	bool every;   /* … all of them, for want of a seccomp filter */
	char why[256]; /* why nothing better could be had, "" when it could */
	int failure;  /* readable: the errno of a failed exec, or EOF once it went well; owned by the caller */
};

/*
 * Starts PATH with ARGV as a tracee of the calling thread; the errno of its exec, the first event, is S's
 * failure. FILTER is the program to trap its calls with (filter_build), TRAP says how, ORIGINAL is the signal
 * state it gets. 0, or a negative errno with one clause in ERR.
 */
int spawn(const char *path, char **argv, const struct sock_fprog *filter, enum trap trap,
	  const struct inherited *original, struct spawned *s, char *err, size_t err_len);

/*
 * Finds PROGRAM as a shell does. 0 with the path in OUT; -ENOENT (exit 127), or -EACCES, -EISDIR
 * (exit 126).
 */
int spawn_find(const char *program, char *out, size_t len);

#endif
