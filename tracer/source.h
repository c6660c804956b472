/* A configuration file's text, and what is wrong in it and where. */
#ifndef TRACER_SOURCE_H
#define TRACER_SOURCE_H

#include <stddef.h>

/* What is wrong: each a line "FILE:LINE:COLUMN: what, why, what to do". Starts zeroed. */
struct problems {
	char **lines;
	size_t count;
};

/* A stretch of the text: what stands at AT and behind it was written at FROM and behind it. */
struct source_piece {
	size_t at, from;
	int fixed; /* all of it comes from the template at FROM */
};

/* A character of what was written. */
struct source_place {
	size_t offset;
	unsigned line, column;
};

/* The text that a reader reads, its templates rendered, and the way back to what was written. Starts zeroed. */
struct source {
	char *name;    /* of the file, as it was given */
	char *written; /* what is in the file */
	size_t written_len;
	char *text; /* what is read, NUL-terminated; offsets of values and problems are offsets here */
	size_t len;
	struct source_piece *pieces;
	size_t piece_count;
	struct source_place *last; /* that was found: places are asked for in their order, mostly */
};

/*
 * Reads the file NAME: at most 1 MiB of UTF-8 without NUL. Its templates are not rendered: text is what was written.
 * WANTED says what is expected of it, as "the path of a ... file". 0, or -EINVAL with a line in P. S is freed by the caller in both cases.
 */
int source_read(struct source *s, const char *name, const char *wanted, struct problems *p);

/* As source_read, of LEN bytes that are here already, under NAME. */
int source_take(struct source *s, const char *name, const char *bytes, size_t len, struct problems *p);

void source_free(struct source *s);

/* "FILE:LINE:COLUMN" of AT; the caller frees it. */
char *source_name_of(const struct source *s, size_t at);

/* Adds a line about what stands at AT of S. Control characters become '?'; after 100 lines the rest is left out. */
void problem_at(struct problems *p, const struct source *s, size_t at, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* Adds a line about something that stands at WHERE: an option, a variable, "FILE:LINE:COLUMN". */
void problem_of(struct problems *p, const char *where, const char *format, ...) __attribute__((format(printf, 3, 4)));

void problems_free(struct problems *p);

#endif
