#include "overlay_cmd.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/file.h>

#include "apply.h"
#include "changes.h"
#include "entries.h"
#include "inode.h"
#include "inomap.h"
#include "log.h"
#include "options.h"
#include "upper.h"
#include "upper_info.h"
#include "util.h"

/* As diff(1) has it. */
enum { EXIT_SAME, EXIT_DIFFERENT, EXIT_TROUBLE };

/* Where the target's tree is when we look at it: we are a traced program ourselves, then. */
#define TARGET_AT "/.remotefs-trace-target"

static const char help_text[] =
	"Usage: remotefs-trace overlay diff DIR\n"
	"       remotefs-trace overlay apply [--yes] [--force] DIR\n"
	"       remotefs-trace overlay discard [--yes] DIR\n"
	"DIR is what --overlay-dir was given: what a program changed in overlay mode.\n"
	"\n"
	"diff      what is different from the target, a line for each path, sorted:\n"
	"          A added, M modified (in what), T replaced by another type or directory,\n"
	"          D removed, R a directory that was renamed. Exit status: 0 no changes,\n"
	"          1 changes, 2 trouble, 125 the target cannot be reached\n"
	"apply     shows that, asks, makes the changes at the target and empties DIR.\n"
	"          Nothing is done if the target has changed what DIR changes, too\n"
	"discard   asks, then removes DIR and the changes\n"
	"\n"
	"  -y, --yes     do not ask\n"
	"      --force   apply over what was changed at the target\n"
	"  -h, --help    show this and exit\n";

struct command {
	const char *verb, *dir;
	bool yes, force;
	bool traced; /* the target's tree is at TARGET_AT */
	int top;     /* DIR */
	struct upper_info info;
};

static int refuse(const struct command *c, const char *why, int status)
{
	log_error("overlay %s: %s: %s", c->verb, c->dir, why);
	return status;
}

/* ---- asking ---- */

/* 1: yes; 0: no, or there is nobody to ask, which is said. */
static int ask(const struct command *c, const char *question)
{
	char answer[64] = "";

	if (c->yes)
		return 1;
	CLEANUP_FD int fd = open("/dev/tty", O_RDWR | O_CLOEXEC);
	if (fd < 0) {
		refuse(c, "there is no terminal to ask on: say --yes", 0);
		return 0;
	}
	dprintf(fd, "%s [y/N] ", question);
	ssize_t n = read(fd, answer, sizeof(answer) - 1);
	if (n > 0 && (!strcasecmp(answer, "y\n") || !strcasecmp(answer, "yes\n")))
		return 1;
	refuse(c, "nothing was done", 0);
	return 0;
}

/* ---- discard ---- */

static const char *const parts[] = { "upper", "work", "index", "inodes", "info" };

static int discard(const struct command *c)
{
	char question[PATH_MAX + 64], why[512];

	snprintf(question, sizeof(question), "Remove %s with all that was changed in it?", c->dir);
	if (!ask(c, question))
		return EXIT_DIFFERENT;
	for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++) {
		int rc = inode_remove(c->top, parts[i]);
		if (rc) {
			snprintf(why, sizeof(why), "%s cannot be removed: %s", parts[i], strerror(-rc));
			return refuse(c, why, EXIT_TROUBLE);
		}
	}
	/* Somebody's other files stay, and so does what they are in. */
	if (rmdir(c->dir) < 0 && errno != ENOTEMPTY && errno != EEXIST && errno != EBUSY)
		return refuse(c, strerror(errno), EXIT_TROUBLE);
	return EXIT_SAME;
}

/* ---- diff and apply ---- */

/* What is set for programs that are run must not lead us elsewhere. */
static void forget_configuration(void)
{
	for (char **e = environ; *e;) {
		size_t n = strcspn(*e, "=");
		char *name = strncmp(*e, "MIRRORD_", 8) ? NULL : strndup(*e, n);

		if (name)
			unsetenv(name);
		else
			e++;
		free(name);
	}
}

/* Becomes remotefs-trace that runs us with the target's tree at TARGET_AT. */
static int trace_ourselves(const struct command *c, const char *mode)
{
	char self[PATH_MAX], *mount;
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n < 0)
		return refuse(c, strerror(errno), EXIT_TROUBLE);
	self[n] = 0;
	if (asprintf(&mount, TARGET_AT "=%s:/", c->info.target) < 0)
		die("out of memory");
	forget_configuration();
	const char *argv[16] = { "remotefs-trace", "--mode", mode, "--mount", mount, "--", self, "overlay", c->verb, "--traced" };
	int argc = 10;
	if (c->force)
		argv[argc++] = "--force";
	if (c->yes)
		argv[argc++] = "--yes";
	argv[argc++] = "--";
	argv[argc] = c->dir;
	execv(self, (char **)argv);
	return refuse(c, strerror(errno), EXIT_TROUBLE);
}

static void print_conflicts(const struct changes *c)
{
	for (size_t i = 0; i < c->conflict_count; i++) {
		fputs("remotefs-trace: ", stderr);
		changes_print_path(c->conflicts[i].path, stderr);
		fprintf(stderr, ": %s\n", c->conflicts[i].why);
	}
}

/*
 * What is at the target now is no longer in DIR. The index first, which speaks of files of the target; the tree goes in one step,
 * so that it is never half there.
 */
