/* The syntax of Rust's regex crate, in which patterns are written, in terms of PCRE2's, which matches them. */
#ifndef TRACER_PATTERN_SYNTAX_H
#define TRACER_PATTERN_SYNTAX_H

#include <stddef.h>

/* A pattern in PCRE2's syntax. */
struct pattern_syntax {
	char *text;
	size_t len, room;
	size_t *from; /* for each byte of TEXT, where in the original it comes from */
	char **names; /* of the groups, by their number; NULL for those without */
	size_t groups; /* group 0, the whole match, included */
};

/*
 * Translates PATTERN into S, which is overwritten: 0, or -EINVAL with what is refused, and at which character, in ERR (LEN
 * bytes). Only what PCRE2 would take for something else, or take at all where Rust refuses it, is looked at here; what is wrong in
 * both (an unclosed group) is left to PCRE2. pattern_syntax_free in any case.
 */
int pattern_syntax_translate(const char *pattern, struct pattern_syntax *s, char *err, size_t len);

void pattern_syntax_free(struct pattern_syntax *s);

/* Which character of the UTF-8 text PATTERN byte OFFSET belongs to, counted from 1. */
unsigned pattern_syntax_column(const char *pattern, size_t offset);

#endif
