#include "carrier.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "placeholder.h"
#include "util.h"

/* Some mask a watch must have: nothing that is done to carriers between events makes one of these. */
#define IDLE IN_MOVE_SELF
#define PATH_LEN 128

static char root[PATH_LEN - 32]; /* "" before the first carrier */
static uint64_t serial;
static int reaper = -1;

/* ---- the directory they are in ---- */

static void remove_tree(int dirfd, const char *name)
{
	int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	for (struct dirent *e; dir && (e = readdir(dir));)
		if (strcmp(e->d_name, ".") && strcmp(e->d_name, "..") && unlinkat(fd, e->d_name, 0) < 0)
			remove_tree(fd, e->d_name);
	if (dir)
		closedir(dir);
	unlinkat(dirfd, name, AT_REMOVEDIR);
}

static void reaper_main(int end)
{
	char byte;

	setsid(); /* what kills our process group leaves this one for the moment it needs */
	dup2(end, 0);
	syscall(SYS_close_range, 1u, ~0u, 0u);
	while (read(0, &byte, 1) < 0 && errno == EINTR)
		;
	remove_tree(AT_FDCWD, root);
	_exit(0);
}

/*
 * Carriers have names, unlike placeholders: events do. So that a supervisor that is killed leaves nothing behind
 * either, a process that only waits for our end removes them. It is nobody's child of ours: loop_run waits for the
 * main thread's, and would wait for it.
 */
