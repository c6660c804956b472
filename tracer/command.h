/* What remotefs-trace does besides running a program: "remotefs-trace COMMAND …". */
#ifndef TRACER_COMMAND_H
#define TRACER_COMMAND_H

/* Does a command with its arguments, ARGV[0] being its name. The exit status. */
typedef int (*command_run)(int argc, char **argv);

/* The command NAME, or NULL. */
command_run command_find(const char *name);

/* explain [OPTION]… PATH… [--write]: a line for each path that says what becomes of it, and by which rule. */
int command_explain(int argc, char **argv);

/* verify-config [OPTION]… [FILE]: prints what a configuration comes to, as one; 2 and a line for each error. */
int command_verify_config(int argc, char **argv);

#endif
