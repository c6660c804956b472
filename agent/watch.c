/* The table of watched directories and files. */
#include "watch.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "agent.h"
#include "handle.h"
#include "keep.h"
#include "resolve.h"
#include "watch_int.h"

#define WATCH_DIR_MASK (IN_MODIFY | IN_ATTRIB | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | \
			IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR)
#define WATCH_FILE_MASK (IN_MODIFY | IN_ATTRIB)
#define WATCH_RACES 8

/* That of the process before us, if there was one: what it watches already cannot be refused for want of watches. */
static int watch_inotify(void)
{
	int fd = atomic_load(&keep_one()->inotify) - 1;

	if (fd >= 0)
		return fd;
	fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (fd >= 0 && keep_on())
		atomic_store(&keep_one()->inotify, fd + 1);
	return fd;
}

struct watcher *watch_new(const struct root *root)
{
	struct watcher *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	pthread_mutex_init(&w->reading, NULL);
	pthread_mutex_init(&w->lock, NULL);
	TAILQ_INIT(&w->by_use);
	w->root = root;
	w->inotify = watch_inotify();
	w->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	w->mounts = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
	w->promised = calloc(1u << 17, sizeof(*w->promised));
	w->pending = notices_new();
	w->spare = notices_new();
	if (getrandom(&w->seed, sizeof(w->seed), GRND_NONBLOCK) < 0)
		w->seed = (uintptr_t)w;
	/* Without sight of new mounts a hidden name would stay promised. */
	if (w->inotify >= 0 && (w->wake < 0 || w->mounts < 0 || !w->promised || !w->pending || !w->spare)) {
		close(w->inotify);
		w->inotify = -1;
	}
	return w;
}

int watch_start(struct watcher *w, void (*send)(void *arg, const struct notices *n), void *arg)
{
	pthread_t thread;

	if (w->inotify < 0)
		return 0;
	w->send = send;
	w->send_arg = arg;
	return -pthread_create(&thread, NULL, event_main, w);
}

/* Where one file has names that look different, an event tells of only one of them. */
static bool watch_folds_case(int fd)
{
	int flags = 0;

	return ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0 && flags & FS_CASEFOLD_FL;
}

/* inotify(7) sees only what goes through this kernel: network and pseudo file systems change behind it. */
static bool watch_trusts(int fd)
{
	struct statfs fs;

	if (fstatfs(fd, &fs) || watch_folds_case(fd))
		return false;
	switch ((unsigned long)fs.f_type) {
	case EXT4_SUPER_MAGIC:
	case XFS_SUPER_MAGIC:
	case BTRFS_SUPER_MAGIC:
	case F2FS_SUPER_MAGIC:
	case TMPFS_MAGIC:
	case RAMFS_MAGIC:
	case OVERLAYFS_SUPER_MAGIC:
	case 0xca451a4e: /* bcachefs */
	case 0x2fc12fc1: /* zfs */
		return true;
	}
	return false;
}

bool watch_path_covers(const char *path, const char *below)
{
	size_t len = strlen(path);

	if (len == 1)
		return true;
	return !strncmp(path, below, len) && (below[len] == '/' || !below[len]);
}

static unsigned int watch_path_bucket(const char *path)
{
	unsigned int h = 5381;

	while (*path)
		h = h * 33 ^ (unsigned char)*path++;
	return h % WATCH_BUCKETS;
}

static struct dir_watch *watch_find_path(struct watcher *w, const char *path)
{
	struct dir_watch *d = w->by_path[watch_path_bucket(path)];

	while (d && strcmp(d->path, path))
		d = d->next_path;
	if (d) {
		TAILQ_REMOVE(&w->by_use, d, by_use);
		TAILQ_INSERT_TAIL(&w->by_use, d, by_use);
	}
	return d;
}

struct dir_watch *watch_find_wd(struct watcher *w, int wd)
{
	struct dir_watch *d = w->by_wd[wd % WATCH_BUCKETS];

	while (d && d->wd != wd)
		d = d->next_wd;
	return d;
}

struct file_watch *watch_find_file(struct watcher *w, int wd)
{
	struct file_watch *f = w->files[wd % WATCH_BUCKETS];

	while (f && f->wd != wd)
		f = f->next_wd;
	return f;
}

