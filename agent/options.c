#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent.h"

#define NONCE_MAX 64

static const char usage_text[] =
	"Usage: remotefs-agent --stdio {--root PATH | --process PID | --container ID | --inside} [--as UID[:GID]]\n"
	"                      [--read-only] [--announce NONCE] [--unlink] [--patience SECONDS]\n"
	"       remotefs-agent --listen ADDRESS {--root PATH | --process PID | --container ID} [--as UID[:GID]]\n"
	"                      [--token-file FILE] [--read-only] [--patience SECONDS]\n"
	"       remotefs-agent --hold SECONDS\n"
	"Serves the tree below PATH to remotefs-trace.\n"
	"\n"
	"  --stdio          speak the protocol on stdin and stdout\n"
	"  --listen ADDRESS serve whoever connects to unix:PATH or tcp:HOST:PORT and knows the token\n"
	"  --token-file FILE\n"
	"                   the token is in FILE; without it, in the environment variable REMOTEFS_TOKEN\n"
	"  --root PATH      the directory that is served; nothing outside it can be reached\n"
	"  --process PID    serve the root of that process, with its rights, and tell its environment\n"
	"  --container ID   the same for the process of a container on this machine\n"
	"  --inside         serve our own root, that of a container, with the rights of its main process\n"
	"  --as UID[:GID]   with these numbers for user and group, and no others\n"
	"  --read-only      refuse every change, as a read-only mount does\n"
	"  --announce NONCE write the line \"RFS-NONCE ok\" before anything else\n"
	"  --unlink         remove this executable file at once\n"
	"  --patience SECONDS\n"
	"                   end when a client has said nothing for so long\n"
	"  --hold SECONDS   do nothing until no agent of this file has been serving for so long\n"
	"  --help           show this text\n"
	"  --version        show the version\n";

_Noreturn void options_usage(const char *why)
{
	agent_say("%s; see remotefs-agent --help", why);
	exit(EXIT_USAGE);
}

/* A decimal number at TEXT of at most MAX, with END behind it; else WHY. */
static unsigned long parse_number(const char *text, unsigned long max, const char **end, const char *why)
{
	char *e;
	unsigned long n;

	errno = 0;
	n = strtoul(text, &e, 10);
	if (*text < '0' || *text > '9' || errno || n > max)
		options_usage(why);
	*end = e;
	return n;
}

static unsigned int parse_positive(const char *text, const char *why)
{
	const char *end;
	unsigned long n = parse_number(text, INT_MAX, &end, why);

	if (*end || !n)
		options_usage(why);
	return (unsigned int)n;
}

/* The largest number is -1, which means nobody. */
static struct identity parse_as(const char *text)
{
	static const char why[] = "--as needs UID or UID:GID, as numbers";
	struct identity as = { .given = true };
	const char *end;

	as.uid = as.gid = (uid_t)parse_number(text, UINT_MAX - 1, &end, why);
	if (*end == ':')
		as.gid = (gid_t)parse_number(end + 1, UINT_MAX - 1, &end, why);
	if (*end)
		options_usage(why);
	return as;
}

static const char *parse_nonce(const char *text)
{
	size_t n = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789");

	if (text[n] || !n || n > NONCE_MAX)
		options_usage("--announce needs up to 64 letters and digits");
	return text;
}

static void show(const char *text)
{
	fputs(text, stdout);
	exit(0);
}

static void parse_one(int c, const char *value, struct options *o)
{
	if (c == 's')
		o->stdio = true;
	else if (c == 'l')
		o->listen = value;
	else if (c == 't')
		o->token_file = value;
	else if (c == 'r')
		o->root = value;
	else if (c == 'p')
		o->process = (pid_t)parse_positive(value, "--process needs the number of a process");
	else if (c == 'c')
		o->container = value;
	else if (c == 'i')
		o->inside = true;
	else if (c == 'a')
		o->as = parse_as(value);
	else if (c == 'n')
		o->announce = parse_nonce(value);
	else if (c == 'u')
		o->unlink = true;
	else if (c == 'e')
		o->patience = parse_positive(value, "--patience needs a number of seconds");
	else if (c == 'd')
		o->hold = parse_positive(value, "--hold needs a number of seconds");
	else if (c == 'o')
		o->read_only = true;
	else if (c == 'w')
		o->openat2 = false;
	else if (c == 'h')
		show(usage_text);
	else if (c == 'v')
		show("remotefs-agent " VERSION "\n");
}

static void check(const struct options *o)
{
	int trees = !!o->root + !!o->process + !!o->container + o->inside;

	if (o->hold && (o->stdio || o->listen || trees || o->as.given || o->announce || o->unlink || o->read_only || o->patience))
		options_usage("--hold serves nothing: no other option goes with it");
	if (o->hold)
		return;
	if (o->stdio == !!o->listen)
		options_usage("either --stdio or --listen ADDRESS is needed");
	if (o->token_file && !o->listen)
		options_usage("--token-file is for --listen");
	if (trees != 1)
		options_usage("one of --root PATH, --process PID, --container ID and --inside is needed");
}

void options_parse(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {
		{ "stdio", no_argument, NULL, 's' },
		{ "listen", required_argument, NULL, 'l' },
		{ "token-file", required_argument, NULL, 't' },
		{ "root", required_argument, NULL, 'r' },
		{ "process", required_argument, NULL, 'p' },
		{ "container", required_argument, NULL, 'c' },
		{ "inside", no_argument, NULL, 'i' },
		{ "as", required_argument, NULL, 'a' },
		{ "announce", required_argument, NULL, 'n' },
		{ "unlink", no_argument, NULL, 'u' },
		{ "patience", required_argument, NULL, 'e' },
		{ "hold", required_argument, NULL, 'd' },
		{ "read-only", no_argument, NULL, 'o' },
		{ "no-openat2", no_argument, NULL, 'w' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'v' },
		{ NULL, 0, NULL, 0 },
	};
	char why[256];
	int c;

	*o = (struct options){ .openat2 = true };
	opterr = 0;
	while ((c = getopt_long(argc, argv, ":", longs, NULL)) != -1) {
		if (c == ':' || c == '?') {
			snprintf(why, sizeof(why), c == ':' ? "option %s needs a value" : "unknown option %s",
				 argv[optind - 1]);
			options_usage(why);
		}
		parse_one(c, optarg, o);
	}
	if (optind < argc)
		options_usage("there are no arguments besides the options");
	check(o);
}
