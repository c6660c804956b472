/* What rules.c and the default lists share. */
#ifndef TRACER_RULES_INT_H
#define TRACER_RULES_INT_H

#include "rules.h"

struct pattern;

/* All lists in the order in which they are asked; the user's are first, and numbered as RULE_ are. */
enum rules_list {
	LIST_MAPPING = RULE_MAPPING,
	LIST_NOT_FOUND = RULE_NOT_FOUND,
	LIST_READ_WRITE = RULE_READ_WRITE,
	LIST_READ_ONLY = RULE_READ_ONLY,
	LIST_LOCAL = RULE_LOCAL,
	LIST_DEFAULT_NOT_FOUND,
	LIST_DEFAULT_READ_ONLY,
	LIST_DEFAULT_LOCAL,
	LIST_COUNT,
};

/* Adds PATTERN, which is taken over, to LIST. HERE: it is for programs that are here only. */
void rules_append(enum rules_list list, struct pattern *pattern, const char *replacement, const char *origin, bool here);

#endif
