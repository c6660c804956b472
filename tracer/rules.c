#include "rules.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util.h"

static struct mount **mounts;
static size_t mount_count;
static struct local_path {
	char *path;
	enum rules_for programs;
} *local_paths;
static size_t local_count;

const char *mount_tag(const struct mount *m)
{
	return m ? m->tag : "local";
}

void mount_waits(const struct mount *m, int by)
{
	struct mount *own = (struct mount *)m;

	/* A mount is constant to its users, but for this. */
	if (atomic_fetch_add(&own->waiting, (unsigned)by) == 0 || by < 0)
		atomic_store(&own->progress, now_ns());
}

uint64_t mount_silence(const struct mount *m)
{
	return atomic_load(&m->waiting) ? now_ns() - atomic_load(&m->progress) : 0;
}

struct mount *rules_add_mount(const char *at, const char *sub, const char *tag)
{
	struct mount *m = xcalloc(1, sizeof(*m));

	m->at = xstrdup(at);
	m->sub = xstrdup(sub);
	m->tag = xstrdup(tag);
	mounts = xrealloc(mounts, (mount_count + 1) * sizeof(*mounts));
	mounts[mount_count++] = m;
	return m;
}

struct mount *const *rules_mounts(size_t *count)
{
	*count = mount_count;
	return mounts;
}

void rules_keep_local(const char *path, enum rules_for programs)
{
	local_paths = xrealloc(local_paths, (local_count + 1) * sizeof(*local_paths));
	local_paths[local_count++] = (struct local_path){ .path = xstrdup(path), .programs = programs };
}

/* The length of the longest entry that covers PATH for a REMOTE program or a local one, -1 when none does. */
static long longest_local(const char *path, bool remote)
{
	long best = -1;

	for (size_t i = 0; i < local_count; i++) {
		const struct local_path *l = &local_paths[i];

		if ((l->programs == FOR_ALL || !remote) && path_within(path, l->path) && (long)strlen(l->path) > best)
			best = (long)strlen(l->path);
	}
	return best;
}

const struct mount *rules_find(const char *path, bool remote)
{
	const struct mount *found = NULL;
	long best = -1;

	for (size_t i = 0; i < mount_count; i++) {
		if (path_within(path, mounts[i]->at) && (long)strlen(mounts[i]->at) > best) {
			found = mounts[i];
			best = (long)strlen(mounts[i]->at);
		}
	}
	/* A mount named below a local path wins: --mount /dev/data=… */
	return found && longest_local(path, remote) > best ? NULL : found;
}

int path_normalise(const char *path, char *out, size_t len)
{
	size_t n = 0;

	while (*path) {
		size_t part = strcspn(path, "/");

		if (part == 2 && !memcmp(path, "..", 2)) {
			while (n && out[--n] != '/')
				;
		} else if (part && !(part == 1 && *path == '.')) {
			if (n + part + 2 > len)
				return -ENAMETOOLONG;
			out[n++] = '/';
			memcpy(out + n, path, part);
			n += part;
		}
		path += part;
		path += strspn(path, "/");
	}
	if (!n)
		out[n++] = '/';
	out[n] = '\0';
	return 0;
}

int path_join(const char *dir, const char *rel, char *out, size_t len)
{
	size_t n = strlen(dir);
	bool slash = n && dir[n - 1] != '/' && *rel && *rel != '/';

	if (n + slash + strlen(rel) + 1 > len)
		return -ENAMETOOLONG;
	memmove(out, dir, n);
	if (slash)
		out[n++] = '/';
	strcpy(out + n, rel);
	return 0;
}

bool path_within(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	if (n == 1)
		return true;
	return !strncmp(path, dir, n) && (path[n] == '/' || path[n] == '\0');
}

static int path_rebase(const char *path, const char *from, const char *to, char *out, size_t len)
{
	const char *rest;

	/* The name of an open file need not be a path any more. */
	if (*path != '/' || !path_within(path, from))
		return -ENOENT;
	rest = path + (from[1] ? strlen(from) : 1);
	rest += strspn(rest, "/");
	return path_join(to, rest, out, len);
}

int path_to_target(const struct mount *m, const char *path, char *out, size_t len)
{
	return path_rebase(path, m->at, m->sub, out, len);
}

int path_to_program(const struct mount *m, const char *path, char *out, size_t len)
{
	return path_rebase(path, m->sub, m->at, out, len);
}
