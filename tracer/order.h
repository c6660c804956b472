/* The order in which a program is likely to go through the names of a directory. */
#ifndef TRACER_ORDER_H
#define TRACER_ORDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct order {
	char **name; /* without "." and ".."; NULL: not made */
	size_t count;
	char *text;
};

/*
 * Makes O of LIST, a listing of LEN bytes: in its own order, or sorted, if the two names that were used last, BEFORE (or NULL) and
 * then NOW, are near each other only so. Returns the place behind NOW; 0 if it is the last, or not there.
 */
size_t order_make(struct order *o, const uint8_t *list, size_t len, const char *before, const char *now);

void order_free(struct order *o);

#endif
