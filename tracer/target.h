/* Targets: what a target's name means and how its agent is started. */
#ifndef TRACER_TARGET_H
#define TRACER_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* How the agent is reached. */
struct target_stream {
	int in, out; /* from and to the agent; may be equal */
	pid_t pid;   /* the child that is, or leads to, the agent */
};

/*
 * Checks TARGET ("dir/PATH", "pid/N", "exec:COMMAND", "unix:PATH", "tcp:HOST:PORT") without starting anything. 0 or
 * -EINVAL, then with one clause in ERR that says what is wrong and what is accepted.
 */
int target_check(const char *target, char *err, size_t err_len);

/*
 * Starts the agent of TARGET as a child of the calling thread (in a session of its own signal-wise: the
 * terminal's signals do not reach it) and fills in STREAM, whose descriptors are close-on-exec.
 * AGENT is the agent program's path, used by dir/ and pid/. One that listens is connected to (dial_open) and is nobody's
 * child: its pid is 0. 0, or a negative errno with one clause in ERR.
 */
int target_start(const char *target, const char *agent, struct target_stream *stream, char *err, size_t err_len);

/* Whether the agent of TARGET is a program of ours, started here: target_find_agent tells which. */
bool target_is_here(const char *target);

/* Whether TARGET cannot have a process whose environment could be taken. */
bool target_lacks_process(const char *target);

/* The short name used in logs: "dir:/srv", "pid:4711", "exec:remotefs-agent". Writes at most LEN bytes, always terminated. */
void target_tag(const char *target, char *tag, size_t len);

/* TARGET's name wherever one is: of a directory, its absolute path. At most LEN bytes, always terminated. */
void target_absolute(const char *target, char *absolute, size_t len);

/*
 * Finds the agent program: beside /proc/self/exe, then in PREFIX/libexec/remotefs-trace. 0 and an absolute
 * path in PATH, or -ENOENT with one clause in ERR.
 */
int target_find_agent(char *path, size_t len, char *err, size_t err_len);

/*
 * Waits at most TIMEOUT_MS for child PID to end and writes how it did into TEXT: "was killed by SIGKILL",
 * "exited with status 127 (command not found)". Leaves it to target_stop. 0, -ETIMEDOUT or -ECHILD. Any thread.
 */
int target_fate(pid_t pid, int timeout_ms, char *text, size_t len);

/*
 * Reaps child PID: gives it GRACE_MS to end by itself, then SIGTERM, after 500 ms SIGKILL, to its whole group
 * where it leads one. Nothing for 0. Any thread.
 */
void target_stop(pid_t pid, int grace_ms);

#endif
