/* dup, dup2, dup3, fcntl: descriptors of remote files. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "call.h"
#include "fd.h"
#include "flow.h"
#include "handlers.h"
#include "image_fill.h"
#include "lock.h"
#include "locks.h"
#include "log.h"
#include "ofd.h"
#include "remote.h"
#include "rules.h"
#include "sync.h"
#include "util.h"
#include "widen.h"

/* Another emulated number for what FD is. */
static long dup_emulated(struct call *c, struct ofd *o, int fd, bool cloexec)
{
	CLEANUP_FD int src = call_get_fd(c, fd);

	if (src < 0)
		return src;
	int number = ofd_reserve_number(o);
	if (number < 0)
		return number;
	int rc = call_install_fd(c, src, number, cloexec);
	if (rc < 0)
		ofd_release_number(number);
	return rc;
}

/*
 * Below FD_BASE nothing of a file is trapped but what needs its attributes, so the placeholder of O must
 * become the file: filled for reading, watched for what is written.
 */
static int make_native(struct call *c, struct ofd *o, int src)
{
	int rc;

	/* What can be neither read nor written needs no bytes: see placeholder_file. */
	if (o->io == OFD_NATIVE || o->flags & O_PATH || (o->flags & O_ACCMODE) == O_ACCMODE)
		return 0;
	ofd_lock_pos(c, o);
	rc = (o->flags & O_ACCMODE) == O_RDONLY ? image_fill(c, o) : sync_native(c, o);
	if (!rc) {
		lseek(src, (off_t)o->pos, SEEK_SET);
		o->io = OFD_NATIVE;
	}
	ofd_unlock_pos(o);
	if (rc == -ENOSPC)
		log_error("%s: no room in /dev/shm for the whole file, which a low descriptor needs: free space there, or use --fd-numbering=posix",
			  o->path);
	else if (rc)
		log_error("%s: what a low descriptor needs of the file could not be had: %s", o->path, strerror(-rc));
	return rc;
}

int fd_lower(struct call *c, struct ofd *o, int src, bool passed)
{
	int rc = 0;

	if (fd_all_trapped())
		return 0;
	ofd_ref(o);
	if (S_ISREG(o->node->attr.mode))
		rc = make_native(c, o, src);
	else if (o->channel && passed)
		rc = -EOPNOTSUPP;
	else if (o->channel)
		rc = widen(c, FILTER_LOW);
	if (rc && passed && o->channel)
		log_error("%s: its descriptor cannot be passed to another process, which would have it as a local file: use --fd-numbering=posix",
			  o->path);
	if (!rc) {
		ofd_mark_low(o);
		if (S_ISDIR(o->node->attr.mode))
			lseek(src, o->list_cookie, SEEK_SET);
	}
	ofd_unref(o);
	return rc;
}

/* Whether the kernel may choose the numbers of O's duplicates. Of what is locked every close must be seen. */
static bool stays_low(const struct call *c, const struct ofd *o)
{
	return fd_all_trapped() || (o->io == OFD_NATIVE && !locks_held(c->tid, o));
}

static bool is_open(const struct call *c, int fd)
{
	char link[64], text[8];

	snprintf(link, sizeof(link), "/proc/%d/fd/%d", (int)c->tid, fd);
	return readlink(link, text, sizeof(text)) >= 0;
}

int fd_free_standard(const struct call *c, int from)
{
	for (int fd = from; fd <= STDERR_FILENO; fd++)
		if (!is_open(c, fd) && errno == ENOENT)
			return call_has_fds(c->tid) ? fd : -1; /* a thread that ends, as by another one's exec, has none any more */
	return -1;
}

/* The kernel is about to close FD for C's task. */
static void closing(struct call *c, int fd)
{
	const struct ofd *o = ofd_by_fd(c->tid, fd);

	if (o)
		locks_closing(c->tid, o);
}

/*
 * The program's limit on descriptors is FD_BASE: above, it may only replace what open gave it, or go on behind
 * that, as Go does between fork and exec (the number after the highest that it passes on).
 */
static bool may_be_onto(const struct call *c, int to)
{
	return to < FD_TOP && (is_open(c, to) || (to > FD_BASE && is_open(c, to - 1)));
}

static long dup_onto_emulated(struct call *c, const struct ofd *o, int from, int to)
{
	if (from == to)
		return CALL_CONTINUE;
	if (!may_be_onto(c, to) || !is_open(c, from))
		return -EBADF;
	if (o)
		call_remote(c, o->mount);
	closing(c, to);
	ofd_doubt_number(to, true);
	c->expected = to;
	return CALL_CONTINUE;
}

static int lower_own(struct call *c, struct ofd *o, int fd)
{
	CLEANUP_FD int src = call_get_fd(c, fd);

	return src < 0 ? src : fd_lower(c, o, src, false);
}

