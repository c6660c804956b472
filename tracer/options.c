#include "options.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "rules.h"
#include "target.h"
#include "util.h"

enum { OPT_TARGET = 256, OPT_MOUNT, OPT_MODE, OPT_STATS, OPT_TRAP, OPT_NUMBERING, OPT_HELP, OPT_VERSION };

/* "+" ends the options at the program's name; ":" tells a missing argument from an unknown option. */
static const char short_options[] = "+:o:e:tryTs:qcvfhV";

static const struct option long_options[] = {
	{"target", required_argument, NULL, OPT_TARGET}, {"mount", required_argument, NULL, OPT_MOUNT},
	{"mode", required_argument, NULL, OPT_MODE},	 {"stats", required_argument, NULL, OPT_STATS},
	{"trap", required_argument, NULL, OPT_TRAP},	 {"fd-numbering", required_argument, NULL, OPT_NUMBERING},
	{"help", no_argument, NULL, OPT_HELP},		 {"version", no_argument, NULL, OPT_VERSION},
	{NULL, 0, NULL, 0},
};

static const char help_text[] =
	"Usage: remotefs-trace [OPTION]... PROGRAM [ARGUMENT]...\n"
	"Run PROGRAM here and let it, and all that it starts, see the files of another place.\n"
	"\n"
	"Which files are remote:\n"
	"      --target TARGET           the whole tree at / is TARGET's\n"
	"      --mount PATH=TARGET[:SUBPATH]\n"
	"                                the tree at PATH is TARGET's tree at SUBPATH (default /);\n"
	"                                may be repeated, the longest PATH wins\n"
	"      --mode MODE               read: remote files can be read only (default);\n"
	"                                write: read and written; local: nothing is remote\n"
	"\n"
	"TARGET is one of\n"
	"  dir/PATH                      a directory of this machine, e.g. dir/srv/tree for /srv/tree\n"
	"  exec:COMMAND                  what COMMAND, run by sh, leads to: a remotefs-agent that\n"
	"                                speaks on its standard input and output\n"
	"\n"
	"What to show, as strace does (one line per file call):\n"
	"  -o FILE                       write the log to FILE\n"
	"  -v                            without -o, write the log to standard error\n"
	"  -e [trace=]EXPR               which calls: names, %file, %desc, all, none; ! inverts\n"
	"  -t, -tt, -ttt                 time of day; with microseconds; as seconds since the epoch\n"
	"  -r                            time since the call before\n"
	"  -T                            time spent in each call\n"
	"  -y                            paths beside descriptors\n"
	"  -s N                          show at most N bytes of strings (default 32)\n"
	"  -q                            no lines for signals and exits\n"
	"  -c                            a table of counts at the end instead of the lines\n"
	"  -f                            accepted for strace's sake: processes are always followed\n"
	"      --stats FILE              write counts to FILE as JSON at the end\n"
	"\n"
	"How:\n"
	"      --trap HOW                how calls are trapped: notify (seccomp notifications),\n"
	"                                ptrace (slower, works where these cannot be had), or\n"
	"                                auto (default): the first that works\n"
	"      --fd-numbering HOW        high: remote files have descriptors from 16384 up where\n"
	"                                possible, and local ones cost nothing (default);\n"
	"                                posix: the lowest free number, as ever; reads and writes\n"
	"                                of local files, pipes and sockets are trapped, too\n"
	"\n"
	"  -h, --help                    show this and exit\n"
	"  -V, --version                 show the version and exit\n"
	"\n"
	"The exit status is PROGRAM's; 128+N if signal N killed it; 2 for a bad command line, 125 when\n"
	"remotefs-trace itself failed, 126 when PROGRAM cannot be run, 127 when it cannot be found.\n";

static int refuse(const char *format, ...) __attribute__((format(printf, 1, 2)));

static int refuse(const char *format, ...)
{
	char line[1024];
	va_list ap;

	va_start(ap, format);
	vsnprintf(line, sizeof(line), format, ap);
	va_end(ap);
	for (char *p = line; *p; p++)
		if (iscntrl((unsigned char)*p))
			*p = '?';
	fprintf(stderr, "remotefs-trace: %s\n", line);
	return EXIT_USAGE;
}

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

/*
 * Where the ":SUBPATH" of TARGET starts, or NULL: at the last ":/", since a command has colons of its own.
 * The colon of a scheme ("exec:/usr/bin/agent") is none.
 */
