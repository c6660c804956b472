#include "command.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "options.h"
#include "overlay_cmd.h"
#include "util.h"

/* A program of the same name is run by its path, or after "--". */
static const struct {
	const char *name;
	command_run run;
} commands[] = {
	{ "diagnose", command_diagnose },
	{ "explain", command_explain },
	{ "ls", command_ls },
	{ "overlay", command_overlay },
	{ "verify-config", command_verify_config },
};

command_run command_find(const char *name)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++)
		if (!strcmp(name, commands[i].name))
			return commands[i].run;
	return NULL;
}

int command_flags(int argc, char **argv, struct options *o, char **word)
{
	int r = options_flags(argc, argv, o);
	char **at = o->program_argv;

	*word = r ? NULL : *at;
	if (!*word)
		return r;
	for (char **next = at; *next; next++)
		next[0] = next[1];
	options_free(o);
	r = options_flags(argc - 1, argv, o);
	if (!r && o->program_argv[0])
		r = options_refuse("%s \"%s\": one word is enough, and \"%s\" was given already; leave one of them out", argv[0], o->program_argv[0],
				   *word);
	return r;
}

int command_verify_config(int argc, char **argv)
{
	struct options o;
	int r = options_flags(argc, argv, &o);

	if (!r && o.program_argv[0] && (o.config_file || o.program_argv[1]))
		r = options_refuse("verify-config \"%s\": there is one file to verify; give one", o.program_argv[o.config_file ? 0 : 1]);
	if (!r && !o.config_file)
		o.config_file = xstrdup(o.program_argv[0] ? o.program_argv[0] : CONFIG_DEFAULT_FILE);
	r = r ? r : options_settle(&o);
	if (!r)
		config_print(&o.config, stdout);
	options_free(&o);
	return r < 0 ? 0 : r;
}
