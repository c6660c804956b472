#include "options.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pages.h"
#include "util.h"

/* How many words an option takes. */
enum takes { NO_WORD, ONE_WORD, PERHAPS_A_WORD };

struct row {
	const char *name; /* of the long form, or NULL */
	char letter;	  /* of the short form, or 0 */
	enum takes takes;
	int (*set)(struct options *o, const struct row *row, char *arg);
	int id; /* enum config_id, of those that are settings */
};

static void say(const char *format, va_list ap)
{
	char line[2048];

	vsnprintf(line, sizeof(line), format, ap);
	for (char *p = line; *p; p++)
		if (iscntrl((unsigned char)*p))
			*p = '?';
	fprintf(stderr, "remotefs-trace: %s\n", line);
}

void options_say(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	say(format, ap);
	va_end(ap);
}

int options_refuse(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	say(format, ap);
	va_end(ap);
	return EXIT_USAGE;
}

bool options_number(const char *arg, unsigned max, unsigned *n)
{
	char *end;

	errno = 0;
	unsigned long value = strtoul(arg, &end, 10);
	*n = (unsigned)value;
	return isdigit((unsigned char)*arg) && !errno && !*end && value <= max;
}

/* "--mode", as the user writes the option of ROW. */
static const char *row_name(const struct row *row, char *name, size_t len)
{
	if (row->name)
		snprintf(name, len, "--%s", row->name);
	else
		snprintf(name, len, "-%c", row->letter);
	return name;
}

static int set_setting(struct options *o, const struct row *row, char *arg)
{
	char name[64];
	enum config_id id = (enum config_id)row->id;

	row_name(row, name, sizeof(name));
	if (config_row_of(id)->kinds & KIND_SPLIT)
		config_put_list(&o->config, id, CONFIG_BY_FLAG, arg, name);
	else
		config_put(&o->config, id, CONFIG_BY_FLAG, NULL, arg, name);
	return 0;
}

/* What is written KEY=VALUE. */
static int set_pair(struct options *o, const struct row *row, char *arg)
{
	char name[64], *value = strchr(arg, '=');

	row_name(row, name, sizeof(name));
	if (!value || value == arg)
		return options_refuse("%s \"%s\": two parts with '=' between them are needed; write %s %s", name, arg, name,
				      row->id == CONFIG_MAPPING ? "REGEX=REPLACEMENT" : "NAME=VALUE");
	CLEANUP_FREE char *key = strndup(arg, (size_t)(value - arg));
	config_put(&o->config, (enum config_id)row->id, CONFIG_BY_FLAG, key, value + 1, name);
	return 0;
}

static int set_env(struct options *o, const struct row *row, char *arg)
{
	config_put(&o->config, CONFIG_ENV, CONFIG_BY_FLAG, NULL, row->id ? "true" : "false", row->id ? "--env" : "--no-env");
	return 0;
}

/* mirrord's spelling of the one mode that is two words. */
static int set_mode(struct options *o, const struct row *row, char *arg)
{
	return set_setting(o, row, strcmp(arg, "local-with-overrides") ? arg : (char *)"localwithoverrides");
}

static int set_target(struct options *o, const struct row *row, char *arg)
{
	if (o->config.of[CONFIG_TARGET].count)
		return options_refuse("--target \"%s\": one target was given already; add further trees with --mount", arg);
	return set_setting(o, row, arg);
}

static int set_config_file(struct options *o, const struct row *row, char *arg)
{
	free(o->config_file);
	o->config_file = xstrdup(arg ? arg : CONFIG_DEFAULT_FILE);
	return 0;
}

static int add_mount(struct options *o, const struct row *row, char *arg)
{
	return options_add_mount(o, arg);
}

static int set_trap(struct options *o, const struct row *row, char *arg)
{
	if (!strcmp(arg, "auto"))
		o->trap = TRAP_AUTO;
	else if (!strcmp(arg, "notify"))
		o->trap = TRAP_NOTIFY;
	else if (!strcmp(arg, "ptrace"))
		o->trap = TRAP_PTRACE;
	else
		return options_refuse("--trap \"%s\": there is no such way to trap calls; use notify, ptrace or auto", arg);
	return 0;
}

static int set_numbering(struct options *o, const struct row *row, char *arg)
{
	o->posix_numbers = !strcmp(arg, "posix");
	if (!o->posix_numbers && strcmp(arg, "high"))
		return options_refuse("--fd-numbering \"%s\": there is no such way to number descriptors; use high or posix", arg);
	return 0;
}

