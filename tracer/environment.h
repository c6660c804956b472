/* The program's environment: ours, with what the configuration says to take of the target's. */
#ifndef TRACER_ENVIRONMENT_H
#define TRACER_ENVIRONMENT_H

#include <stdbool.h>
#include <stddef.h>

struct config;
struct link;
struct problems;

/* Whether C changes the program's environment in any way. */
bool environment_is_changed(const struct config *c);

/* Whether C asks for anything of the target's environment. */
bool environment_is_wanted(const struct config *c);

/*
 * Reads the file of variables that C names, if it does: NAME=VALUE lines as dotenv files have them. What is wrong becomes
 * problems in P.
 */
void environment_read_file(const struct config *c, struct problems *p);

/*
 * The environment for the program, in an array that lives on: ours; what C includes and does not exclude of the BLOCK (LEN bytes,
 * NAME=VALUE with a NUL behind each) of the target; the file's; of these two the values that C maps; what it
 * overrides; without what it unsets.
 */
char **environment_make(const struct config *c, const char *block, size_t len);

/*
 * Fetches the environment of the process that L's agent runs beside into *BLOCK, which the caller frees, and *LEN. 0, or a negative
 * errno with a clause in ERR (ERR_LEN bytes).
 */
int environment_fetch(struct link *l, char **block, size_t *len, char *err, size_t err_len);

#endif
