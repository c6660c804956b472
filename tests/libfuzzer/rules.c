/*
 * Patterns and paths: an input is lines. The first is a pattern, the second a replacement, the others are paths; each is decided about
 * by rules made of the pattern, too.
 */
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzzer.h"
#include "path.h"
#include "pattern.h"
#include "rules.h"
#include "stubs.h"

/* As many as this, and the lists are so long that inputs take long. */
#define RULES_MAX 40

static void decide(const char *path)
{
	char at[PATH_MAX];

	if (path[0] != '/' || path_normalise(path, at, sizeof(at)))
		return;
	for (int how = 0; how < 4; how++) {
		const struct decision *d = rules_decide(at, how & 1, how & 2);

		if (d->verdict == VERDICT_REMOTE && !d->mount)
			abort();
		if (d->path && (d->path[0] != '/' || strlen(d->path) >= PATH_MAX))
			abort();
	}
}

static void add_rules(const char *pattern, const char *replacement)
{
	static struct mount *mount;
	static unsigned added;
	char err[512];

	if (!mount) {
		mount = rules_add_mount("/", "/", "fuzz");
		rules_set_mode(mount, MODE_WRITE);
		mount->defaults = true;
		rules_add_defaults("/usr/bin/program", "/home/me/project");
	}
	if (added >= RULES_MAX)
		return;
	enum rule_kind kind = added % 5;
	if (rules_add(kind, pattern, kind == RULE_MAPPING ? replacement : NULL, "fuzz:1:1", err, sizeof(err)) == 0)
		added++;
}

static void try_pattern(const char *text, const char *replacement, char *rest)
{
	char err[256] = "", out[PATH_MAX];
	struct pattern *p = pattern_compile(text, err, sizeof(err));
	char *path;

	if (!p) {
		if (!*err || strnlen(err, sizeof(err)) == sizeof(err) || strchr(err, '\n'))
			abort();
		return;
	}
	if (strcmp(pattern_text(p), text) != 0)
		abort();
	add_rules(text, replacement);
	while ((path = strsep(&rest, "\n"))) {
		bool found = pattern_matches(p, path);
		int rc = pattern_replace(p, path, replacement, out, sizeof(out));

		if (found != (rc != 0) || (rc == 1 && strnlen(out, sizeof(out)) == sizeof(out)))
			abort();
		decide(path);
	}
	pattern_free(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char *text = malloc(len + 1), *rest = text;

	memcpy(text, data, len);
	text[len] = '\0';
	const char *pattern = strsep(&rest, "\n"), *replacement = strsep(&rest, "\n");
	try_pattern(pattern, replacement ? replacement : "", rest);
	free(text);
	return 0;
}
