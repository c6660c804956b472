/* Agents that serve BASE, as processes. */
#ifndef AGENT_PROCESS_H
#define AGENT_PROCESS_H

#include "test_agent.h"

#include <dirent.h>

static char base[64];

/* What the file /proc/PID/NAME has in it, as text; "" if there is no such process. */
static inline const char *proc_text(pid_t pid, const char *file, char *text, size_t len)
{
	char path[64];
	ssize_t n = 0;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
	fd = open(path, O_RDONLY);
	if (fd >= 0) {
		n = read(fd, text, len - 1);
		close(fd);
	}
	text[n > 0 ? n : 0] = '\0';
	for (ssize_t i = 0; i < n; i++)
		if (!text[i])
			text[i] = ' ';
	return text;
}

static inline pid_t parent_of(pid_t pid)
{
	char text[512], *at = strrchr(proc_text(pid, "stat", text, sizeof(text)), ')');
	int parent = 0;

	return at && sscanf(at, ") %*c %d", &parent) == 1 ? parent : 0;
}

/* The process that has the files of BASE: a keeper's child. 0: none. */
static inline pid_t agent_find(void)
{
	DIR *d = opendir("/proc");
	const struct dirent *e;
	pid_t found = 0;

	while ((e = readdir(d))) {
		char text[512];
		pid_t pid = atoi(e->d_name);

		if (pid > 0 && strstr(proc_text(pid, "cmdline", text, sizeof(text)), base) &&
		    strstr(proc_text(parent_of(pid), "cmdline", text, sizeof(text)), "remotefs-agent: keeper"))
			found = pid;
	}
	closedir(d);
	return found;
}

static inline pid_t agent_await(pid_t old)
{
	pid_t pid = 0;

	for (int i = 0; i < 5000 && (!pid || pid == old); i++) {
		pid = agent_find();
		if (!pid || pid == old)
			usleep(1000);
	}
	assert_true(pid && pid != old);
	return pid;
}

/* The session is over: nobody has its files any more. */
static inline void agent_gone(void)
{
	for (int i = 0; i < 10000 && agent_find(); i++)
		usleep(1000);
	assert_int_equal(agent_find(), 0);
}

#endif
