/* The configuration: what a file, the environment and the command line say, and which of them counts. */
#ifndef TRACER_CONFIG_H
#define TRACER_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "source.h"

/* What can be set. */
enum config_id {
	CONFIG_EPHEMERAL, /* "true": in a cluster an agent runs in an ephemeral container */
	CONFIG_KUBECONFIG,
	CONFIG_STARTUP_TIMEOUT, /* s that an agent has to say its first word */
	CONFIG_ENV,		/* "true": the program gets the target's environment */
	CONFIG_ENV_EXCLUDE,	/* wildcards of what it does not get */
	CONFIG_ENV_FILE,	/* a file of NAME=VALUE lines */
	CONFIG_ENV_INCLUDE,	/* wildcards of what it gets only */
	CONFIG_ENV_MAPPING,	/* pairs: a regex of names, their value */
	CONFIG_ENV_OVERRIDE,	/* pairs: name, value */
	CONFIG_ENV_UNSET,	/* names, whatever their case */
	CONFIG_LOCAL,
	CONFIG_MAPPING, /* pairs: a regex of paths, its replacement; the first one counts */
	CONFIG_MODE,
	CONFIG_NOT_FOUND,
	CONFIG_READ_ONLY,
	CONFIG_READ_WRITE,
	CONFIG_CONTEXT,
	CONFIG_TARGET,
	CONFIG_NAMESPACE,
	CONFIG_COUNT
};

/* Who said it: each overrules those before it. */
enum config_level { CONFIG_BY_NOBODY, CONFIG_BY_FILE, CONFIG_BY_VARIABLE, CONFIG_BY_FLAG };

struct setting {
	char *key;   /* of a pair, else NULL */
	char *value;
	char *from;  /* where it was said: "FILE:LINE:COLUMN", "MIRRORD_FILE_MODE", "--mode" */
};

/* A list, or a single value: then the last one counts. */
struct settings {
	struct setting *items;
	size_t count;
	enum config_level level;
};

struct config {
	struct settings of[CONFIG_COUNT];
	struct problems problems;
	char *file;    /* that was read, or NULL */
	char *ignored; /* names of what it says that we do not do, ", " between them, or NULL */
};

/* The target that is none: mirrord's word. */
#define CONFIG_NO_TARGET "targetless"

/* Where mirrord's users have their configuration. */
#define CONFIG_DEFAULT_FILE ".mirrord/mirrord.json"

/*
 * Says VALUE (of KEY) for ID, by LEVEL, in the place FROM; all are copied. What a higher level said stays, what a lower
 * one said goes. A value that cannot be is a problem.
 */
void config_put(struct config *c, enum config_id id, enum config_level level, const char *key, const char *value, const char *from);

/* As config_put for each part of LIST between semicolons. */
void config_put_list(struct config *c, enum config_id id, enum config_level level, const char *list, const char *from);

/* The value of ID, or NULL when nobody said one. */
const char *config_get(const struct config *c, enum config_id id);

/* Where that was said; "" when nobody did. */
const char *config_from(const struct config *c, enum config_id id);

/* Reads the file NAME: JSON, TOML or YAML by its ending. What is wrong in it becomes problems. */
void config_read_file(struct config *c, const char *name);

/* As config_read_file, of a text that is here already; it is freed by the caller. */
void config_read_source(struct config *c, struct source *s);

/* Takes what the environment says: MIRRORD_FILE_MODE and its kin. */
void config_read_environment(struct config *c);

/* Finds what contradicts itself, once everybody has spoken. */
void config_check(struct config *c);

/* Prints C as JSON to OUT: in the form of a configuration file, keys in order, what nobody said left out. */
void config_print(const struct config *c, FILE *out);

/* Prints S as a string of JSON to OUT. */
void config_print_string(const char *s, FILE *out);

void config_free(struct config *c);

/* ---- the table of settings, which everything above is driven by ---- */

/* What a setting may be. */
enum config_kind {
	KIND_BOOL = 1,
	KIND_STRING = 2,
	KIND_COUNT = 4,
	KIND_LIST = 8,	 /* a string or a list of strings */
	KIND_SPLIT = 16, /* with KIND_LIST: one string has several parts, between semicolons */
	KIND_PAIRS = 32, /* a table of strings */
	KIND_TABLE = 64, /* a table of settings that have rows of their own */
	KIND_OPEN = 128,    /* with KIND_TABLE: entries without a row are known to mirrord, and nothing to us */
	KIND_IGNORED = 256, /* with all that is in it: known to mirrord, and nothing to us */
	KIND_SILENT = 512,  /* with KIND_IGNORED: and nothing that anybody would miss */
};

struct config_row {
	const char *path; /* "feature.fs.mode"; rows are sorted by it */
	unsigned kinds;
	int id; /* enum config_id; -1 for a table that is nothing by itself */
	const char *variable; /* of the environment, or NULL */
	/* What false and true mean where KIND_BOOL is a short form. */
	const char *words[2];
	/* 0, or -EINVAL with one clause in ERR: why not, and what to do. NULL: any value will do. */
	int (*check)(const char *key, const char *value, char *err, size_t err_len);
};

extern const struct config_row config_rows[];
extern const size_t config_row_count;

/* The row of PATH, or NULL. */
const struct config_row *config_find(const char *path);

/* The row that says what ID is; the longest path where a short form has one too. */
const struct config_row *config_row_of(enum config_id id);

#endif
