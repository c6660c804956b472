/* TOML 1.0: strings, numbers, arrays and inline tables. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "read_toml.h"
#include "util.h"

/* \uXXXX or \UXXXXXXXX, of which DIGITS are to come. */
static bool read_code(struct reader *r, struct text *t, size_t digits)
{
	char hex[9] = "";
	size_t at = r->at - 2;

	for (size_t i = 0; i < digits; i++) {
		hex[i] = reader_peek(r, i);
		if (!isxdigit((unsigned char)hex[i]))
			return reader_fail(r, at, "%zu hexadecimal digits are due after \\%c; write them", digits,
					   digits == 4 ? 'u' : 'U');
	}
	unsigned long code = strtoul(hex, NULL, 16);
	if (!code || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
		return reader_fail(r, at, "this escape is no character that a setting can have; write another");
	text_put_code(t, (unsigned)code);
	r->at += digits;
	return true;
}

/* A backslash at the end of a line of a """string""" takes the line's end and what is blank behind it along. */
static bool read_continuation(struct reader *r)
{
	size_t blank = strspn(r->source->text + r->at, " \t");

	if (reader_peek(r, blank) != '\n' && !(reader_peek(r, blank) == '\r' && reader_peek(r, blank + 1) == '\n'))
		return false;
	r->at += strspn(r->source->text + r->at, " \t\r\n");
	return true;
}

static bool read_escape(struct reader *r, struct text *t, bool lines)
{
	static const char letters[] = "\"\\bfnrt", meanings[] = "\"\\\b\f\n\r\t";

	if (lines && read_continuation(r))
		return true;
	char c = reader_peek(r, 0);
	const char *found = c ? strchr(letters, c) : NULL;
	r->at++;
	if (c == 'u' || c == 'U')
		return read_code(r, t, c == 'u' ? 4 : 8);
	if (!found)
		return reader_fail(r, r->at - 2,
				   "there is no escape \\%c in TOML; write \\\\ for a backslash, or the string in '…'",
				   isprint((unsigned char)c) ? c : '?');
	text_put(t, meanings[found - letters]);
	return true;
}

/* One character of a string in QUOTE that has LINES or not. */
static bool read_character(struct reader *r, struct text *t, char quote, bool lines)
{
	char c = reader_peek(r, 0);

	if (lines && reader_sees(r, "\r\n")) {
		r->at++;
		c = '\n';
	}
	if (((unsigned char)c < 0x20 && c != '\t' && !(lines && c == '\n')) || c == 0x7f)
		return reader_fail(r, r->at, "a control character stands in a string; write it as an escape in \"…\"");
	r->at++;
	if (c == '\\' && quote == '"')
		return read_escape(r, t, lines);
	text_put(t, c);
	return true;
}

/* Whether the quotes where R is end the string. Up to two before the last three of a string of LINES are its own. */
static bool string_ends(struct reader *r, struct text *t, char quote, bool lines)
{
	size_t n = 0, least = lines ? 3 : 1, most = lines ? 5 : 1;

	while (n < most && reader_peek(r, n) == quote)
		n++;
	if (n < least)
		return false;
	for (size_t i = least; i < n; i++)
		text_put(t, quote);
	r->at += n;
	return true;
}

static char *read_string(struct reader *r)
{
	size_t start = r->at;
	char quote = reader_peek(r, 0);
	bool lines = reader_peek(r, 1) == quote && reader_peek(r, 2) == quote;
	struct text t = { 0 };

	r->at += lines ? 3 : 1;
	if (lines)
		r->at += reader_sees(r, "\r\n") ? 2 : reader_sees(r, "\n");
	for (;;) {
		if (r->at == r->source->len || (!lines && reader_peek(r, 0) == '\n')) {
			reader_fail(r, start, "this string does not end%s; close it", lines ? "" : " on its line");
			break;
		}
		if (string_ends(r, &t, quote, lines))
			return text_take(&t);
		if (!read_character(r, &t, quote, lines))
			break;
	}
	free(t.s);
	return NULL;
}

/* Digits of a BASE with single underscores between them. */
static const char *skip_digits(const char *p, const char *digits)
{
	while (*p && strchr(digits, *p)) {
		p++;
		if (*p == '_' && p[1] && strchr(digits, p[1]))
			p++;
	}
	return p;
}

#define DECIMAL "0123456789"

/* Where the number at P ends, or NULL if it is none. */
static const char *number_end(const char *p)
{
	bool sign = *p == '+' || *p == '-';
	const char *digits = p[0] != '0'   ? NULL
			     : p[1] == 'x' ? "0123456789abcdefABCDEF"
			     : p[1] == 'o' ? "01234567"
			     : p[1] == 'b' ? "01"
					   : NULL;

	if (digits)
		return skip_digits(p + 2, digits) > p + 2 ? skip_digits(p + 2, digits) : NULL;
	p += sign;
	if (!strncmp(p, "inf", 3) || !strncmp(p, "nan", 3))
		return p + 3;
	const char *end = skip_digits(p, DECIMAL);
	if (end == p || (*p == '0' && end > p + 1))
		return NULL;
	if (*end == '.') {
		p = end + 1;
		end = skip_digits(p, DECIMAL);
		if (end == p)
			return NULL;
	}
	if (*end == 'e' || *end == 'E') {
		p = end + 1 + (end[1] == '+' || end[1] == '-');
		end = skip_digits(p, DECIMAL);
		if (end == p)
			return NULL;
	}
	return end;
}

/* 1979-05-27… or 07:32… */
static bool looks_like_date(const char *p)
{
	size_t n = strspn(p, DECIMAL);

	return (n == 4 && p[4] == '-') || (n == 2 && p[2] == ':');
}

static struct value *read_number(struct reader *r)
{
	const char *s = r->source->text + r->at, *end = number_end(s);
	struct text digits = { 0 };
	struct value *n;

	if (looks_like_date(s)) {
		reader_fail(r, r->at, "this is a date or time, which no setting is; write it as a string, in quotes");
		return NULL;
	}
	if (!end || isalnum((unsigned char)*end) || *end == '.' || *end == '_') {
		toml_unexpected(r, "a value");
		return NULL;
	}
	n = value_new(r, VALUE_NUMBER, r->at);
	if (!n)
		return NULL;
	for (const char *p = s; p < end; p++)
		if (*p != '_' && !(*p == '+' && p == s))
			text_put(&digits, *p);
	n->text = text_take(&digits);
	r->at += (size_t)(end - s);
	return n;
}

static bool read_array(struct reader *r, struct value *list)
{
	for (r->at++;;) {
		if (!toml_skip_lines(r))
			return false;
		if (reader_peek(r, 0) == ']')
			break;
		struct value *item = toml_read_value(r);
		if (!item)
			return false;
		value_append(list, item);
		if (!toml_skip_lines(r))
			return false;
		if (reader_peek(r, 0) == ']')
			break;
		if (reader_peek(r, 0) != ',')
			return toml_unexpected(r, "',' or ']'");
		r->at++;
	}
	r->at++;
	return true;
}

/* What is inline cannot be added to, nor what dotted keys made in it. */
static void close_all(struct value *n)
{
	for (; n; n = n->next) {
		n->marks |= TOML_CLOSED;
		close_all(n->first);
	}
}

static bool read_inline(struct reader *r, struct value *table)
{
	r->at++;
	toml_skip_blank(r);
	while (reader_peek(r, 0) != '}') {
		if (!toml_read_entry(r, table))
			return false;
		toml_skip_blank(r);
		if (reader_peek(r, 0) == '}')
			break;
		if (reader_peek(r, 0) != ',')
			return toml_unexpected(r, "',' or '}'");
		r->at++;
		toml_skip_blank(r);
		if (reader_peek(r, 0) == '}')
			return reader_fail(r, r->at, "an inline table has no comma before its end; remove it");
	}
	r->at++;
	return true;
}

static struct value *read_nested(struct reader *r, enum value_type type)
{
	struct value *n = value_new(r, type, r->at);

	if (!n)
		return NULL;
	if (!reader_enter(r) || !(type == VALUE_LIST ? read_array(r, n) : read_inline(r, n))) {
		value_free(n);
		return NULL;
	}
	r->depth--;
	n->marks = TOML_CLOSED;
	close_all(n->first);
	return n;
}

static struct value *read_text(struct reader *r, enum value_type type, char *text, size_t at)
{
	struct value *n = text ? value_new(r, type, at) : NULL;

	if (n)
		n->text = text;
	else
		free(text);
	return n;
}

struct value *toml_read_value(struct reader *r)
{
	char c = reader_peek(r, 0);
	size_t at = r->at;

	if (c == '"' || c == '\'')
		return read_text(r, VALUE_STRING, read_string(r), at);
	if (c == '[')
		return read_nested(r, VALUE_LIST);
	if (c == '{')
		return read_nested(r, VALUE_TABLE);
	if (reader_sees(r, "true") || reader_sees(r, "false")) {
		r->at += c == 't' ? 4 : 5;
		return read_text(r, VALUE_BOOL, xstrdup(c == 't' ? "true" : "false"), at);
	}
	return read_number(r);
}
