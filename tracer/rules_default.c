/* mirrord's default lists, as they are for Linux. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pattern.h"
#include "rules_int.h"
#include "util.h"

/* What the machine is, has or runs: local for every program. */
static const char *const local[] = {
	"^/proc(/|$)", "^/sys(/|$)", "^/home(/|$)", "^/dev(/|$)", "^/tmp(/|$)", "^/var/tmp(/|$)", "^/snap(/|$)", "^/run(/|$)",
	"^/selinux(/|$)", "^/home/iojs(/|$)", "^/home/runner(/|$)", "clr-.*-pipe-", "^/Program Files", "^/$",
};

/* What programs are made of and run on: local for those that are here; a remote program has its own there. */
static const char *const local_here[] = {
	".\\.so$", ".\\.sh$", ".\\.rb$", ".\\.d$", ".\\.pyc$", ".\\.py$", ".\\.jar$", ".\\.class$", ".\\.js$", ".\\.pth$", ".\\.plist$",
	"venv\\.cfg$", "^/lib(/|$)", "^/etc(/|$)", "^/usr(/|$)", "^/bin(/|$)", "^/sbin(/|$)", "^/opt(/|$)", "^/var/db/timezone/zoneinfo(/|$)",
	"^/nix(/|$)", ".+\\.asdf/.+", "\\.pdb$", "\\.dll$", ".*(^|/)jvm\\.cfg$", "/package\\.json$", "/\\.yarnrc$", "/\\.yarnrc.yml$",
	"/\\.yarnrc.json$", "/node_modules", ".*/\\.tool-versions$",
};

static const char *const read_only[] = {
	"^/etc/resolv.conf$", "^/etc/hosts$", "^/etc/hostname$", "^/etc/ssl/certs(/|$)",
};

/* Below $HOME: what would let a program reach another cluster than its own. */
static const char *const not_found[] = { "/\\.config/gcloud", "/\\.kube", "/\\.azure" };

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

static void add_all(enum rules_list list, const char *const *patterns, size_t count, bool here)
{
	for (size_t i = 0; i < count; i++)
		rules_append(list, pattern_compile_literal(patterns[i], "", ""), NULL, NULL, here);
}

static void add_literal(enum rules_list list, const char *head, const char *literal, const char *tail)
{
	rules_append(list, pattern_compile_literal(head, literal, tail), NULL, NULL, false);
}

/* PATH without the slashes at its end; NULL for none. */
static char *trimmed(const char *path)
{
	char *copy = path && *path ? xstrdup(path) : NULL;

	for (size_t n = copy ? strlen(copy) : 0; n && copy[n - 1] == '/'; n--)
		copy[n - 1] = '\0';
	return copy;
}

void rules_add_defaults(const char *program, const char *cwd)
{
	CLEANUP_FREE char *home = trimmed(getenv("HOME"));
	const char *tmp = getenv("TMPDIR");

	for (size_t i = 0; home && i < COUNT(not_found); i++)
		add_literal(LIST_DEFAULT_NOT_FOUND, "^", home, not_found[i]);
	add_all(LIST_DEFAULT_READ_ONLY, read_only, COUNT(read_only), false);
	add_all(LIST_DEFAULT_LOCAL, local, COUNT(local), false);
	add_all(LIST_DEFAULT_LOCAL, local_here, COUNT(local_here), true);
	add_literal(LIST_DEFAULT_LOCAL, "^", tmp && *tmp ? tmp : "/tmp", "");
	/* Were it "/", everything would be local. */
	if (cwd && cwd[1])
		add_literal(LIST_DEFAULT_LOCAL, "^", cwd, "(/|$)");
	if (program)
		add_literal(LIST_DEFAULT_LOCAL, "", program, "$");
	if (home)
		add_literal(LIST_DEFAULT_LOCAL, "^", home, "/\\.");
}
