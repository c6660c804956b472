#include "value.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util.h"

#define MAX_DEPTH 64
#define MAX_VALUES 50000

struct value *value_new(struct reader *r, enum value_type type, size_t at)
{
	struct value *n;

	if (r->values == MAX_VALUES) {
		reader_fail(r, at, "there are more than %d values, which no configuration has; make it smaller", MAX_VALUES);
		return NULL;
	}
	r->values++;
	n = xcalloc(1, sizeof(*n));
	n->type = type;
	n->at = n->key_at = at;
	return n;
}

void value_append(struct value *parent, struct value *child)
{
	if (parent->last)
		parent->last->next = child;
	else
		parent->first = child;
	parent->last = child;
}

void value_free(struct value *n)
{
	struct value *next;

	for (; n; n = next) {
		next = n->next;
		value_free(n->first);
		free(n->key);
		free(n->text);
		free(n);
	}
}

struct value *value_find(const struct value *table, const char *key)
{
	for (struct value *n = table->first; n; n = n->next)
		if (n->key && !strcmp(n->key, key))
			return n;
	return NULL;
}

const char *value_describe(const struct value *n)
{
	static const char *const names[] = {
		[VALUE_NULL] = "null",	    [VALUE_BOOL] = "true or false", [VALUE_NUMBER] = "a number",
		[VALUE_STRING] = "a string", [VALUE_LIST] = "a list",	   [VALUE_TABLE] = "a table",
	};

	return names[n->type];
}

bool reader_fail(struct reader *r, size_t at, const char *format, ...)
{
	char what[512];
	va_list ap;

	va_start(ap, format);
	vsnprintf(what, sizeof(what), format, ap);
	va_end(ap);
	problem_at(r->problems, r->source, at, "%s", what);
	return false;
}

bool reader_enter(struct reader *r)
{
	if (++r->depth > MAX_DEPTH)
		return reader_fail(r, r->at, "this is nested more than %d deep, which no configuration is; make it flatter",
				   MAX_DEPTH);
	return true;
}

char reader_peek(const struct reader *r, size_t offset)
{
	return r->source->len - r->at > offset ? r->source->text[r->at + offset] : '\0';
}

bool reader_sees(const struct reader *r, const char *word)
{
	return !strncmp(r->source->text + r->at, word, strlen(word));
}

size_t reader_word(const struct reader *r)
{
	const char *s = r->source->text + r->at;
	size_t n = strcspn(s, " \t\r\n,:");

	n = n < 16 ? n : 16;
	while (n && (s[n] & 0xc0) == 0x80)
		n--;
	return n ? n : 1;
}

void text_put_string(struct text *t, const char *s, size_t len)
{
	if (t->len + len + 1 > t->room) {
		t->room = 2 * (t->len + len + 1);
		t->s = xrealloc(t->s, t->room);
	}
	memcpy(t->s + t->len, s, len);
	t->len += len;
	t->s[t->len] = '\0';
}

void text_put(struct text *t, char c)
{
	text_put_string(t, &c, 1);
}

void text_put_code(struct text *t, unsigned code)
{
	char c[4];

	if (code < 0x80) {
		text_put(t, (char)code);
		return;
	}
	int more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
	for (int i = more; i > 0; i--, code >>= 6)
		c[i] = (char)(0x80 | (code & 0x3f));
	c[0] = (char)((0xffu << (7 - more)) | code);
	text_put_string(t, c, (size_t)more + 1);
}

char *text_take(struct text *t)
{
	char *s = t->s ? t->s : xstrdup("");

	*t = (struct text){ 0 };
	return s;
}
