/* The small texts of proc(5), and files like them. */
#ifndef AGENT_PROCFILE_H
#define AGENT_PROCFILE_H

#include <sys/types.h>

/* From /proc/PID/stat. */
struct procfile_stat {
	pid_t pid, parent, session; /* 0: not in the pid namespace of that proc */
	unsigned long long start;   /* clock ticks after boot */
};

/* All of NAME below the directory DIR, at most 1 MiB of it, as a string that the caller frees; NULL with errno. */
char *procfile_read(int dir, const char *name);

/* What stands behind NAME and a colon at the beginning of a line of TEXT, or NULL. */
const char *procfile_field(const char *text, const char *name);

/* Reads PROCESS/stat below DIR, a descriptor of a proc, where PROCESS is a number or "self". 0 or a negative errno. */
int procfile_stat(int dir, const char *process, struct procfile_stat *s);

#endif
