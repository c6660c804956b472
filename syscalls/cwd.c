/*
 * chdir, fchdir, getcwd. The kernel keeps each task's cwd: a remote one is its placeholder directory.
 *
 * chdir to a remote directory is an fchdir that the task is made to do: the placeholder is installed in the
 * emulated range for it and closed behind it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "call.h"
#include "handlers.h"
#include "image.h"
#include "link.h"
#include "ofd.h"
#include "place.h"
#include "placeholder.h"
#include "remote.h"
#include "rules.h"
#include "util.h"

/* A local directory that the kernel would not find from a remote cwd. */
static int open_behalf(const struct place *p)
{
	/* Readable, because ADDFD cannot pass an O_PATH description on. */
	CLEANUP_FD int dir = open(p->local, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (dir < 0 || faccessat(AT_FDCWD, p->local, X_OK, AT_EACCESS) < 0)
		return -errno;
	return fcntl(dir, F_DUPFD_CLOEXEC, 0);
}

static int open_remote(struct call *c, struct place *p)
{
	struct ofd *o;
	size_t n = strlen(p->path);

	/* Looking up "." needs search permission, as chdir does; opening the directory itself does not. */
	if (n + 3 <= sizeof(p->path))
		strcpy(p->path + n, !n || p->path[n - 1] == '/' ? "." : "/.");
	return remote_open_own(c, p, O_PATH | O_DIRECTORY, &o);
}

/* Has the task enter DIR, a descriptor of ours. */
static long enter(struct call *c, int dir)
{
	int fd = call_install_aside(c, dir);

	if (fd < 0)
		return fd;
	long rc = call_inject(c, SYS_fchdir, (uint64_t)fd);
	call_inject(c, SYS_close, (uint64_t)fd);
	ofd_release_number(fd);
	return rc;
}

long sys_chdir(struct call *c)
{
	PLACE_ON_STACK(p);

	long rc = place_resolve(c, AT_FDCWD, c->arg[0], PLACE_FOLLOW, &p);
	if (rc || (!p.mount && !p.behalf))
		return rc ? rc : CALL_CONTINUE;
	CLEANUP_FD int dir = p.behalf ? open_behalf(&p) : open_remote(c, &p);
	return dir < 0 ? dir : enter(c, dir);
}

/* CALL_CONTINUE when the caller may enter O, else -EACCES. Where not everybody may, or that is not known now, the agent is asked. */
static long may_search(struct call *c, struct ofd *o)
{
	rfs_Request req = { .which_op = rfs_Request_access_tag,
			    .op.access = { .has_where = true, .where.dir = o->handle, .mode = X_OK, .flags = AT_EACCESS } };
	struct link_reply rep;
	int rc = 0;

	if (S_ISDIR(o->node->attr.mode) && (!o->node->attr_valid || (o->node->attr.mode & 0111) != 0111)) {
		ofd_ref(o);
		rc = call_rpc(c, o->mount, &req, NULL, 0, &rep);
		if (!rc)
			link_reply_free(&rep);
		ofd_unref(o);
	}
	return rc ? rc : CALL_CONTINUE;
}

long sys_fchdir(struct call *c)
{
	struct ofd *o = ofd_by_fd(c->tid, (int)c->arg[0]);

	if (!o)
		return CALL_CONTINUE;
	call_remote(c, o->mount);
	return may_search(c, o); /* the placeholder is a real directory, which the kernel enters */
}

static long cwd_path(struct call *c, struct ofd *o, char *out, size_t len)
{
	char target[PATH_MAX];
	int rc = remote_path(c, o, target, sizeof(target));

	return rc < 0 ? rc : ofd_to_program(o, target, out, len);
}

long sys_getcwd(struct call *c)
{
	char path[PATH_MAX];
	CLEANUP_OFD struct ofd *o = ofd_by_cwd(c->tid);

	if (!o)
		return CALL_CONTINUE;
	ofd_ref(o);
	call_remote(c, o->mount);
	long rc = cwd_path(c, o, path, sizeof(path));
	if (rc < 0)
		return rc;
	if (strlen(path) + 1 > c->arg[1])
		return -ERANGE;
	rc = call_write(c, c->arg[0], path, strlen(path) + 1);
	return rc < 0 ? rc : (long)strlen(path) + 1;
}
