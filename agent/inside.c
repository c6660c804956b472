#include "inside.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "procfile.h"

#define ANCESTORS_MAX 64

/* A root, and in which mount namespace, if that may be known. */
struct place {
	dev_t dev;
	ino_t ino;
	char ns[64];
};

static bool place_of(int proc, const char *process, struct place *p)
{
	char name[64];
	struct stat st;
	ssize_t n;

	snprintf(name, sizeof(name), "%s/root/", process);
	if (fstatat(proc, name, &st, 0) < 0)
		return false;
	*p = (struct place){ .dev = st.st_dev, .ino = st.st_ino };
	snprintf(name, sizeof(name), "%s/ns/mnt", process);
	n = readlinkat(proc, name, p->ns, sizeof(p->ns) - 1);
	p->ns[n < 0 ? 0 : n] = '\0';
	return true;
}

static bool same_place(const struct place *a, const struct place *b)
{
	return a->dev == b->dev && a->ino == b->ino && (!*a->ns || !*b->ns || !strcmp(a->ns, b->ns));
}

static bool is_ancestor(int proc, const struct procfile_stat *self, pid_t pid)
{
	struct procfile_stat s = *self;
	char name[16];

	for (int i = 0; i < ANCESTORS_MAX && s.parent > 0; i++) {
		if (s.parent == pid)
			return true;
		snprintf(name, sizeof(name), "%d", (int)s.parent);
		if (procfile_stat(proc, name, &s))
			break;
	}
	return false;
}

/* Process 1 is everybody's ancestor, and of who was orphaned the parent. A session 0 is one of another namespace. */
static bool came_with(int proc, const struct procfile_stat *self, const char *name, pid_t pid)
{
	struct procfile_stat s;

	if (pid == self->pid)
		return true;
	if (pid == 1)
		return false;
	return procfile_stat(proc, name, &s) || (s.session && s.session == self->session) || is_ancestor(proc, self, pid);
}

pid_t inside_main(int proc)
{
	struct procfile_stat self;
	struct place ours, theirs;
	struct dirent *e;
	pid_t best = 0;
	DIR *d;

	if (procfile_stat(proc, "self", &self) || self.pid == 1 || !place_of(proc, "self", &ours))
		return 0;
	d = fdopendir(openat(proc, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	while (d && (e = readdir(d))) {
		char *end;
		long pid = strtol(e->d_name, &end, 10);

		if (pid <= 0 || *end || (best && pid >= best))
			continue;
		if (place_of(proc, e->d_name, &theirs) && same_place(&ours, &theirs) &&
		    !came_with(proc, &self, e->d_name, (pid_t)pid))
			best = (pid_t)pid;
	}
	if (d)
		closedir(d);
	return best;
}
