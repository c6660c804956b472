#include "target.h"

#include <ctype.h>
#include <errno.h>
#include <libgen.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "address.h"

#define AGENT_NAME "remotefs-agent"

int target_fail(int code, char *err, size_t err_len, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	vsnprintf(err, err_len, format, args);
	va_end(args);
	return code;
}

/* ---- names ---- */

/* What a name begins with. Of a resource of a cluster also what kubectl calls it. */
static const struct prefix {
	const char *text;
	enum target_kind kind;
	const char *resource;
} prefixes[] = {
	{ "dir/", TARGET_DIR, NULL },
	{ "pid/", TARGET_PID, NULL },
	{ "container/", TARGET_CONTAINER, NULL },
	{ "exec:", TARGET_EXEC, NULL },
	{ "docker/", TARGET_DOCKER, NULL },
	{ "podman/", TARGET_PODMAN, NULL },
	{ "ssh/", TARGET_SSH, NULL },
	{ "unix:", TARGET_UNIX, NULL },
	{ "tcp:", TARGET_TCP, NULL },
	{ "pod/", TARGET_KUBE, "pod" },
	{ "pods/", TARGET_KUBE, "pod" },
	{ "po/", TARGET_KUBE, "pod" },
	{ "deployment/", TARGET_KUBE, "deployment" },
	{ "deployments/", TARGET_KUBE, "deployment" },
	{ "deploy/", TARGET_KUBE, "deployment" },
	{ "statefulset/", TARGET_KUBE, "statefulset" },
	{ "statefulsets/", TARGET_KUBE, "statefulset" },
	{ "sts/", TARGET_KUBE, "statefulset" },
	{ "daemonset/", TARGET_KUBE, "daemonset" },
	{ "daemonsets/", TARGET_KUBE, "daemonset" },
	{ "ds/", TARGET_KUBE, "daemonset" },
	{ "replicaset/", TARGET_KUBE, "replicaset" },
	{ "replicasets/", TARGET_KUBE, "replicaset" },
	{ "rs/", TARGET_KUBE, "replicaset" },
	{ "job/", TARGET_KUBE, "job" },
	{ "jobs/", TARGET_KUBE, "job" },
	{ "cronjob/", TARGET_KUBE, "cronjob" },
	{ "cronjobs/", TARGET_KUBE, "cronjob" },
	{ "cj/", TARGET_KUBE, "cronjob" },
	{ "service/", TARGET_KUBE, "service" },
	{ "services/", TARGET_KUBE, "service" },
	{ "svc/", TARGET_KUBE, "service" },
	{ "label/", TARGET_KUBE, "label" },
};

static const struct prefix *find_prefix(const char *text)
{
	for (size_t i = 0; i < sizeof(prefixes) / sizeof(*prefixes); i++)
		if (!strncmp(text, prefixes[i].text, strlen(prefixes[i].text)))
			return &prefixes[i];
	return NULL;
}

static bool is_number(const char *text)
{
	return isdigit((unsigned char)*text) && !text[strspn(text, "0123456789")] && strlen(text) <= 9 && atoi(text);
}

/* NAME[/container/CONTAINER], of which kubectl is to see no options. */
static int parse_resource(struct target *t, const char *text, char *err, size_t err_len)
{
	char *container = strstr(t->name, "/container/");

	if (container) {
		*container = '\0';
		container += strlen("/container/");
		if (snprintf(t->container, sizeof(t->container), "%s", container) >= (int)sizeof(t->container))
			t->container[0] = '-';
	}
	/* A label's key may have a slash. */
	bool label = !strcmp(t->resource, "label");
	if (!*t->name || *t->name == '-' || (!label && strchr(t->name, '/')))
		return target_fail(-EINVAL, err, err_len, "the target \"%s\" names no %s: %s/NAME[/container/NAME] does", text, t->resource,
				   t->resource);
	if (container && (!*t->container || *t->container == '-' || strchr(t->container, '/')))
		return target_fail(-EINVAL, err, err_len, "the target \"%s\" names no container: %s/NAME/container/NAME does", text,
				   t->resource);
	if (label && !strchr(t->name, '='))
		return target_fail(-EINVAL, err, err_len, "the target \"%s\" names no label: label/KEY=VALUE[,KEY=VALUE]... does", text);
	return 0;
}

