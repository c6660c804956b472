#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "util.h"

static void settings_clear(struct settings *s)
{
	for (size_t i = 0; i < s->count; i++) {
		free(s->items[i].key);
		free(s->items[i].value);
		free(s->items[i].from);
	}
	free(s->items);
	*s = (struct settings){ .level = s->level };
}

static bool is_single(enum config_id id)
{
	return !(config_row_of(id)->kinds & (KIND_LIST | KIND_PAIRS));
}

void config_put(struct config *c, enum config_id id, enum config_level level, const char *key, const char *value, const char *from)
{
	const struct config_row *row = config_row_of(id);
	struct settings *s = &c->of[id];
	char err[512];

	if (row->check && row->check(key, value, err, sizeof(err))) {
		problem_of(&c->problems, from, "%s: %s", row->path, err);
		return;
	}
	/* Whoever says what is to be taken of the environment wants it taken. */
	if (id == CONFIG_ENV_INCLUDE || id == CONFIG_ENV_EXCLUDE)
		config_put(c, CONFIG_ENV, level, NULL, "true", from);
	if (level < s->level)
		return;
	if (level > s->level || is_single(id))
		settings_clear(s);
	s->level = level;
	s->items = xrealloc(s->items, (s->count + 1) * sizeof(*s->items));
	s->items[s->count++] = (struct setting){ key ? xstrdup(key) : NULL, xstrdup(value), xstrdup(from) };
}

void config_put_list(struct config *c, enum config_id id, enum config_level level, const char *list, const char *from)
{
	for (size_t n; *list; list += n + (list[n] == ';')) {
		n = strcspn(list, ";");
		CLEANUP_FREE char *part = strndup(list, n);
		if (n)
			config_put(c, id, level, NULL, part, from);
	}
}

const char *config_get(const struct config *c, enum config_id id)
{
	const struct settings *s = &c->of[id];

	return s->count ? s->items[s->count - 1].value : NULL;
}

const char *config_from(const struct config *c, enum config_id id)
{
	const struct settings *s = &c->of[id];

	return s->count ? s->items[s->count - 1].from : "";
}

/* mirrord's two switches of old for what MIRRORD_FILE_MODE says now. */
static void read_old_mode(struct config *c)
{
	static const char *const names[] = { "MIRRORD_FILE_OPS", "MIRRORD_FILE_RO_OPS" };
	int on[2] = { -1, -1 };

	for (int i = 0; i < 2; i++) {
		const char *value = getenv(names[i]);

		if (value && strcmp(value, "true") != 0 && strcmp(value, "false") != 0)
			problem_of(&c->problems, names[i], "\"%s\" is neither true nor false; set it to one of them", value);
		else if (value)
			on[i] = *value == 't';
	}
	if (on[0] >= 0 || on[1] >= 0)
		config_put(c, CONFIG_MODE, CONFIG_BY_VARIABLE, NULL, on[0] == 1 ? "write" : on[1] == 1 ? "read" : "local",
			   on[0] == 1 || on[1] < 0 ? names[0] : names[1]);
}

void config_read_environment(struct config *c)
{
	read_old_mode(c);
	for (size_t i = 0; i < config_row_count; i++) {
		const struct config_row *row = &config_rows[i];
		const char *value = row->variable ? getenv(row->variable) : NULL;

		if (!value || !*value)
			continue;
		if (row->kinds & KIND_LIST)
			config_put_list(c, (enum config_id)row->id, CONFIG_BY_VARIABLE, value, row->variable);
		else
			config_put(c, (enum config_id)row->id, CONFIG_BY_VARIABLE, NULL, value, row->variable);
	}
}

void config_check(struct config *c)
{
	struct settings *include = &c->of[CONFIG_ENV_INCLUDE], *exclude = &c->of[CONFIG_ENV_EXCLUDE];

	if (!include->count || !exclude->count)
		return;
	if (include->level == exclude->level)
		problem_of(&c->problems, config_from(c, CONFIG_ENV_INCLUDE),
			   "feature.env.include: exclude is given as well (%s); leave one of them out",
			   config_from(c, CONFIG_ENV_EXCLUDE));
	else
		settings_clear(include->level < exclude->level ? include : exclude);
}

void config_free(struct config *c)
{
	for (size_t i = 0; i < CONFIG_COUNT; i++)
		settings_clear(&c->of[i]);
	problems_free(&c->problems);
	free(c->file);
	free(c->ignored);
	*c = (struct config){ 0 };
}
