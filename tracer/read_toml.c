/* TOML 1.0: lines, headers and keys. Values are in read_toml_value.c. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "read_toml.h"
#include "util.h"

/* Of one dotted key: what frees and checks trees goes down as deep. */
#define MAX_PARTS 32

static bool is_control(char c)
{
	return ((unsigned char)c < 0x20 && c != '\t') || c == 0x7f;
}

void toml_skip_blank(struct reader *r)
{
	r->at += strspn(r->source->text + r->at, " \t");
}

static bool skip_comment(struct reader *r)
{
	while (reader_peek(r, 0) && !reader_sees(r, "\n") && !reader_sees(r, "\r\n")) {
		if (is_control(reader_peek(r, 0)))
			return reader_fail(r, r->at, "a control character stands in a comment; remove it");
		r->at++;
	}
	return true;
}

bool toml_skip_lines(struct reader *r)
{
	for (;;) {
		toml_skip_blank(r);
		if (reader_peek(r, 0) == '#' && !skip_comment(r))
			return false;
		if (!reader_sees(r, "\n") && !reader_sees(r, "\r\n"))
			return true;
		r->at += reader_peek(r, 0) == '\r' ? 2 : 1;
	}
}

bool toml_unexpected(struct reader *r, const char *expected)
{
	if (r->at == r->source->len)
		return reader_fail(r, r->at, "the file ends where %s is due; write it", expected);
	if (reader_sees(r, "\n") || reader_sees(r, "\r"))
		return reader_fail(r, r->at, "the line ends where %s is due; write it", expected);
	return reader_fail(r, r->at, "%s is due here, not '%.*s'; is a quote, bracket or end of line missing?", expected,
			   (int)reader_word(r), r->source->text + r->at);
}

static bool is_bare(char c)
{
	return isalnum((unsigned char)c) || c == '-' || c == '_';
}

/* One part of a key: bare, or in quotes. The caller frees it; NULL with a line. */
static char *read_key(struct reader *r)
{
	char c = reader_peek(r, 0);
	size_t n = 0;

	if (c == '"' || c == '\'') {
		if (reader_sees(r, "\"\"\"") || reader_sees(r, "'''")) {
			reader_fail(r, r->at, "a key cannot span lines; write it in single quotes of its kind");
			return NULL;
		}
		struct value *quoted = toml_read_value(r);
		char *key = quoted ? quoted->text : NULL;
		if (quoted)
			quoted->text = NULL;
		value_free(quoted);
		return key;
	}
	while (is_bare(reader_peek(r, n)))
		n++;
	if (!n) {
		toml_unexpected(r, "a key");
		return NULL;
	}
	r->at += n;
	return strndup(r->source->text + r->at - n, n);
}

/* After part N of a key: the next one, which stands AT, or NULL. FAILED tells that there is one, and a line about it. */
static char *next_part(struct reader *r, unsigned n, size_t *at, bool *failed)
{
	char *part;

	toml_skip_blank(r);
	if (reader_peek(r, 0) != '.')
		return NULL;
	*failed = true;
	if (n == MAX_PARTS) {
		reader_fail(r, r->at, "this is nested more than %d deep, which no configuration is; make it flatter", MAX_PARTS);
		return NULL;
	}
	r->at++;
	toml_skip_blank(r);
	*at = r->at;
	part = read_key(r);
	*failed = !part;
	return part;
}

/* The table that PART leads to from TABLE; it frees PART. NULL with a line. */
typedef struct value *(*descend)(struct reader *r, struct value *table, char *part, size_t at);

/*
 * Reads a key and goes down from *TABLE by all of its parts but the last, which is returned, with *AT where it stands.
 * The caller frees it; NULL with a line.
 */
static char *read_path(struct reader *r, struct value **table, size_t *at, descend down)
{
	bool failed = false;
	char *part, *next;

	*at = r->at;
	part = read_key(r);
	for (unsigned n = 1; part; n++) {
		size_t next_at;

		next = next_part(r, n, &next_at, &failed);
		if (!next)
			break;
		*table = down(r, *table, part, *at);
		part = *table ? next : NULL;
		if (!part)
			free(next);
		*at = next_at;
	}
	if (failed) {
		free(part);
		part = NULL;
	}
	return part;
}

/* Puts N under KEY, which it takes over, into TABLE. NULL with a line. */
static struct value *add(struct value *table, char *key, size_t key_at, struct value *n)
{
	if (!n) {
		free(key);
		return NULL;
	}
	n->key = key;
	n->key_at = key_at;
	value_append(table, n);
	return n;
}

/* The table that PART of a dotted key names, made where it is not there yet. PART is freed. */
static struct value *descend_dotted(struct reader *r, struct value *table, char *part, size_t at)
{
	struct value *n = value_find(table, part);

