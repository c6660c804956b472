#include "environment.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "config.h"
#include "dotenv.h"
#include "link.h"
#include "pattern.h"
#include "util.h"

#define PIECE (128u << 10)
#define MAX_BYTES (8u << 20) /* the kernel's own limit on arguments and environment is a quarter of the stack's */

/* What makes sense only where it is: mirrord's list. */
static const char *const not_taken[] = {
	"BUNDLER_ORIG_BUNDLER_ORIG_MANPATH",
	"BUNDLER_ORIG_BUNDLER_VERSION",
	"BUNDLER_ORIG_BUNDLE_BIN_PATH",
	"BUNDLER_ORIG_BUNDLE_GEMFILE",
	"BUNDLER_ORIG_GEM_HOME",
	"BUNDLER_ORIG_MANPATH",
	"BUNDLER_ORIG_PATH",
	"BUNDLER_ORIG_RB_USER_INSTALL",
	"BUNDLER_ORIG_RUBYLIB",
	"BUNDLER_ORIG_RUBYOPT",
	"BUNDLER_VERSION",
	"BUNDLE_APP_CONFIG",
	"BUNDLE_BIN_PATH",
	"BUNDLE_FORCE_RUBY_PLATFORM",
	"BUNDLE_GEMFILE",
	"BUNDLE_GEM_PATH",
	"BUNDLE_PATH",
	"BUNDLE_WITHOUT",
	"CATALINA_HOME",
	"CLASSPATH",
	"DOTNET_EnableDiagnostics",
	"DOTNET_STARTUP_HOOKS",
	"GEM_HOME",
	"GEM_PATH",
	"GOMODCACHE",
	"GOPATH",
	"HOME",
	"HOMEPATH",
	"JAVA_EXE",
	"JAVA_HOME",
	"JAVA_TOOL_OPTIONS",
	"MIRRORD_LOG",
	"PATH",
	"PWD",
	"PYTHONPATH",
	"RUBYLIB",
	"RUBYOPT",
	"RUST_LOG",
	"TEMP",
	"TMP",
	"TMPDIR",
	"_JAVA_OPTIONS",
};

struct variables {
	char **items; /* NAME=VALUE, each allocated; NULL-terminated */
	size_t count;
};

/* What environment_read_file found. */
static struct dotenv file;

/* Whether NAME is what WILD says: '*' is any characters, '?' is one. */
static bool wild_matches(const char *wild, const char *name)
{
	const char *star = NULL, *from = NULL;

	for (;;) {
		if (*wild == '*') {
			star = ++wild;
			from = name;
		} else if (*name && (*wild == '?' || *wild == *name)) {
			wild++;
			name++;
		} else if (!*wild && !*name) {
			return true;
		} else if (!star || !*from) {
			return false;
		} else {
			wild = star;
			name = ++from;
		}
	}
}

static bool is_listed(const struct settings *s, const char *name)
{
	for (size_t i = 0; i < s->count; i++)
		if (wild_matches(s->items[i].value, name))
			return true;
	return false;
}

/* By its very name, not by a wildcard. */
static bool is_named(const struct settings *s, const char *name)
{
	for (size_t i = 0; i < s->count; i++)
		if (!strcmp(s->items[i].value, name))
			return true;
	return false;
}

static bool is_taken(const struct config *c, const char *name)
{
	const struct settings *include = &c->of[CONFIG_ENV_INCLUDE];

	for (size_t i = 0; i < sizeof(not_taken) / sizeof(*not_taken); i++)
		if (!strcmp(not_taken[i], name) && !is_named(include, name))
			return false;
	return (!include->count || is_listed(include, name)) && !is_listed(&c->of[CONFIG_ENV_EXCLUDE], name);
}

bool environment_is_changed(const struct config *c)
{
	return environment_is_wanted(c) || c->of[CONFIG_ENV_FILE].count || c->of[CONFIG_ENV_OVERRIDE].count ||
	       c->of[CONFIG_ENV_UNSET].count;
}

bool environment_is_wanted(const struct config *c)
{
	const char *wanted = config_get(c, CONFIG_ENV);

	return wanted && !strcmp(wanted, "true") && !is_named(&c->of[CONFIG_ENV_EXCLUDE], "*");
}

/* Gives NAME this VALUE, whatever it had before. */
static void set(struct variables *v, const char *name, const char *value)
{
	size_t len = strlen(name), i = 0;
	char *item;

	if (asprintf(&item, "%s=%s", name, value) < 0)
		die("out of memory");
	while (i < v->count && (strncmp(v->items[i], name, len) != 0 || v->items[i][len] != '='))
		i++;
	if (i < v->count) {
		free(v->items[i]);
	} else {
		v->items = xrealloc(v->items, (v->count + 2) * sizeof(*v->items));
		v->items[++v->count] = NULL;
	}
	v->items[i] = item;
}