static int set_cache(struct options *o, const struct row *row, char *arg)
{
	double seconds = 0;
	char *end = arg;

	if (!strncmp(arg, "ttl=", 4))
		seconds = strtod(arg + 4, &end);
	bool ttl = end > arg + 4 && !*end && seconds > 0 && seconds <= 86400;
	if (!ttl && strcmp(arg, "watch") && strcmp(arg, "none"))
		return options_refuse("--cache \"%s\": there is no such way to keep what the target said; use watch, none or ttl=SECONDS (up to 86400)",
				      arg);
	o->no_cache = !strcmp(arg, "none");
	o->lease = ttl ? (uint64_t)(seconds * 1e9) : 0;
	return 0;
}

static int set_cache_size(struct options *o, const struct row *row, char *arg)
{
	static const char units[] = "KMG";
	char *end;

	errno = 0;
	unsigned long n = strtoul(arg, &end, 10);
	const char *unit = *end ? strchr(units, toupper((unsigned char)*end)) : NULL;
	unsigned shift = unit ? 10 * (unsigned)(unit - units + 1) : 0;

	if (!isdigit((unsigned char)*arg) || errno || (*end && !unit) || (unit && end[1]) || n > SIZE_MAX >> shift)
		return options_refuse("--cache-size \"%s\": this is not a size; give a number of bytes, perhaps with K, M or G behind it", arg);
	o->cache_size = n << shift;
	return 0;
}

static int set_reconnect(struct options *o, const struct row *row, char *arg)
{
	unsigned n;

	if (!options_number(arg, RECONNECT_MAX_S, &n))
		return options_refuse("--reconnect-timeout \"%s\": this is no number of seconds; give one from 0 (not at all) to %u", arg,
				      RECONNECT_MAX_S);
	o->reconnect_ms = n * 1000;
	return 0;
}

static int set_sync(struct options *o, const struct row *row, char *arg)
{
	if (!strcmp(arg, "always"))
		o->sync = BEHIND_NEVER;
	else if (!strcmp(arg, "close"))
		o->sync = BEHIND_CLOSE;
	else if (!strcmp(arg, "fsync"))
		o->sync = BEHIND_FSYNC;
	else
		return options_refuse("--sync \"%s\": there is no such moment to wait for writes; use always, close or fsync", arg);
	return 0;
}

/* A string of struct reach: the row's id is where it stands in it. */
static int set_reach(struct options *o, const struct row *row, char *arg)
{
	if (!*arg)
		return options_refuse("--%s \"\": there is nothing; give one", row->name);
	*(const char **)((char *)&o->reach + row->id) = arg;
	return 0;
}

static int set_agent_mode(struct options *o, const struct row *row, char *arg)
{
	if (reach_mode_parse(arg, &o->reach.mode) == 0)
		return 0;
	return options_refuse("--agent-mode \"%s\": there is no such way to run an agent; use auto, exec, ephemeral or job", arg);
}

static int set_keep(struct options *o, const struct row *row, char *arg)
{
	o->reach.keep = true;
	return 0;
}

/* Numbers, since the names of users are each machine's own. */
static int set_as(struct options *o, const struct row *row, char *arg)
{
	size_t n = strspn(arg, "0123456789"), m = arg[n] == ':' ? strspn(arg + n + 1, "0123456789") : 0;

	if (!n || n > 10 || m > 10 || (arg[n] == ':' ? !m || arg[n + 1 + m] : arg[n]))
		return options_refuse("--as \"%s\": these are no numbers of a user and a group; write UID or UID:GID", arg);
	return set_reach(o, row, arg);
}

static int set_overlay_dir(struct options *o, const struct row *row, char *arg)
{
	if (!*arg)
		return options_refuse("--overlay-dir \"\": the directory has no name; give one");
	o->overlay_dir = arg;
	return 0;
}

/* The letters that strace has as well. */
static int set_log(struct options *o, const struct row *row, char *arg)
{
	return options_set_log(&o->log, row->letter, arg);
}

static int set_stats_file(struct options *o, const struct row *row, char *arg)
{
	return options_set_stats(&o->log, arg);
}

static int print_help(struct options *o, const struct row *row, char *arg)
{
	fputs(options_help, stdout);
	fflush(stdout);
	return -1;
}

static int print_version(struct options *o, const struct row *row, char *arg)
{
	puts("remotefs-trace " VERSION);
	fflush(stdout);
	return -1;
}

