#include "shadow.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ofd.h"
#include "util.h"

/*
 * What we open for a moment must not look like a tracee's own: with a reader's FIFO the tracee is told of by the close
 * of a description that cannot write, so ours can; with a writer's the other way about.
 */
struct shadow {
	int path;  /* O_PATH: keeps the inode, and is neither reader nor writer */
	int end;   /* our end: a writer for tracees that read, a reader for those that only write; -1: shut */
	int level; /* how full it is */
};

enum { EMPTY, BYTE, FULL };

static bool only_writes(const struct ofd *o)
{
	return (o->flags & O_ACCMODE) == O_WRONLY;
}

static int again(const struct shadow *s, int flags)
{
	char link[64];

	snprintf(link, sizeof(link), "/proc/self/fd/%d", s->path);
	return open(link, flags | O_NONBLOCK | O_CLOEXEC);
}

static int open_ends(struct ofd *o, struct shadow *s, const char *name)
{
	int mode = o->flags & O_ACCMODE, fd = -1;

	/* A writer cannot be the first. */
	if (mode == O_WRONLY)
		s->end = open(name, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	else
		fd = open(name, mode | O_NONBLOCK | O_CLOEXEC);
	if (mode == O_WRONLY)
		fd = open(name, mode | O_NONBLOCK | O_CLOEXEC);
	else
		s->end = open(name, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	s->path = open(name, O_PATH | O_CLOEXEC);
	if (fd >= 0 && s->end >= 0 && s->path >= 0)
		return fd;
	int rc = -errno;
	close_fd(&fd);
	return rc;
}

int shadow_make(struct ofd *o, const char *name)
{
	if (mkfifo(name, 0600) < 0)
		return -errno;
	o->shadow = xcalloc(1, sizeof(*o->shadow));
	o->shadow->end = o->shadow->path = -1;
	int fd = open_ends(o, o->shadow, name);
	unlink(name);
	if (fd < 0)
		return fd;
	/* Small, so that it is soon full: one page, or two where one byte must leave room. */
	fcntl(fd, F_SETPIPE_SZ, (o->flags & O_ACCMODE) == O_RDWR ? 8192 : 4096);
	fcntl(fd, F_SETFL, o->flags & (O_NONBLOCK | O_APPEND | O_DIRECT));
	return fd;
}

uint32_t shadow_close_event(const struct ofd *o)
{
	return (o->flags & O_ACCMODE) == O_RDONLY ? IN_CLOSE_NOWRITE : IN_CLOSE_WRITE;
}

/* What the last read said: 0 when there is no writer. */
static ssize_t drain(int fd)
{
	char buf[8192];
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) > 0)
		;
	return n;
}

static void set_level(struct ofd *o, int level)
{
	static const char bytes[8192];
	struct shadow *s = o->shadow;

	if (level == s->level)
		return;
	int fd = again(s, (o->flags & O_ACCMODE) == O_RDWR && level < s->level ? O_RDONLY : O_RDWR);
	if (fd < 0)
		return;
	if (level < s->level)
		drain(fd);
	if (level == BYTE || (level == FULL && only_writes(o)))
		(void)!write(fd, bytes, 1);
	else if (level == FULL)
		while (write(fd, bytes, sizeof(bytes)) > 0)
			;
	close(fd);
	s->level = level;
}

static int level_for(const struct ofd *o, uint32_t ready)
{
	if (only_writes(o))
		return ready & POLLOUT ? EMPTY : FULL;
	if (!(ready & POLLIN))
		return EMPTY;
	return (o->flags & O_ACCMODE) == O_RDWR && !(ready & POLLOUT) ? FULL : BYTE;
}

void shadow_show(struct ofd *o, uint32_t ready)
{
	struct shadow *s = o->shadow;

	ready |= o->node->back_len ? POLLIN : 0;
	bool shut = ready & (only_writes(o) ? POLLERR : POLLHUP);

	if (!shut && s->end < 0)
		s->end = again(s, only_writes(o) ? O_RDONLY : O_WRONLY);
	set_level(o, level_for(o, ready));
	if (shut)
		close_fd(&s->end);
}

/* Whether no tracee has O open any more. */
static bool is_orphan(struct ofd *o)
{
	struct shadow *s = o->shadow;

	if (s->end >= 0) {
		struct pollfd p = { .fd = s->end };
		return poll(&p, 1, 0) > 0 && p.revents & (POLLERR | POLLHUP);
	}
	if (!only_writes(o)) {
		CLEANUP_FD int fd = again(s, O_WRONLY);
		return fd < 0 && errno == ENXIO;
	}
	CLEANUP_FD int fd = again(s, O_RDONLY);
	bool orphan = fd >= 0 && drain(fd) == 0;
	int level = s->level;
	s->level = EMPTY;
	if (!orphan)
		set_level(o, level);
	return orphan;
}

void shadow_closed(struct ofd *o)
{
	struct shadow *s = o->shadow;

	if (s->path < 0 || !is_orphan(o))
		return;
	close_fd(&s->end);
	close_fd(&s->path);
}

void shadow_free(struct ofd *o)
{
	if (!o->shadow)
		return;
	close_fd(&o->shadow->end);
	close_fd(&o->shadow->path);
	free(o->shadow);
	o->shadow = NULL;
}

int shadow_fd(const struct ofd *o)
{
	return o->shadow->path;
}