bool watch_parent(const char *path, char *parent)
{
	size_t len = strrchr(path, '/') - path;

	if (!path[1])
		return false;
	memcpy(parent, path, len);
	parent[len] = '\0';
	if (!len)
		strcpy(parent, "/");
	return true;
}

static struct dir_watch *watch_find_parent(struct watcher *w, const char *path)
{
	char parent[PATH_MAX];

	return watch_parent(path, parent) ? watch_find_path(w, parent) : NULL;
}

static void watch_drop(struct watcher *w, struct dir_watch *d)
{
	struct dir_watch **p = &w->by_path[watch_path_bucket(d->path)];
	struct dir_watch *parent;

	while (*p != d)
		p = &(*p)->next_path;
	*p = d->next_path;
	p = &w->by_wd[d->wd % WATCH_BUCKETS];
	while (*p != d)
		p = &(*p)->next_wd;
	*p = d->next_wd;
	parent = watch_find_parent(w, d->path);
	if (parent)
		parent->children--;
	TAILQ_REMOVE(&w->by_use, d, by_use);
	w->dirs--;
	inotify_rm_watch(w->inotify, d->wd);
	free(d);
}

void watch_drop_tree(struct watcher *w, const char *path)
{
	struct dir_watch *d, *next;
	unsigned int i;

	for (i = 0; i < WATCH_BUCKETS; i++)
		for (d = w->by_path[i]; d; d = next) {
			next = d->next_path;
			if (watch_path_covers(path, d->path))
				watch_drop(w, d);
		}
}

/* Gives up the directory that has not been wanted for the longest time and has none below it. */
static void watch_make_room(struct watcher *w)
{
	struct dir_watch *oldest = TAILQ_FIRST(&w->by_use);

	while (oldest && oldest->children)
		oldest = TAILQ_NEXT(oldest, by_use);
	if (!oldest)
		return;
	notice_name(w, oldest->path, true);
	watch_drop(w, oldest);
	notice_wake(w);
}

static int watch_add(struct watcher *w, int fd, uint32_t mask)
{
	char proc[32];
	int wd;

	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
	wd = inotify_add_watch(w->inotify, proc, mask);
	return wd < 0 ? -errno : wd;
}

/* The lock is held; PATH was opened as FD after the renames that are counted so far. */
static int watch_insert(struct watcher *w, const char *path, int fd)
{
	struct dir_watch *d, *parent = watch_find_parent(w, path);
	size_t len = strlen(path) + 1;
	int wd;

	if (!parent && path[1])
		return -EAGAIN;
	if (w->dirs >= WATCH_DIR_MAX)
		watch_make_room(w);
	wd = watch_add(w, fd, WATCH_DIR_MASK);
	if (wd == -ENOSPC) {
		watch_make_room(w);
		wd = watch_add(w, fd, WATCH_DIR_MASK);
	}
	if (wd < 0)
		return wd;
	/* The same directory by another path (a bind mount, or a rename not yet heard of): one path per watch. */
	if (watch_find_wd(w, wd))
		return -EBUSY;
	parent = watch_find_parent(w, path); /* making room may have taken it away */
	d = parent || !path[1] ? malloc(sizeof(*d) + len) : NULL;
	if (!d) {
		inotify_rm_watch(w->inotify, wd);
		return -ENOMEM;
	}
	*d = (struct dir_watch){ .wd = wd };
	TAILQ_INSERT_TAIL(&w->by_use, d, by_use);
	memcpy(d->path, path, len);
	if (parent)
		parent->children++;
	d->next_path = w->by_path[watch_path_bucket(path)];
	w->by_path[watch_path_bucket(path)] = d;
	d->next_wd = w->by_wd[wd % WATCH_BUCKETS];
	w->by_wd[wd % WATCH_BUCKETS] = d;
	w->dirs++;
	return 0;
}

/*
 * Watches the directory PATH, whose ancestors are watched. A rename that the event thread has handled
 * before the insertion would go unnoticed: then PATH is opened again.
 */
