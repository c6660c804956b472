#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "container_int.h"
#include "json.h"
#include "procfile.h"

#define SLACK 2 /* seconds that a process may be younger than the file with its number, as clocks are corrected */

static const char *const runs[] = { "/run", "/var/run", "/var/snap/microk8s/common/run", "/host/run", "/host/var/run" };

/* Below a directory of RUNS. "@" is the container's ID, and "*" as for a shell. */
static const char *const files[] = {
	"/containerd/io.containerd.runtime.v2.task/*/@/init.pid",
	"/docker/containerd/daemon/io.containerd.runtime.v2.task/*/@/init.pid",
	"/k3s/containerd/io.containerd.runtime.v2.task/*/@/init.pid",
	"/k0s/containerd/io.containerd.runtime.v2.task/*/@/init.pid",
	"/containerd/io.containerd.runtime.v1.linux/*/@/init.pid",
	"/containers/storage/*-containers/@/userdata/pidfile",
	"/user/*/containers/*-containers/@/userdata/pidfile",
	"/runc/@/state.json",
	"/crun/@/status",
	"/user/*/runc/@/state.json",
	"/user/*/crun/@/status",
	NULL,
};

/* Below a user's own directory for such things. */
static const char *const own_files[] = {
	"/containers/*-containers/@/userdata/pidfile",
	"/runc/@/state.json",
	"/crun/@/status",
	NULL,
};

/* When a process began that began at TICKS after boot. */
static time_t began(unsigned long long ticks)
{
	struct timespec up;

	clock_gettime(CLOCK_BOOTTIME, &up);
	return time(NULL) - up.tv_sec + (time_t)(ticks / (unsigned long long)sysconf(_SC_CLK_TCK));
}

/* State outlives containers now and then, and their numbers are given out again: START (ticks; 0: not known) tells. */
static bool still_is(const struct search *s, pid_t pid, unsigned long long start, const struct stat *file)
{
	struct procfile_stat p;
	char name[16];

	snprintf(name, sizeof(name), "%d", (int)pid);
	if (pid <= 0 || procfile_stat(s->proc, name, &p))
		return false;
	return start ? p.start == start : began(p.start) <= file->st_mtime + SLACK;
}

static void look(struct search *s, const char *path)
{
	const char *base = strrchr(path, '/');
	char *text = procfile_read(AT_FDCWD, path);
	long long pid = 0, start = 0;
	struct stat st;

	if (!text && errno == EACCES)
		snprintf(s->denied, sizeof(s->denied), "%s", path);
	if (!text || stat(path, &st) < 0) {
		free(text);
		return;
	}
	if (!strcmp(base, "/state.json")) {
		json_number(json_member(text, "init_process_pid"), &pid);
		json_number(json_member(text, "init_process_start"), &start);
	} else if (!strcmp(base, "/status")) {
		json_number(json_member(text, "pid"), &pid);
		json_number(json_member(text, "process-start-time"), &start);
	} else {
		pid = strtol(text, NULL, 10);
	}
	if (pid <= INT_MAX && still_is(s, (pid_t)pid, (unsigned long long)start, &st))
		search_found(s, (pid_t)pid, path);
	free(text);
}

static void walk(struct search *s, char *path, const char *rest);

/* PATH/NAME, and on from there. */
static void walk_into(struct search *s, char *path, const char *name, const char *rest)
{
	size_t len = strlen(path);

	if ((size_t)snprintf(path + len, PATH_MAX - len, "/%s", name) < PATH_MAX - len)
		walk(s, path, rest);
	path[len] = '\0';
}

static void walk_matching(struct search *s, char *path, const char *pattern, const char *rest)
{
	bool is_id = !strcmp(pattern, "@");
	DIR *d = opendir(path);
	struct dirent *e;

	if (!d && errno == EACCES) {
		snprintf(s->denied, sizeof(s->denied), "%s", path);
		if (is_id)
			walk_into(s, path, s->id, rest);
	}
	while (d && (e = readdir(d)))
		if (*e->d_name != '.' && (is_id ? search_matches(s, e->d_name) : !fnmatch(pattern, e->d_name, 0)))
			walk_into(s, path, e->d_name, rest);
	if (d)
		closedir(d);
}

/* PATH, a buffer of PATH_MAX bytes, exists so far; REST of the pattern leads on. */
static void walk(struct search *s, char *path, const char *rest)
{
	char part[NAME_MAX + 1];
	size_t n;

	if (!*rest) {
		look(s, path);
		return;
	}
	n = strcspn(rest + 1, "/");
	snprintf(part, sizeof(part), "%.*s", (int)n, rest + 1);
	rest += 1 + n;
	if (strpbrk(part, "*@"))
		walk_matching(s, path, part, rest);
	else
		walk_into(s, path, part, rest);
}

static void walk_all(struct search *s, const char *root, const char *dir, const char *const *patterns)
{
	char path[PATH_MAX];

	for (; *patterns && !s->pid; patterns++) {
		snprintf(path, sizeof(path), "%s%s", root, dir);
		walk(s, path, *patterns);
	}
}

void container_in_state(struct search *s)
{
	const char *own = getenv("XDG_RUNTIME_DIR");

	for (size_t i = 0; i < sizeof(runs) / sizeof(runs[0]) && !s->pid; i++)
		walk_all(s, s->root, runs[i], files);
	if (own && *own == '/')
		walk_all(s, s->root, own, own_files);
}
