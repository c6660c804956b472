#include "words.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util.h"

static void take(struct words *w, char *word)
{
	if (w->count == WORDS_MAX)
		die("a command of more than %d words", WORDS_MAX);
	w->v[w->count++] = word;
	w->v[w->count] = NULL;
}

void words_add(struct words *w, const char *word)
{
	if (word)
		take(w, xstrdup(word));
}

void words_addf(struct words *w, const char *format, ...)
{
	char *word;
	va_list ap;

	va_start(ap, format);
	if (vasprintf(&word, format, ap) < 0)
		die("out of memory");
	va_end(ap);
	take(w, word);
}

void words_option(struct words *w, const char *option, const char *value)
{
	if (!value)
		return;
	words_add(w, option);
	words_add(w, value);
}

void words_split(struct words *w, const char *text)
{
	size_t n;

	for (text += strspn(text, " \t\n"); (n = strcspn(text, " \t\n")); text += strspn(text, " \t\n")) {
		words_addf(w, "%.*s", (int)n, text);
		text += n;
	}
}

void words_append(struct words *w, const struct words *other)
{
	for (size_t i = 0; i < other->count; i++)
		words_add(w, other->v[i]);
}

void words_free(struct words *w)
{
	for (size_t i = 0; i < w->count; i++)
		free(w->v[i]);
	*w = (struct words){ 0 };
}
