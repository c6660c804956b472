/* Starting the program: fork, ptrace, filter, exec. */
#ifndef TRACER_SPAWN_H
#define TRACER_SPAWN_H

#include <linux/filter.h>
#include <signal.h>
#include <stddef.h>
#include <sys/types.h>

/* What we were started with and change for ourselves; the program gets it back. */
struct inherited {
	sigset_t mask;
	struct sigaction on_child; /* SIGCHLD's */
};

struct spawned {
	pid_t pid;
	int listener; /* owned by the caller */
	int failure;  /* readable: the errno of a failed exec, or EOF once it went well; owned by the caller */
};

/*
 * Starts PATH with ARGV as a tracee of the calling thread, stopped by nothing: its execve is the first
 * event. FILTER is the program to trap its calls with (filter_build), ORIGINAL the signal state it gets.
 * 0, or a negative errno with one clause in ERR.
 */
int spawn(const char *path, char **argv, const struct sock_fprog *filter, const struct inherited *original, struct spawned *s, char *err, size_t err_len);

/*
 * Finds PROGRAM as a shell does. 0 with the path in OUT; -ENOENT (exit 127), or -EACCES, -EISDIR
 * (exit 126).
 */
int spawn_find(const char *program, char *out, size_t len);

#endif
