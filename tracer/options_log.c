/* What is logged, and how: -o, -e and the other letters of strace, and --stats. */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "options.h"
#include "util.h"

static int set_trace(struct log_options *log, const char *arg)
{
	const char *value = strchr(arg, '='), *expr = arg;
	char err[256];

	if (value) {
		size_t len = (size_t)(value - arg);
		if (!(len == 5 && !strncmp(arg, "trace", 5)) && !(len == 1 && *arg == 't'))
			return options_refuse("-e \"%s\": only trace= is known; write -e trace=EXPR", arg);
		expr = value + 1;
	}
	if (log_trace_check(expr, err, sizeof(err)))
		return options_refuse("-e \"%s\": %s", arg, err);
	log->trace = expr;
	return 0;
}

static int set_string_max(struct log_options *log, const char *arg)
{
	if (options_number(arg, INT_MAX, &log->string_max))
		return 0;
	return options_refuse("-s \"%s\": this is not a number of bytes; give one from 0 to %d", arg, INT_MAX);
}

static int set_file(const char **file, const char *option, const char *arg)
{
	if (!*arg)
		return options_refuse("%s \"\": the file has no name; give one", option);
	if (*arg == '|' || *arg == '!')
		return options_refuse("%s \"%s\": the log cannot go to a command; give a file, e.g. a named pipe", option, arg);
	*file = arg;
	return 0;
}

int options_set_stats(struct log_options *log, const char *arg)
{
	int r = set_file(&log->stats_file, "--stats", arg);

	if (r)
		return r;
	/* Whether the counts can be written is asked now, not after an hour's run. */
	CLEANUP_FREE char *dir = xstrdup(arg);
	char *slash = strrchr(dir, '/');
	if (slash)
		slash[slash == dir] = 0;
	if (access(arg, F_OK) == 0 ? access(arg, W_OK) < 0 : access(slash ? dir : ".", W_OK | X_OK) < 0)
		return options_refuse("--stats \"%s\": it cannot be written (%s); give another file", arg, strerror(errno));
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

int options_set_log(struct log_options *log, char letter, const char *arg)
{
	switch (letter) {
	case 'o':
		return set_file(&log->file, "-o", arg);
	case 'e':
		return set_trace(log, arg);
	case 's':
		return set_string_max(log, arg);
	case 't':
		set_stamp(log);
		break;
	case 'r':
		log->stamp = LOG_TIME_RELATIVE;
		break;
	}
	log->spent |= letter == 'T';
	log->show_paths |= letter == 'y';
	log->quiet |= letter == 'q';
	log->counts |= letter == 'c';
	log->verbose |= letter == 'v';
	return 0;
}
