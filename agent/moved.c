/* What a Rename or Link does to open files, for another agent that has to find them by their paths (reopen.c). */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "attr.h"
#include "handle.h"
#include "ops.h"
#include "resolve.h"
#include "ticket.h"

/* The path below the root of LAST in DIR, without slashes behind it. */
static bool moved_path(const struct root *root, int dir, const char *last, char *path)
{
	size_t len = strlen(last), at;

	while (len && last[len - 1] == '/')
		len--;
	if (resolve_path_of(root, dir, path))
		return false;
	at = strcmp(path, "/") ? strlen(path) : 0;
	return (size_t)snprintf(path + at, PATH_MAX - at, "/%.*s", (int)len, last) < PATH_MAX - at;
}

static bool is_below(const char *path, const char *top)
{
	size_t len = strlen(top);

	return !strncmp(path, top, len) && (!path[len] || path[len] == '/');
}

static void moved_push(const struct agent *a, uint64_t handle, int fd, const char *path)
{
	rfs_Push push = { .which_event = rfs_Push_moved_tag, .event.moved.handle = handle };
	rfs_Moved *moved = &push.event.moved;
	rfs_Ticket t;
	rfs_Attr attr;

	if (attr_of(fd, &attr))
		return;
	ticket_make(&a->root, fd, &attr, path, &t);
	moved->ticket.size = ticket_encode(&t, moved->ticket.bytes);
	a->push(a->push_to, &push);
}

/* PATH was made. What was open without a name, or under one that was removed, has that one now. */
static void moved_one(const struct agent *a, const struct handle *h, const char *path, bool below)
{
	char now[PATH_MAX];
	bool named = !resolve_path_of(&a->root, h->fd, now);

	if (!below || (named && is_below(now, path)))
		moved_push(a, h->number, h->fd, named ? now : path);
}

void moved_tell(struct op *op, int dir, const char *last)
{
	struct agent *a = op->agent;
	struct handle **list = NULL;
	char path[PATH_MAX];
	struct stat st;
	size_t count;

	if (!a->tickets || fstatat(dir, last, &st, AT_SYMLINK_NOFOLLOW))
		return;
	count = handles_of(a->handles, st.st_dev, S_ISDIR(st.st_mode) ? 0 : st.st_ino, &list);
	if (count && moved_path(&a->root, dir, last, path))
		for (size_t i = 0; i < count; i++)
			moved_one(a, list[i], path, S_ISDIR(st.st_mode));
	for (size_t i = 0; i < count; i++)
		handle_put(a->handles, list[i]);
	free(list);
}
