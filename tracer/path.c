#include "path.h"

#include <errno.h>
#include <string.h>

#include "rules.h"

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

int path_append(char dir[PATH_MAX], const char *name, size_t n)
{
	size_t len = strlen(dir);

	if (len + 1 + n >= PATH_MAX)
		return -ENAMETOOLONG;
	if (len == 1 && *dir == '/')
		len = 0;
	dir[len] = '/';
	memcpy(dir + len + 1, name, n);
	dir[len + 1 + n] = '\0';
	return 0;
}

int path_add_names(const char *dir, const char *names, size_t len, char out[PATH_MAX])
{
	int rc = 0;

	strcpy(out, dir);
	for (size_t i = 0; !rc && i < len;) {
		size_t n = strcspn(names + i, "/");

		if (i + n > len)
			n = len - i;
		if (n)
			rc = n > NAME_MAX ? -ENAMETOOLONG : path_append(out, names + i, n);
		i += n + strspn(names + i + n, "/");
	}
	return rc;
}

size_t path_but_last(const char *names, size_t len)
{
	while (len && names[len - 1] != '/')
		len--;
	while (len && names[len - 1] == '/')
		len--;
	return len;
}

size_t path_plain_names(const char *names)
{
	size_t end = 0, i = 0;

	for (;;) {
		i += strspn(names + i, "/");
		size_t n = strcspn(names + i, "/");

		if (!n || (n == 1 && names[i] == '.') || (n == 2 && !strncmp(names + i, "..", 2)))
			return end;
		i += n;
		end = i;
	}
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

bool path_parent(const char *path, char parent[PATH_MAX])
{
	const char *slash = strrchr(path, '/');

	if (!slash || !path[1])
		return false;
	size_t n = slash == path ? 1 : (size_t)(slash - path);
	if (n >= PATH_MAX)
		return false;
	memcpy(parent, path, n);
	parent[n] = '\0';
	return true;
}
