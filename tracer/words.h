/* A command line that grows: the words of a program to be started. */
#ifndef TRACER_WORDS_H
#define TRACER_WORDS_H

#include <stddef.h>

#define WORDS_MAX 96

/* Starts zeroed; V is NULL-terminated. All words are copies. */
struct words {
	char *v[WORDS_MAX + 1];
	size_t count;
};

/* Adds one word; nothing for NULL. More than WORDS_MAX end the program: all lists are ours. */
void words_add(struct words *w, const char *word);

/* As words_add, of a text as printf makes it. */
void words_addf(struct words *w, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Adds OPTION and VALUE, or nothing where VALUE is NULL. */
void words_option(struct words *w, const char *option, const char *value);

/* Adds the parts of TEXT between blanks: a command that the user gave. */
void words_split(struct words *w, const char *text);

/* Adds those of OTHER. */
void words_append(struct words *w, const struct words *other);

void words_free(struct words *w);

#define CLEANUP_WORDS __attribute__((cleanup(words_free)))

#endif