static int watch_dir(struct watcher *w, const char *path)
{
	uint64_t renames;
	int fd, r, races = 0;

	do {
		pthread_mutex_lock(&w->lock);
		renames = w->renames;
		r = watch_find_path(w, path) ? 1 : 0;
		pthread_mutex_unlock(&w->lock);
		if (r)
			return 0;
		fd = resolve_exact(w->root, path, O_DIRECTORY | O_NOFOLLOW);
		if (fd < 0)
			return fd;
		r = watch_trusts(fd) ? 0 : -EOPNOTSUPP;
		if (!r) {
			pthread_mutex_lock(&w->lock);
			if (w->renames != renames)
				r = -EAGAIN;
			else if (!watch_find_path(w, path))
				r = watch_insert(w, path, fd);
			pthread_mutex_unlock(&w->lock);
		}
		close(fd);
	} while (r == -EAGAIN && ++races < WATCH_RACES);
	return r;
}

/* One directory of the chain, or the news that it does not exist and would be noticed. */
static enum watch_state watch_link(struct watcher *w, const char *path)
{
	int r = watch_dir(w, path);

	if (r == -ENOENT && path[1]) {
		promise_child(w, path);
		r = watch_dir(w, path);
	}
	return r == 0 ? WATCH_YES : r == -ENOENT ? WATCH_ABSENT : WATCH_NO;
}

enum watch_state watch_name(struct watcher *w, const char *path, bool self)
{
	enum watch_state state = WATCH_YES;
	char dir[PATH_MAX];
	bool known;
	size_t i, len = strlen(path);

	if (w->inotify < 0)
		return WATCH_NO;
	if (self || !watch_parent(path, dir))
		strcpy(dir, path);
	/* A watch is only in the table while all those above it are. */
	pthread_mutex_lock(&w->lock);
	known = watch_find_path(w, dir);
	pthread_mutex_unlock(&w->lock);
	if (known)
		return WATCH_YES;
	state = watch_link(w, "/");
	for (i = 1; i <= len && state == WATCH_YES; i++) {
		if (path[i] != '/' && (path[i] || !self))
			continue;
		memcpy(dir, path, i);
		dir[i] = '\0';
		state = watch_link(w, dir);
	}
	return state;
}

bool watch_file(struct watcher *w, struct handle *h)
{
	struct file_watch *f = NULL;
	int wd;

	if (w->inotify < 0 || !watch_trusts(h->fd))
		return false;
	pthread_mutex_lock(&w->lock);
	wd = watch_add(w, h->fd, WATCH_FILE_MASK);
	if (wd >= 0) {
		f = watch_find_file(w, wd);
		if (!f)
			f = calloc(1, sizeof(*f));
	}
	if (f && !f->handles) {
		f->wd = wd;
		f->next_wd = w->files[wd % WATCH_BUCKETS];
		w->files[wd % WATCH_BUCKETS] = f;
	}
	if (f) {
		h->watch_next = f->handles;
		f->handles = h;
		h->watch = f;
	} else if (wd >= 0) {
		inotify_rm_watch(w->inotify, wd);
	}
	pthread_mutex_unlock(&w->lock);
	return f;
}

void watch_forget(struct watcher *w, struct handle *h)
{
	struct file_watch *f, **p;
	struct handle **at;

	pthread_mutex_lock(&w->lock);
	f = h->watch;
	h->watch = NULL;
	if (f) {
		for (at = &f->handles; *at != h; at = &(*at)->watch_next)
			;
		*at = h->watch_next;
	}
	if (f && !f->handles) {
		for (p = &w->files[f->wd % WATCH_BUCKETS]; *p != f; p = &(*p)->next_wd)
			;
		*p = f->next_wd;
		inotify_rm_watch(w->inotify, f->wd);
		free(f);
	}
	pthread_mutex_unlock(&w->lock);
}

/* ---- after another process ---- */

/* The directories, of which nobody knows any more: proc_pid_fdinfo(5). */
static void watch_drop_unknown(struct watcher *w)
{
	char path[64], line[512];
	unsigned int wd;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", w->inotify);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "inotify wd:%x", &wd) == 1 && !watch_find_file(w, (int)wd))
			inotify_rm_watch(w->inotify, (int)wd);
	if (f)
		fclose(f);
}

int watch_restore(struct watcher *w, struct handles *t)
{
	int error = 0;

	for (struct handle *h = NULL; (h = handles_next(t, h));)
		if (h->kept && atomic_load(&h->kept->bits) & KEEP_PROMISED && !watch_file(w, h))
			error = -ENOMEM;
	if (w->inotify >= 0)
		watch_drop_unknown(w);
	return error;
}
