/* What is to reach the disk, and what is said of how a file will be used: fsync, sync, sync_file_range, fadvise … */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "behind.h"
#include "call.h"
#include "foretold.h"
#include "handlers.h"
#include "io.h"
#include "link.h"
#include "ofd.h"
#include "rules.h"
#include "sync.h"

/* Descriptor FD, if it is remote. *RC: what is wrong with it, or CALL_CONTINUE when it is local. */
static struct ofd *remote_fd(struct call *c, int fd, long *rc)
{
	struct ofd *o = ofd_by_fd(c->tid, fd);

	if (o)
		call_remote(c, o->mount);
	*rc = !o ? CALL_CONTINUE : o->flags & O_PATH ? -EBADF : 0;
	return o;
}

/* Asks O's mount for a reply without a body. */
static int ask(struct call *c, const struct mount *m, const rfs_Request *req)
{
	struct link_reply rep;
	int rc = call_rpc(c, m, req, NULL, 0, &rep);

	if (!rc)
		link_reply_free(&rep);
	return rc;
}

/* What becomes of RC, the answer to a request that all changes sent behind stood before: the first of them that failed. */
static int sum_up(struct call *c, struct ofd *o, long rc)
{
	int error = behind_error(c, o);

	error = error ? error : o->unmade ? o->unmade : foretold_error(o);
	return error ? error : (int)rc;
}

long io_sync(struct call *c, struct ofd *o, bool data_only)
{
	rfs_Request req = { .which_op = rfs_Request_sync_tag, .op.sync = { .handle = o->handle, .data_only = data_only } };
	int rc;

	ofd_ref(o);
	rc = sync_flush(c, o->image, 0, UINT64_MAX);
	rc = sum_up(c, o, rc ? rc : ask(c, o->mount, &req));
	ofd_unref(o);
	return rc;
}

static long do_sync(struct call *c, bool data_only)
{
	long rc;
	struct ofd *o = remote_fd(c, (int)c->arg[0], &rc);

	return rc ? rc : io_sync(c, o, data_only);
}

long sys_fsync(struct call *c)
{
	return do_sync(c, false);
}

long sys_fdatasync(struct call *c)
{
	return do_sync(c, true);
}

/* The kernel checks what is wrong with the range; the target's, as it has the file. */
long sys_sync_file_range(struct call *c)
{
	long rc;
	struct ofd *o = remote_fd(c, (int)c->arg[0], &rc);

	if (rc)
		return rc;
	rfs_Request req = { .which_op = rfs_Request_sync_range_tag,
			    .op.sync_range = { .handle = o->handle, .offset = (int64_t)c->arg[1],
					       .length = (int64_t)c->arg[2], .flags = (uint32_t)c->arg[3] } };
	ofd_ref(o);
	rc = sync_flush(c, o->image, 0, UINT64_MAX);
	rc = sum_up(c, o, rc ? rc : ask(c, o->mount, &req));
	ofd_unref(o);
	return rc;
}

long sys_syncfs(struct call *c)
{
	long rc;
	struct ofd *o = remote_fd(c, (int)c->arg[0], &rc);

	if (rc)
		return rc;
	rfs_Request req = { .which_op = rfs_Request_syncfs_tag, .op.syncfs.handle = o->handle };
	ofd_ref(o);
	sync_all(c, o->mount);
	rc = ask(c, o->mount, &req);
	ofd_unref(o);
	return rc;
}

/* It tells of no errors. What can be changed is brought to every target and synced there; then the local rest. */
long sys_sync(struct call *c)
{
	const rfs_Request req = { .which_op = rfs_Request_syncfs_tag };
	size_t count;
	struct mount *const *mounts = rules_mounts(&count);

	sync_all(c, NULL);
	for (size_t i = 0; i < count; i++)
		if (mounts[i]->writable)
			ask(c, mounts[i], &req);
	return CALL_CONTINUE;
}

/* ---- advice ---- */

/* The placeholder's file system takes advice as any other does, and finds the same mistakes. */
static long advise(struct call *c, bool forget)
{
	long rc;
	struct ofd *o = remote_fd(c, (int)c->arg[0], &rc);

	if (rc)
		return rc;
	if (forget)
		pages_drop_all(&o->node->pages);
	return CALL_CONTINUE;
}

long sys_fadvise64(struct call *c)
{
	return advise(c, (int)c->arg[3] == POSIX_FADV_DONTNEED);
}

long sys_readahead(struct call *c)
{
	const struct ofd *o = ofd_by_fd(c->tid, (int)c->arg[0]);

	/* A device has a placeholder that could be read ahead. */
	if (o && o->channel && !o->shadow && (o->flags & O_ACCMODE) != O_WRONLY && (o->flags & O_ACCMODE) != O_ACCMODE)
		return -EINVAL;
	return advise(c, false);
}

/* What is in the page cache of the target is nothing to this machine: as a file system that cannot tell (hugetlbfs). */
long sys_cachestat(struct call *c)
{
	struct { uint64_t off, len; } range;
	long rc;

	remote_fd(c, (int)c->arg[0], &rc);
	if (rc)
		return rc;
	return call_read(c, c->arg[1], &range, sizeof(range)) < 0 ? -EFAULT : -EOPNOTSUPP;
}
