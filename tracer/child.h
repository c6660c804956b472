/* Programs that are started to reach a target: their streams, what they say on standard error, and their end. */
#ifndef TRACER_CHILD_H
#define TRACER_CHILD_H

#include <signal.h>
#include <stdbool.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * What a child says on its standard error: kept until somebody asks, or, once said_pass_on was called, passed on to ours
 * line by line.
 */
struct said;

/* How something that was started is reached. */
struct target_stream {
	int in, out; /* from and to it; may be equal */
	pid_t pid;   /* the child that is, or leads to, the agent; 0: none */
	struct said *said; /* NULL: its standard error is ours */
	bool beside; /* the agent is not in the container that is meant, but in another one */
};

/*
 * Starts ARGV (ARGV[0] is looked for in PATH) as a child with IN and OUT as its standard input and output and ERR, or with -1 ours, as
 * its standard error, in a session of its own: the terminal's ^C and ^Z are the program's alone. 0 or a negative errno, the exec's too.
 */
int child_start(char *const argv[], int in, int out, int err, pid_t *pid);

/* The same with both ends of one socket as IN and OUT; S->in and S->out are our end. With COLLECT what it says is kept in S->said. */
int child_start_socket(char *const argv[], int collect, struct target_stream *s);

/* The same with a pipe for each; with COLLECT what it says is kept in S->said. */
int child_start_pipes(char *const argv[], int collect, struct target_stream *s);

/* Ends what S leads to and frees it. */
void child_drop(struct target_stream *s);

/*
 * Waits at most TIMEOUT_MS for child PID to end and writes how it did into TEXT: "was killed by SIGKILL",
 * "exited with status 127 (command not found)". Leaves it to child_stop. 0, -ETIMEDOUT or -ECHILD. Any thread.
 */
int child_fate(pid_t pid, int timeout_ms, char *text, size_t len);

/*
 * Reaps child PID: gives it GRACE_MS to end by itself, then SIGTERM, after 500 ms SIGKILL, to its whole group
 * where it leads one. Nothing for 0. Its exit status, 128+n after signal n. Any thread.
 */
int child_stop(pid_t pid, int grace_ms);

/* What a child printed, NUL-terminated and cut to what there is room for. */
struct output {
	char out[65536], err[8192];
	size_t out_len;
};

/*
 * Runs ARGV to its end, with INPUT (-1: nothing) as standard input. Its exit status, -ETIMEDOUT when it had to be killed at
 * DEADLINE_MS (of child_now_ms), or another negative errno when it could not be started.
 */
int child_command(char *const argv[], int input, struct output *o, int64_t deadline_ms);

/*
 * As child_command, with all of INPUT, whose end is told only once the child has printed CHILD_WANTS_END: where it tells an end early,
 * kubectl loses what is still on its way, and says nothing.
 */
int child_upload(char *const argv[], int input, struct output *o, int64_t deadline_ms);
#define CHILD_WANTS_END "RFS-wants-end"

/* Whether WORD is in what was printed on standard output, among whatever else, also zero bytes. */
bool child_printed(const struct output *o, const char *word);

/* Milliseconds of a clock that only goes on. */
int64_t child_now_ms(void);

/* Signals that want us to end: with one of them pending, which all threads block, every waiting here is over: -ETIMEDOUT. */
void child_ending_signals(sigset_t *set);

/* Waits until FD can be read. 0, or -ETIMEDOUT at DEADLINE_MS. */
int child_wait_readable(int fd, int64_t deadline_ms);

/* What S has so far, after waiting at most WAIT_MS for its end: at most LEN bytes, always terminated. */
void said_text(struct said *s, int wait_ms, char *text, size_t len);

/* Adds LINE, which came by another way (docker says on standard output why it could not run a command). */
void said_add(struct said *s, const char *line);

/* From now on lines go to our standard error, TAG before them; what was said before is dropped. */
void said_pass_on(struct said *s, const char *tag);

/* From now on what is said is kept again, and not passed on. */
void said_keep(struct said *s);

#endif
