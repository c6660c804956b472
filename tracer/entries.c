#include "entries.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/syscall.h>

#include "inode.h"
#include "upper.h"
#include "util.h"

static int by_bytes(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

int entries_read(int fd, struct entries *n)
{
	int copy = inode_open_dir(fd, ".");
	DIR *d = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *e;

	*n = (struct entries){ 0 };
	if (!d)
		return copy < 0 ? copy : -errno;
	while ((errno = 0, e = readdir(d))) {
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..") || upper_is_reserved(e->d_name))
			continue;
		if (!(n->count & (n->count + 1)))
			n->list = xrealloc(n->list, (2 * n->count + 2) * sizeof(*n->list));
		n->list[n->count++] = xstrdup(e->d_name);
	}
	int rc = -errno;
	closedir(d);
	if (rc)
		entries_free(n);
	else if (n->count)
		qsort(n->list, n->count, sizeof(*n->list), by_bytes);
	return rc;
}

bool entries_contain(const struct entries *n, const char *name)
{
	return n->count && bsearch(&name, n->list, n->count, sizeof(name), by_bytes);
}

void entries_free(struct entries *n)
{
	for (size_t i = 0; i < n->count; i++)
		free(n->list[i]);
	free(n->list);
	*n = (struct entries){ 0 };
}

char *entries_join(const char *dir, const char *name)
{
	char *path;

	if (asprintf(&path, "%s%s%s", dir, *dir && dir[strlen(dir) - 1] != '/' ? "/" : "", name) < 0)
		die("out of memory");
	return path;
}

int entries_open(int top, const char *path, int flags)
{
	struct open_how how = { .flags = (unsigned)(flags | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), .resolve = RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH };

	path += strspn(path, "/");
	long fd = syscall(SYS_openat2, top, *path ? path : ".", &how, sizeof(how));
	return fd < 0 ? -errno : (int)fd;
}
