#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "container_int.h"
#include "procfile.h"

/* Everybody who was executed in a container is in its group, and the first of it is 1 in the innermost pid namespace. */
struct candidate {
	pid_t pid;
	bool first;
	unsigned int depth; /* of pid namespaces: a container inside a container is in the outer one's group, too */
	char name[256];     /* of its group */
};

static bool better(const struct candidate *a, const struct candidate *b)
{
	if (!b->pid || a->first != b->first)
		return !b->pid || a->first;
	return a->depth != b->depth ? a->depth < b->depth : a->pid < b->pid;
}

/*
 * PART of a group's path is an ID, or one with a word before and ".scope" behind it, as docker-ID.scope, libpod-ID,
 * cri-containerd:ID. The monitors of Podman and CRI-O have groups of their own. Leaves the ID in PART.
 */
static bool is_group_of(const struct search *s, char *part)
{
	size_t n = strlen(part);
	char *word;

	if (search_matches(s, part))
		return true;
	if (n > 6 && !strcmp(part + n - 6, ".scope"))
		part[n -= 6] = '\0';
	for (word = part + n; word > part && isxdigit((unsigned char)word[-1]);)
		word--;
	if (word == part || !strchr("-:", word[-1]) || strstr(part, "conmon"))
		return false;
	memmove(part, word, strlen(word) + 1);
	return s->prefix && search_matches(s, part);
}

/* In which group of TEXT, a "cgroup" of proc(5), the container is; its ID goes to NAME. */
static bool group_of(const struct search *s, char *text, char *name, size_t name_len)
{
	char *line, *part, *lines, *parts;

	for (line = strtok_r(text, "\n", &lines); line; line = strtok_r(NULL, "\n", &lines)) {
		line = strchr(line, ':');
		line = line ? strchr(line + 1, ':') : NULL;
		for (part = line ? strtok_r(line + 1, "/", &parts) : NULL; part; part = strtok_r(NULL, "/", &parts)) {
			/* What is no number could be the name of a group of groups. */
			if (is_group_of(s, part) && (s->prefix || !*parts)) {
				snprintf(name, name_len, "%s", part);
				return true;
			}
		}
	}
	return false;
}

static void read_depth(const struct search *s, struct candidate *c)
{
	char name[32], *text, *end;
	const char *p;

	snprintf(name, sizeof(name), "%d/status", (int)c->pid);
	text = procfile_read(s->proc, name);
	for (p = procfile_field(text, "NSpid"); p; p = end) {
		unsigned long number = strtoul(p, &end, 10);

		if (end == p || memchr(p, '\n', (size_t)(end - p)))
			break;
		c->first = number == 1;
		c->depth++;
	}
	free(text);
}

static bool read_candidate(const struct search *s, const char *process, struct candidate *c)
{
	char name[280], *text, *end;
	long pid = strtol(process, &end, 10);
	bool found;

	if (pid <= 0 || *end)
		return false;
	snprintf(name, sizeof(name), "%s/cgroup", process);
	text = procfile_read(s->proc, name);
	*c = (struct candidate){ .pid = (pid_t)pid };
	found = text && group_of(s, text, c->name, sizeof(c->name));
	free(text);
	if (found)
		read_depth(s, c);
	return found;
}

void container_in_cgroups(struct search *s)
{
	int fd = openat(s->proc, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct candidate best = { .pid = 0 }, c;
	struct dirent *e;
	char where[64];

	while (d && (e = readdir(d))) {
		if (!read_candidate(s, e->d_name, &c))
			continue;
		if (best.pid && strcmp(best.name, c.name))
			s->ambiguous = true;
		if (better(&c, &best))
			best = c;
	}
	if (d)
		closedir(d);
	snprintf(where, sizeof(where), "/proc/%d/cgroup", (int)best.pid);
	if (best.pid)
		search_found(s, best.pid, where);
}

bool container_has(int proc, pid_t pid, const char *id)
{
	static const char *const names[] = { "cgroup", "mountinfo" };
	char name[32], *text;
	bool found = false;

	for (size_t i = 0; i < 2 && !found; i++) {
		snprintf(name, sizeof(name), "%d/%s", (int)pid, names[i]);
		text = procfile_read(proc, name);
		found = text && strstr(text, id);
		free(text);
	}
	return found;
}