static int empty(const struct command *c)
{
	int rc = inode_remove(c->top, "index");
	CLEANUP_FD int work = rc ? rc : inode_open_dir(c->top, "work");

	rc = rc ? rc : work < 0 ? work : inode_remove(work, "applied");
	if (!rc && renameat(c->top, "upper", work, "applied") < 0)
		rc = -errno;
	rc = rc ? rc : inode_remove(c->top, "inodes");
	return rc ? rc : inode_remove(work, "applied");
}

static int apply(const struct command *c, const struct trees *t, const struct changes *found)
{
	char question[PATH_MAX + 128], err[PATH_MAX + 256];
	bool begun = apply_begun(t);

	if (begun)
		log_error("overlay apply: %s: it was interrupted, and goes on where it was", c->dir);
	print_conflicts(found);
	if (found->conflict_count && !begun && !c->force)
		return refuse(c, "nothing was done: --force applies the changes nevertheless", EXIT_DIFFERENT);
	snprintf(question, sizeof(question), "Make these %zu changes at %s?", found->count, c->info.target);
	if (!ask(c, question))
		return EXIT_DIFFERENT;
	if (apply_changes(t, found, err, sizeof(err))) {
		log_error("overlay apply: %s; what is not done yet is still in %s: mend that and apply again", err, c->dir);
		return EXIT_TROUBLE;
	}
	int rc = empty(c);
	if (rc) {
		snprintf(err, sizeof(err), "everything was applied, but it cannot be emptied: %s", strerror(-rc));
		return refuse(c, err, EXIT_TROUBLE);
	}
	apply_done(t);
	return EXIT_SAME;
}

static int compare(const struct command *c, int upper)
{
	CLEANUP_FD int lower = open(TARGET_AT, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int inodes = openat(c->top, "inodes", O_RDONLY | O_NOFOLLOW | O_CLOEXEC), status = EXIT_SAME;
	struct trees t = { upper, lower, c->info.from, inomap_open(inodes) };
	struct changes found;
	char err[PATH_MAX + 256];

	if (changes_find(&t, &found, err, sizeof(err))) {
		log_error("overlay %s: %s", c->verb, err);
		inomap_close(t.origins);
		return EXIT_TROUBLE;
	}
	changes_print(&found, stdout);
	if (fflush(stdout))
		status = refuse(c, strerror(errno), EXIT_TROUBLE);
	else if (!strcmp(c->verb, "apply"))
		status = apply(c, &t, &found);
	else if (found.count)
		status = EXIT_DIFFERENT;
	changes_free(&found);
	inomap_close(t.origins);
	return status;
}

/* Without entries there is nothing to ask the target about. */
static bool is_clean(int upper)
{
	CLEANUP_FD int gone = inode_open_dir(upper, UPPER_GONE);
	struct entries n;
	bool clean = upper_is_bare(upper) == 1;

	if (clean && gone >= 0 && !entries_read(gone, &n)) {
		clean = !n.count;
		entries_free(&n);
	}
	return clean;
}

static int diff_or_apply(const struct command *c)
{
	CLEANUP_FD int upper = inode_open_dir(c->top, "upper");

	if (upper < 0 && upper != -ENOENT)
		return refuse(c, strerror(-upper), EXIT_TROUBLE);
	if (upper < 0 || is_clean(upper))
		return EXIT_SAME;
	return c->traced ? compare(c, upper) : trace_ourselves(c, strcmp(c->verb, "apply") ? "read" : "write");
}

/* ---- the command line ---- */

static int parse(struct command *c, int argc, char **argv)
{
	static const struct option options[] = {
		{ "yes", no_argument, NULL, 'y' },    { "force", no_argument, NULL, 'f' }, { "help", no_argument, NULL, 'h' },
		{ "traced", no_argument, NULL, 't' }, { NULL, 0, NULL, 0 },
	};
	int opt;

	optind = 0;
	opterr = 0;
	while ((opt = getopt_long(argc, argv, "yh", options, NULL)) >= 0) {
		c->yes |= opt == 'y';
		c->force |= opt == 'f';
		c->traced |= opt == 't';
		if (opt == 'h') {
			fputs(help_text, stdout);
			return -1;
		}
		if (opt == '?') {
			log_error("overlay: %s: there is no such option; see remotefs-trace overlay --help", argv[optind - 1]);
			return EXIT_USAGE;
		}
	}
	c->verb = argv[optind] ? argv[optind] : "";
	c->dir = *c->verb ? argv[optind + 1] : NULL;
	if (strcmp(c->verb, "diff") && strcmp(c->verb, "apply") && strcmp(c->verb, "discard"))
		log_error("overlay \"%s\": there is no such command; use overlay diff, apply or discard", c->verb);
	else if (!c->dir || argv[optind + 2])
		log_error("overlay %s: one directory is needed, the one that --overlay-dir was given", c->verb);
	else if (c->force && strcmp(c->verb, "apply"))
		log_error("overlay %s: --force is for apply; leave it out", c->verb);
	else
		return 0;
	return EXIT_USAGE;
}

int command_overlay(int argc, char **argv)
{
	struct command c = { .top = -1 };
	char err[PATH_MAX + 256];
	int rc = parse(&c, argc, argv);

	if (rc)
		return rc < 0 ? 0 : rc;
	/* Only one of us may have the lock: when the target is needed, it is the one that is traced. */
	c.top = upper_lock(c.dir, strcmp(c.verb, "diff") != 0, &c.info, err, sizeof(err));
	if (c.top < 0) {
		log_error("overlay %s: %s", c.verb, err);
		return EXIT_TROUBLE;
	}
	rc = strcmp(c.verb, "discard") ? diff_or_apply(&c) : discard(&c);
	close(c.top);
	upper_info_free(&c.info);
	return rc;
}
