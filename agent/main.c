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
#include "listen.h"
#include "observe.h"
#include "ops.h"
#include "process.h"
#include "resolve.h"
#include "serve.h"

#define EXIT_USAGE 2
#define EXIT_OWN 125

struct options {
	const char *root, *listen, *token_file;
	pid_t process; /* whose root it is, and whose rights are taken; 0: of none */
	bool stdio, read_only, openat2;
};

static const char usage_text[] =
	"Usage: remotefs-agent --stdio {--root PATH | --process PID} [--read-only]\n"
	"       remotefs-agent --listen ADDRESS {--root PATH | --process PID} [--token-file FILE] [--read-only]\n"
	"Serves the tree below PATH to remotefs-trace.\n"
	"\n"
	"  --stdio            speak the protocol on stdin and stdout\n"
	"  --listen ADDRESS   serve whoever connects to unix:PATH or tcp:HOST:PORT and knows the token\n"
	"  --token-file FILE  the token is in FILE; without it, in the environment variable REMOTEFS_TOKEN\n"
	"  --root PATH        the directory that is served; nothing outside it can be reached\n"
	"  --process PID      serve the root of that process, with its rights, and tell its environment\n"
	"  --read-only        refuse every change, as a read-only mount does\n"
	"  --help             show this text\n"
	"  --version          show the version\n";

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

static void check(const struct options *o, bool arguments)
{
	if (arguments)
		usage("there are no arguments besides the options");
	if (o->stdio == !!o->listen)
		usage("either --stdio or --listen ADDRESS is needed");
	if (o->token_file && !o->listen)
		usage("--token-file is for --listen");
	if (!o->root == !o->process)
		usage("either --root PATH or --process PID is needed");
}

static void parse(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {
		{ "stdio", no_argument, NULL, 's' },
		{ "listen", required_argument, NULL, 'l' },
		{ "token-file", required_argument, NULL, 't' },
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
		} else if (c == 'l') {
			o->listen = optarg;
		} else if (c == 't') {
			o->token_file = optarg;
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
	check(o, optind < argc);
}

/* Where clients come from; of no use with --stdio. */
static struct listener listener;

static _Noreturn void die(const char *what, int error)
{
	agent_say("%s: %s", what, strerror(-error));
	listen_remove(&listener);
	exit(EXIT_OWN);
}

/* A file that got number 2 would receive our messages. Of the others only a stream can do without. */
static void open_missing_fds(bool stdio)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 && ((stdio && fd != STDERR_FILENO) || open("/dev/null", O_RDWR) != fd))
			exit(EXIT_OWN);
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

/* Without a token there is nothing to listen for. */
static void start_listening(const struct options *o, struct auth_token *token)
{
	char err[512];
	int rc = auth_token_take(o->token_file, token, err, sizeof(err));

	if (rc == -ENOKEY)
		usage("--listen needs a token that its clients know: --token-file FILE, or " AUTH_ENV " in the environment");
	if (!rc)
		rc = listen_open(o->listen, &listener, err, sizeof(err));
	if (!rc)
		return;
	agent_say("%s", err);
	exit(rc == -EINVAL ? EXIT_USAGE : EXIT_OWN);
}

static _Noreturn void serve_stream(struct agent *a, int in, int out)
{
	a->handles = handles_new();
	a->locks = locks_new();
	a->channels = channels_new(a->handles);
	a->watcher = watch_new(&a->root);
	a->observer = observe_new();
	if (!a->handles || !a->locks || !a->channels || !a->watcher || !a->observer)
		die("start", -ENOMEM);
	die("start", serve(a, in, out));
}

int main(int argc, char **argv)
{
	static struct agent a;
	static struct auth_token token;
	struct options o = { .openat2 = true };

	parse(argc, argv, &o);
	open_missing_fds(o.stdio);
	if (o.listen)
		start_listening(&o, &token);
	else
		ignore_signals();
	raise_limits();
	umask(0);
	/* One request's megabyte is reused by the next one instead of being mapped anew. */
	mallopt(M_MMAP_THRESHOLD, 4 << 20);
	mallopt(M_ARENA_MAX, 4);
	open_tree(&a, &o);
	if (o.stdio)
		serve_stream(&a, STDIN_FILENO, STDOUT_FILENO);
	int fd = listen_wait(&listener, &token);
	ignore_signals();
	serve_stream(&a, fd, fd);
}
