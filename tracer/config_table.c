/* What can be set: one row for each key of mirrord's configuration. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "mode.h"
#include "pattern.h"
#include "target.h"

static int fail(char *err, size_t err_len, const char *what, const char *value, const char *instead)
{
	snprintf(err, err_len, "\"%s\" %s; %s", value, what, instead);
	return -EINVAL;
}

static int check_mode(const char *key, const char *value, char *err, size_t err_len)
{
	enum mode mode;
	char names[64];

	if (mode_parse(value, &mode) == 0)
		return 0;
	snprintf(err, err_len, "\"%s\" is no mode; use %s", value, mode_names(names, sizeof(names)));
	return -EINVAL;
}

/* mirrord's kinds that are not ours: what it comes to is said when a program is to run. */
static bool is_foreign(const char *value)
{
	static const char *const kinds[] = { "rollout/", "serverless/", "workflow/" };

	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		if (!strncmp(value, kinds[i], strlen(kinds[i])) && value[strlen(kinds[i])])
			return true;
	return false;
}

/* Whether it can be reached here is asked when it is started. */
static int check_target(const char *key, const char *value, char *err, size_t err_len)
{
	char *copy, *sub;

	if (!strcmp(value, CONFIG_NO_TARGET) || is_foreign(value))
		return 0;
	copy = strdup(value);
	sub = copy ? target_find_subpath(copy) : NULL;
	if (sub)
		*sub = '\0';
	int rc = target_check(copy ? copy : value, err, err_len);
	free(copy);
	return rc;
}

static int check_name(const char *key, const char *value, char *err, size_t err_len)
{
	if (*key && !strchr(key, '='))
		return 0;
	return fail(err, err_len, "is no name of a variable", key, "write one without '='");
}

static int check_timeout(const char *key, const char *value, char *err, size_t err_len)
{
	if (!value[strspn(value, "0123456789")] && value[strspn(value, "0")] && strlen(value) <= 5)
		return 0;
	return fail(err, err_len, "is no time to wait for", value, "give 1 to 99999 seconds");
}

/* A list's pattern is its value, that of a pair its key. */
static int check_pattern(const char *key, const char *value, char *err, size_t err_len)
{
	char why[256];
	struct pattern *p = pattern_compile(key ? key : value, why, sizeof(why));

	if (!p) {
		snprintf(err, err_len, "\"%s\": %s", key ? key : value, why);
		return -EINVAL;
	}
	pattern_free(p);
	return 0;
}

#define IGNORED(name) { .path = name, .kinds = KIND_IGNORED, .id = -1 }
#define SILENT(name) { .path = name, .kinds = KIND_IGNORED | KIND_SILENT, .id = -1 }
#define TABLE(name, more) { .path = name, .kinds = KIND_TABLE | (more), .id = -1 }

