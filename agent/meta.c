/* What a file is: mode, owner, times, room; and what its file system says of itself. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "attr.h"
#include "handle.h"
#include "ops.h"
#include "resolve.h"

#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif

/* One place, opened with O_PATH, or the handle itself. */
struct subject {
	struct place place;
	int fd;
	bool own; /* FD is to be closed */
};

static int subject_get(struct op *op, bool present, const rfs_Where *where, bool nofollow, struct subject *s)
{
	int r = place_get(op->agent, present, where, &s->place);

	s->fd = -1;
	s->own = false;
	if (r)
		return r;
	if (!s->place.path[0]) {
		s->fd = place_fd(&s->place);
		return 0;
	}
	s->fd = resolve_open(&s->place, O_PATH | (nofollow ? O_NOFOLLOW : 0), 0, 0);
	s->own = s->fd >= 0;
	return s->fd < 0 ? s->fd : 0;
}

static void subject_put(struct subject *s)
{
	if (s->own)
		close(s->fd);
	place_put(&s->place);
}

static int reply_attr(struct op *op, int fd)
{
	op->reply->which_op = rfs_Reply_stat_tag;
	op->reply->op.stat.has_attr = true;
	return attr_of(fd, &op->reply->op.stat.attr);
}

/* fchmodat2(2) is of 6.6. Before, the way through /proc does the same, but for a link. */
static int chmod_fd(int fd, mode_t mode)
{
	char proc[32];
	struct stat st;

	if (!syscall(SYS_fchmodat2, fd, "", mode, AT_EMPTY_PATH))
		return 0;
	if (errno != ENOSYS && errno != EPERM)
		return -errno;
	if (!fstat(fd, &st) && S_ISLNK(st.st_mode))
		return -EOPNOTSUPP;
	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
	return chmod(proc, mode) ? -errno : 0;
}

int op_chmod(struct op *op)
{
	const rfs_Chmod *req = &op->req->op.chmod;
	struct subject s;
	int r = subject_get(op, req->has_where, &req->where, req->nofollow, &s);

	r = r ? r : chmod_fd(s.fd, req->mode & 07777);
	r = r ? r : reply_attr(op, s.fd);
	subject_put(&s);
	return r;
}

int op_chown(struct op *op)
{
	const rfs_Chown *req = &op->req->op.chown;
	struct subject s;
	int r = subject_get(op, req->has_where, &req->where, req->nofollow, &s);

	if (!r && fchownat(s.fd, "", req->uid, req->gid, AT_EMPTY_PATH))
		r = -errno;
	r = r ? r : reply_attr(op, s.fd);
	subject_put(&s);
	return r;
}

/* With AT_EMPTY_PATH since 5.8; before, through /proc, which a link cannot be reached by. */
static int utimes_fd(int fd, const struct timespec times[2])
{
	char proc[32];

	if (!syscall(SYS_utimensat, fd, "", times, AT_EMPTY_PATH))
		return 0;
	if (errno != EINVAL)
		return -errno;
	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
	return utimensat(AT_FDCWD, proc, times, 0) ? -errno : 0;
}

int op_utimes(struct op *op)
{
	const rfs_Utimes *req = &op->req->op.utimes;
	const struct timespec times[2] = { { req->atime_sec, req->atime_nsec }, { req->mtime_sec, req->mtime_nsec } };
	struct subject s;
	int r = subject_get(op, req->has_where, &req->where, req->nofollow, &s);

	r = r ? r : utimes_fd(s.fd, times);
	r = r ? r : reply_attr(op, s.fd);
	subject_put(&s);
	return r;
}

/* The three above under a read-only root: the path's own errors come first. */
int op_meta_refuse(struct op *op)
{
	const rfs_Request *req = op->req;
	struct subject s;
	int r;

	if (req->which_op == rfs_Request_chmod_tag)
		r = subject_get(op, req->op.chmod.has_where, &req->op.chmod.where, req->op.chmod.nofollow, &s);
	else if (req->which_op == rfs_Request_chown_tag)
		r = subject_get(op, req->op.chown.has_where, &req->op.chown.where, req->op.chown.nofollow, &s);
	else
		r = subject_get(op, req->op.utimes.has_where, &req->op.utimes.where, req->op.utimes.nofollow, &s);
	subject_put(&s);
	return r ? r : -EROFS;
}

int op_allocate(struct op *op)
{
	const rfs_Allocate *req = &op->req->op.allocate;
	struct handle *h;
	int r = handle_get(op->agent->handles, req->handle, &h);

	if (r)
		return r;
	if (fallocate(h->fd, (int)req->mode, req->offset, req->length))
		r = -errno;
	r = r ? r : reply_attr(op, h->fd);
	handle_put(op->agent->handles, h);
	return r;
}

/* Nothing is open for writing there. */
int op_allocate_refuse(struct op *op)
{
	(void)op;
	return -EBADF;
}

int op_statfs(struct op *op)
{
	const rfs_Statfs *req = &op->req->op.statfs;
	rfs_StatfsReply *reply = &op->reply->op.statfs;
	struct subject s;
	struct statfs st;
	int r = subject_get(op, req->has_where, &req->where, false, &s);

	if (!r && fstatfs(s.fd, &st))
		r = -errno;
	subject_put(&s);
	if (r)
		return r;
	op->reply->which_op = rfs_Reply_statfs_tag;
	*reply = (rfs_StatfsReply){ .type = (uint64_t)st.f_type, .blksize = (uint64_t)st.f_bsize, .blocks = st.f_blocks,
				    .bfree = st.f_bfree, .bavail = st.f_bavail, .files = st.f_files, .ffree = st.f_ffree,
				    .fsid0 = (uint32_t)st.f_fsid.__val[0], .fsid1 = (uint32_t)st.f_fsid.__val[1],
				    .namelen = (uint64_t)st.f_namelen, .frsize = (uint64_t)st.f_frsize,
				    .flags = (uint64_t)st.f_flags };
	if (op->agent->root.read_only)
		reply->flags |= ST_RDONLY;
	return 0;
}
