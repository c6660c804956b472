/* The strace-style log (-o, -v), the counts (-c, --stats) and our own messages. */
#ifndef TRACER_LOG_H
#define TRACER_LOG_H

#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

#include "call.h"

struct log_options {
	const char *file;        /* -o FILE; NULL: standard error, when verbose */
	bool verbose;            /* -v: log to standard error without -o */
	const char *trace;       /* -e trace=EXPR, checked by log_trace_check; NULL: all */
	enum { LOG_NO_TIME, LOG_TIME, LOG_TIME_US, LOG_TIME_EPOCH, LOG_TIME_RELATIVE } stamp; /* -t -tt -ttt -r */
	bool spent;              /* -T */
	bool show_paths;         /* -y */
	unsigned string_max;     /* -s N; strace's default is 32 */
	bool quiet;              /* -q: no attach, exit and signal lines */
	bool counts;             /* -c: a table at the end instead of lines (with -o FILE: there) */
	const char *stats_file;  /* --stats FILE; NULL: none */
};

/* Checks an -e trace= expression: names, %file, %desc, all, none, !… . 0, or -EINVAL with one clause in ERR. */
int log_trace_check(const char *expr, char *err, size_t err_len);

/* Opens the log. OPTIONS is copied; its strings must live on. 0 or a negative errno of opening the files. */
int log_open(const struct log_options *options);

/*
 * Names descriptor FD of task TID (AT_FDCWD: its working directory) for -y: false when the kernel's own
 * name is right. Called by whichever thread logs.
 */
typedef bool log_fd_namer(pid_t tid, int fd, char *buf, size_t len);
void log_set_fd_namer(log_fd_namer *name);

/* Takes down C's arguments for log_call: after an exec they cannot be read any more. */
void log_prepare(struct call *c);

/*
 * Counts C, answered with RESULT (or CALL_CONTINUE), and writes its line if asked to. Reads the tracee's
 * memory for what the arguments point to, so call it before the tracee resumes. Any thread.
 */
void log_call(const struct call *c, long result);

/* True when lines are being written. */
bool log_active(void);

/* How calls are trapped, static text: for the counts. */
void log_set_trap(const char *how);

/* Counts one ptrace stop (of any kind) or one notification. Any thread. */
void log_count_stop(void);
void log_count_notification(void);

/* "+++ exited with 0 +++", "+++ killed by SIGKILL +++", "--- SIGURG … ---", "--- stopped by SIGTSTP ---". */
void log_exited(pid_t tid, int wait_status);
void log_signal(pid_t tid, int sig);
void log_stopped(pid_t tid, int sig);

/* A free line about task TID (0: none) in the log only: what a program is (ELF), an exec, a loss. */
void log_line(pid_t tid, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* One line "remotefs-trace: …" on standard error, whether or not there is a log; and in the log if there is. */
void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* One line on standard error when the log, another file, has not taken a line for NS: whoever reads it may have stopped. Any one thread. */
void log_tell_stuck(uint64_t ns);

/* Writes the -c table and the --stats file with TOTALS of all links, and closes the log. */
void log_close(const struct link_totals *totals);

#endif
