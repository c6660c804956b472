/* ls: what could be a target. */
#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "command.h"
#include "list.h"
#include "options.h"
#include "util.h"

/* A name is a container engine's to say. */
static void print_text(const struct list *l)
{
	for (size_t i = 0; i < l->count; i++) {
		for (const char *p = l->v[i]; *p; p++)
			putchar(iscntrl((unsigned char)*p) ? '?' : *p);
		putchar('\n');
	}
}

/* As mirrord's. */
static void print_json(const struct list *l)
{
	putchar('[');
	for (size_t i = 0; i < l->count; i++) {
		fputs(i ? "," : "", stdout);
		config_print_string(l->v[i], stdout);
	}
	puts("]");
}

static int list(const struct options *o, const char *engine, bool json)
{
	struct list l = { 0 };
	char err[512];
	int rc = engine ? list_engine(&o->reach, engine, &l, err, sizeof(err)) : list_cluster(&o->reach, &l, err, sizeof(err));

	if (!rc && !l.count && !json)
		options_say("ls: nothing there could be a target%s", engine ? "" : "; other namespaces are shown with -n NAME");
	list_sort(&l);
	if (!rc)
		(json ? print_json : print_text)(&l);
	list_free(&l);
	if (rc)
		options_say("ls: %s", err);
	return rc ? EXIT_OWN_FAILURE : 0;
}

int command_ls(int argc, char **argv)
{
	struct options o;
	char *engine;
	int r = command_flags(argc, argv, &o, &engine);
	/* Nothing is logged here: -o is kubectl's, and mirrord's. */
	const char *format = o.log.file ? o.log.file : "text";

	if (!r && engine && strcmp(engine, "docker") && strcmp(engine, "podman"))
		r = options_refuse("ls \"%s\": targets of a cluster are listed, or of docker or podman; the program ls is run after --", engine);
	if (!r && strcmp(format, "text") && strcmp(format, "json"))
		r = options_refuse("-o \"%s\": there is no such format of a list; use text or json", format);
	r = r ? r : options_settle(&o);
	r = r ? r : list(&o, engine, !strcmp(format, "json"));
	options_free(&o);
	return r < 0 ? 0 : r;
}