static int reaper_start(void)
{
	int ends[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return -errno;
	pid = fork();
	if (!pid) {
		close(ends[1]);
		if (!fork())
			reaper_main(ends[0]);
		_exit(0);
	}
	int rc = pid < 0 ? -errno : 0;
	close(ends[0]);
	reaper = ends[1];
	if (pid > 0)
		waitpid(pid, NULL, 0);
	return rc;
}

static int root_make(void)
{
	if (*root)
		return 0;
	placeholder_name(root, sizeof(root), "watched");
	/* It is ours by its mode, and new by EEXIST: nobody else can have made it, or get into it. */
	int rc = mkdir(root, 0700) < 0 ? -errno : reaper_start();
	if (rc < 0) {
		rmdir(root);
		*root = '\0';
	}
	return rc;
}

void carrier_finish(void)
{
	char byte;

	if (!*root)
		return;
	shutdown(reaper, SHUT_WR);
	/* Its end is the news that all is gone. */
	while (read(reaper, &byte, 1) < 0 && errno == EINTR)
		;
	close_fd(&reaper);
	*root = '\0';
}

/* ---- carriers ---- */

static void carrier_path(const struct carrier *k, const char *name, char *out, size_t len)
{
	snprintf(out, len, "%s/%llu%s%s", root, (unsigned long long)k->serial, *name ? "/" : "", name);
}

static int make(const char *path, bool directory)
{
	return (directory ? mkdir(path, 0700) : mknod(path, S_IFREG | 0600, 0)) < 0 ? -errno : 0;
}

static int unmake(const char *path, bool directory)
{
	return (directory ? rmdir(path) : unlink(path)) < 0 ? -errno : 0;
}

/* The events that K's watch lets through from now on. */
static int carrier_admit(const struct carrier *k, uint32_t mask)
{
	char path[PATH_LEN];

	carrier_path(k, "", path, sizeof(path));
	int wd = inotify_add_watch(k->inotify, path, mask);
	return wd < 0 ? -errno : wd;
}

int carrier_make(struct carrier *k, int inotify, bool directory)
{
	char path[PATH_LEN];
	int rc = root_make();

	if (rc < 0)
		return rc;
	serial++;
	*k = (struct carrier){ .inotify = inotify, .directory = directory, .serial = serial };
	carrier_path(k, "", path, sizeof(path));
	rc = make(path, directory);
	if (rc < 0)
		return rc;
	k->wd = carrier_admit(k, IDLE);
	if (k->wd < 0) {
		rc = k->wd;
		k->wd = 0;
		unmake(path, directory);
		return rc;
	}
	return k->wd;
}

void carrier_end(struct carrier *k)
{
	char path[PATH_LEN];

	if (!k->wd)
		return;
	inotify_rm_watch(k->inotify, k->wd);
	k->wd = 0;
	carrier_path(k, "", path, sizeof(path));
	unmake(path, k->directory);
}

/* ---- one event ---- */

struct act {
	uint32_t bit;
	int open_flags; /* the object is open when it begins: how; 0: it is not */
	bool only_self, only_named;
};

/* O_CLOEXEC makes O_RDONLY differ from 0. */
static const struct act acts[] = {
	{ IN_ACCESS, O_RDWR | O_CLOEXEC, false, false },
	{ IN_MODIFY, O_RDWR | O_CLOEXEC, false, false },
	{ IN_ATTRIB, 0, false, false },
	{ IN_CLOSE_WRITE, O_RDWR | O_CLOEXEC, false, false },
	{ IN_CLOSE_NOWRITE, O_RDONLY | O_CLOEXEC, false, false },
	{ IN_OPEN, 0, false, false },
	{ IN_MOVED_FROM, 0, false, true },
	{ IN_MOVED_TO, 0, false, true },
	{ IN_CREATE, 0, false, true },
	{ IN_DELETE, 0, false, true },
	{ IN_DELETE_SELF, 0, true, false },
	{ IN_MOVE_SELF, 0, true, false },
};

static const struct act *find_act(uint32_t bit)
{
	for (size_t i = 0; i < sizeof(acts) / sizeof(*acts); i++)
		if (acts[i].bit == bit)
			return &acts[i];
	return NULL;
}

static int do_access(int fd, bool directory)
{
	char buf[512];

	/* Reading nothing is no access, but the end of a directory is. */
	return (directory ? syscall(SYS_getdents64, fd, buf, sizeof(buf)) : pread(fd, buf, 1, 0)) < 0 ? -errno : 0;
}

/* What makes one event of BIT happen to PATH, which is open as *FD if it had to be; ASIDE is a free name. */
static int do_act(uint32_t bit, const char *path, const char *aside, bool directory, int *fd)
{
	int rc = 0;

	switch (bit) {
	case IN_ACCESS:
		return do_access(*fd, directory);
	case IN_MODIFY:
		rc = (int)pwrite(*fd, "", 1, 0);
		break;
	case IN_ATTRIB:
		rc = chmod(path, 0700);
		break;
	case IN_CLOSE_WRITE:
	case IN_CLOSE_NOWRITE:
		close_fd(fd);
		break;
	case IN_OPEN:
		*fd = rc = open(path, O_RDONLY | O_CLOEXEC);
		break;
	case IN_MOVED_FROM:
	case IN_MOVE_SELF:
		rc = rename(path, aside);
		break;
	case IN_MOVED_TO:
		rc = rename(aside, path);
		break;
	case IN_CREATE:
		return make(path, directory);
	default:
		return unmake(path, directory);
	}
	return rc < 0 ? -errno : 0;
}

/* Opens PATH for ACT, with a byte in it that can be read. */
static int act_open(const struct act *act, const char *path, bool directory)
{
	int flags = directory ? O_RDONLY | O_DIRECTORY | O_CLOEXEC : act->open_flags;
	int fd = open(path, flags);

	if (fd >= 0 && act->bit == IN_ACCESS && !directory && pwrite(fd, "", 1, 0) < 0) {
		int rc = -errno;
		close(fd);
		return rc;
	}
	return fd < 0 ? -errno : fd;
}

/* K's event is due. */
static int admit_event(const struct carrier *k, uint32_t mask)
{
	int wd = carrier_admit(k, mask | (k->oneshot ? IN_ONESHOT : 0));

	return wd < 0 ? wd : 0;
}

/* K's event has happened: no other one is let through. After its last one the kernel has taken the watch away. */
static void admit_none(const struct carrier *k)
{
	if (!k->oneshot)
		carrier_admit(k, IDLE);
}

static uint64_t path_aside(char *out, size_t len)
{
	snprintf(out, len, "%s/%llu", root, (unsigned long long)++serial);
	return serial;
}

/* Of a name in a watched directory. It is made for the occasion and removed again, both without a word. */
static int event_named(const struct carried *at, const struct act *act, bool directory)
{
	char path[PATH_LEN + NAME_MAX], aside[PATH_LEN];
	CLEANUP_FD int fd = -1;
	int rc;

	carrier_path(at->carrier, at->name, path, sizeof(path));
	path_aside(aside, sizeof(aside));
	rc = act->bit == IN_CREATE ? 0 : make(act->bit == IN_MOVED_TO ? aside : path, directory);
	if (!rc && act->open_flags) {
		fd = act_open(act, path, directory);
		rc = fd < 0 ? fd : 0;
	}
	rc = rc ? rc : admit_event(at->carrier, act->bit);
	rc = rc ? rc : do_act(act->bit, path, aside, directory, &fd);
	admit_none(at->carrier);
	unmake(aside, directory);
	unmake(path, directory);
	return rc;
}

static int event_self(struct carrier *k, const struct act *act)
{
	char path[PATH_LEN], aside[PATH_LEN];
	uint64_t aside_serial = path_aside(aside, sizeof(aside));
	CLEANUP_FD int fd = -1;
	int rc = 0;

	carrier_path(k, "", path, sizeof(path));
	if (act->open_flags) {
		fd = act_open(act, path, k->directory);
		rc = fd < 0 ? fd : 0;
	}
	rc = rc ? rc : admit_event(k, act->bit);
	rc = rc ? rc : do_act(act->bit, path, aside, k->directory, &fd);
	if (act->bit == IN_MOVE_SELF && !rc)
		k->serial = aside_serial; /* a name as good as the old one */
	if (act->bit == IN_DELETE_SELF)
		carrier_end(k);
	else
		admit_none(k);
	return rc;
}

/* A rename from one watched directory into another, or within one. */
static int event_moved(const struct carried *at, const struct carried *to, bool directory)
{
	char from_path[PATH_LEN + NAME_MAX], to_path[PATH_LEN + NAME_MAX];
	bool same = at->carrier == to->carrier;
	int rc;

	carrier_path(at->carrier, at->name, from_path, sizeof(from_path));
	carrier_path(to->carrier, to->name, to_path, sizeof(to_path));
	rc = make(from_path, directory);
	rc = rc ? rc : admit_event(at->carrier, IN_MOVED_FROM | (same ? IN_MOVED_TO : 0));
	rc = rc || same ? rc : admit_event(to->carrier, IN_MOVED_TO);
	if (!rc && rename(from_path, to_path) < 0)
		rc = -errno;
	admit_none(at->carrier);
	admit_none(to->carrier);
	unmake(from_path, directory);
	unmake(to_path, directory);
	return rc;
}

static bool is_name(const char *name)
{
	return *name && strcmp(name, ".") && strcmp(name, "..") && !strchr(name, '/');
}

static bool is_carried(const struct carried *end)
{
	return end->carrier->directory && is_name(end->name);
}

int carrier_event(const struct carried *at, const struct carried *to, uint32_t mask, bool directory)
{
	const struct act *act = find_act(mask & IN_ALL_EVENTS);
	bool move = to->carrier && mask & IN_MOVED_FROM;
	int rc;

	/* Every event is of a name or of the object itself; some can be either. */
	if (!act || (*at->name ? act->only_self || !is_carried(at) : act->only_named) || (move && !is_carried(to)))
		return -EINVAL;
	if (move)
		rc = event_moved(at, to, directory);
	else
		rc = *at->name ? event_named(at, act, directory) : event_self(at->carrier, act);
	if (at->carrier->oneshot)
		carrier_end(at->carrier);
	if (move && to->carrier->oneshot)
		carrier_end(to->carrier);
	return rc;
}

/* Until the kernel drops one: it never merges two in a row that differ. */
static int fill_queue(const char *path, int fd)
{
	unsigned long most = 16384;
	FILE *f = fopen("/proc/sys/fs/inotify/max_queued_events", "re");

	if (f && fscanf(f, "%lu", &most) != 1)
		most = 16384;
	if (f)
		fclose(f);
	for (unsigned long i = 0; i <= most; i++)
		if (i % 2 ? chmod(path, 0700) < 0 : pwrite(fd, "", 1, 0) < 0)
			return -errno;
	return 0;
}

int carrier_overflow(int inotify)
{
	char path[PATH_LEN];
	struct carrier k;
	int rc = carrier_make(&k, inotify, false);

	if (rc < 0)
		return rc;
	carrier_path(&k, "", path, sizeof(path));
	CLEANUP_FD int fd = open(path, O_RDWR | O_CLOEXEC);
	rc = fd < 0 ? -errno : admit_event(&k, IN_MODIFY | IN_ATTRIB);
	rc = rc ? rc : fill_queue(path, fd);
	carrier_end(&k);
	return rc;
}
