/* A configuration as a tree, whatever language it is written in, and the readers that make it. */
#ifndef TRACER_VALUE_H
#define TRACER_VALUE_H

#include <stdbool.h>
#include <stddef.h>

#include "source.h"

enum value_type { VALUE_NULL, VALUE_BOOL, VALUE_NUMBER, VALUE_STRING, VALUE_LIST, VALUE_TABLE };

struct value {
	enum value_type type;
	size_t at;   /* where it stands in the source's text */
	char *key;   /* its name in the table that it is in, else NULL */
	size_t key_at;
	char *text;  /* a string's characters, a number's digits, "true" or "false" */
	unsigned marks; /* the reader's own notes */
	struct value *first, *last, *next; /* what a list or table consists of, in its order; the next beside it */
};

/* What a reader is at. */
struct reader {
	const struct source *source;
	struct problems *problems;
	size_t at;	/* the next character's offset */
	unsigned depth; /* of what is read just now */
	unsigned values; /* made so far */
};

/* A tree of the source's text, or NULL with a line in P. For all of them the outermost value is a table. */
struct value *json_read(const struct source *s, struct problems *p);
struct value *toml_read(const struct source *s, struct problems *p);
struct value *yaml_read(const struct source *s, struct problems *p);

/* Frees N and what is in it; nothing for NULL. */
void value_free(struct value *n);

/* The entry KEY of TABLE, or NULL. */
struct value *value_find(const struct value *table, const char *key);

/* "a table", "a string"…: what N is, for messages. */
const char *value_describe(const struct value *n);

/* ---- for the readers ---- */

/* A new value that stands at AT; NULL, with a line, when there are too many. */
struct value *value_new(struct reader *r, enum value_type type, size_t at);

/* Puts CHILD at the end of PARENT. */
void value_append(struct value *parent, struct value *child);

/* Adds a line about AT and returns false. */
bool reader_fail(struct reader *r, size_t at, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* One level further in: false, with a line, where that is too deep. */
bool reader_enter(struct reader *r);

/* The character at OFFSET from where R is, NUL at the end. */
char reader_peek(const struct reader *r, size_t offset);

/* The rest of the text begins with WORD. */
bool reader_sees(const struct reader *r, const char *word);

/* How many bytes of what is at hand tell the user where he is: a word, at least 1. Not at the end. */
size_t reader_word(const struct reader *r);

/* Text that grows. Starts zeroed; its characters are NUL-terminated once one was put. */
struct text {
	char *s;
	size_t len, room;
};

void text_put(struct text *t, char c);
void text_put_string(struct text *t, const char *s, size_t len);

/* The character CODE as UTF-8. */
void text_put_code(struct text *t, unsigned code);

/* What was put, which the caller frees; never NULL. */
char *text_take(struct text *t);

#endif