static char *find_subpath(char *target)
{
	char *start = target, *found = NULL;

	while (islower((unsigned char)*start))
		start++;
	start = *start == ':' ? start + 1 : target;
	for (char *p = strstr(start, ":/"); p; p = strstr(p + 1, ":/"))
		found = p;
	return found;
}

static int add_mount(struct options *o, char *arg)
{
	CLEANUP_FREE char *copy = xstrdup(arg);
	char *target = strchr(copy, '=');
	struct mount_option m;
	char err[256];

	if (!target || target == copy)
		return refuse("--mount \"%s\": a path and a target are needed; write --mount PATH=TARGET[:SUBPATH]",
			      arg);
	*target++ = 0;
	char *sub = find_subpath(target);
	if (sub)
		*sub++ = 0;
	if (target_check(target, err, sizeof(err)))
		return refuse("--mount \"%s\": %s", arg, err);
	m.path = absolute_path(copy);
	if (!m.path)
		return refuse("--mount \"%s\": the path cannot be made absolute (%s); give it from /", arg,
			      strerror(errno));
	m.subpath = absolute_path(sub ? sub : "/");
	if (!m.subpath) {
		free(m.path);
		return refuse("--mount \"%s\": the path in the target is too long; use a shorter one", arg);
	}
	m.target = xstrdup(target);
	o->mounts = xrealloc(o->mounts, (o->mount_count + 1) * sizeof(m));
	o->mounts[o->mount_count++] = m;
	return 0;
}

static int set_target(struct options *o, char *arg)
{
	char err[256];

	if (o->target)
		return refuse("--target \"%s\": one target was given already; add further trees with --mount", arg);
	if (target_check(arg, err, sizeof(err)))
		return refuse("--target \"%s\": %s", arg, err);
	o->target = arg;
	return 0;
}

static int set_mode(struct options *o, const char *arg)
{
	if (!strcmp(arg, "read"))
		o->mode = MODE_READ;
	else if (!strcmp(arg, "write"))
		o->mode = MODE_WRITE;
	else if (!strcmp(arg, "local"))
		o->mode = MODE_LOCAL;
	else
		return refuse("--mode \"%s\": there is no such mode; use read, write or local", arg);
	return 0;
}

static int set_trap(struct options *o, const char *arg)
{
	if (!strcmp(arg, "auto"))
		o->trap = TRAP_AUTO;
	else if (!strcmp(arg, "notify"))
		o->trap = TRAP_NOTIFY;
	else if (!strcmp(arg, "ptrace"))
		o->trap = TRAP_PTRACE;
	else
		return refuse("--trap \"%s\": there is no such way to trap calls; use notify, ptrace or auto", arg);
	return 0;
}

static int set_numbering(struct options *o, const char *arg)
{
	o->posix_numbers = !strcmp(arg, "posix");
	if (!o->posix_numbers && strcmp(arg, "high"))
		return refuse("--fd-numbering \"%s\": there is no such way to number descriptors; use high or posix", arg);
	return 0;
}

static int set_trace(struct options *o, const char *arg)
{
	const char *value = strchr(arg, '='), *expr = arg;
	char err[256];

	if (value) {
		size_t len = (size_t)(value - arg);
		if (!(len == 5 && !strncmp(arg, "trace", 5)) && !(len == 1 && *arg == 't'))
			return refuse("-e \"%s\": only trace= is known; write -e trace=EXPR", arg);
		expr = value + 1;
	}
	if (log_trace_check(expr, err, sizeof(err)))
		return refuse("-e \"%s\": %s", arg, err);
	o->log.trace = expr;
	return 0;
}

static int set_string_max(struct options *o, const char *arg)
{
	char *end;

	errno = 0;
	unsigned long n = strtoul(arg, &end, 10);
	if (!isdigit((unsigned char)*arg) || *end || errno || n > INT_MAX)
		return refuse("-s \"%s\": this is not a number of bytes; give one from 0 to %d", arg, INT_MAX);
	o->log.string_max = (unsigned)n;
	return 0;
}

static int set_file(const char **file, const char *option, const char *arg)
{
	if (!*arg)
		return refuse("%s \"\": the file has no name; give one", option);
	if (*arg == '|' || *arg == '!')
		return refuse("%s \"%s\": the log cannot go to a command; give a file, e.g. a named pipe", option, arg);
	*file = arg;
	return 0;
}

