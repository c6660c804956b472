/* What the options come to, with the configuration, and what only all of them together can tell. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "environment.h"
#include "options.h"
#include "target.h"
#include "util.h"

/* The target, and what is cut off it. */
static int settle_target(struct options *o)
{
	const char *text = config_get(&o->config, CONFIG_TARGET);

	if (!text || !strcmp(text, CONFIG_NO_TARGET))
		return 0;
	free(o->target_text);
	o->target = o->target_text = xstrdup(text);
	if (options_cut_subpath(o->target_text, &o->target_subpath))
		return options_refuse("%s: the path in the target is too long; use a shorter one", config_from(&o->config, CONFIG_TARGET));
	return 0;
}

/* PATH with the home directory for a "~" at its start, as mirrord has it; it lives as long as O. */
static const char *expand_home(struct options *o, const char *path)
{
	const char *home = getenv("HOME");

	if (!path || !home || strncmp(path, "~/", 2))
		return path;
	free(o->kubeconfig);
	if (asprintf(&o->kubeconfig, "%s%s", home, path + 1) < 0)
		die("out of memory");
	return o->kubeconfig;
}

static void settle_reach(struct options *o)
{
	const struct config *c = &o->config;
	const char *ephemeral = config_get(c, CONFIG_EPHEMERAL);

	o->reach.kubeconfig = expand_home(o, config_get(c, CONFIG_KUBECONFIG));
	o->reach.context = config_get(c, CONFIG_CONTEXT);
	o->reach.namespace = config_get(c, CONFIG_NAMESPACE);
	if (ephemeral && !strcmp(ephemeral, "true") && o->reach.mode == REACH_AUTO)
		o->reach.mode = REACH_EPHEMERAL;
}

int options_settle(struct options *o)
{
	struct config *c = &o->config;
	const char *file = o->config_file ? o->config_file : getenv("MIRRORD_CONFIG_FILE");

	if (file)
		config_read_file(c, file);
	config_read_environment(c);
	config_check(c);
	for (size_t i = 0; i < c->problems.count; i++)
		options_say("%s", c->problems.lines[i]);
	if (c->problems.count)
		return EXIT_USAGE;
	if (settle_target(o))
		return EXIT_USAGE;
	o->mode = MODE_OVERLAY;
	if (config_get(c, CONFIG_MODE))
		mode_parse(config_get(c, CONFIG_MODE), &o->mode);
	o->reach.timeout_ms = config_get(c, CONFIG_STARTUP_TIMEOUT) ? 1000 * (unsigned)atoi(config_get(c, CONFIG_STARTUP_TIMEOUT)) : 0;
	o->startup_ms = o->reach.timeout_ms ? o->reach.timeout_ms : 10000;
	settle_reach(o);
	for (size_t i = 0; i < o->mount_count; i++)
		if (!o->mounts[i].own_mode)
			o->mounts[i].mode = o->mode;
	if (c->ignored)
		options_say("%s: ignored, since remotefs-trace does files and environment only: %s", c->file, c->ignored);
	return 0;
}

static int check_mounts(const struct options *o)
{
	for (size_t i = 0; i < o->mount_count; i++) {
		const char *path = o->mounts[i].path;

		if (o->target && !strcmp(path, "/"))
			return options_refuse("--mount at \"/\": --target is there already; leave one of them out");
		for (size_t j = 0; j < i; j++)
			if (!strcmp(path, o->mounts[j].path))
				return options_refuse("--mount at \"%s\": given twice; leave one of them out", path);
	}
	return 0;
}

/* What is taken of an environment, and the file of more, which is read now. */
static int check_environment(struct options *o)
{
	const struct config *c = &o->config;
	const char *target = o->target ? o->target : o->mount_count ? o->mounts[0].target : NULL;
	struct problems p = { 0 };
	int r = 0;

	if (environment_is_wanted(c) && !target)
		return options_refuse("%s: there is no target whose environment could be taken; give one with --target pid/N, or use "
				      "--no-env", config_from(c, CONFIG_ENV));
	if (environment_is_wanted(c) && target_lacks_process(target))
		return options_refuse("%s: the target \"%s\" has no process whose environment could be taken; use "
				      "pid/N, or --no-env", config_from(c, CONFIG_ENV), target);
	environment_read_file(c, &p);
	for (size_t i = 0; i < p.count; i++)
		r = options_refuse("%s", p.lines[i]);
	problems_free(&p);
	return r;
}

int options_check(struct options *o)
{
	char err[512];

	if (!o->target && !o->mount_count && o->mode != MODE_LOCAL)
		return options_refuse("no --target and no --mount: nothing would be remote; give one, e.g. --target dir/srv/tree, %s",
				      !o->config.file && !access(CONFIG_DEFAULT_FILE, R_OK)
					      ? "or -f to use " CONFIG_DEFAULT_FILE
					      : "or use --mode local");
	if (o->target && target_check(o->target, err, sizeof(err)))
		return options_refuse("%s: %s", config_from(&o->config, CONFIG_TARGET), err);
	if (check_mounts(o) || check_environment(o))
		return EXIT_USAGE;
	if (!o->program_argv[0])
		return options_refuse("no program to run; put it after the options, e.g. remotefs-trace --target dir/srv/tree "
				      "ls -l /");
	if (!o->program_argv[0][0])
		return options_refuse("the program's name is empty; put a name after the options");
	return 0;
}
