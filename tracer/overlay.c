#include "overlay.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "call.h"
#include "inomap.h"
#include "ofd.h"
#include "rules.h"
#include "state.h"
#include "upper.h"
#include "util.h"

/* Inodes made here have numbers that none of the target's has: no file system counts that far. */
#define UPPER_BIT (UINT64_C(1) << 62)
#define TEMPORARY "remotefs-overlay-"

static struct overlay **overlays;
static size_t overlay_count;

/* ---- making and removing ---- */

static const char *temporary_root(void)
{
	const char *tmp = getenv("TMPDIR");

	/* /tmp may be memory, and whole files are copied. */
	return tmp && *tmp == '/' ? tmp : "/var/tmp";
}

static void remove_tree(int at, const char *name)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0 && errno == EACCES && !fchmodat(at, name, 0700, 0))
		fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	if (d)
		fchmod(fd, 0700);
	for (struct dirent *e; d && (e = readdir(d));)
		if (strcmp(e->d_name, ".") && strcmp(e->d_name, "..") && unlinkat(fd, e->d_name, 0) < 0)
			remove_tree(fd, e->d_name);
	if (d)
		closedir(d);
	unlinkat(at, name, AT_REMOVEDIR);
}

/* What runs that were killed have left behind: nobody has its lock. */
static void sweep(const char *root)
{
	DIR *d = opendir(root);
	struct stat st;

	for (struct dirent *e; d && (e = readdir(d));) {
		if (strncmp(e->d_name, TEMPORARY, sizeof(TEMPORARY) - 1) || fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		    st.st_uid != geteuid() || !S_ISDIR(st.st_mode))
			continue;
		CLEANUP_FD int fd = openat(dirfd(d), e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		/* One without info is just being made. */
		if (fd >= 0 && !faccessat(fd, "info", F_OK, 0) && !flock(fd, LOCK_EX | LOCK_NB))
			remove_tree(dirfd(d), e->d_name);
	}
	if (d)
		closedir(d);
}

static char *make_temporary(char *err, size_t err_len)
{
	char path[PATH_MAX];

	sweep(temporary_root());
	snprintf(path, sizeof(path), "%s/" TEMPORARY "XXXXXX", temporary_root());
	if (mkdtemp(path))
		return xstrdup(path);
	snprintf(err, err_len, "no directory for what is written can be made: %s: %s (set TMPDIR, or give --overlay-dir)", path,
		 strerror(errno));
	return NULL;
}

static bool open_parts(struct overlay *ov)
{
	const int flags = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	int inodes = openat(ov->dir_fd, "inodes", O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);

	ov->top = openat(ov->dir_fd, "upper", flags);
	ov->work = openat(ov->dir_fd, "work", flags);
	ov->index = openat(ov->dir_fd, "index", flags);
	if (inodes >= 0)
		ov->inodes = inomap_open(inodes);
	return ov->top >= 0 && ov->work >= 0 && ov->index >= 0 && ov->inodes;
}

/* What was being copied when a run was killed. */
static void clean_work(struct overlay *ov)
{
	remove_tree(ov->dir_fd, "work");
	mkdirat(ov->dir_fd, "work", 0700);
}

struct overlay *overlay_new(struct mount *lower, const char *target, const char *dir, char *err, size_t err_len)
{
	struct overlay *ov = xcalloc(1, sizeof(*ov));
	struct stat st;

	ov->lower = lower;
	ov->temporary = !dir;
	ov->dir = dir ? realpath(dir, NULL) : make_temporary(err, err_len);
	if (!ov->dir && dir)
		ov->dir = xstrdup(dir);
	ov->dir_fd = ov->dir ? upper_open(ov->dir, target, lower->sub, err, err_len) : -1;
	if (ov->dir_fd >= 0)
		clean_work(ov);
	if (ov->dir_fd < 0 || !open_parts(ov)) {
		if (ov->dir_fd >= 0)
			snprintf(err, err_len, "%s: %s", ov->dir, strerror(errno));
		return NULL;
	}
	/* The top is a copy since something was first to be written. */
	ov->dirty = fstat(ov->top, &st) < 0 || inomap_find(ov->inodes, st.st_ino, 0, UINT32_MAX);
	overlays = xrealloc(overlays, (overlay_count + 1) * sizeof(*overlays));
	overlays[overlay_count++] = ov;
	return ov;
}

void overlay_finish(void)
{
	for (size_t i = 0; i < overlay_count; i++)
		if (overlays[i]->temporary)
			remove_tree(AT_FDCWD, overlays[i]->dir);
}

bool overlay_same(const struct mount *a, const struct mount *b)
{
	return a == b || (a && b && a->overlay && a->overlay == b->overlay);
}

/* ---- who looks and who changes ---- */

/* One lock for all overlays: a call may be about two. */
static unsigned sharers;
static bool owned;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

void overlay_leave(struct call *c)
{
	if (c->overlay == CALL_OUTSIDE)
		return;
	if (c->overlay == CALL_OWNS)
		owned = false;
	else
		sharers--;
	c->overlay = CALL_OUTSIDE;
	pthread_cond_broadcast(&changed);
}

void overlay_share(struct call *c)
{
	if (c->overlay != CALL_OUTSIDE)
		return;
	while (owned)
		state_wait(&changed);
	sharers++;
	c->overlay = CALL_SHARES;
}

void overlay_own(struct call *c)
{
	if (c->overlay == CALL_OWNS)
		return;
	overlay_leave(c);
	while (owned || sharers)
		state_wait(&changed);
	owned = true;
	c->overlay = CALL_OWNS;
}

/* ---- one file system ---- */

uint64_t overlay_ino(const struct overlay *ov, uint64_t ino)
{
	const struct inomap_entry *e = inomap_find(ov->inodes, ino, 0, UINT32_MAX);

	return e ? e->lower_ino : ino | UPPER_BIT;
}

void overlay_attr(struct overlay *ov, rfs_Attr *a)
{
	const struct inomap_entry *e = inomap_find(ov->inodes, a->ino, a->btime_sec, a->btime_nsec);

	a->dev_major = e ? e->dev_major : ov->root.dev_major;
	a->dev_minor = e ? e->dev_minor : ov->root.dev_minor;
	a->mnt_id = ov->root.mnt_id;
	a->ino = e ? e->lower_ino : a->ino | UPPER_BIT;
	/* What has been removed has no links, whatever was counted. */
	if (e && a->nlink)
		a->nlink = (uint32_t)((int64_t)a->nlink + e->links);
	a->plain = false;
}

void overlay_translate(const struct mount *m, struct link_reply *rep)
{
	rfs_Reply *r = &rep->msg;

	if (!m->is_upper)
		return;
	if (r->which_op == rfs_Reply_open_tag && r->op.open.has_attr)
		overlay_attr(m->overlay, &r->op.open.attr);
	else if (r->which_op == rfs_Reply_stat_tag && r->op.stat.has_attr)
		overlay_attr(m->overlay, &r->op.stat.attr);
	else if (r->which_op == rfs_Reply_write_tag && r->op.write.has_attr)
		overlay_attr(m->overlay, &r->op.write.attr);
}

void overlay_count_links(struct overlay *ov, int fd, int by)
{
	struct inomap_entry e;
	struct statx x;

	if (statx(fd, "", AT_EMPTY_PATH, STATX_INO | STATX_BTIME, &x) < 0)
		return;
	const struct inomap_entry *old = inomap_find(ov->inodes, x.stx_ino, x.stx_btime.tv_sec, x.stx_btime.tv_nsec);
	if (!old)
		return;
	e = *old;
	e.links += by;
	inomap_put(ov->inodes, &e);
}
