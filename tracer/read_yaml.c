/* YAML by libyaml, with the meanings of YAML 1.2's core schema: yes, no and on are strings. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "value.h"
#include "util.h"

#define YAML_TAG "tag:yaml.org,2002:"

struct yaml {
	struct reader r; /* at: the offset of the mark that was looked for last */
	yaml_parser_t parser;
	size_t index; /* of that mark, in characters */
	struct anchor {
		struct anchor *next;
		char *name;
		struct value *value;
	} *anchors;
};

static struct value *read_value(struct yaml *y, yaml_event_t *e);

/* libyaml counts characters. Marks mostly go forward, so each way is gone once. */
static size_t mark_offset(struct yaml *y, const yaml_mark_t *mark)
{
	const char *s = y->r.source->text;

	if (mark->index < y->index)
		y->index = y->r.at = 0;
	for (; y->index < mark->index && y->r.at < y->r.source->len; y->index++)
		do
			y->r.at++;
		while ((s[y->r.at] & 0xc0) == 0x80);
	return y->r.at;
}

/* libyaml's own words are lower-case clauses: "did not find expected key". */
static bool parser_failed(struct yaml *y)
{
	const yaml_parser_t *p = &y->parser;
	const char *problem = p->problem ? p->problem : "this is not YAML";

	/* An error of a character's own has an offset instead of a mark. */
	if (p->error == YAML_READER_ERROR)
		return reader_fail(&y->r, p->problem_offset, "%s; remove it or write it as an escape in \"…\"", problem);
	return reader_fail(&y->r, mark_offset(y, &p->problem_mark), "%s%s%s; check indentation, quotes and brackets",
			   p->context ? p->context : "", p->context ? ": " : "", problem);
}

static bool next_event(struct yaml *y, yaml_event_t *e)
{
	return yaml_parser_parse(&y->parser, e) || parser_failed(y);
}

static const char *core_tag(const char *tag)
{
	return !strncmp(tag, YAML_TAG, strlen(YAML_TAG)) ? tag + strlen(YAML_TAG) : NULL;
}

static bool is_one_of(const char *s, const char *const *words)
{
	for (; *words; words++)
		if (!strcmp(s, *words))
			return true;
	return false;
}

static bool is_number(const char *s)
{
	const char *p = s + (*s == '-' || *s == '+');
	size_t n = strspn(p, "0123456789");

	if (!strncmp(s, "0x", 2) || !strncmp(s, "0o", 2))
		return s[2] && !s[2 + strspn(s + 2, s[1] == 'x' ? "0123456789abcdefABCDEF" : "01234567")];
	if (!strcmp(p, ".inf") || !strcmp(s, ".nan"))
		return true;
	p += n;
	if (*p == '.') {
		size_t digits = strspn(++p, "0123456789");

		n += digits;
		p += digits;
	}
	if (n && (*p == 'e' || *p == 'E')) {
		p += 1 + (p[1] == '-' || p[1] == '+');
		n = strspn(p, "0123456789");
		p += n;
	}
	return n && !*p;
}

/* What a scalar without quotes and tag is. */
static enum value_type plain_type(const char *s)
{
	static const char *const nulls[] = { "", "~", "null", "Null", "NULL", NULL };
	static const char *const bools[] = { "true", "True", "TRUE", "false", "False", "FALSE", NULL };

	if (is_one_of(s, nulls))
		return VALUE_NULL;
	if (is_one_of(s, bools))
		return VALUE_BOOL;
	return is_number(s) ? VALUE_NUMBER : VALUE_STRING;
}

/* Whether TAG may stand before a value of TYPE; it has no effect then but for !!str. */
static bool tag_fits(struct yaml *y, const char *tag, enum value_type *type, size_t at)
{
	static const char *const names[] = {
		[VALUE_NULL] = "null",  [VALUE_BOOL] = "bool", [VALUE_NUMBER] = "int",
		[VALUE_STRING] = "str", [VALUE_LIST] = "seq",  [VALUE_TABLE] = "map",
	};
	const char *core = tag ? core_tag(tag) : NULL;

	if (!tag || (core && !strcmp(core, names[*type])) || (*type == VALUE_STRING && !strcmp(tag, "!")))
		return true;
	if (core && !strcmp(core, "str") && *type <= VALUE_STRING) {
		*type = VALUE_STRING;
		return true;
	}
	return reader_fail(&y->r, at, "the tag %s is not understood here; leave it out", tag);
}

