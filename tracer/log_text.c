#include "log_text.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util.h"

void text_init(struct text *t)
{
	t->data = t->small;
	t->len = 0;
	t->size = sizeof(t->small);
}

void text_free(struct text *t)
{
	if (t->data != t->small)
		free(t->data);
	text_init(t);
}

/* Makes room for N more bytes and a NUL. How many of the N there is room for. */
static size_t make_room(struct text *t, size_t n)
{
	size_t size = t->size;

	if (n > TEXT_MAX - t->len)
		n = TEXT_MAX - t->len;
	while (size - t->len <= n)
		size *= 2;
	if (size == t->size)
		return n;
	if (t->data == t->small) {
		t->data = memcpy(xrealloc(NULL, size), t->small, t->len);
	} else {
		t->data = xrealloc(t->data, size);
	}
	t->size = size;
	return n;
}

void text_add_bytes(struct text *t, const char *bytes, size_t n)
{
	n = make_room(t, n);
	memcpy(t->data + t->len, bytes, n);
	t->len += n;
	t->data[t->len] = 0;
}

void text_add(struct text *t, const char *s)
{
	text_add_bytes(t, s, strlen(s));
}

void text_format(struct text *t, const char *format, ...)
{
	char s[512];
	va_list ap;

	va_start(ap, format);
	int n = vsnprintf(s, sizeof(s), format, ap);
	va_end(ap);
	if (n > 0)
		text_add_bytes(t, s, (size_t)n < sizeof(s) ? (size_t)n : sizeof(s) - 1);
}

void text_pad(struct text *t, size_t column)
{
	while (t->len < column)
		text_add_bytes(t, " ", 1);
}

static void add_octal(struct text *t, unsigned char c, bool digit_follows)
{
	/* "\1" before a digit would read as another character: all three digits then. */
	text_format(t, digit_follows ? "\\%03o" : "\\%o", c);
}

void text_escape(struct text *t, const void *data, size_t n, const char *extra)
{
	static const char plain[] = "\t\n\v\f\r\"\\", letters[] = "tnvfr\"\\";
	const unsigned char *p = data;

	for (size_t i = 0; i < n; i++) {
		const char *special = p[i] ? strchr(plain, p[i]) : NULL;
		char c = (char)p[i];

		if (special)
			text_format(t, "\\%c", letters[special - plain]);
		else if (p[i] < ' ' || p[i] > '~' || strchr(extra, c))
			add_octal(t, p[i], i + 1 < n && p[i + 1] >= '0' && p[i + 1] <= '7');
		else
			text_add_bytes(t, &c, 1);
	}
}

void text_quote(struct text *t, const void *data, size_t n, const char *extra)
{
	text_add(t, "\"");
	text_escape(t, data, n, extra);
	text_add(t, "\"");
}
