#include "dotenv.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "util.h"
#include "value.h"

static void skip_blank(struct reader *r)
{
	r->at += strspn(r->source->text + r->at, " \t\r");
}

static void skip_line(struct reader *r)
{
	r->at += strcspn(r->source->text + r->at, "\n");
	r->at += reader_peek(r, 0) == '\n';
}

/* The name where R is, which the caller frees; NULL with a line. */
static char *read_name(struct reader *r)
{
	size_t n = 0;

	while (isalnum((unsigned char)reader_peek(r, n)) || reader_peek(r, n) == '_' || reader_peek(r, n) == '.')
		n++;
	if (!n || isdigit((unsigned char)reader_peek(r, 0))) {
		reader_fail(r, r->at, "the name of a variable is due here; write NAME=VALUE");
		return NULL;
	}
	r->at += n;
	return strndup(r->source->text + r->at - n, n);
}

static bool is_reference(const struct reader *r)
{
	char next = reader_peek(r, 1);

	return reader_peek(r, 0) == '$' && (isalpha((unsigned char)next) || next == '_' || next == '{' || next == '(');
}

/* One character of "…" or of a value without quotes. */
static bool read_character(struct reader *r, struct text *t)
{
	static const char letters[] = "nt\\\"$'` ", meanings[] = "\n\t\\\"$'` ";
	const char *found;

	if (is_reference(r))
		return reader_fail(r, r->at, "what stands for $ is not known here; write \\$ for the character, or the value in '…'");
	if (reader_peek(r, 0) != '\\') {
		text_put(t, r->source->text[r->at++]);
		return true;
	}
	found = reader_peek(r, 1) ? strchr(letters, reader_peek(r, 1)) : NULL;
	if (!found)
		return reader_fail(r, r->at, "there is no such escape; write \\\\ for a backslash, or the value in '…'");
	text_put(t, meanings[found - letters]);
	r->at += 2;
	return true;
}

static bool read_quoted(struct reader *r, struct text *t)
{
	size_t start = r->at;
	char quote = r->source->text[r->at++];

	while (reader_peek(r, 0) != quote) {
		if (r->at == r->source->len)
			return reader_fail(r, start, "this value does not end; close it with %c", quote);
		if (quote == '\'')
			text_put(t, r->source->text[r->at++]);
		else if (!read_character(r, t))
			return false;
	}
	r->at++;
	skip_blank(r);
	if (reader_peek(r, 0) && !strchr("\n#", reader_peek(r, 0)))
		return reader_fail(r, r->at, "the line is due to end here; put all of the value between the quotes");
	return true;
}

/* Up to the end of the line, or a comment behind a blank. */
static bool read_plain(struct reader *r, struct text *t)
{
	size_t end = 0;

	while (reader_peek(r, 0) && reader_peek(r, 0) != '\n') {
		char c = reader_peek(r, 0);

		if (c == '#' && end < t->len)
			break;
		if (!read_character(r, t))
			return false;
		if (!isspace((unsigned char)c))
			end = t->len;
	}
	if (t->s)
		t->s[t->len = end] = '\0';
	return true;
}

static void add(struct dotenv *d, char *name, char *value)
{
	d->items = xrealloc(d->items, (d->count + 1) * sizeof(*d->items));
	d->items[d->count++] = (struct dotenv_item){ name, value };
}

/* What stands in one line that is neither blank nor a comment. */
static void read_variable(struct reader *r, struct dotenv *d)
{
	struct text value = { 0 };
	char *name;

	if (reader_sees(r, "export ")) {
		r->at += 7;
		skip_blank(r);
	}
	name = read_name(r);
	skip_blank(r);
	bool good = name && (reader_peek(r, 0) == '=' || reader_fail(r, r->at, "'=' is due behind the name; write NAME=VALUE"));
	if (good) {
		r->at++;
		skip_blank(r);
		char c = reader_peek(r, 0);
		good = c == '"' || c == '\'' ? read_quoted(r, &value) : read_plain(r, &value);
	}
	char *text = text_take(&value);
	if (good) {
		add(d, name, text);
		return;
	}
	free(name);
	free(text);
}

void dotenv_read(struct dotenv *d, const char *name, struct problems *p)
{
	struct source s;
	struct reader r = { .source = &s, .problems = p };

	*d = (struct dotenv){ 0 };
	bool good = source_read(&s, name, "NAME=VALUE", p) == 0;
	while (good && r.at < s.len) {
		skip_blank(&r);
		if (reader_peek(&r, 0) && !strchr("\n#", reader_peek(&r, 0)))
			read_variable(&r, d);
		skip_line(&r);
	}
	source_free(&s);
}
