/* JSON as RFC 8259 has it, and nothing more: what mirrord would refuse is refused. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "value.h"
#include "util.h"

static struct value *json_value(struct reader *r);

static void skip_space(struct reader *r)
{
	r->at += strspn(r->source->text + r->at, " \t\r\n");
}

/* Says what is there instead of what was EXPECTED. */
static bool unexpected(struct reader *r, const char *expected)
{
	if (r->at == r->source->len)
		return reader_fail(r, r->at, "the file ends where %s is due; write it", expected);
	if (reader_sees(r, "//") || reader_sees(r, "/*") || reader_sees(r, "#"))
		return reader_fail(r, r->at, "JSON has no comments, and %s is due here; remove the comment", expected);
	return reader_fail(r, r->at, "%s is due here, not '%.*s'; is a comma, quote or bracket missing or too much?", expected,
			   (int)reader_word(r), r->source->text + r->at);
}

static bool read_hex(struct reader *r, unsigned *code)
{
	char digits[5] = "";

	for (int i = 0; i < 4; i++) {
		digits[i] = reader_peek(r, (size_t)i);
		if (!isxdigit((unsigned char)digits[i]))
			return reader_fail(r, r->at, "four hexadecimal digits are due after \\u; write them");
	}
	*code = (unsigned)strtoul(digits, NULL, 16);
	r->at += 4;
	return true;
}

/* What follows "\u". Beyond U+FFFF a character is two of them, a pair of surrogates. */
static bool read_unicode(struct reader *r, struct text *t)
{
	size_t at = r->at - 2;
	unsigned code, low = 0;

	if (!read_hex(r, &code))
		return false;
	if (code >= 0xd800 && code < 0xdc00 && reader_sees(r, "\\u")) {
		r->at += 2;
		if (!read_hex(r, &low))
			return false;
		code = 0x10000 + ((code & 0x3ff) << 10) + (low & 0x3ff);
		if (low < 0xdc00 || low > 0xdfff)
			code = 0;
	}
	if (!code || (code >= 0xd800 && code < 0xe000))
		return reader_fail(r, at, "this \\u escape is no character that a setting can have; write another");
	text_put_code(t, code);
	return true;
}

