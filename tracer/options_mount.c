/* --mount PATH=TARGET[:SUBPATH][,mode=MODE] */
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "options.h"
#include "path.h"
#include "target.h"
#include "util.h"

#define MODE_SUFFIX ",mode="

/* Makes PATH absolute and normal. NULL, with errno, when that is not possible. */
static char *absolute_path(const char *path)
{
	char cwd[PATH_MAX], joined[PATH_MAX], normal[PATH_MAX];
	int r;

	if (path[0] != '/') {
		if (!getcwd(cwd, sizeof(cwd)))
			return NULL;
		r = path_join(cwd, path, joined, sizeof(joined));
		path = joined;
		if (r) {
			errno = -r;
			return NULL;
		}
	}
	r = path_normalise(path, normal, sizeof(normal));
	errno = -r;
	return r ? NULL : xstrdup(normal);
}

int options_cut_subpath(char *target, char **sub)
{
	char *at = target_find_subpath(target);

	*sub = NULL;
	if (!at)
		return 0;
	*at = '\0';
	*sub = absolute_path(at + 1);
	return *sub ? 0 : -errno;
}

/* Cuts ",mode=MODE" off TARGET. 0, or -EINVAL for one that there is not; *MODE is what follows, or NULL. */
static int cut_mode(char *target, struct mount_option *m, const char **mode)
{
	char *last = NULL;

	for (char *p = strstr(target, MODE_SUFFIX); p; p = strstr(p + 1, MODE_SUFFIX))
		last = p;
	*mode = last ? last + strlen(MODE_SUFFIX) : NULL;
	/* A command may have such a word in its midst. */
	if (!last || (*mode)[strspn(*mode, "abcdefghijklmnopqrstuvwxyz")])
		return 0;
	*last = '\0';
	m->own_mode = true;
	return mode_parse(*mode, &m->mode);
}

/* Takes TARGET[:SUBPATH][,mode=MODE] apart, for ARG. */
static int parse_target(struct mount_option *m, char *target, const char *arg)
{
	const char *mode;
	char err[512], names[64];

	if (cut_mode(target, m, &mode))
		return options_refuse("--mount \"%s\": \"%s\" is no mode; use %s", arg, mode, mode_names(names, sizeof(names)));
	if (m->own_mode && m->mode == MODE_LOCAL)
		return options_refuse("--mount \"%s\": a tree that is local is no mount; leave it out, or use --local", arg);
	int rc = options_cut_subpath(target, &m->subpath);
	if (target_check(target, err, sizeof(err)))
		return options_refuse("--mount \"%s\": %s", arg, err);
	if (!rc && !m->subpath)
		m->subpath = xstrdup("/");
	if (rc)
		return options_refuse("--mount \"%s\": the path in the target is too long; use a shorter one", arg);
	m->target = xstrdup(target);
	return 0;
}

int options_add_mount(struct options *o, const char *arg)
{
	CLEANUP_FREE char *copy = xstrdup(arg);
	char *target = strchr(copy, '=');
	struct mount_option *m;

	if (!target || target == copy)
		return options_refuse("--mount \"%s\": a path and a target are needed; write --mount PATH=TARGET[:SUBPATH]", arg);
	*target++ = 0;
	o->mounts = xrealloc(o->mounts, (o->mount_count + 1) * sizeof(*m));
	m = &o->mounts[o->mount_count++];
	*m = (struct mount_option){ .path = absolute_path(copy) };
	if (!m->path)
		return options_refuse("--mount \"%s\": the path cannot be made absolute (%s); give it from /", arg, strerror(errno));
	return parse_target(m, target, arg);
}
