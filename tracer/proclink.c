#include "proclink.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exe.h"
#include "ofd.h"

/* Copies the next name of PATH, "" at its end or for one that is none of ours. What follows it is returned. */
static const char *next(const char *path, char name[32])
{
	size_t n;

	do {
		path += strspn(path, "/");
		n = strcspn(path, "/");
		if (n != 1 || *path != '.')
			break;
		path += n;
	} while (*path);
	snprintf(name, 32, "%.*s", n < 32 ? (int)n : 0, path);
	return path + n;
}

/* A number as /proc writes it, or -1. */
static int number(const char *name)
{
	return *name && strlen(name) < 10 && strspn(name, "0123456789") == strlen(name) ? atoi(name) : -1;
}

static const char *in_dev(const char *path, pid_t tid, char link[64])
{
	static const char *const standard[] = { "stdin", "stdout", "stderr" };
	char name[32];
	int fd = -1;

	path = next(path, name);
	for (int i = 0; i < 3; i++)
		if (!strcmp(name, standard[i]))
			fd = i;
	if (!strcmp(name, "fd")) {
		path = next(path, name);
		fd = number(name);
	}
	snprintf(link, 64, "/proc/%d/fd/%d", (int)tid, fd);
	return fd < 0 ? NULL : path;
}

static const char *in_proc(const char *path, pid_t tid, char link[64])
{
	char name[32];
	int pid;

	path = next(path, name);
	pid = !strcmp(name, "self") || !strcmp(name, "thread-self") ? tid : number(name);
	path = next(path, name);
	if (!strcmp(name, "task")) {
		path = next(path, name);
		pid = number(name);
		path = next(path, name);
	}
	if (pid < 0)
		return NULL;
	snprintf(link, 64, "/proc/%d/%s", pid, name);
	if (!strcmp(name, "cwd") || !strcmp(name, "exe"))
		return path;
	if (strcmp(name, "fd"))
		return NULL;
	path = next(path, name);
	snprintf(link, 64, "/proc/%d/fd/%d", pid, number(name));
	return number(name) < 0 ? NULL : path;
}

/* What follows the link that RAW begins with, whose own name for us is LINK; NULL when it is none. */
static const char *parse(pid_t tid, const char *raw, char link[64])
{
	char name[32];
	const char *path = next(raw, name);

	if (!strcmp(name, "proc"))
		return in_proc(path, tid, link);
	return strcmp(name, "dev") ? NULL : in_dev(path, tid, link);
}

struct ofd *proclink_find(pid_t tid, const char *raw, const char **rest)
{
	char link[64];

	*rest = parse(tid, raw, link);
	return *rest ? ofd_by_proc(link) : NULL;
}

const struct exe *proclink_exe(pid_t tid, const char *raw)
{
	char link[64];
	const char *rest = parse(tid, raw, link);
	int pid, end = 0;

	return rest && !*rest && sscanf(link, "/proc/%d/exe%n", &pid, &end) == 1 && end ? exe_of(pid) : NULL;
}