/* [USER@]HOST[:PORT], HOST perhaps in brackets. */
static int parse_host(struct target *t, const char *text, char *err, size_t err_len)
{
	char *colon = strrchr(t->name, ':'), *bracket = strrchr(t->name, ']');

	if (colon && colon > bracket && (bracket || strchr(t->name, ':') == colon)) {
		if (!is_number(colon + 1) || atoi(colon + 1) > 65535)
			return target_fail(-EINVAL, err, err_len, "the target \"%s\" has no port behind the colon: ssh/[USER@]HOST[:PORT] has",
					   text);
		snprintf(t->port, sizeof(t->port), "%.7s", colon + 1);
		*colon = '\0';
	}
	char *at = strrchr(t->name, '@'), *host = at ? at + 1 : t->name;
	size_t n = strlen(host);
	if (*host == '[' && host[n - 1] == ']') {
		memmove(host, host + 1, n - 2);
		host[n - 2] = '\0';
	}
	if (!*host || *t->name == '-' || t->name[strcspn(t->name, " \t\n/")])
		return target_fail(-EINVAL, err, err_len, "the target \"%s\" names no host: ssh/[USER@]HOST[:PORT] does", text);
	return 0;
}

static int parse_container(const struct target *t, const char *text, char *err, size_t err_len)
{
	if (*t->name && *t->name != '-' && !strpbrk(t->name, " \t\n"))
		return 0;
	return target_fail(-EINVAL, err, err_len, "the target \"%s\" names no container: write its name or id behind the slash", text);
}

static int parse_address(const char *text, char *err, size_t err_len)
{
	struct address a;
	int rc = address_parse(text, &a, err, err_len);

	if (!rc && !a.is_unix && !a.port)
		rc = target_fail(-EINVAL, err, err_len, "the address \"%s\" has port 0, which nobody can be reached at", text);
	return rc;
}

static int parse_rest(struct target *t, const char *text, char *err, size_t err_len)
{
	const char *name = t->name;

	switch (t->kind) {
	case TARGET_DIR:
		return *name ? 0 : target_fail(-EINVAL, err, err_len, "the target \"%s\" names no directory: dir/PATH does, dir// for all of this machine", text);
	case TARGET_PID:
		return is_number(name) ? 0 : target_fail(-EINVAL, err, err_len, "the target \"%s\" names no process: pid/N does, with its "
							 "number", text);
	case TARGET_EXEC:
		return name[strspn(name, " \t\n")] ? 0 : target_fail(-EINVAL, err, err_len, "the target \"%s\" has no command: exec:COMMAND has",
								    text);
	case TARGET_KUBE:
		return parse_resource(t, text, err, err_len);
	case TARGET_SSH:
		return parse_host(t, text, err, err_len);
	case TARGET_UNIX:
	case TARGET_TCP:
		snprintf(t->name, sizeof(t->name), "%s", text);
		return parse_address(text, err, err_len);
	default:
		return parse_container(t, text, err, err_len);
	}
}

int target_parse(const char *text, struct target *t, char *err, size_t err_len)
{
	const struct prefix *p = find_prefix(text);

	*t = (struct target){ 0 };
	if (!p)
		return target_fail(-EINVAL, err, err_len,
				   "\"%s\" is not a target: pod/NAME and its kin, docker/NAME, podman/NAME, container/ID, ssh/HOST, "
				   "unix:PATH, tcp:HOST:PORT, pid/N, dir/PATH and exec:COMMAND are; see remotefs-trace --help", text);
	t->kind = p->kind;
	t->resource = p->resource;
	if (snprintf(t->name, sizeof(t->name), "%s", text + strlen(p->text)) >= (int)sizeof(t->name))
		return target_fail(-EINVAL, err, err_len, "the target's name is too long");
	return parse_rest(t, text, err, err_len);
}

int target_check(const char *text, char *err, size_t err_len)
{
	struct target t;

	return target_parse(text, &t, err, err_len);
}

char *target_find_subpath(char *text)
{
	char *start = text, *found = NULL;

	while (islower((unsigned char)*start))
		start++;
	start = *start == ':' ? start + 1 : text;
	/* The ID of a container may have its runtime before it: container/docker://ID. */
	for (char *p = strstr(start, ":/"); p; p = strstr(p + 1, ":/"))
		if (p[2] != '/')
			found = p;
	return found;
}

bool target_lacks_process(const char *text)
{
	const struct prefix *p = find_prefix(text);

	return p && (p->kind == TARGET_DIR || p->kind == TARGET_SSH);
}

/* ---- directories ---- */

