/* remotefs-agent: options and set-up. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <malloc.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "channel.h"
#include "handle.h"
#include "observe.h"
#include "ops.h"
#include "process.h"
#include "resolve.h"
#include "serve.h"

#define EXIT_USAGE 2
#define EXIT_OWN 125

struct options {
	const char *root;
	pid_t process; /* whose root it is, and whose rights are taken; 0: of none */
	bool stdio, read_only, openat2;
};

static const char usage_text[] =
	"Usage: remotefs-agent --stdio {--root PATH | --process PID} [--read-only]\n"
	"Serves the tree below PATH on stdin and stdout to remotefs-trace.\n"
	"\n"
	"  --stdio       speak the protocol on stdin and stdout\n"
	"  --root PATH   the directory that is served; nothing outside it can be reached\n"
	"  --process PID serve the root of that process, with its rights, and tell its environment\n"
	"  --read-only   refuse every change, as a read-only mount does\n"
	"  --help        show this text\n"
	"  --version     show the version\n";

void agent_say(const char *fmt, ...)
{
	char line[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	dprintf(STDERR_FILENO, "remotefs-agent: %s\n", line);
}

static _Noreturn void usage(const char *why)
{
	agent_say("%s; see remotefs-agent --help", why);
	exit(EXIT_USAGE);
}

static pid_t parse_pid(const char *text)
{
	char *end;
	long pid = strtol(text, &end, 10);

	if (*end || pid <= 0 || pid > INT_MAX)
		usage("--process needs the number of a process");
	return (pid_t)pid;
}

static void parse(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {
		{ "stdio", no_argument, NULL, 's' },
		{ "root", required_argument, NULL, 'r' },
		{ "process", required_argument, NULL, 'p' },
		{ "read-only", no_argument, NULL, 'o' },
		{ "no-openat2", no_argument, NULL, 'w' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'v' },
		{ NULL, 0, NULL, 0 },
	};
	char why[256];
	int c;

	opterr = 0;
	while ((c = getopt_long(argc, argv, ":", longs, NULL)) != -1) {
		if (c == 's') {
			o->stdio = true;
		} else if (c == 'r') {
			o->root = optarg;
		} else if (c == 'p') {
			o->process = parse_pid(optarg);
		} else if (c == 'o') {
			o->read_only = true;
		} else if (c == 'w') {
			o->openat2 = false;
		} else if (c == 'h') {
			fputs(usage_text, stdout);
			exit(0);
		} else if (c == 'v') {
			puts("remotefs-agent " VERSION);
			exit(0);
		} else {
			snprintf(why, sizeof(why), c == ':' ? "option %s needs a value" : "unknown option %s",
				 argv[optind - 1]);
			usage(why);
		}
	}
	if (optind < argc)
		usage("there are no arguments besides the options");
	if (!o->stdio)
		usage("--stdio is needed: it is the only way to be reached");
	if (!o->root == !o->process)
		usage("either --root PATH or --process PID is needed");
}

static _Noreturn void die(const char *what, int error)
{
	agent_say("%s: %s", what, strerror(-error));
	exit(EXIT_OWN);
}

/* A file that got number 2 would receive our messages. */
static void open_missing_stderr(void)
{
	int fd;

	if (fcntl(STDIN_FILENO, F_GETFD) < 0 || fcntl(STDOUT_FILENO, F_GETFD) < 0)
		exit(EXIT_OWN);
	if (fcntl(STDERR_FILENO, F_GETFD) < 0) {
		fd = open("/dev/null", O_WRONLY);
		if (fd != STDERR_FILENO)
			exit(EXIT_OWN);
	}
}

static void raise_limits(void)
{
	struct rlimit l;

	if (!getrlimit(RLIMIT_NOFILE, &l)) {
		l.rlim_cur = l.rlim_max;
		setrlimit(RLIMIT_NOFILE, &l);
	}
}

/* It lives as long as its stream: a key pressed for the program at the terminal is not for it. */
static void ignore_signals(void)
{
	static const int ignored[] = { SIGPIPE, SIGXFSZ, SIGINT, SIGQUIT, SIGTSTP };
	size_t i;

	for (i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		signal(ignored[i], SIG_IGN);
}

/* What a process has is opened before its rights are taken, which need not be enough for that. */
static void open_process(struct agent *a, pid_t pid)
{
	struct process p;
	char who[96];
	const char *what;
	int rc = process_become(pid, &p, &what);

	if (rc) {
		snprintf(who, sizeof(who), "process %d: %s", (int)pid, what);
		die(who, rc);
	}
	a->root.fd = p.root;
	a->environ = p.environ;
}

static void open_tree(struct agent *a, const struct options *o)
{
	struct root *root = &a->root;

	a->environ = -1;
	if (o->process)
		open_process(a, o->process);
	else
		root->fd = open(o->root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root->fd < 0)
		die(o->root, -errno);
	root->read_only = o->read_only;
	resolve_probe(root, o->openat2);
}

int main(int argc, char **argv)
{
	static struct agent a;
	struct options o = { .openat2 = true };
	int r;

	parse(argc, argv, &o);
	open_missing_stderr();
	ignore_signals();
	raise_limits();
	umask(0);
	/* One request's megabyte is reused by the next one instead of being mapped anew. */
	mallopt(M_MMAP_THRESHOLD, 4 << 20);
	mallopt(M_ARENA_MAX, 4);
	open_tree(&a, &o);
	a.handles = handles_new();
	a.locks = locks_new();
	a.channels = channels_new(a.handles);
	a.watcher = watch_new(&a.root);
	a.observer = observe_new();
	if (!a.handles || !a.locks || !a.channels || !a.watcher || !a.observer)
		die("start", -ENOMEM);
	r = serve(&a, STDIN_FILENO, STDOUT_FILENO);
	die("start", r);
}
