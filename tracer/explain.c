/* explain: what becomes of paths, and by which rule. */
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "config_rules.h"
#include "needed.h"
#include "options.h"
#include "rules.h"
#include "target.h"
#include "util.h"

static void declare_mount(const char *at, const char *sub, const char *target, enum mode mode, bool defaults)
{
	char tag[64];

	if (mode == MODE_LOCAL)
		return;
	target_tag(target, tag, sizeof(tag));
	struct mount *m = rules_add_mount(at, sub, tag);
	m->writable = mode == MODE_WRITE;
	m->defaults = defaults;
	rules_set_mode(m, mode);
}

static void declare_all(const struct options *o, const char *cwd)
{
	if (options_cover_root(o))
		needed_keep_system();
	if (o->target) {
		declare_mount("/", o->target_subpath ? o->target_subpath : "/", o->target, o->mode, true);
		rules_add_defaults(NULL, cwd);
	}
	for (size_t i = 0; i < o->mount_count; i++)
		declare_mount(o->mounts[i].path, o->mounts[i].subpath, o->mounts[i].target, o->mounts[i].mode, false);
}

/* A path may hold anything, also what a terminal would act upon. */
static void put_text(const char *text)
{
	for (; *text; text++)
		putchar(iscntrl((unsigned char)*text) ? '?' : *text);
}

static void put_rule(const char *list, const char *pattern, const char *origin)
{
	printf("%s", list);
	if (pattern) {
		printf(" \"");
		put_text(pattern);
		putchar('"');
	}
	if (origin)
		printf(", %s", origin);
}

static void put_place(const struct decision *d, const char *path)
{
	char there[PATH_MAX];

	path = d->path ? d->path : path;
	if (d->verdict == VERDICT_NOT_FOUND) {
		printf("not found");
		return;
	}
	if (d->verdict == VERDICT_LOCAL) {
		printf("local ");
		put_text(path);
		return;
	}
	printf("remote %s ", d->mount->tag);
	put_text(path_to_target(d->mount, path, there, sizeof(there)) ? path : there);
}

static int explain(const char *cwd, const char *path, bool write)
{
	char joined[PATH_MAX], norm[PATH_MAX];

	if (path_join(*path == '/' ? "" : cwd, path, joined, sizeof(joined)) || path_normalise(joined, norm, sizeof(norm)))
		return options_refuse("explain \"%s\": the path is too long; give a shorter one", path);
	const struct decision *d = rules_decide(norm, write, false);
	put_text(norm);
	printf(": ");
	put_place(d, norm);
	printf(" (");
	put_rule(d->list, d->pattern, d->origin);
	if (d->mapping) {
		printf("; ");
		put_rule("mapping", d->mapping, d->mapping_origin);
	}
	puts(")");
	return 0;
}

/* Takes "--write", wherever it stands before a "--", out of ARGV. */
static bool take_write(int *argc, char **argv)
{
	bool write = false;
	int n = 1, i = 1;

	for (; i < *argc && strcmp(argv[i], "--"); i++) {
		if (!strcmp(argv[i], "--write"))
			write = true;
		else
			argv[n++] = argv[i];
	}
	for (; i < *argc; i++)
		argv[n++] = argv[i];
	argv[*argc = n] = NULL;
	return write;
}

int command_explain(int argc, char **argv)
{
	bool write = take_write(&argc, argv);
	char cwd[PATH_MAX];
	struct options o;
	int r = options_flags(argc, argv, &o);

	r = r ? r : options_settle(&o);
	if (!r && !o.program_argv[0])
		r = options_refuse("explain: no path to explain; give one or more, e.g. remotefs-trace explain --target dir/srv/tree /etc/hosts");
	if (!r && !getcwd(cwd, sizeof(cwd)))
		r = options_refuse("explain: the working directory has no name (%s); use another", strerror(errno));
	if (!r)
		config_add_rules(&o.config);
	if (!r)
		declare_all(&o, cwd);
	for (char **path = o.program_argv; !r && *path; path++)
		r = explain(cwd, *path, write);
	options_free(&o);
	return r < 0 ? 0 : r;
}
