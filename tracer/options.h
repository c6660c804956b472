/* The command line. */
#ifndef TRACER_OPTIONS_H
#define TRACER_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "behind.h"
#include "config.h"
#include "log.h"
#include "mode.h"
#include "reach.h"

#define EXIT_USAGE 2

enum trap {
	TRAP_AUTO,   /* the best that the kernel offers */
	TRAP_NOTIFY, /* seccomp user notification or nothing */
	TRAP_PTRACE, /* ptrace stops */
};

struct mount_option {
	char *path;    /* absolute, normalised path in the program's eyes */
	char *target;  /* as target_check accepts it */
	char *subpath; /* absolute, normalised path in the target's eyes; "/" unless given */
	enum mode mode;
	bool own_mode; /* given with it; otherwise it is the run's */
};

#define RECONNECT_S 60u
#define RECONNECT_MAX_S 86400u

struct options {
	struct log_options log;
	const char *target; /* the tree at /, or NULL */
	char *target_text;    /* its text, owned */
	char *target_subpath; /* of it, absolute and normalised; NULL: all of it */
	struct mount_option *mounts;
	size_t mount_count;
	enum mode mode;
	const char *overlay_dir; /* where an overlay is kept; NULL: in a temporary directory */
	enum trap trap;
	bool no_cache;	     /* nothing that the target says is kept */
	uint64_t lease;	     /* ns that names are kept of which no change would be told */
	enum behind_mode sync;
	bool posix_numbers; /* remote descriptors have the lowest free numbers, too */
	size_t cache_size;  /* bytes of remote files that are kept */
	unsigned startup_ms; /* for an agent's first word */
	unsigned reconnect_ms; /* for how long a connection that broke is made anew; 0: never */
	struct reach reach;  /* how targets are reached */
	char *kubeconfig;    /* its text, owned, where the home directory is in it */
	char *config_file;   /* to be read, or NULL */
	struct config config; /* what file, environment and options say; target and mode above come from it */
	char **program_argv; /* the program and its arguments: the end of ARGV */
};

/*
 * Parses ARGV into O, which is overwritten, and reads the configuration. 0; EXIT_USAGE when something was refused, with
 * a line for each on standard error that says what, why and what to do; -1 when the command line asked for --help or
 * --version, which were printed. Strings that O takes from ARGV are not copied.
 */
int options_parse(int argc, char **argv, struct options *o);

/*
 * The two halves of options_parse, for commands that run no program: the options, up to the first word that is none
 * (program_argv); then what file, environment and options say together. No target is needed.
 */
int options_flags(int argc, char **argv, struct options *o);
int options_settle(struct options *o);

/* Whether the program's "/" is remote, but for what rules say. */
bool options_cover_root(const struct options *o);

/* Whether any tree of O may have files that are not local. */
bool options_are_remote(const struct options *o);

/* Frees what options_parse allocated. */
void options_free(struct options *o);

/* ---- between the files of this module ---- */

/* One line on standard error, control characters replaced. */
void options_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* As options_say; EXIT_USAGE. */
int options_refuse(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* What only the whole command line can tell, before a program is run. 0 or EXIT_USAGE with lines. */
int options_check(struct options *o);

/* Whether ARG is a number of digits alone, at most MAX; *N is it then. */
bool options_number(const char *arg, unsigned max, unsigned *n);

/*
 * -LETTER of those that strace has as well, with its argument ARG if it takes one, and --stats ARG. ARG is not copied. 0 or
 * EXIT_USAGE with a line.
 */
int options_set_log(struct log_options *log, char letter, const char *arg);
int options_set_stats(struct log_options *log, const char *arg);

/* --mount ARG. 0 or EXIT_USAGE with a line. */
int options_add_mount(struct options *o, const char *arg);

/* Cuts ":/SUBPATH" off TARGET: *SUB is it (or NULL), absolute and normalised, the caller's. 0 or a negative errno. */
int options_cut_subpath(char *target, char **sub);

extern const char options_help[];

#endif
