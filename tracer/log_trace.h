/* Which calls are shown: -e trace=EXPR. */
#ifndef TRACER_LOG_TRACE_H
#define TRACER_LOG_TRACE_H

#include <stdbool.h>
#include <stddef.h>

enum { TRACE_NUMBERS = 512 };

struct trace_set {
	bool shown[TRACE_NUMBERS];
	bool others; /* numbers that the table does not have */
};

/* Parses EXPR (NULL: all) into SET. 0, or -EINVAL with one clause in ERR. */
int trace_parse(const char *expr, struct trace_set *set, char *err, size_t err_len);

bool trace_shows(const struct trace_set *set, int nr);

#endif