/* In the order of their names, which is what config_print prints; a table before what is in it. */
const struct config_row config_rows[] = {
	SILENT("$schema"),
	IGNORED("accept_invalid_certificates"),
	TABLE("agent", KIND_OPEN),
	{ .path = "agent.ephemeral", .kinds = KIND_BOOL, .id = CONFIG_EPHEMERAL, .variable = "MIRRORD_EPHEMERAL_CONTAINER",
	  .words = { "false", "true" } },
	{ .path = "agent.startup_timeout", .kinds = KIND_COUNT, .id = CONFIG_STARTUP_TIMEOUT,
	  .variable = "MIRRORD_AGENT_STARTUP_TIMEOUT", .check = check_timeout },
	IGNORED("api"),
	IGNORED("baggage"),
	IGNORED("ci"),
	IGNORED("connect_tcp"),
	IGNORED("container"),
	IGNORED("experimental"),
	IGNORED("external_proxy"),
	TABLE("feature", 0),
	IGNORED("feature.copy_target"),
	IGNORED("feature.db_branches"),
	{ .path = "feature.env", .kinds = KIND_BOOL | KIND_TABLE, .id = CONFIG_ENV, .words = { "false", "true" } },
	{ .path = "feature.env.env_file", .kinds = KIND_STRING, .id = CONFIG_ENV_FILE,
	  .variable = "MIRRORD_OVERRIDE_ENV_VARS_FILE" },
	{ .path = "feature.env.exclude", .kinds = KIND_LIST | KIND_SPLIT, .id = CONFIG_ENV_EXCLUDE,
	  .variable = "MIRRORD_OVERRIDE_ENV_VARS_EXCLUDE" },
	{ .path = "feature.env.include", .kinds = KIND_LIST | KIND_SPLIT, .id = CONFIG_ENV_INCLUDE,
	  .variable = "MIRRORD_OVERRIDE_ENV_VARS_INCLUDE" },
	SILENT("feature.env.load_from_process"),
	{ .path = "feature.env.mapping", .kinds = KIND_PAIRS, .id = CONFIG_ENV_MAPPING, .check = check_pattern },
	{ .path = "feature.env.override", .kinds = KIND_PAIRS, .id = CONFIG_ENV_OVERRIDE, .check = check_name },
	{ .path = "feature.env.unset", .kinds = KIND_LIST | KIND_SPLIT, .id = CONFIG_ENV_UNSET },
	{ .path = "feature.fs", .kinds = KIND_BOOL | KIND_STRING | KIND_TABLE, .id = CONFIG_MODE, .words = { "local", "read" },
	  .check = check_mode },
	{ .path = "feature.fs.local", .kinds = KIND_LIST, .id = CONFIG_LOCAL, .variable = "MIRRORD_FILE_LOCAL_PATTERN",
	  .check = check_pattern },
	{ .path = "feature.fs.mapping", .kinds = KIND_PAIRS, .id = CONFIG_MAPPING, .check = check_pattern },
	{ .path = "feature.fs.mode", .kinds = KIND_STRING, .id = CONFIG_MODE, .variable = "MIRRORD_FILE_MODE",
	  .check = check_mode },
	{ .path = "feature.fs.not_found", .kinds = KIND_LIST, .id = CONFIG_NOT_FOUND, .check = check_pattern },
	{ .path = "feature.fs.read_only", .kinds = KIND_LIST, .id = CONFIG_READ_ONLY,
	  .variable = "MIRRORD_FILE_READ_ONLY_PATTERN", .check = check_pattern },
	{ .path = "feature.fs.read_write", .kinds = KIND_LIST, .id = CONFIG_READ_WRITE,
	  .variable = "MIRRORD_FILE_READ_WRITE_PATTERN", .check = check_pattern },
	SILENT("feature.fs.readonly_file_buffer"),
	IGNORED("feature.hostname"),
	IGNORED("feature.magic"),
	IGNORED("feature.network"),
	IGNORED("feature.preview"),
	IGNORED("feature.split_queues"),
	IGNORED("internal_proxy"),
	SILENT("key"),
	{ .path = "kube_context", .kinds = KIND_STRING, .id = CONFIG_CONTEXT, .variable = "MIRRORD_KUBE_CONTEXT" },
	{ .path = "kubeconfig", .kinds = KIND_STRING, .id = CONFIG_KUBECONFIG, .variable = "MIRRORD_KUBECONFIG" },
	IGNORED("multi_cluster"),
	IGNORED("operator"),
	IGNORED("pause"),
	IGNORED("profile"),
	IGNORED("sip_binaries"),
	IGNORED("skip_build_tools"),
	IGNORED("skip_extra_build_tools"),
	IGNORED("skip_processes"),
	IGNORED("skip_sip"),
	IGNORED("startup_retry"),
	{ .path = "target", .kinds = KIND_STRING | KIND_TABLE, .id = CONFIG_TARGET, .check = check_target },
	{ .path = "target.namespace", .kinds = KIND_STRING, .id = CONFIG_NAMESPACE, .variable = "MIRRORD_TARGET_NAMESPACE" },
	{ .path = "target.path", .kinds = KIND_STRING | KIND_TABLE, .id = CONFIG_TARGET,
	  .variable = "MIRRORD_IMPERSONATED_TARGET", .check = check_target },
	IGNORED("telemetry"),
	IGNORED("traceparent"),
	IGNORED("use_proxy"),
};

const size_t config_row_count = sizeof(config_rows) / sizeof(*config_rows);

const struct config_row *config_find(const char *path)
{
	for (size_t i = 0; i < config_row_count; i++)
		if (!strcmp(config_rows[i].path, path))
			return &config_rows[i];
	return NULL;
}

const struct config_row *config_row_of(enum config_id id)
{
	const struct config_row *found = NULL;

	for (size_t i = 0; i < config_row_count; i++)
		if (config_rows[i].id == (int)id)
			found = &config_rows[i];
	return found;
}
