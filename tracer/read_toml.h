/* What the two halves of the TOML reader share. */
#ifndef TRACER_READ_TOML_H
#define TRACER_READ_TOML_H

#include "value.h"

/* How a table or list came about, which says what may be added to it later. */
enum toml_mark {
	TOML_HEADED = 1, /* has a [header] of its own */
	TOML_DOTTED = 2, /* made by a dotted key: no header may open it */
	TOML_CLOSED = 4, /* written inline: complete */
	TOML_TABLES = 8, /* a list of [[tables]] */
};

/* Spaces and tabs. */
void toml_skip_blank(struct reader *r);

/* Blanks, ends of lines and comments. False, with a line, for a control character in a comment. */
bool toml_skip_lines(struct reader *r);

/* Says that EXPECTED is due where R is, and returns false. */
bool toml_unexpected(struct reader *r, const char *expected);

/* KEY = VALUE where R is, into TABLE; KEY may be dotted. */
bool toml_read_entry(struct reader *r, struct value *table);

/* A value, or NULL with a line. */
struct value *toml_read_value(struct reader *r);

#endif