static long dup_to(struct call *c, int from, int to, bool cloexec)
{
	struct ofd *o = ofd_by_fd(c->tid, from);

	if (to >= FD_BASE)
		return dup_onto_emulated(c, o, from, to);
	if (!o || to < 0)
		return CALL_CONTINUE;
	call_remote(c, o->mount);
	/* A device of this machine is as good. */
	if (o->channel && !o->shadow && !fd_all_trapped())
		return flow_put_low(c, o, to, cloexec);
	ofd_ref(o);
	int rc = lower_own(c, o, from);
	/* A task that cannot have a filter has a pipe, to which the FIFO's bytes are moved. */
	if (rc && o->shadow) {
		long moved = flow_put_low(c, o, to, cloexec);
		ofd_unref(o);
		return moved;
	}
	if (!rc) {
		closing(c, to);
		locks_opened(c->tid, o, to);
	}
	ofd_unref(o);
	c->expected = to;
	/* dup2 has no errno for a full disk; EMFILE is the nearest. */
	return rc ? -EMFILE : CALL_CONTINUE;
}

long sys_dup2(struct call *c)
{
	return dup_to(c, (int)c->arg[0], (int)c->arg[1], false);
}

long sys_dup3(struct call *c)
{
	if ((int)c->arg[0] == (int)c->arg[1] || c->arg[2] & ~(uint64_t)O_CLOEXEC)
		return CALL_CONTINUE; /* EINVAL */
	return dup_to(c, (int)c->arg[0], (int)c->arg[1], c->arg[2] & O_CLOEXEC);
}

/* A duplicate of O, which is FD, at a number from FROM on. */
static long dup_free(struct call *c, struct ofd *o, int fd, unsigned from, bool cloexec)
{
	call_remote(c, o->mount);
	if (stays_low(c, o))
		return CALL_CONTINUE;
	int standard = from <= STDERR_FILENO ? fd_free_standard(c, (int)from) : -1;
	return standard < 0 ? dup_emulated(c, o, fd, cloexec) : dup_to(c, fd, standard, cloexec);
}

long sys_dup(struct call *c)
{
	struct ofd *o = ofd_by_fd(c->tid, (int)c->arg[0]);

	return o ? dup_free(c, o, (int)c->arg[0], 0, false) : CALL_CONTINUE;
}

/* What open was told, less what only open cares for. The placeholder could not be opened with all of it. */
static long get_status(const struct ofd *o)
{
	const int large_file = 0100000; /* which libc shows as 0 on x86-64 */

	return o->flags & O_PATH ? o->flags & (O_PATH | O_DIRECTORY | O_NOFOLLOW) : (o->flags & ~O_CLOEXEC) | large_file;
}

static long set_status(struct call *c, struct ofd *o, int flags)
{
	/* Files have no fasync() that would set O_ASYNC. */
	const int settable = O_APPEND | O_NONBLOCK | O_DIRECT | O_NOATIME | (o->shadow ? O_ASYNC : 0);
	int rc = o->flags & ~flags & O_APPEND ? sync_anywhere(c, o) : 0;

	if (rc)
		return rc;
	o->flags = (o->flags & ~settable) | (flags & settable);
	return CALL_CONTINUE;
}

static long refused(struct call *c, const char *why)
{
	c->note = why;
	return -EINVAL;
}

/* fcntl_dirnotify() in a kernel whose administrator has switched it off, but for what is wrong in any kernel. */
static long dir_notify(struct call *c, const struct ofd *o)
{
	if (!(c->arg[2] & ~(uint64_t)DN_MULTISHOT))
		return 0;
	if (!S_ISDIR(o->node->attr.mode))
		return -ENOTDIR;
	return refused(c, "F_NOTIFY is not emulated: use inotify");
}

long sys_fcntl(struct call *c)
{
	int fd = (int)c->arg[0], command = (int)c->arg[1];
	struct ofd *o = ofd_by_fd(c->tid, fd);

	if (!o)
		return CALL_CONTINUE;
	call_remote(c, o->mount);
	switch (command) {
	case F_DUPFD:
	case F_DUPFD_CLOEXEC:
		if ((unsigned)c->arg[2] >= (unsigned)FD_BASE)
			return -EINVAL;
		return dup_free(c, o, fd, (unsigned)c->arg[2], command == F_DUPFD_CLOEXEC);
	case F_GETFD:
	case F_SETFD:
		return CALL_CONTINUE;
	case F_GETFL:
		return get_status(o);
	}
	if (o->flags & O_PATH)
		return -EBADF;
	switch (command) {
	case F_GETPIPE_SZ:
	case F_SETPIPE_SZ:
		return o->channel ? flow_pipe_size(c, o, command) : CALL_CONTINUE;
	case F_SETFL:
		return set_status(c, o, (int)c->arg[2]);
	case F_GETLK:
	case F_SETLK:
	case F_SETLKW:
	case F_OFD_GETLK:
	case F_OFD_SETLK:
	case F_OFD_SETLKW:
		return lock_fcntl(c, o, command);
	case F_SETLEASE:
		/* As a file system without leases (fs/libfs.c, simple_nosetlease()). */
		return refused(c, "leases cannot be had on remote files: programs do without");
	case F_GETLEASE:
		return F_UNLCK;
	case F_NOTIFY:
		return dir_notify(c, o);
	case F_ADD_SEALS:
	case F_GET_SEALS:
		return refused(c, "only memory files can be sealed");
	default:
		return CALL_CONTINUE;
	}
}
