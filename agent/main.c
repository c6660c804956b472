/* remotefs-agent: options and set-up. */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "confine.h"
#include "container.h"
#include "keeper.h"
#include "listen.h"
#include "options.h"
#include "process.h"
#include "resolve.h"
#include "self.h"
#include "serve.h"

void agent_say(const char *fmt, ...)
{
	char line[1536];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	dprintf(STDERR_FILENO, "remotefs-agent: %s\n", line);
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
	static const int ignored[] = { SIGPIPE, SIGXFSZ, SIGINT, SIGQUIT, SIGTSTP, SIGHUP };
	size_t i;

	for (i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		signal(ignored[i], SIG_IGN);
}

/* Ends us if RC is an error: "WHO: WHAT: the error". */
static void must_become(int rc, const char *who, const char *what)
{
	char text[512];

	if (!rc)
		return;
	snprintf(text, sizeof(text), "%s%s%s", who, *who ? ": " : "", what);
	die(text, rc);
}

static void open_process(struct process *p, const struct options *o, pid_t pid, const char *who)
{
	const char *what;
	int rc = process_become(pid, &o->as, p, &what);

	must_become(rc, who, what);
}

static void open_container(struct process *p, const struct options *o)
{
	char how[256], text[1024];
	pid_t pid = container_find("", o->container, how, sizeof(how), text, sizeof(text));

	if (!pid) {
		agent_say("container %s: %s", o->container, text);
		exit(EXIT_OWN);
	}
	snprintf(text, sizeof(text), "container %s: process %d (from %s)", o->container, (int)pid, how);
	open_process(p, o, pid, text);
}

/* What there is of a process is opened before its rights are taken, which need not be enough for that. */
static struct process open_whose(const struct options *o)
{
	struct process p = { -1, -1 };
	const char *what = "";
	char who[64];
	int rc = 0;

	if (o->process) {
		snprintf(who, sizeof(who), "process %d", (int)o->process);
		open_process(&p, o, o->process, who);
	} else if (o->container) {
		open_container(&p, o);
	} else if (o->inside) {
		rc = process_inside(&o->as, &p, &what);
	} else {
		p.root = open(o->root, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (p.root < 0)
			die(o->root, -errno);
		if (o->as.given)
			rc = process_as(&o->as, &what);
	}
	must_become(rc, "", what);
	return p;
}

static void open_tree(struct agent *a, const struct options *o)
{
	struct process p = open_whose(o);

	a->environ = p.environ;
	a->root.fd = p.root;
	a->root.read_only = o->read_only;
	resolve_probe(&a->root, o->openat2);
}

/* One line that a client looks for which is reached through something that may say more. */
static void announce(const char *nonce)
{
	if (nonce && dprintf(STDOUT_FILENO, "RFS-%s ok\n", nonce) < 0)
		die("announce", -errno);
}

static _Noreturn void hold(unsigned int seconds)
{
	int rc = self_hold(seconds);

	if (rc)
		die("/proc/self/exe", rc);
	exit(0);
}

/* Without a token there is nothing to listen for. */
static void start_listening(const struct options *o, struct auth_token *token)
{
	char err[512];
	int rc = auth_token_take(o->token_file, token, err, sizeof(err));

	if (rc == -ENOKEY)
		options_usage("--listen needs a token that its clients know: --token-file FILE, or " AUTH_ENV " in the environment");
	if (!rc)
		rc = listen_open(o->listen, &listener, err, sizeof(err));
	if (!rc)
		return;
	agent_say("%s", err);
	exit(rc == -EINVAL ? EXIT_USAGE : EXIT_OWN);
}

static _Noreturn void serve_stream(struct agent *a, int in, int out)
{
	int rc = confine();

	if (rc)
		die("what is not needed cannot be given up", rc);
	die("start", serve(a, in, out));
}

int main(int argc, char **argv)
{
	static struct agent a;
	static struct auth_token token;
	struct options o;

	options_parse(argc, argv, &o);
	keeper_title_at(argc, argv);
	if (o.unlink)
		self_unlink();
	if (o.hold)
		hold(o.hold);
	open_missing_fds(o.stdio);
	a.patience = o.patience;
	if (o.listen)
		start_listening(&o, &token);
	else
		ignore_signals();
	raise_limits();
	umask(0);
	/* One request's megabyte is reused by the next one instead of being mapped anew. */
	mallopt(M_MMAP_THRESHOLD, 4 << 20);
	mallopt(M_ARENA_MAX, 4);
	self_serving();
	open_tree(&a, &o);
	if (o.stdio) {
		announce(o.announce);
		serve_stream(&a, STDIN_FILENO, STDOUT_FILENO);
	}
	int fd = listen_wait(&listener, &token);
	ignore_signals();
	serve_stream(&a, fd, fd);
}
