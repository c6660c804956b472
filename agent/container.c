#include "container.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "container_int.h"
#include "docker.h"

#define ID_MAX 253
#define PREFIX_MIN 12

static const char *const sockets[] = {
	"/run/docker.sock",
	"/var/run/docker.sock",
	"/host/run/docker.sock",
	"/host/var/run/docker.sock",
	"/run/podman/podman.sock",
	"/host/run/podman/podman.sock",
};

bool search_matches(const struct search *s, const char *name)
{
	return s->prefix ? !strncmp(name, s->id, strlen(s->id)) && name[strspn(name, "0123456789abcdef")] == '\0'
			 : !strcmp(name, s->id);
}

void search_found(struct search *s, pid_t pid, const char *where)
{
	if (s->pid && s->pid != pid)
		s->ambiguous = true;
	if (s->pid)
		return;
	s->pid = pid;
	snprintf(s->where, sizeof(s->where), "%s", where);
}

/* What every runtime allows; nothing that could lead elsewhere in a path or a URL. */
static bool is_id(const char *id)
{
	size_t n = strlen(id);

	return n && n <= ID_MAX && isalnum((unsigned char)*id) &&
	       n == strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-");
}

/*
 * Asks at one socket. ASKED tells what came of it, for a message. A process that does not know of the container is one
 * of another machine: Docker may run in a virtual one. True if there is nothing more to look for.
 */
static bool ask_docker(struct search *s, const char *socket, char *asked, size_t asked_len)
{
	char whole[ID_MAX + 1];
	int rc = docker_pid(socket, s->id, whole, sizeof(whole));

	if (rc == -ENOENT && access(socket, F_OK) < 0)
		return false;
	if (rc > 0 && container_has(s->proc, rc, whole)) {
		search_found(s, rc, socket);
		return true;
	}
	s->stopped = rc == -ESRCH;
	snprintf(asked, asked_len, "%s: %s", socket,
		 rc > 0         ? "its process is not one of this machine" :
		 rc == -ENOENT  ? "no such container" :
		 rc == -EBADMSG ? "the answer is not understood" :
				  strerror(-rc));
	return s->stopped;
}

static bool in_docker(struct search *s, char *asked, size_t asked_len)
{
	const char *host = getenv("DOCKER_HOST");
	char path[PATH_MAX];

	if (host && !strncmp(host, "unix://", 7) && ask_docker(s, host + 7, asked, asked_len))
		return true;
	for (size_t i = 0; i < sizeof(sockets) / sizeof(sockets[0]); i++) {
		snprintf(path, sizeof(path), "%s%s", s->root, sockets[i]);
		if (ask_docker(s, path, asked, asked_len))
			return true;
	}
	return false;
}

static void explain(const struct search *s, const char *asked, char *err, size_t err_len)
{
	if (s->ambiguous)
		snprintf(err, err_len, "more than one container is called so");
	else if (s->stopped)
		snprintf(err, err_len, "it does not run");
	else
		snprintf(err, err_len,
			 "not found: asked Docker (%s); looked into the state of containerd, CRI-O, Podman, runc and crun in "
			 "/run, and into /proc/*/cgroup%s%s",
			 asked, *s->denied ? "; may not read " : "", s->denied);
}

pid_t container_find(const char *root, const char *id, char *how, size_t how_len, char *err, size_t err_len)
{
	const char *scheme = strstr(id, "://");
	struct search s = { .root = root, .id = scheme ? scheme + 3 : id };
	char path[PATH_MAX], asked[256] = "there is no socket";

	if (!is_id(s.id)) {
		snprintf(err, err_len, "this is not the ID of a container");
		return 0;
	}
	s.prefix = strlen(s.id) >= PREFIX_MIN && !s.id[strspn(s.id, "0123456789abcdef")];
	snprintf(path, sizeof(path), "%s/proc", root);
	s.proc = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (!in_docker(&s, asked, sizeof(asked))) {
		container_in_state(&s);
		if (!s.pid)
			container_in_cgroups(&s);
	}
	close(s.proc);
	if (s.pid && !s.ambiguous) {
		snprintf(how, how_len, "%s", s.where);
		return s.pid;
	}
	explain(&s, asked, err, err_len);
	return 0;
}