static struct value *read_scalar(struct yaml *y, const yaml_event_t *e)
{
	const char *text = (const char *)e->data.scalar.value;
	size_t at = mark_offset(y, &e->start_mark);
	enum value_type type = e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE ? plain_type(text) : VALUE_STRING;
	struct value *n;

	if (strlen(text) != e->data.scalar.length) {
		reader_fail(&y->r, at, "a NUL character stands in this string, which no setting can have; remove it");
		return NULL;
	}
	if (!tag_fits(y, (const char *)e->data.scalar.tag, &type, at))
		return NULL;
	n = value_new(&y->r, type, at);
	if (!n)
		return NULL;
	n->text = xstrdup(text);
	if (type == VALUE_BOOL)
		for (char *c = n->text; *c; c++)
			*c = (char)tolower((unsigned char)*c);
	return n;
}

static bool read_list(struct yaml *y, struct value *list)
{
	for (;;) {
		yaml_event_t e;

		if (!next_event(y, &e))
			return false;
		bool end = e.type == YAML_SEQUENCE_END_EVENT;
		struct value *item = end ? NULL : read_value(y, &e);
		yaml_event_delete(&e);
		if (end)
			return true;
		if (!item)
			return false;
		value_append(list, item);
	}
}

/* The key that E is, which the caller frees, or NULL with a line. */
static char *read_key(struct yaml *y, const struct value *table, const yaml_event_t *e, size_t at)
{
	const char *key = e->type == YAML_SCALAR_EVENT ? (const char *)e->data.scalar.value : NULL;

	if (!key || strlen(key) != e->data.scalar.length) {
		reader_fail(&y->r, at, "this key is not a string; write a name");
		return NULL;
	}
	if (value_find(table, key)) {
		reader_fail(&y->r, at, "\"%s\" is given twice; leave one of them out", key);
		return NULL;
	}
	return xstrdup(key);
}

static bool read_entry(struct yaml *y, struct value *table, const yaml_event_t *key_event)
{
	size_t at = mark_offset(y, &key_event->start_mark);
	char *key = read_key(y, table, key_event, at);
	yaml_event_t e;

	if (!key || !next_event(y, &e)) {
		free(key);
		return false;
	}
	struct value *value = read_value(y, &e);
	yaml_event_delete(&e);
	if (!value) {
		free(key);
		return false;
	}
	value->key = key;
	value->key_at = at;
	value_append(table, value);
	return true;
}

static bool read_table(struct yaml *y, struct value *table)
{
	for (;;) {
		yaml_event_t e;

		if (!next_event(y, &e))
			return false;
		bool end = e.type == YAML_MAPPING_END_EVENT, good = end || read_entry(y, table, &e);
		yaml_event_delete(&e);
		if (end || !good)
			return good;
	}
}

static struct value *read_nested(struct yaml *y, const yaml_event_t *e, enum value_type type)
{
	const yaml_char_t *tag = type == VALUE_LIST ? e->data.sequence_start.tag : e->data.mapping_start.tag;
	size_t at = mark_offset(y, &e->start_mark);
	struct value *n;

	if (!tag_fits(y, (const char *)tag, &type, at))
		return NULL;
	n = value_new(&y->r, type, at);
	if (!n)
		return NULL;
	if (!reader_enter(&y->r) || !(type == VALUE_LIST ? read_list(y, n) : read_table(y, n))) {
		value_free(n);
		return NULL;
	}
	y->r.depth--;
	return n;
}

/* A copy of N and what is in it, counted like what is written out: aliases of aliases grow fast. */
static struct value *copy_value(struct yaml *y, const struct value *n)
{
	struct value *copy = value_new(&y->r, n->type, n->at);

