#include "apart.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "aim.h"
#include "behalf.h"
#include "mem.h"
#include "place.h"
#include "util.h"

static bool is_remote(const struct apart_name *n)
{
	return !n->resolved && n->place->mount;
}

/* The text that is to be looked up, in whatever eyes: 0, or what getname() of fs/namei.c says of it. */
static long name_text(struct call *c, const struct apart_name *n, bool empty_ok, char *text)
{
	if (is_remote(n)) {
		strcpy(text, n->place->path);
		return 0;
	}
	if (!n->resolved && n->place->behalf) {
		strcpy(text, n->place->local);
		return 0;
	}
	ssize_t len = mem_read_string(c->tid, n->addr, text, PATH_MAX);
	return len < 0 ? len : len || empty_ok ? 0 : -ENOENT;
}

/*
 * Where PATH, which the task gave with N, starts, by the kernel's name for that: a descriptor to close, in *START, or none when PATH is
 * absolute. An absolute one is made to mean the task where it means itself. 0 or a negative errno.
 */
static long open_start(struct call *c, const struct apart_name *n, char path[PATH_MAX], int *start)
{
	char link[64];

	behalf_begin(c->tid);
	*start = -1;
	if (*path == '/') {
		place_name_task(c->tid, path);
		return 0;
	}
	if (n->dirfd == AT_FDCWD)
		snprintf(link, sizeof(link), "/proc/%d/cwd", (int)c->tid);
	else
		snprintf(link, sizeof(link), "/proc/%d/fd/%d", (int)c->tid, n->dirfd);
	*start = open(link, O_PATH | O_CLOEXEC);
	return *start >= 0 ? 0 : n->dirfd == AT_FDCWD ? -errno : -EBADF;
}

static long look_local(struct call *c, const struct apart_name *n, const char *text, int at_flags, uint64_t *nlink)
{
	CLEANUP_FD int start = -1;
	char path[PATH_MAX];
	struct stat st;

	snprintf(path, sizeof(path), "%s", text);
	long rc = open_start(c, n, path, &start);
	if (!rc && fstatat(start, path, &st, at_flags) < 0)
		rc = -errno;
	*nlink = rc ? 0 : st.st_nlink;
	return rc;
}

static long look_at(struct call *c, const struct apart_name *n, const char *text, int at_flags, uint64_t *nlink)
{
	if (!is_remote(n))
		return look_local(c, n, text, at_flags, nlink);
	strcpy(n->place->path, text);
	return aim_look(c, n->place, at_flags & AT_SYMLINK_NOFOLLOW, nlink);
}

static long look(struct call *c, const struct apart_name *n, const char *text, int at_flags)
{
	uint64_t nlink;

	return look_at(c, n, text, at_flags, &nlink);
}

/* Cuts TEXT before its last name, and the slashes behind that; the name is copied to LAST. True if slashes were cut. */
static bool split(char *text, char *last)
{
	size_t end = strlen(text), start;
	bool slashes = end && text[end - 1] == '/';

	while (end && text[end - 1] == '/')
		end--;
	for (start = end; start && text[start - 1] != '/';)
		start--;
	memcpy(last, text + start, end - start);
	last[end - start] = '\0';
	/* A name is never shorter than the dot that says: the directory itself. */
	strcpy(text + start, ".");
	return slashes;
}

/* Whether the directory that N is to be in can be found. */
static long parent_error(struct call *c, const struct apart_name *n)
{
	char text[PATH_MAX + 1], last[PATH_MAX];
	long rc = name_text(c, n, false, text);

	if (rc)
		return rc;
	split(text, last);
	return look(c, n, text, 0);
}

/* As filename_create() of fs/namei.c: whether N could be made. */
static long create_error(struct call *c, const struct apart_name *n)
{
	char text[PATH_MAX + 1], last[PATH_MAX];
	uint64_t nlink;
	long rc = name_text(c, n, false, text);

	if (rc)
		return rc;
	bool slashes = split(text, last);
	rc = look_at(c, n, text, 0, &nlink);
	if (rc)
		return rc;
	if (!*last || !strcmp(last, ".") || !strcmp(last, ".."))
		return -EEXIST;
	if (!nlink) /* in a directory that was removed no name is looked for */
		return -ENOENT;
	strcpy(text + strlen(text) - 1, last);
	rc = look(c, n, text, AT_SYMLINK_NOFOLLOW);
	if (rc != -ENOENT)
		return rc ? rc : -EEXIST;
	return slashes ? -ENOENT : 0;
}

/* Whether the file that N names for a link is there. */
static long source_error(struct call *c, const struct apart_name *n, int at_flags)
{
	char text[PATH_MAX + 1];
	long rc = name_text(c, n, at_flags & AT_EMPTY_PATH, text);

	return rc ? rc : look(c, n, text, (at_flags & AT_EMPTY_PATH) | (at_flags & AT_SYMLINK_FOLLOW ? 0 : AT_SYMLINK_NOFOLLOW));
}

long apart_refused(struct call *c, const struct apart_name *old, const struct apart_name *new, int at_flags)
{
	long rc = 0;

	if (old->resolved && old->resolved != CALL_CONTINUE)
		return old->resolved;
	if (!new->resolved || new->resolved == CALL_CONTINUE)
		return 0;
	/* A local name that nobody has looked at yet. */
	if (!is_remote(old))
		rc = at_flags == APART_RENAME ? parent_error(c, old) : source_error(c, old, at_flags);
	return rc ? rc : new->resolved;
}

long apart_rename(struct call *c, const struct apart_name *from, const struct apart_name *to)
{
	long rc = parent_error(c, from);

	rc = rc ? rc : parent_error(c, to);
	return rc ? rc : -EXDEV;
}

long apart_link(struct call *c, const struct apart_name *from, const struct apart_name *to, int at_flags)
{
	long rc = source_error(c, from, at_flags);

	rc = rc ? rc : create_error(c, to);
	return rc ? rc : -EXDEV;
}

long apart_rename_here(struct call *c, const struct apart_name *from, const struct apart_name *to, unsigned flags)
{
	CLEANUP_FD int start = -1, end = -1;
	char old[PATH_MAX + 1], new[PATH_MAX + 1];
	long rc = name_text(c, from, false, old);

	rc = rc ? rc : name_text(c, to, false, new);
	rc = rc ? rc : open_start(c, from, old, &start);
	rc = rc ? rc : open_start(c, to, new, &end);
	return rc ? rc : renameat2(start, old, end, new, flags) < 0 ? -errno : 0;
}

long apart_link_here(struct call *c, const struct apart_name *from, const struct apart_name *to, int at_flags)
{
	CLEANUP_FD int start = -1, end = -1;
	char old[PATH_MAX + 1], new[PATH_MAX + 1];
	long rc = name_text(c, from, at_flags & AT_EMPTY_PATH, old);

	rc = rc ? rc : name_text(c, to, false, new);
	rc = rc ? rc : open_start(c, from, old, &start);
	rc = rc ? rc : open_start(c, to, new, &end);
	return rc ? rc : linkat(start, old, end, new, at_flags) < 0 ? -errno : 0;
}
