/*
 * chdir, fchdir, getcwd. The kernel keeps each task's cwd: a remote one is its placeholder directory.
 *
 * chdir to a remote directory becomes fchdir(N), N a descriptor in the emulated range: after the ptrace
 * stop the kernel runs the filter again, the fchdir is notified, and that notification installs the
 * placeholder as N before it lets the kernel go on. Nothing is written to the tracee's memory. What else
 * must ask the agent from a ptrace stop (where nobody may wait) takes the same way.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "call.h"
#include "handlers.h"
#include "link.h"
#include "ofd.h"
#include "place.h"
#include "placeholder.h"
#include "remote.h"
#include "rules.h"
#include "task.h"
#include "util.h"

/* The descriptor for the task's next cwd: the one its last chdir left, if it is still what it was. */
static int cwd_number(const struct task *t)
{
	const struct ofd *o = t->cwd_fd ? ofd_by_fd(t->tid, t->cwd_fd) : NULL;

	return o && o->key == t->cwd_key ? t->cwd_fd : ofd_reserve_number(NULL);
}

long sys_chdir(struct call *c)
{
	struct place *p = xcalloc(1, sizeof(*p));
	long rc = place_resolve(c, AT_FDCWD, c->arg[0], 0, p);

	if (rc || (!p->mount && !p->behalf)) {
		place_release(p);
		free(p);
		return CALL_CONTINUE;
	}
	struct task *t = task_get(c->tid);
	int fd = cwd_number(t);
	if (fd < 0) {
		place_release(p);
		free(p);
		return fd;
	}
	return remote_postpone(c, p, fd);
}

long remote_postpone(struct call *c, struct place *p, int fd)
{
	struct task *t = task_get(c->tid);

	t->pending = p;
	t->pending_nr = c->nr;
	t->pending_fd = fd;
	c->rewrite_nr = SYS_fchdir;
	c->rewrite_arg0 = (uint64_t)fd;
	return CALL_REWRITE;
}

/* A local directory that the kernel would not find from a remote cwd. */
static long chdir_behalf(struct call *c, const struct place *p, int fd)
{
	/* Readable, because ADDFD cannot pass an O_PATH description on. */
	CLEANUP_FD int dir = open(p->local, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (dir < 0 || access(p->local, X_OK) < 0)
		return -errno;
	int rc = call_install_fd(c, dir, fd, true);
	return rc < 0 ? rc : CALL_CONTINUE;
}

static long chdir_remote(struct call *c, struct place *p, int fd)
{
	struct ofd *o;
	size_t n = strlen(p->path);

	/* Looking up "." needs search permission, as chdir does; opening the directory itself does not. */
	if (n + 3 <= sizeof(p->path))
		strcpy(p->path + n, n && p->path[n - 1] == '/' ? "." : "/.");
	int src = remote_open_dir(c, p, O_PATH | O_DIRECTORY, &o);
	if (src < 0)
		return src;
	int rc = call_install_fd(c, src, fd, true);
	close(src);
	if (rc < 0)
		return rc;
	ofd_set_number(fd, o);
	c->expected = 0;
	return CALL_CONTINUE;
}

static long chdir_finish(struct call *c, struct place *p, int fd)
{
	bool reused = ofd_by_fd(c->tid, fd);
	long rc = p->behalf ? chdir_behalf(c, p, fd) : chdir_remote(c, p, fd);
	struct task *t = task_find(c->tid);

	if (rc != CALL_CONTINUE) {
		if (!reused)
			ofd_release_number(fd);
	} else if (p->behalf) {
		ofd_doubt_number(fd, true);
	} else if (t) {
		t->cwd_fd = fd;
		t->cwd_key = ofd_by_fd(c->tid, fd)->key;
	}
	return rc;
}

/* CALL_CONTINUE when the caller may enter O, else -EACCES. Only where not everybody may, the agent is asked. */
static long may_search(struct call *c, struct ofd *o)
{
	rfs_Request req = { .which_op = rfs_Request_access_tag,
			    .op.access = { .has_where = true, .where.dir = o->handle, .mode = X_OK, .flags = AT_EACCESS } };
	struct link_reply rep;
	int rc = 0;

	if (S_ISDIR(o->node->attr.mode) && (o->node->attr.mode & 0111) != 0111) {
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
	int fd = (int)c->arg[0];
	struct task *t = task_find(c->tid);

	if (t && t->pending && t->pending_fd == fd) {
		struct place *p = t->pending;

		t->pending = NULL;
		c->nr = t->pending_nr;
		c->row = table_row(c->nr);
		c->arg[0] = t->first_arg;
		long rc = c->nr == SYS_chdir ? chdir_finish(c, p, fd) : remote_exec(c, p);
		place_release(p);
		free(p);
		return rc;
	}
	struct ofd *o = ofd_by_fd(c->tid, fd);
	if (!o)
		return CALL_CONTINUE;
	call_remote(c, o->mount);
	return may_search(c, o); /* the placeholder is a real directory, which the kernel enters */
}

static long cwd_path(struct call *c, struct ofd *o, char *out, size_t len)
{
	char target[PATH_MAX];
	int rc = remote_path(c, o, target, sizeof(target));

	return rc < 0 ? rc : path_to_program(o->mount, target, out, len);
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
