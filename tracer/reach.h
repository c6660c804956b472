/* Reaching a target: its agent is started there, brought there before where need be, and answers on a byte stream. */
#ifndef TRACER_REACH_H
#define TRACER_REACH_H

#include <stdbool.h>
#include <stddef.h>

#include "child.h"
#include "target.h"
#include "words.h"

/* Where in a cluster the agent runs. */
enum reach_mode {
	REACH_AUTO,	 /* in the container; where that has no shell or no room, as EPHEMERAL */
	REACH_EXEC,	 /* in the container or not at all */
	REACH_EPHEMERAL, /* in a container beside it */
	REACH_JOB,	 /* in a pod of its own on the same node */
};

/* What the command line says about it. Commands are words between blanks; what is NULL has its default. */
struct reach {
	const char *kubectl, *docker, *podman, *ssh;
	const char *kubeconfig, *context, *namespace;
	const char *image;	/* of the agent, for clusters */
	const char *as;		/* UID[:GID] instead of the process's */
	const char *token_file; /* what an agent that listens is to be shown */
	enum reach_mode mode;
	bool keep; /* what was brought stays there for the next run */
	unsigned timeout_ms; /* for each step; 0: each has its own */
	void (*meanwhile)(void *arg); /* is called while a command is under way, if one is, and perhaps again; NULL: there is nothing */
	void *meanwhile_arg;
};

#define REACH_IMAGE "remotefs-agent:" VERSION
#define REACH_STEP_MS 30000 /* a command that goes to a target and comes back */
#define REACH_PULL_MS 120000 /* a container is started there, whose image may have to be fetched */

/*
 * Reaches TEXT. The children are those of the calling thread. 0 with *S, of which the agent will read a Hello next; or a negative errno
 * with one clause in ERR; -ENODEV: what was named has gone, and another try is of no use. S->said, if there is one, is to be passed on once
 * the agent has answered. What TEXT means is looked up anew after a failure: a pod that has gone may have a successor.
 */
int reach_start(const struct reach *r, const char *text, struct target_stream *s, char *err, size_t err_len);

/* What a helper, or the agent, has said last on standard error is often why: it goes behind the clause WHY (LEN bytes). */
void reach_add_last_words(struct said *s, char *why, size_t len);

/* The names of modes: "auto", "exec", "ephemeral", "job". 0 or -EINVAL. */
int reach_mode_parse(const char *text, enum reach_mode *mode);

/* ---- between the files of this module ---- */

#define NONCE_LEN 16

/* Letters and digits that nobody guesses, NUL-terminated. */
void reach_nonce(char nonce[NONCE_LEN + 1]);

/* The milliseconds of R for a step that usually may take DEFAULT_MS, as a deadline from now. */
int64_t reach_deadline(const struct reach *r, unsigned default_ms);

/* A command of R's, or its name, as the first words of W. */
void reach_command(struct words *w, const char *given, const char *name);

/*
 * What a helper said on standard error, as a clause: its last words and what they mean. WHO is its name. CODE, or -ENODEV.
 */
int reach_explain(int code, const char *who, const char *said, char *err, size_t err_len);

/* The same for a helper that was waited for in vain: -ETIMEDOUT. */
int reach_late(const char *who, const char *said, char *err, size_t err_len);

/* True when SAID tells that the program to be run there does not exist. */
bool reach_is_missing(const char *said);

/*
 * Waits for the line "RFS-NONCE WORDS" on S, whatever comes before; WORDS into LINE. 0, -ETIMEDOUT, or -EPIPE when the
 * stream has ended.
 */
int reach_await(const struct target_stream *s, const char *nonce, int64_t deadline_ms, char *line, size_t len);

/* The same for an agent that was told to announce itself. 0, or a negative errno with a clause: WHO is the helper's name. */
int reach_await_agent(struct target_stream *s, const char *nonce, const char *who, int64_t deadline_ms, char *err, size_t err_len);

/* A command that is run when this process has ended, however that happens; again and again for 10 seconds if it fails. */
void reach_at_end(const struct words *command);

/* As reach_start, for targets of one kind. */
int engine_start(const struct reach *r, const struct target *t, struct target_stream *s, char *err, size_t err_len);
int kube_start(const struct reach *r, const struct target *t, struct target_stream *s, char *err, size_t err_len);

/* How long an agent that was brought there hears nothing before it ends: see link_alive_ms. */
#define REACH_PATIENCE " --patience 3600"

#endif