	if (!copy)
		return NULL;
	copy->text = n->text ? xstrdup(n->text) : NULL;
	copy->key = n->key ? xstrdup(n->key) : NULL;
	copy->key_at = n->key_at;
	for (const struct value *child = n->first; child; child = child->next) {
		struct value *c = copy_value(y, child);

		if (!c) {
			value_free(copy);
			return NULL;
		}
		value_append(copy, c);
	}
	return copy;
}

static struct value *read_alias(struct yaml *y, const yaml_event_t *e)
{
	const char *name = (const char *)e->data.alias.anchor;
	size_t at = mark_offset(y, &e->start_mark);
	struct anchor *a = y->anchors;

	while (a && strcmp(a->name, name) != 0)
		a = a->next;
	if (!a) {
		reader_fail(&y->r, at, "nothing before this is named &%s; name it, or write its value here", name);
		return NULL;
	}
	struct value *copy = copy_value(y, a->value);
	if (copy) {
		free(copy->key);
		copy->key = NULL;
		copy->at = at;
	}
	return copy;
}

/* What has an anchor is kept apart: its own place may be freed by a failure before the anchor is. */
static void keep_anchor(struct yaml *y, const yaml_char_t *name, const struct value *n)
{
	struct value *copy = name && n ? copy_value(y, n) : NULL;
	struct anchor *a;

	if (!copy)
		return;
	a = xcalloc(1, sizeof(*a));
	a->name = xstrdup((const char *)name);
	a->value = copy;
	a->next = y->anchors;
	y->anchors = a;
}

static struct value *read_value(struct yaml *y, yaml_event_t *e)
{
	struct value *n;

	switch (e->type) {
	case YAML_SCALAR_EVENT:
		n = read_scalar(y, e);
		keep_anchor(y, e->data.scalar.anchor, n);
		return n;
	case YAML_SEQUENCE_START_EVENT:
		n = read_nested(y, e, VALUE_LIST);
		keep_anchor(y, e->data.sequence_start.anchor, n);
		return n;
	case YAML_MAPPING_START_EVENT:
		n = read_nested(y, e, VALUE_TABLE);
		keep_anchor(y, e->data.mapping_start.anchor, n);
		return n;
	case YAML_ALIAS_EVENT:
		return read_alias(y, e);
	default:
		reader_fail(&y->r, mark_offset(y, &e->start_mark), "a value is due here; write it");
		return NULL;
	}
}

/* One document: its value, an empty table if there is none, or NULL with a line. */
static struct value *read_stream(struct yaml *y)
{
	struct value *root = NULL;
	bool good = true, end = false;

	while (good && !end) {
		yaml_event_t e;

		good = next_event(y, &e);
		if (!good)
			break;
		end = e.type == YAML_STREAM_END_EVENT;
		if (e.type == YAML_DOCUMENT_START_EVENT && root)
			good = reader_fail(&y->r, mark_offset(y, &e.start_mark),
					   "a second document begins here; a configuration is one");
		else if (!end && e.type != YAML_STREAM_START_EVENT && e.type != YAML_DOCUMENT_START_EVENT &&
			 e.type != YAML_DOCUMENT_END_EVENT)
			good = (root = read_value(y, &e)) != NULL;
		yaml_event_delete(&e);
	}
	if (good && (!root || root->type == VALUE_NULL)) {
		value_free(root);
		return value_new(&y->r, VALUE_TABLE, 0);
	}
	if (good && root->type != VALUE_TABLE)
		good = reader_fail(&y->r, root->at, "a table of settings is due here, not %s; write KEY: VALUE", value_describe(root));
	if (good)
		return root;
	value_free(root);
	return NULL;
}

struct value *yaml_read(const struct source *s, struct problems *p)
{
	struct yaml y = { .r = { .source = s, .problems = p } };
	struct value *root;

	if (!yaml_parser_initialize(&y.parser))
		die("out of memory");
	yaml_parser_set_encoding(&y.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&y.parser, (const unsigned char *)s->text, s->len);
	root = read_stream(&y);
	yaml_parser_delete(&y.parser);
	while (y.anchors) {
		struct anchor *a = y.anchors;

		y.anchors = a->next;
		value_free(a->value);
		free(a->name);
		free(a);
	}
	return root;
}
