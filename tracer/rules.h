/*
 * Which paths are remote: the mounts of this run, the user's and the default lists, and what stays local in spite of them. Lists,
 * their order and the defaults are mirrord's.
 */
#ifndef TRACER_RULES_H
#define TRACER_RULES_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mode.h"
#include "path.h"

struct link;

/* One remote tree: everything at and below AT is the target's tree at and below SUB. */
struct mount {
	char *at;  /* absolute, normalised path in the program's eyes; "/" for --target */
	char *sub; /* absolute, normalised path in the target's eyes */
	char *tag; /* "dir:/srv" */
	struct link *link;
	struct said *said; /* what its helper says, or NULL: kept for as long as it may */
	struct overlay *overlay; /* what it is a layer of, or NULL … */
	bool is_upper;           /* … and whether of the two layers it is the upper one, to which no path leads by itself */
	bool writable;
	enum mode mode; /* rules_set_mode */
	bool defaults; /* the default lists apply here, and what read mode does not change there is changed here */
	struct mount *twin; /* the same tree, writable if this one is not; there only for the rules that demand it */
	bool is_twin;
	bool taken_over; /* another agent has taken the place of the one before, and launch.c has not heard of it; under the state lock */
	struct way *way; /* launch.c: how it is reached when the connection breaks */
	bool closing; /* the goodbye is being said: nothing is sent any more; under the state lock */
	/* behind.h, under the state lock: what its changes on their way come to, one that waits for more of its kind, and when the last was sent */
	size_t behind;
	struct late *held;
	uint64_t behind_ns;
	unsigned opening; /* known.h, under the state lock: opens that the program has had the result of, and the agent has not answered yet */
	/* Requests on their way, and when the last of them was answered or the first one sent (now_ns). */
	atomic_uint waiting;
	atomic_uint_fast64_t progress;
};

/* The name of M in the log; "local" for NULL. */
const char *mount_tag(const struct mount *m);

/* A request to M is on its way (BY 1) or was answered (BY -1). Any thread. */
void mount_waits(const struct mount *m, int by);

/* For how long, in ns, M's agent has answered nothing though it was asked; 0 when nothing is awaited. */
uint64_t mount_silence(const struct mount *m);

/* Adds a remote tree. AT and SUB are normalised copies; TAG is copied. The mount lives until the end. */
struct mount *rules_add_mount(const char *at, const char *sub, const char *tag);

/* What becomes of paths in M that no rule has a word about. */
void rules_set_mode(struct mount *m, enum mode mode);

/* All mounts, and their number in *COUNT. */
struct mount *const *rules_mounts(size_t *count);

/* For which programs a path is kept local. */
enum rules_for {
	FOR_ALL,
	FOR_LOCAL, /* those that are here: a loader and its libraries; a remote program has its own there */
	ALWAYS,    /* for all, and whatever the lists say: the program */
};

/* Makes PATH (absolute, normalised) and everything below it local FOR some programs, whatever mount covers it. */
void rules_keep_local(const char *path, enum rules_for programs);

/* The user's lists. For each path the first that has a word about it counts, in this order. */
enum rule_kind {
	RULE_MAPPING,    /* the path is another one, for what follows */
	RULE_NOT_FOUND,  /* there is no such file */
	RULE_READ_WRITE, /* remote, and changed there whatever the mode */
	RULE_READ_ONLY,  /* remote if it is to be read, else local */
	RULE_LOCAL,
};

/*
 * Adds PATTERN (pattern.h) to a list; a mapping's REPLACEMENT is as pattern_replace has it, NULL for the other lists. ORIGIN says
 * where it was given, "FILE:LINE:COLUMN" or "--local". All are copied. 0, or -EINVAL with what is wrong in ERR (LEN bytes).
 */
int rules_add(enum rule_kind kind, const char *pattern, const char *replacement, const char *origin, char *err, size_t len);

/* Whether the user gave any rule of KIND. */
bool rules_given(enum rule_kind kind);

/*
 * Makes mirrord's default lists apply in all mounts that have DEFAULTS set. PROGRAM is the absolute path of what is run and CWD that of
 * where, or NULL; $TMPDIR and $HOME are taken from the environment.
 */
void rules_add_defaults(const char *program, const char *cwd);

enum verdict {
	VERDICT_LOCAL,
	VERDICT_REMOTE,
	VERDICT_NOT_FOUND,
};

/* What becomes of a path. */
struct decision {
	enum verdict verdict;
	const struct mount *mount; /* if it is remote */
	const char *path;          /* what it is mapped to, normalised; NULL: it is itself */
	/* Why: by which list ("read_write", "mode read" …), and the list's pattern and its origin, or NULL. */
	const char *list, *pattern, *origin;
	const char *mapping, *mapping_origin; /* the pattern that mapped it, or NULL */
	bool here;                            /* local because the program is: it may be otherwise for a remote one */
};

/*
 * Decides about PATH (absolute, normalised), which is to be changed (WRITE) or not, for a program that is here, or REMOTE. What
 * is returned is good until the next call. Wants the state lock held, once there are several threads.
 */
const struct decision *rules_decide(const char *path, bool write, bool remote);

#endif