	if (!n) {
		n = add(table, part, at, value_new(r, VALUE_TABLE, at));
		if (n)
			n->marks = TOML_DOTTED;
		return n;
	}
	if (n->type == VALUE_TABLE && n->marks == TOML_DOTTED) {
		free(part);
		return n;
	}
	reader_fail(r, at, "\"%s\" was given already, as %s, and cannot be added to here; write both in one place", part,
		    value_describe(n));
	free(part);
	return NULL;
}

bool toml_read_entry(struct reader *r, struct value *table)
{
	size_t at;
	char *key = read_path(r, &table, &at, descend_dotted);

	if (!key)
		return false;
	if (value_find(table, key)) {
		reader_fail(r, at, "\"%s\" is given twice; leave one of them out", key);
		free(key);
		return false;
	}
	if (reader_peek(r, 0) != '=') {
		free(key);
		return toml_unexpected(r, "'='");
	}
	r->at++;
	toml_skip_blank(r);
	return add(table, key, at, toml_read_value(r)) != NULL;
}

/* The table that PART of a header names on the way to its last part. PART is freed. */
static struct value *descend_header(struct reader *r, struct value *table, char *part, size_t at)
{
	struct value *n = value_find(table, part);

	if (!n)
		return add(table, part, at, value_new(r, VALUE_TABLE, at));
	if (n->type == VALUE_LIST && n->marks == TOML_TABLES)
		n = n->last;
	if (n->type != VALUE_TABLE || (n->marks & TOML_CLOSED)) {
		reader_fail(r, at, "\"%s\" was given already, as %s, and has no tables of its own; write both in one place", part,
			    n->marks & TOML_CLOSED ? "something complete" : value_describe(n));
		n = NULL;
	}
	free(part);
	return n;
}

/* [..., NAME]: that table, opened for what follows. NAME is freed. */
static struct value *open_table(struct reader *r, struct value *table, char *name, size_t at)
{
	struct value *n = value_find(table, name);

	if (!n) {
		n = add(table, name, at, value_new(r, VALUE_TABLE, at));
	} else {
		if (n->type != VALUE_TABLE || n->marks) {
			reader_fail(r, at, "\"%s\" is given twice; write both in one place", name);
			n = NULL;
		}
		free(name);
	}
	if (n)
		n->marks = TOML_HEADED;
	return n;
}

/* [[..., NAME]]: another table in that list. NAME is freed. */
static struct value *open_item(struct reader *r, struct value *table, char *name, size_t at)
{
	struct value *list = value_find(table, name), *item;

	if (list && (list->type != VALUE_LIST || list->marks != TOML_TABLES)) {
		reader_fail(r, at, "\"%s\" was given already, and not as a list of tables; write both in one place", name);
		free(name);
		return NULL;
	}
	if (list)
		free(name);
	else
		list = add(table, name, at, value_new(r, VALUE_LIST, at));
	item = list ? value_new(r, VALUE_TABLE, at) : NULL;
	if (!item)
		return NULL;
	list->marks = TOML_TABLES;
	item->marks = TOML_HEADED;
	value_append(list, item);
	return item;
}

/* The table that the header where R is opens, or NULL with a line. */
static struct value *read_header(struct reader *r, struct value *root)
{
	bool item = reader_peek(r, 1) == '[';
	struct value *table = root;
	size_t at;
	char *part;

	r->at += item ? 2 : 1;
	toml_skip_blank(r);
	part = read_path(r, &table, &at, descend_header);
	if (!part)
		return NULL;
	if (!reader_sees(r, item ? "]]" : "]")) {
		free(part);
		toml_unexpected(r, item ? "']]'" : "']'");
		return NULL;
	}
	r->at += item ? 2 : 1;
	return item ? open_item(r, table, part, at) : open_table(r, table, part, at);
}

static bool read_line_end(struct reader *r)
{
	toml_skip_blank(r);
	if (reader_peek(r, 0) == '#' && !skip_comment(r))
		return false;
	if (r->at < r->source->len && !reader_sees(r, "\n") && !reader_sees(r, "\r\n"))
		return toml_unexpected(r, "the end of the line");
	return true;
}

struct value *toml_read(const struct source *s, struct problems *p)
{
	struct reader r = { .source = s, .problems = p };
	struct value *root = value_new(&r, VALUE_TABLE, 0), *table = root;

	while (table && toml_skip_lines(&r) && r.at < s->len) {
		if (reader_peek(&r, 0) == '[')
			table = read_header(&r, root);
		else if (!toml_read_entry(&r, table))
			table = NULL;
		if (table && !read_line_end(&r))
			table = NULL;
	}
	if (table && r.at == s->len)
		return root;
	value_free(root);
	return NULL;
}
