/*
 * Regular expressions for paths: written in the syntax of Rust's regex crate, caseless and unanchored as mirrord has them, and
 * searched for in paths of any bytes: a byte that is not part of a UTF-8 character counts as a character of its own.
 *
 * No two threads may search at once: the state lock is for that.
 */
#ifndef TRACER_PATTERN_H
#define TRACER_PATTERN_H

#include <stdbool.h>
#include <stddef.h>

struct pattern;

/*
 * Compiles TEXT. NULL, with one line in ERR (LEN bytes) that says what is wrong at which character, when it is not of Rust's
 * syntax, or of the part of that which is supported. The caller frees it with pattern_free.
 */
struct pattern *pattern_compile(const char *text, char *err, size_t len);

/* The same of HEAD, then the LITERAL bytes as they are, then TAIL. They must be right; dies if not. */
struct pattern *pattern_compile_literal(const char *head, const char *literal, const char *tail);

void pattern_free(struct pattern *p);

/* What P was compiled of. */
const char *pattern_text(const struct pattern *p);

/* Whether P is found in PATH. What takes too long to find (a hostile pattern) is told once, and not found. */
bool pattern_matches(struct pattern *p, const char *path);

/*
 * Puts PATH, with the first place where P is found replaced, into OUT (LEN bytes): in REPLACEMENT $1, ${1}, $name and ${name} stand
 * for groups of P, $$ for a dollar; without braces the longest name is meant ($1x is the group 1x), and a group that P does
 * not have is empty. 1; 0 when P is not found; -ENAMETOOLONG.
 */
int pattern_replace(struct pattern *p, const char *path, const char *replacement, char *out, size_t len);

#endif
