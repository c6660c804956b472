#include "exe.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util.h"

static struct exe *exes;
static dev_t device; /* of all memfds */

static bool is_same_file(const struct exe *i, const struct mount *m, const rfs_Attr *a)
{
	return i->mount == m && i->attr.ino == a->ino && i->attr.dev_major == a->dev_major && i->attr.dev_minor == a->dev_minor;
}

static bool is_current(const struct exe *i, const rfs_Attr *a)
{
	return i->attr.size == a->size && i->attr.mtime_sec == a->mtime_sec && i->attr.mtime_nsec == a->mtime_nsec &&
	       i->attr.ctime_sec == a->ctime_sec && i->attr.ctime_nsec == a->ctime_nsec;
}

struct exe *exe_find(const struct mount *m, const rfs_Attr *attr)
{
	for (struct exe *i = exes; i; i = i->next)
		if (i->fd >= 0 && is_same_file(i, m, attr) && is_current(i, attr))
			return i;
	return NULL;
}

/* The kernel runs nothing that is open for writing. */
static int reopen_read_only(int fd)
{
	char link[64];

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	int again = open(link, O_RDONLY | O_CLOEXEC);
	return again < 0 ? -errno : again;
}

struct exe *exe_add(const struct mount *m, const char *path, const rfs_Attr *attr, const struct elf_info *info, int fd,
			int *error)
{
	struct stat st;
	int own = fstat(fd, &st) < 0 ? -errno : reopen_read_only(fd);

	*error = own < 0 ? own : 0;
	if (own < 0)
		return NULL;
	struct exe *i = xcalloc(1, sizeof(*i));
	device = st.st_dev;
	i->fd = own;
	i->info = *info;
	i->ino = st.st_ino;
	i->mount = m;
	i->path = xstrdup(path);
	i->attr = *attr;
	for (struct exe *old = exes; old; old = old->next)
		if (is_same_file(old, m, attr))
			close_fd(&old->fd);
	i->next = exes;
	exes = i;
	return i;
}

const struct exe *exe_of(pid_t pid)
{
	char link[64];
	struct stat st;

	if (!exes)
		return NULL;
	snprintf(link, sizeof(link), "/proc/%d/exe", (int)pid);
	if (stat(link, &st) < 0 || st.st_dev != device)
		return NULL;
	for (const struct exe *i = exes; i; i = i->next)
		if (i->ino == st.st_ino)
			return i;
	return NULL;
}
