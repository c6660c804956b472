/*
 * escape [--no-openat2] [--uid UID] [--seconds N] AGENT: tries to get out of the root of AGENT, a remotefs-agent, in every way that is
 * known; prints PASS, FAIL and SKIP lines. An agent that does get out changes and removes what is there. So root does this only in a
 * mount namespace in which everything is read-only but a tmpfs; anybody else has a directory of his own below /tmp; and nothing is
 * begun before it is shown that neither can change the machine.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "escape.h"

static int failures;
static char name[64];

static void say(const char *verdict, const char *format, va_list args)
{
	printf("%s escape, %s: ", verdict, name);
	vprintf(format, args);
	printf("\n");
	fflush(stdout);
}

#define SAYS(word, verdict)                   \
	void word(const char *format, ...)    \
	{                                     \
		va_list args;                 \
                                              \
		va_start(args, format);       \
		say(verdict, format, args);   \
		va_end(args);                 \
		failures += *verdict == 'F';  \
	}
SAYS(pass, "PASS")
SAYS(fail, "FAIL")
SAYS(skip, "SKIP")

void must(long rc, const char *what)
{
	if (rc >= 0)
		return;
	fail("the test itself: %s: %s", what, strerror(errno));
	exit(1);
}

void shell(const char *format, ...)
{
	char command[4096];
	va_list args;

	va_start(args, format);
	vsnprintf(command, sizeof(command), format, args);
	va_end(args);
	must(system(command) ? -1 : 0, command);
}

static void parse(int argc, char **argv, struct agent_how *how, unsigned *seconds)
{
	static const struct option longs[] = {
		{ "no-openat2", no_argument, NULL, 'w' }, { "uid", required_argument, NULL, 'u' }, { "seconds", required_argument, NULL, 's' }, { 0 }
	};
	int c;

	*how = (struct agent_how){ .uid = geteuid() };
	*seconds = 2;
	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		if (c == '?')
			exit(2);
		how->walk |= c == 'w';
		how->uid = c == 'u' ? (uid_t)atoi(optarg) : how->uid;
		*seconds = c == 's' ? (unsigned)atoi(optarg) : *seconds;
	}
	snprintf(name, sizeof(name), "%s, uid %u", how->walk ? "walk" : "openat2", how->uid);
	must(optind + 1 == argc ? 0 : -1, "usage");
	how->binary = argv[optind];
}

/* False: there is nothing more to be done here, with *STATUS. Without namespaces root becomes the other user wholly. */
static bool enter(const struct agent_how *how, const char *dir, int *status)
{
	char why[128];

	if (geteuid())
		return true;
	switch (seal_enter(dir, status, why)) {
	case SEAL_INSIDE:
		return true;
	case SEAL_OUTSIDE:
		rmdir(dir);
		return false;
	case SEAL_NONE:
		break;
	}
	*status = 0;
	if (!how->uid) {
		skip("all (missing: %s)", why);
		rmdir(dir);
		return false;
	}
	must(chown(dir, how->uid, how->uid), dir);
	client_become(how->uid);
	return true;
}

/* Where it was built it need not be readable for the user whose it will be. */
static void copy_agent(int from, const char *path)
{
	int to = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
	ssize_t n;

	must(to, path);
	while ((n = sendfile(to, from, NULL, 1 << 20)) > 0)
		;
	must(n, path);
	close(to);
	close(from);
}

static void try_all(const struct agent_how *how, const char *outside, unsigned seconds)
{
	outside_make(outside);
	try_paths(how);
	try_mounts(how);
	try_handles(how);
	try_race(how, seconds);
}

int main(int argc, char **argv)
{
	char dir[] = "/tmp/rfs-escape.XXXXXX", root[64], outside[64], binary[64];
	struct agent_how how;
	unsigned seconds;
	int status = 0;

	parse(argc, argv, &how, &seconds);
	int agent = open(how.binary, O_RDONLY | O_CLOEXEC);
	must(agent, how.binary);
	must(mkdtemp(dir) ? 0 : -1, dir);
	umask(022);
	if (!enter(&how, dir, &status))
		return status;
	seal_prove(dir);
	must(chmod(dir, 0755) ? -1 : chdir(dir), dir);
	snprintf(root, sizeof(root), "%s/tree", dir);
	snprintf(outside, sizeof(outside), "%s/outside", dir);
	snprintf(binary, sizeof(binary), "%s/agent", dir);
	copy_agent(agent, binary);
	must(mkdir("tree", 0777) ? -1 : mkdir("tree/proc", 0755), "tree");
	if (!seal_proc("tree/proc"))
		rmdir("tree/proc");
	how.root = root;
	how.binary = binary;
	try_all(&how, outside, seconds);
	/* What is on the tmpfs goes with its namespace. */
	if (geteuid())
		shell("cd / && rm -rf %s", dir);
	return failures > 0;
}