/* Whether the counts can be written is asked now, not after an hour's run. */
static int set_stats_file(struct options *o, const char *arg)
{
	int r = set_file(&o->log.stats_file, "--stats", arg);

	if (r)
		return r;
	CLEANUP_FREE char *dir = xstrdup(arg);
	char *slash = strrchr(dir, '/');
	if (slash)
		slash[slash == dir] = 0;
	if (access(arg, F_OK) == 0 ? access(arg, W_OK) < 0 : access(slash ? dir : ".", W_OK | X_OK) < 0)
		return refuse("--stats \"%s\": it cannot be written (%s); give another file", arg, strerror(errno));
	return 0;
}

static void set_stamp(struct log_options *log)
{
	if (log->stamp == LOG_TIME)
		log->stamp = LOG_TIME_US;
	else if (log->stamp == LOG_TIME_US || log->stamp == LOG_TIME_EPOCH)
		log->stamp = LOG_TIME_EPOCH;
	else
		log->stamp = LOG_TIME;
}

static int print_and_leave(const char *text)
{
	fputs(text, stdout);
	fflush(stdout);
	return -1;
}

/* The options that take no argument. */
static int set_flag(struct options *o, int opt)
{
	switch (opt) {
	case 't':
		set_stamp(&o->log);
		return 0;
	case 'r':
		o->log.stamp = LOG_TIME_RELATIVE;
		return 0;
	case 'T':
		o->log.spent = true;
		return 0;
	case 'y':
		o->log.show_paths = true;
		return 0;
	case 'q':
		o->log.quiet = true;
		return 0;
	case 'c':
		o->log.counts = true;
		return 0;
	case 'v':
		o->log.verbose = true;
		return 0;
	case 'f':
		return 0;
	case 'V':
	case OPT_VERSION:
		return print_and_leave("remotefs-trace " VERSION "\n");
	default:
		return print_and_leave(help_text);
	}
}

static int set_option(struct options *o, int opt, char **argv)
{
	switch (opt) {
	case OPT_TARGET:
		return set_target(o, optarg);
	case OPT_MOUNT:
		return add_mount(o, optarg);
	case OPT_MODE:
		return set_mode(o, optarg);
	case OPT_TRAP:
		return set_trap(o, optarg);
	case OPT_NUMBERING:
		return set_numbering(o, optarg);
	case OPT_STATS:
		return set_stats_file(o, optarg);
	case 'o':
		return set_file(&o->log.file, "-o", optarg);
	case 'e':
		return set_trace(o, optarg);
	case 's':
		return set_string_max(o, optarg);
	case ':':
		return refuse("%s: its argument is missing; see remotefs-trace --help", argv[optind - 1]);
	case '?':
		/* getopt says in optopt which letter of a bundle it was; 0 or one of OPT_: a long one. */
		if (optopt > 0 && optopt < 256)
			return refuse("-%c: there is no such option; see remotefs-trace --help", optopt);
		return refuse("%s: %s; see remotefs-trace --help", argv[optind - 1],
			      optopt ? "the option takes no value"
				     : "there is no such option, or it has several endings");
	default:
		return set_flag(o, opt);
	}
}

/* What only the whole command line can tell. */
static int check_options(struct options *o)
{
	if (!o->target && !o->mount_count && o->mode != MODE_LOCAL)
		return refuse(
			"no --target and no --mount: nothing would be remote; give one, e.g. --target dir/srv/tree, "
			"or use --mode local");
	for (size_t i = 0; i < o->mount_count; i++) {
		const char *path = o->mounts[i].path;

		if (o->target && !strcmp(path, "/"))
			return refuse("--mount at \"/\": --target is there already; leave one of them out");
		for (size_t j = 0; j < i; j++)
			if (!strcmp(path, o->mounts[j].path))
				return refuse("--mount at \"%s\": given twice; leave one of them out", path);
	}
	if (!o->program_argv[0])
		return refuse("no program to run; put it after the options, e.g. remotefs-trace --target dir/srv/tree "
			      "ls -l /");
	if (!o->program_argv[0][0])
		return refuse("the program's name is empty; put a name after the options");
	return 0;
}

int options_parse(int argc, char **argv, struct options *o)
{
	int opt, r;

	*o = (struct options){.log.string_max = 32};
	opterr = 0;
	optind = 0; /* glibc: start anew, also after another parse */
	while ((opt = getopt_long(argc, argv, short_options, long_options, NULL)) >= 0) {
		r = set_option(o, opt, argv);
		if (r)
			return r;
	}
	o->program_argv = argv + optind;
	return check_options(o);
}

void options_free(struct options *o)
{
	for (size_t i = 0; i < o->mount_count; i++) {
		free(o->mounts[i].path);
		free(o->mounts[i].target);
		free(o->mounts[i].subpath);
	}
	free(o->mounts);
	*o = (struct options){0};
}