static const struct row rows[] = {
	{ "target", 0, ONE_WORD, set_target, CONFIG_TARGET },
	{ "mount", 0, ONE_WORD, add_mount, 0 },
	{ "target-namespace", 'n', ONE_WORD, set_setting, CONFIG_NAMESPACE },
	{ "context", 0, ONE_WORD, set_setting, CONFIG_CONTEXT },
	{ "namespace", 0, ONE_WORD, set_setting, CONFIG_NAMESPACE },
	{ "kubeconfig", 0, ONE_WORD, set_setting, CONFIG_KUBECONFIG },
	{ "connect-timeout", 0, ONE_WORD, set_setting, CONFIG_STARTUP_TIMEOUT },
	{ "agent-startup-timeout", 0, ONE_WORD, set_setting, CONFIG_STARTUP_TIMEOUT },
	{ "reconnect-timeout", 0, ONE_WORD, set_reconnect, 0 },
	{ "agent-image", 0, ONE_WORD, set_reach, offsetof(struct reach, image) },
	{ "agent-mode", 0, ONE_WORD, set_agent_mode, 0 },
	{ "keep-agent", 0, NO_WORD, set_keep, 0 },
	{ "kubectl", 0, ONE_WORD, set_reach, offsetof(struct reach, kubectl) },
	{ "docker", 0, ONE_WORD, set_reach, offsetof(struct reach, docker) },
	{ "podman", 0, ONE_WORD, set_reach, offsetof(struct reach, podman) },
	{ "ssh", 0, ONE_WORD, set_reach, offsetof(struct reach, ssh) },
	{ "as", 0, ONE_WORD, set_as, offsetof(struct reach, as) },
	{ "token-file", 0, ONE_WORD, set_reach, offsetof(struct reach, token_file) },
	{ "config", 'f', PERHAPS_A_WORD, set_config_file, 0 },
	{ "config-file", 0, PERHAPS_A_WORD, set_config_file, 0 },
	{ "mode", 0, ONE_WORD, set_mode, CONFIG_MODE },
	{ "fs-mode", 0, ONE_WORD, set_mode, CONFIG_MODE },
	{ "map", 0, ONE_WORD, set_pair, CONFIG_MAPPING },
	{ "not-found", 0, ONE_WORD, set_setting, CONFIG_NOT_FOUND },
	{ "read-write", 0, ONE_WORD, set_setting, CONFIG_READ_WRITE },
	{ "read-only", 0, ONE_WORD, set_setting, CONFIG_READ_ONLY },
	{ "local", 0, ONE_WORD, set_setting, CONFIG_LOCAL },
	{ "env", 0, NO_WORD, set_env, true },
	{ "no-env", 0, NO_WORD, set_env, false },
	{ "env-include", 0, ONE_WORD, set_setting, CONFIG_ENV_INCLUDE },
	{ "override-env-vars-include", 0, ONE_WORD, set_setting, CONFIG_ENV_INCLUDE },
	{ "env-exclude", 'x', ONE_WORD, set_setting, CONFIG_ENV_EXCLUDE },
	{ "override-env-vars-exclude", 0, ONE_WORD, set_setting, CONFIG_ENV_EXCLUDE },
	{ "env-set", 0, ONE_WORD, set_pair, CONFIG_ENV_OVERRIDE },
	{ "env-unset", 0, ONE_WORD, set_setting, CONFIG_ENV_UNSET },
	{ "env-map", 0, ONE_WORD, set_pair, CONFIG_ENV_MAPPING },
	{ "env-file", 0, ONE_WORD, set_setting, CONFIG_ENV_FILE },
	{ "overlay-dir", 0, ONE_WORD, set_overlay_dir, 0 },
	{ "trap", 0, ONE_WORD, set_trap, 0 },
	{ "cache", 0, ONE_WORD, set_cache, 0 },
	{ "fd-numbering", 0, ONE_WORD, set_numbering, 0 },
	{ "cache-size", 0, ONE_WORD, set_cache_size, 0 },
	{ "sync", 0, ONE_WORD, set_sync, 0 },
	{ "stats", 0, ONE_WORD, set_stats_file, 0 },
	{ NULL, 'o', ONE_WORD, set_log, 0 },
	{ NULL, 'e', ONE_WORD, set_log, 0 },
	{ NULL, 's', ONE_WORD, set_log, 0 },
	{ NULL, 't', NO_WORD, set_log, 0 },
	{ NULL, 'r', NO_WORD, set_log, 0 },
	{ NULL, 'T', NO_WORD, set_log, 0 },
	{ NULL, 'y', NO_WORD, set_log, 0 },
	{ NULL, 'q', NO_WORD, set_log, 0 },
	{ NULL, 'c', NO_WORD, set_log, 0 },
	{ NULL, 'v', NO_WORD, set_log, 0 },
	{ "help", 'h', NO_WORD, print_help, 0 },
	{ "version", 'V', NO_WORD, print_version, 0 },
};

