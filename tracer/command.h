/* What remotefs-trace does besides running a program: "remotefs-trace COMMAND …". */
#ifndef TRACER_COMMAND_H
#define TRACER_COMMAND_H

struct options;

/* Does a command with its arguments, ARGV[0] being its name. The exit status. */
typedef int (*command_run)(int argc, char **argv);

/* The command NAME, or NULL. */
command_run command_find(const char *name);

/*
 * As options_flags, for a command that takes one word, which may stand anywhere among the options: *WORD is it, or NULL.
 * A second one is refused. ARGV is changed.
 */
int command_flags(int argc, char **argv, struct options *o, char **word);

/* explain [OPTION]… PATH… [--write]: a line for each path that says what becomes of it, and by which rule. */
int command_explain(int argc, char **argv);

/* diagnose [OPTION]… TARGET: how TARGET is reached, what can be done there, how fast, and what would fail; 125 when it cannot be reached. */
int command_diagnose(int argc, char **argv);

/* ls [OPTION]… [docker|podman]: a line, or with -o json a string, for each target that there is; 125 when they cannot be listed. */
int command_ls(int argc, char **argv);

/* verify-config [OPTION]… [FILE]: prints what a configuration comes to, as one; 2 and a line for each error. */
int command_verify_config(int argc, char **argv);

#endif
