/* From a file to settings: which language it is, and what its tree says. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#include "config.h"
#include "value.h"
#include "template.h"
#include "util.h"

#define PATH_ROOM 256

struct decode {
	struct config *config;
	const struct source *source;
};

static void decode_table(struct decode *d, const struct value *table, const struct config_row *row);

/* What stands at N; a pair's place is its key's. */
static void put(struct decode *d, const struct config_row *row, const struct value *n, const char *key, const char *value)
{
	CLEANUP_FREE char *from = source_name_of(d->source, key ? n->key_at : n->at);

	config_put(d->config, (enum config_id)row->id, CONFIG_BY_FILE, key, value, from);
}

/* How different A and B are: letters to change, leave out or add. */
static size_t distance(const char *a, const char *b)
{
	size_t row[65], n = strlen(b);

	if (n > 64)
		return n;
	for (size_t j = 0; j <= n; j++)
		row[j] = j;
	for (; *a; a++) {
		size_t diagonal = row[0]++;

		for (size_t j = 1; j <= n; j++) {
			size_t same = diagonal + (tolower((unsigned char)*a) != tolower((unsigned char)b[j - 1]));

			diagonal = row[j];
			row[j] = row[j] < row[j - 1] ? row[j] + 1 : row[j - 1] + 1;
			row[j] = row[j] < same ? row[j] : same;
		}
	}
	return row[n];
}

/* The name below PARENT ("" for the root) that PATH is, or NULL. */
static const char *name_below(const char *path, const char *parent)
{
	size_t n = strlen(parent);

	if (n && (strncmp(path, parent, n) != 0 || path[n] != '.'))
		return NULL;
	path += n + (n > 0);
	return strchr(path, '.') ? NULL : path;
}

static void unknown_key(struct decode *d, const struct value *n, const char *parent)
{
	const char *best = NULL;
	size_t least = 4;

	for (size_t i = 0; i < config_row_count; i++) {
		const char *name = name_below(config_rows[i].path, parent);
		size_t far = name ? distance(n->key, name) : least;

		if (far < least && far < strlen(name)) {
			best = name;
			least = far;
		}
	}
	problem_at(&d->config->problems, d->source, n->key_at, "%s%s\"%s\": there is no such key%s%s%s; %s", parent,
		   *parent ? ": " : "", n->key, best ? " (\"" : "", best ? best : "", best ? "\" there is)" : "",
		   best ? "correct it or leave it out" : "leave it out");
}

static void add_ignored(struct config *c, const char *parent, const char *name)
{
	char *more;

	if (asprintf(&more, "%s%s%s%s%s", c->ignored ? c->ignored : "", c->ignored ? ", " : "", parent, *parent ? "." : "",
		     name) < 0)
		die("out of memory");
	free(c->ignored);
	c->ignored = more;
}

static void wrong_type(struct decode *d, const struct config_row *row, const struct value *n)
{
	static const struct {
		unsigned kind;
		const char *name;
	} names[] = {
		{ KIND_BOOL, "true or false" },	    { KIND_STRING, "a string" },	  { KIND_COUNT, "a whole number" },
		{ KIND_LIST, "a string or a list of strings" }, { KIND_PAIRS, "a table of strings" }, { KIND_TABLE, "a table" },
	};
	char due[128] = "";

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (row->kinds & names[i].kind)
			snprintf(due + strlen(due), sizeof(due) - strlen(due), "%s%s", *due ? " or " : "", names[i].name);
	problem_at(&d->config->problems, d->source, n->at, "%s: this is %s, and %s is due; write that", row->path,
		   value_describe(n), due);
}

static void decode_list(struct decode *d, const struct config_row *row, const struct value *list)
{
	for (const struct value *item = list->first; item; item = item->next) {
		if (item->type == VALUE_STRING)
			put(d, row, item, NULL, item->text);
		else
			wrong_type(d, row, item);
	}
}

static void decode_pairs(struct decode *d, const struct config_row *row, const struct value *table)
{
	for (const struct value *n = table->first; n; n = n->next) {
		if (n->type == VALUE_STRING)
			put(d, row, n, n->key, n->text);
		else
			problem_at(&d->config->problems, d->source, n->at, "%s: \"%s\" is %s, and a string is due; write it in quotes",
				   row->path, n->key, value_describe(n));
	}
}

/* target.path = { pod = "x", container = "y" } is "pod/x/container/y". */
static void decode_target(struct decode *d, const struct config_row *row, const struct value *table)
{
	const struct value *kind = NULL, *container = NULL;
	char target[1024];

	for (const struct value *n = table->first; n; n = n->next) {
		if (n->type != VALUE_STRING) {
			wrong_type(d, row, n);
			return;
		}
		if (!strcmp(n->key, "container"))
			container = n;
		else if (!kind)
			kind = n;
		else
			kind = table; /* two of them */
	}
	if (!kind || kind == table) {
		problem_at(&d->config->problems, d->source, table->at,
			   "%s: one kind of target is due, e.g. pod, with container beside it; write {\"pod\": \"NAME\"}", row->path);
		return;
	}
	snprintf(target, sizeof(target), "%s/%s%s%s", kind->key, kind->text, container ? "/container/" : "",
		 container ? container->text : "");
	put(d, row, table, NULL, target);
}

