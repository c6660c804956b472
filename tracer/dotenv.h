/* Files of variables, as dotenv has them. */
#ifndef TRACER_DOTENV_H
#define TRACER_DOTENV_H

#include <stddef.h>

struct problems;

struct dotenv {
	struct dotenv_item {
		char *name, *value;
	} *items;
	size_t count;
};

/*
 * Reads the file NAME into D: lines of NAME=VALUE, "export" before them or not, blank ones and #comments. A value may be in '…', as it
 * is, or in "…" with \n, \t, \\, \" and \$. What shells would put in the place of $NAME is not known here: it is a problem in P, like
 * all that is wrong. What D has is there for good.
 */
void dotenv_read(struct dotenv *d, const char *name, struct problems *p);

#endif