/* As set, of NAME=VALUE; what is not one, as a process may leave in its environment's place, is left out. */
static void set_item(struct variables *v, const struct config *c, const char *item)
{
	const char *value = strchr(item, '=');

	if (!value || value == item)
		return;
	CLEANUP_FREE char *name = strndup(item, (size_t)(value - item));
	if (!c || is_taken(c, name))
		set(v, name, value + 1);
}

/* Patterns of paths know no case; names of variables do. */
static struct pattern *compile_name(const char *text)
{
	char err[256], *exact;

	if (asprintf(&exact, "(?-i)%s", text) < 0)
		die("out of memory");
	struct pattern *p = pattern_compile(exact, err, sizeof(err));
	if (!p)
		die("%s: %s", text, err); /* it was checked when it was read */
	free(exact);
	return p;
}

/* The values of those whose names a pattern is found in. */
static void map(struct variables *v, const struct config *c)
{
	const struct settings *s = &c->of[CONFIG_ENV_MAPPING];
	struct pattern **patterns = xcalloc(s->count + 1, sizeof(struct pattern *));

	for (size_t i = 0; i < s->count; i++)
		patterns[i] = compile_name(s->items[i].key);
	for (size_t i = 0; i < v->count; i++) {
		CLEANUP_FREE char *name = strndup(v->items[i], strcspn(v->items[i], "="));
		size_t j = 0;

		while (j < s->count && !pattern_matches(patterns[j], name))
			j++;
		if (j < s->count)
			set(v, name, s->items[j].value);
	}
	for (size_t i = 0; i < s->count; i++)
		pattern_free(patterns[i]);
	free(patterns);
}

/* Takes NAME out, in whatever case it is written. */
static void unset(struct variables *v, const char *name)
{
	size_t len = strlen(name), kept = 0;

	for (size_t i = 0; i < v->count; i++) {
		if (!strncasecmp(v->items[i], name, len) && v->items[i][len] == '=')
			free(v->items[i]);
		else
			v->items[kept++] = v->items[i];
	}
	v->count = kept;
	if (v->items)
		v->items[kept] = NULL;
}

void environment_read_file(const struct config *c, struct problems *p)
{
	const char *name = config_get(c, CONFIG_ENV_FILE);

	if (name)
		dotenv_read(&file, name, p);
}

char **environment_make(const struct config *c, const char *block, size_t len)
{
	struct variables all = { xcalloc(1, sizeof(char *)), 0 }, theirs = { NULL, 0 };
	const struct settings *s = &c->of[CONFIG_ENV_OVERRIDE];

	for (char **own = environ; own && *own; own++)
		set_item(&all, NULL, *own);
	for (size_t at = 0; at < len; at += strnlen(block + at, len - at) + 1)
		if (memchr(block + at, '\0', len - at))
			set_item(&theirs, c, block + at);
	for (size_t i = 0; i < file.count; i++)
		set(&theirs, file.items[i].name, file.items[i].value);
	map(&theirs, c);
	for (size_t i = 0; i < theirs.count; i++) {
		set_item(&all, NULL, theirs.items[i]);
		free(theirs.items[i]);
	}
	free(theirs.items);
	for (size_t i = 0; i < s->count; i++)
		set(&all, s->items[i].key, s->items[i].value);
	s = &c->of[CONFIG_ENV_UNSET];
	for (size_t i = 0; i < s->count; i++)
		unset(&all, s->items[i].value);
	return all.items;
}

static int fetch_failed(int code, char *err, size_t err_len)
{
	if (code == -ESRCH)
		snprintf(err, err_len, "there is no process at this target whose environment could be taken: use a target that has one, "
				       "e.g. pid/N, or --no-env");
	else
		snprintf(err, err_len, "the target's environment cannot be had: %s; use --no-env", strerror(-code));
	return code;
}

int environment_fetch(struct link *l, char **block, size_t *len, char *err, size_t err_len)
{
	rfs_Request req = { .which_op = rfs_Request_environment_tag, .op.environment.size = PIECE };
	bool end = false;
	int rc = 0;

	*block = NULL;
	*len = 0;
	while (!rc && !end) {
		struct link_reply reply = { 0 };

		req.op.environment.offset = *len;
		rc = link_call(l, &req, NULL, 0, &reply);
		rc = rc ? rc : -(int)reply.msg.error;
		rc = !rc && *len + reply.payload_len > MAX_BYTES ? -E2BIG : rc;
		end = !reply.payload_len;
		if (!rc && !end) {
			*block = xrealloc(*block, *len + reply.payload_len);
			memcpy(*block + *len, reply.payload, reply.payload_len);
			*len += reply.payload_len;
		}
		link_reply_free(&reply);
	}
	/* A process that has ended has none. */
	if (!rc && !*len)
		rc = -ESRCH;
	return rc ? fetch_failed(rc, err, err_len) : 0;
}