#define ROW_COUNT (sizeof(rows) / sizeof(*rows))
#define LONG_BASE 256

/* The table in getopt's words; a long option's value is LONG_BASE and its row. */
static void make_getopt(char *letters, struct option *longs)
{
	*letters++ = '+'; /* options end at the program's name */
	*letters++ = ':'; /* a missing argument is told from an unknown option */
	for (size_t i = 0; i < ROW_COUNT; i++) {
		const struct row *row = &rows[i];

		if (row->letter)
			*letters++ = row->letter;
		if (row->letter && row->takes == ONE_WORD)
			*letters++ = ':';
		if (row->name)
			*longs++ = (struct option){ row->name,
						    row->takes == ONE_WORD  ? required_argument
						    : row->takes == NO_WORD ? no_argument
									    : optional_argument,
						    NULL, LONG_BASE + (int)i };
	}
	*letters = '\0';
	*longs = (struct option){ 0 };
}

static const struct row *find_row(int opt)
{
	for (size_t i = 0; i < ROW_COUNT; i++)
		if (opt >= LONG_BASE ? (int)i == opt - LONG_BASE : rows[i].letter == opt)
			return &rows[i];
	return NULL;
}

static int set_option(struct options *o, int opt, char **argv)
{
	const struct row *row = find_row(opt);
	char *arg = optarg;

	if (opt == ':')
		return options_refuse("%s: its argument is missing; see remotefs-trace --help", argv[optind - 1]);
	/* getopt says in optopt which letter of a bundle it was; 0 or a long option's value: a long one. */
	if (opt == '?' && optopt > 0 && optopt < LONG_BASE)
		return options_refuse("-%c: there is no such option; see remotefs-trace --help", optopt);
	if (opt == '?')
		return options_refuse("%s: %s; see remotefs-trace --help", argv[optind - 1],
				      optopt ? "the option takes no value" : "there is no such option, or it has several endings");
	if (row->takes == PERHAPS_A_WORD && !arg && argv[optind] && argv[optind][0] != '-')
		arg = argv[optind++];
	return row->set(o, row, arg);
}

int options_flags(int argc, char **argv, struct options *o)
{
	struct option longs[ROW_COUNT + 1];
	char letters[2 * ROW_COUNT + 3];
	int opt, r;

	*o = (struct options){ .log.string_max = 32, .cache_size = PAGES_LIMIT, .reconnect_ms = RECONNECT_S * 1000 };
	make_getopt(letters, longs);
	opterr = 0;
	optind = 0; /* glibc: start anew, also after another parse */
	while ((opt = getopt_long(argc, argv, letters, longs, NULL)) >= 0) {
		r = set_option(o, opt, argv);
		if (r)
			return r;
	}
	o->program_argv = argv + optind;
	return 0;
}

int options_parse(int argc, char **argv, struct options *o)
{
	int r = options_flags(argc, argv, o);

	r = r ? r : options_settle(o);
	return r ? r : options_check(o);
}

bool options_cover_root(const struct options *o)
{
	for (size_t i = 0; i < o->mount_count; i++)
		if (!strcmp(o->mounts[i].path, "/"))
			return true;
	return o->target;
}

bool options_are_remote(const struct options *o)
{
	for (size_t i = 0; i < o->mount_count; i++)
		if (o->mounts[i].mode != MODE_LOCAL)
			return true;
	return o->target && o->mode != MODE_LOCAL;
}

void options_free(struct options *o)
{
	for (size_t i = 0; i < o->mount_count; i++) {
		free(o->mounts[i].path);
		free(o->mounts[i].target);
		free(o->mounts[i].subpath);
	}
	free(o->mounts);
	free(o->config_file);
	free(o->target_text);
	free(o->kubeconfig);
	free(o->target_subpath);
	config_free(&o->config);
	*o = (struct options){0};
}