static bool is_count(const struct value *n)
{
	return n->type == VALUE_NUMBER && !n->text[strspn(n->text, "0123456789")];
}

/* One setting, by its row. */
static void decode_value(struct decode *d, const struct config_row *row, const struct value *n)
{
	if (n->type == VALUE_BOOL && (row->kinds & KIND_BOOL))
		put(d, row, n, NULL, row->words[*n->text == 't']);
	else if (n->type == VALUE_STRING && (row->kinds & KIND_SPLIT)) {
		CLEANUP_FREE char *from = source_name_of(d->source, n->at);
		config_put_list(d->config, (enum config_id)row->id, CONFIG_BY_FILE, n->text, from);
	} else if ((n->type == VALUE_STRING && (row->kinds & (KIND_STRING | KIND_LIST))) ||
		   (is_count(n) && (row->kinds & KIND_COUNT)))
		put(d, row, n, NULL, n->text);
	else if (n->type == VALUE_LIST && (row->kinds & KIND_LIST))
		decode_list(d, row, n);
	else if (n->type == VALUE_TABLE && (row->kinds & KIND_PAIRS))
		decode_pairs(d, row, n);
	else if (n->type == VALUE_TABLE && (row->kinds & KIND_TABLE))
		decode_table(d, n, row);
	else
		wrong_type(d, row, n);
}

/* What is off is not missed. */
static bool is_off(const struct value *n)
{
	return n->type == VALUE_NULL || (n->type == VALUE_BOOL && *n->text == 'f');
}

static void decode_entry(struct decode *d, const struct value *n, const char *parent, unsigned parent_kinds)
{
	char path[PATH_ROOM];
	const struct config_row *row;

	snprintf(path, sizeof(path), "%s%s%s", parent, *parent ? "." : "", n->key);
	row = strchr(n->key, '.') ? NULL : config_find(path);
	if (!row && !(parent_kinds & KIND_OPEN))
		unknown_key(d, n, parent);
	else if (!row || (row->kinds & KIND_IGNORED)) {
		if (!is_off(n) && !(row && (row->kinds & KIND_SILENT)))
			add_ignored(d->config, parent, n->key);
	} else if (n->type != VALUE_NULL)
		decode_value(d, row, n);
}

/* ROW is NULL for the outermost table. */
static void decode_table(struct decode *d, const struct value *table, const struct config_row *row)
{
	if (row && !strcmp(row->path, "target.path")) {
		decode_target(d, row, table);
		return;
	}
	if (row && row->id == CONFIG_ENV)
		put(d, row, table, NULL, "true");
	for (const struct value *n = table->first; n; n = n->next)
		decode_entry(d, n, row ? row->path : "", row ? row->kinds : 0);
}

typedef struct value *(*reader_function)(const struct source *s, struct problems *p);

/* What reads NAME, by its ending: none is JSON, as with mirrord. NULL for others. */
static reader_function reader_of(const char *name)
{
	static const struct {
		const char *ending;
		reader_function read;
	} readers[] = { { ".json", json_read }, { ".toml", toml_read }, { ".yaml", yaml_read }, { ".yml", yaml_read } };
	const char *slash = strrchr(name, '/'), *dot = strrchr(slash ? slash + 1 : name, '.');

	if (!dot || dot == (slash ? slash + 1 : name))
		return json_read;
	for (size_t i = 0; i < sizeof(readers) / sizeof(*readers); i++)
		if (!strcasecmp(dot, readers[i].ending))
			return readers[i].read;
	return NULL;
}

/*
 * The session's key: $MIRRORD_KEY, or the file's own, which is looked for before templates are rendered, since it may
 * stand in them; or any word that no other session has.
 */
static char *session_key(const struct source *s, reader_function read)
{
	struct problems none = { 0 };
	const char *set = getenv("MIRRORD_KEY");
	unsigned long long bits = 0;
	char *key = set ? xstrdup(set) : NULL;
	struct value *root = key || !strstr(s->text, "key") ? NULL : read(s, &none);
	const struct value *own = root ? value_find(root, "key") : NULL;

	if (own && own->type == VALUE_STRING && !strstr(own->text, "{{"))
		key = xstrdup(own->text);
	value_free(root);
	problems_free(&none);
	if (key)
		return key;
	if (getrandom(&bits, sizeof(bits), 0) < 0 || asprintf(&key, "%llx", bits) < 0)
		die("out of memory");
	return key;
}

void config_read_source(struct config *c, struct source *s)
{
	reader_function read = reader_of(s->name);
	struct decode d = { .config = c, .source = s };

	if (!read) {
		problem_of(&c->problems, s->name, "its ending does not tell what it is written in; name it .json, .toml, .yaml or .yml");
		return;
	}
	CLEANUP_FREE char *key = session_key(s, read);
	const struct template_names names = { .key = key };
	struct value *root = template_render(s, &names, &c->problems) ? NULL : read(s, &c->problems);
	if (root)
		decode_table(&d, root, NULL);
	value_free(root);
}

void config_read_file(struct config *c, const char *name)
{
	struct source s;

	free(c->file);
	c->file = xstrdup(name);
	if (source_read(&s, name, "JSON, TOML or YAML", &c->problems) == 0)
		config_read_source(c, &s);
	source_free(&s);
}