/* Makes TRIED absolute and free of symlinks in PATH (PATH_MAX bytes). 0 if it is a directory. */
static int dir_try(const char *tried, char *path)
{
	struct stat st;
	if (!realpath(tried, path) || stat(path, &st) < 0)
		return -errno;
	return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
}

/* dir/srv is ./srv where that exists and else /srv; dir//srv is /srv. TRIED has room for the second one. */
static int dir_resolve(const char *named, char *path, char *tried, size_t tried_len)
{
	int first = dir_try(named, path);
	snprintf(tried, tried_len, "%s", named);
	if (!first || named[0] == '/')
		return first;
	char absolute[PATH_MAX];
	int len = snprintf(absolute, sizeof(absolute), "/%s", named);
	int second = len < (int)sizeof(absolute) ? dir_try(absolute, path) : -ENAMETOOLONG;
	if (second && first != -ENOENT)
		return first;
	if (second && second != -ENOENT)
		snprintf(tried, tried_len, "%s", absolute);
	return second;
}

int target_find_dir(const char *named, char *path, char *err, size_t err_len)
{
	char tried[PATH_MAX];
	int rc = dir_resolve(named, path, tried, sizeof(tried));
	if (rc == -ENOENT && named[0] != '/')
		return target_fail(rc, err, err_len, "there is no directory \"%s\" here and no \"/%s\"", named, named);
	if (rc == -ENOENT)
		return target_fail(rc, err, err_len, "there is no directory \"%s\"", named);
	if (rc == -ENOTDIR)
		return target_fail(rc, err, err_len, "\"%s\" is not a directory", tried);
	if (rc)
		return target_fail(rc, err, err_len, "the directory \"%s\" cannot be used: %s", tried, strerror(-rc));
	return 0;
}

/* The base name of the program that COMMAND runs, as far as that shows: "A=1 exec /x/ssh host" is "ssh". */
static void exec_tag(const char *command, char *tag, size_t len)
{
	size_t n;
	for (;; command += n) {
		command += strspn(command, " \t\n");
		n = strcspn(command, " \t\n");
		bool assignment = memchr(command, '=', n) != NULL;
		if (!n || (!assignment && !(n == 4 && strncmp(command, "exec", n) == 0)))
			break;
	}
	const char *base = command;
	for (const char *p = command; p < command + n; p++)
		if (*p == '/')
			base = p + 1;
	snprintf(tag, len, "exec:%.*s", (int)(command + n - base), base);
}

void target_tag(const char *text, char *tag, size_t len)
{
	const struct prefix *p = find_prefix(text);
	const char *rest = p ? text + strlen(p->text) : text;
	char path[PATH_MAX], tried[PATH_MAX];

	if (p && p->kind == TARGET_DIR)
		snprintf(tag, len, "dir:%s", dir_resolve(rest, path, tried, sizeof(tried)) == 0 ? path : rest);
	else if (p && p->kind == TARGET_PID)
		snprintf(tag, len, "pid:%s", rest);
	else if (p && p->kind == TARGET_EXEC)
		exec_tag(rest, tag, len);
	else
		snprintf(tag, len, "%s", text);
}

void target_absolute(const char *text, char *absolute, size_t len)
{
	const struct prefix *p = find_prefix(text);
	char path[PATH_MAX], tried[PATH_MAX];

	if (p && p->kind == TARGET_DIR && dir_resolve(text + strlen(p->text), path, tried, sizeof(tried)) == 0)
		snprintf(absolute, len, "dir/%s", path);
	else
		snprintf(absolute, len, "%s", text);
}

/* ---- the agent ---- */

int target_find_agent(const char *machine, char *path, size_t len, char *err, size_t err_len)
{
	char self[PATH_MAX], name[64], beside[PATH_MAX + sizeof(name) + 1] = "", installed[PATH_MAX];
	struct utsname here;
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (!machine || (uname(&here) == 0 && !strcmp(here.machine, machine)))
		snprintf(name, sizeof(name), AGENT_NAME);
	else
		snprintf(name, sizeof(name), AGENT_NAME "-%.32s", machine);
	if (n > 0) {
		self[n] = '\0';
		snprintf(beside, sizeof(beside), "%s/%s", dirname(self), name);
	}
	snprintf(installed, sizeof(installed), LIBEXECDIR "/%s", name);
	const char *places[] = { beside, installed };
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		if (access(places[i], X_OK) == 0 && (size_t)snprintf(path, len, "%s", places[i]) < len)
			return 0;
	return target_fail(-ENOENT, err, err_len, "the agent program is missing: it is neither \"%s\" nor \"%s\"", places[0], places[1]);
}