static bool read_escape(struct reader *r, struct text *t)
{
	static const char letters[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
	char c = reader_peek(r, 0);
	const char *found = c ? strchr(letters, c) : NULL;

	r->at++;
	if (c == 'u')
		return read_unicode(r, t);
	if (!found)
		return reader_fail(r, r->at - 2, "there is no escape \\%c in JSON; write \\\\ for a backslash, as in \"\\\\.json$\"",
				   isprint((unsigned char)c) ? c : '?');
	text_put(t, meanings[found - letters]);
	return true;
}

/* A string whose opening quote is at hand: its characters, which the caller frees, or NULL. */
static char *read_string(struct reader *r)
{
	size_t start = r->at++;
	struct text t = { 0 };

	for (;;) {
		char c = reader_peek(r, 0);

		if (r->at == r->source->len || c == '\n') {
			reader_fail(r, start, "this string does not end on its line; close it with \"");
			break;
		}
		if ((unsigned char)c < 0x20) {
			reader_fail(r, r->at, "a control character stands in a string; write it as \\u%04x", (unsigned)c);
			break;
		}
		r->at++;
		if (c == '"')
			return text_take(&t);
		if (c != '\\')
			text_put(&t, c);
		else if (!read_escape(r, &t))
			break;
	}
	free(t.s);
	return NULL;
}

static struct value *read_number(struct reader *r)
{
	const char *s = r->source->text + r->at, *p = s + (*s == '-');
	size_t whole = strspn(p, "0123456789");
	struct value *n;

	p += whole;
	bool good = whole == 1 || (whole > 1 && p[-(long)whole] != '0');
	if (*p == '.') {
		size_t digits = strspn(p + 1, "0123456789");

		good = good && digits;
		p += 1 + digits;
	}
	if (*p == 'e' || *p == 'E') {
		p += 1 + (p[1] == '+' || p[1] == '-');
		size_t digits = strspn(p, "0123456789");

		good = good && digits;
		p += digits;
	}
	if (!good || isalnum((unsigned char)*p) || *p == '.') {
		reader_fail(r, r->at, "this is not a number as JSON has them; write it in decimal digits");
		return NULL;
	}
	n = value_new(r, VALUE_NUMBER, r->at);
	if (n) {
		n->text = strndup(s, (size_t)(p - s));
		r->at += (size_t)(p - s);
	}
	return n;
}

static struct value *read_word(struct reader *r, const char *word, enum value_type type)
{
	struct value *n = value_new(r, type, r->at);

	if (!n)
		return NULL;
	n->text = xstrdup(word);
	r->at += strlen(word);
	return n;
}

static bool read_list(struct reader *r, struct value *list)
{
	r->at++;
	skip_space(r);
	if (reader_peek(r, 0) == ']') {
		r->at++;
		return true;
	}
	for (;;) {
		struct value *item = json_value(r);

		if (!item)
			return false;
		value_append(list, item);
		skip_space(r);
		char c = reader_peek(r, 0);
		if (c != ',' && c != ']')
			return unexpected(r, "',' or ']'");
		r->at++;
		if (c == ']')
			return true;
	}
}

/* One "KEY": VALUE of TABLE. */
static bool read_entry(struct reader *r, struct value *table)
{
	size_t key_at;

	skip_space(r);
	key_at = r->at;
	if (reader_peek(r, 0) != '"')
		return unexpected(r, "a key in double quotes");
	CLEANUP_FREE char *key = read_string(r);
	if (!key)
		return false;
	if (value_find(table, key))
		return reader_fail(r, key_at, "\"%s\" is given twice; leave one of them out", key);
	skip_space(r);
	if (reader_peek(r, 0) != ':')
		return unexpected(r, "':'");
	r->at++;
	struct value *value = json_value(r);
	if (!value)
		return false;
	value->key = key;
	key = NULL;
	value->key_at = key_at;
	value_append(table, value);
	return true;
}

static bool read_table(struct reader *r, struct value *table)
{
	r->at++;
	skip_space(r);
	if (reader_peek(r, 0) == '}') {
		r->at++;
		return true;
	}
	for (;;) {
		if (!read_entry(r, table))
			return false;
		skip_space(r);
		char c = reader_peek(r, 0);
		if (c != ',' && c != '}')
			return unexpected(r, "',' or '}'");
		r->at++;
		if (c == '}')
			return true;
	}
}

static struct value *read_nested(struct reader *r, enum value_type type)
{
	struct value *n = value_new(r, type, r->at);

	if (!n)
		return NULL;
	if (!reader_enter(r) || !(type == VALUE_LIST ? read_list(r, n) : read_table(r, n))) {
		value_free(n);
		return NULL;
	}
	r->depth--;
	return n;
}

static struct value *read_text(struct reader *r)
{
	size_t at = r->at;
	char *s = read_string(r);
	struct value *n = s ? value_new(r, VALUE_STRING, at) : NULL;

	if (n)
		n->text = s;
	else
		free(s);
	return n;
}

static struct value *json_value(struct reader *r)
{
	skip_space(r);
	char c = reader_peek(r, 0);

	if (c == '{')
		return read_nested(r, VALUE_TABLE);
	if (c == '[')
		return read_nested(r, VALUE_LIST);
	if (c == '"')
		return read_text(r);
	if (c == '-' || isdigit((unsigned char)c))
		return read_number(r);
	if (reader_sees(r, "true"))
		return read_word(r, "true", VALUE_BOOL);
	if (reader_sees(r, "false"))
		return read_word(r, "false", VALUE_BOOL);
	if (reader_sees(r, "null"))
		return read_word(r, "null", VALUE_NULL);
	unexpected(r, "a value");
	return NULL;
}

struct value *json_read(const struct source *s, struct problems *p)
{
	struct reader r = { .source = s, .problems = p };

	skip_space(&r);
	if (reader_peek(&r, 0) != '{') {
		unexpected(&r, "'{'");
		return NULL;
	}
	struct value *root = json_value(&r);
	if (root)
		skip_space(&r);
	if (root && r.at < s->len) {
		unexpected(&r, "the end of the file");
		value_free(root);
		return NULL;
	}
	return root;
}
