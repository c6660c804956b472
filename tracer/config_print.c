/* The configuration that came out, as a configuration. */
#include <stdio.h>
#include <string.h>

#include "config.h"

void config_print_string(const char *s, FILE *out)
{
	fputc('"', out);
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			fprintf(out, "\\%c", *s);
		else if ((unsigned char)*s < 0x20 || *s == 0x7f)
			fprintf(out, "\\u%04x", (unsigned char)*s);
		else
			fputc(*s, out);
	}
	fputc('"', out);
}

static void indent(FILE *out, int depth)
{
	fprintf(out, "%*s", 2 * depth, "");
}

/* Several values, a line for each. */
static void print_values(FILE *out, const struct settings *s, int depth, bool pairs)
{
	fputs(pairs ? "{\n" : "[\n", out);
	for (size_t i = 0; i < s->count; i++) {
		indent(out, depth + 1);
		if (pairs) {
			config_print_string(s->items[i].key, out);
			fputs(": ", out);
		}
		config_print_string(s->items[i].value, out);
		fputs(i + 1 < s->count ? ",\n" : "\n", out);
	}
	indent(out, depth);
	fputc(pairs ? '}' : ']', out);
}

static void print_setting(FILE *out, const struct config_row *row, const struct settings *s, int depth)
{
	const char *value = s->items[s->count - 1].value;

	if (row->kinds & (KIND_LIST | KIND_PAIRS))
		print_values(out, s, depth, row->kinds & KIND_PAIRS);
	else if (row->kinds & (KIND_BOOL | KIND_COUNT))
		fputs(value, out);
	else
		config_print_string(value, out);
}

/* PATH is in the table TABLE, at any depth; "" is the outermost one. */
static bool is_within(const char *path, const char *table)
{
	size_t n = strlen(table);

	return !n || (!strncmp(path, table, n) && path[n] == '.');
}

static const char *entry_name(const char *path)
{
	const char *dot = strrchr(path, '.');

	return dot ? dot + 1 : path;
}

/* Whether anybody said what ROW's long form is; a short form's value is printed there. */
static bool is_said(const struct config *c, const struct config_row *row)
{
	return row->id >= 0 && config_row_of((enum config_id)row->id) == row && c->of[row->id].count > 0;
}

/* Whether ROW is a table in which something was said. */
static bool has_entries(const struct config *c, const struct config_row *row)
{
	for (size_t i = 0; (row->kinds & KIND_TABLE) && i < config_row_count; i++)
		if (is_within(config_rows[i].path, row->path) && is_said(c, &config_rows[i]))
			return true;
	return false;
}

static void print_table(const struct config *c, FILE *out, const char *table, int depth)
{
	size_t parts = 0;

	fputc('{', out);
	for (size_t i = 0; i < config_row_count; i++) {
		const struct config_row *row = &config_rows[i];
		const char *name = entry_name(row->path);
		bool entries = has_entries(c, row);

		if (!is_within(row->path, table) || name != row->path + strlen(table) + (*table != 0) ||
		    (!entries && !is_said(c, row)))
			continue;
		fputs(parts++ ? ",\n" : "\n", out);
		indent(out, depth + 1);
		config_print_string(name, out);
		fputs(": ", out);
		if (entries)
			print_table(c, out, row->path, depth + 1);
		else
			print_setting(out, row, &c->of[row->id], depth + 1);
	}
	if (parts) {
		fputc('\n', out);
		indent(out, depth);
	}
	fputc('}', out);
}

void config_print(const struct config *c, FILE *out)
{
	print_table(c, out, "", 0);
	fputc('\n', out);
}
