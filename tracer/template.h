/* Templates in configuration files, as far as mirrord's own examples go: Tera's expressions, without its statements. */
#ifndef TRACER_TEMPLATE_H
#define TRACER_TEMPLATE_H

#include "source.h"

/* What the names in expressions stand for. */
struct template_names {
	const char *key; /* {{ key }}: the session's name */
};

/*
 * Replaces in S's text what stands in {{ … }} (get_env(name="X", default="Y"), key, git_branch, each with an optional
 * default filter), and takes {# comments #} out. S keeps where everything was written. 0, or -EINVAL with lines in P.
 */
int template_render(struct source *s, const struct template_names *names, struct problems *p);

#endif
