/* What a file is: mode, owner, times, room; and what its file system says of itself. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "doubt.h"
#include "handle.h"
#include "ops.h"
#include "resolve.h"
#include "subject.h"

#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif

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
	return chmod(subject_proc(fd, proc), mode) ? -errno : 0;
}

int op_chmod(struct op *op)
{
	const rfs_Chmod *req = &op->req->op.chmod;
	struct subject s;
	int r = subject_get(op, req->has_where, &req->where, req->nofollow, &s);

	r = r ? r : chmod_fd(s.fd, req->mode & 07777);
	r = r ? r : subject_reply_attr(op, s.fd);
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
	r = r ? r : subject_reply_attr(op, s.fd);
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
	return utimensat(AT_FDCWD, subject_proc(fd, proc), times, 0) ? -errno : 0;
}

int op_utimes(struct op *op)
{
	const rfs_Utimes *req = &op->req->op.utimes;
	const struct timespec times[2] = { { req->atime_sec, req->atime_nsec }, { req->mtime_sec, req->mtime_nsec } };
	struct subject s;
	int r = subject_get(op, req->has_where, &req->where, req->nofollow, &s);

	r = r ? r : utimes_fd(s.fd, times);
	r = r ? r : subject_reply_attr(op, s.fd);
	subject_put(&s);
	return r;
}

/* Changes of what a place is, under a read-only root: the path's own errors come first. */
int op_meta_refuse(struct op *op)
{
	struct subject s;
	int r = -ENOSYS;

	switch (op->req->which_op) {
#define SUBJECT_OF(name)                                                                                         \
	case rfs_Request_##name##_tag:                                                                           \
		r = subject_get(op, op->req->op.name.has_where, &op->req->op.name.where, op->req->op.name.nofollow, &s); \
		break
		SUBJECT_OF(chmod);
		SUBJECT_OF(chown);
		SUBJECT_OF(utimes);
		SUBJECT_OF(setxattr);
		SUBJECT_OF(removexattr);
		SUBJECT_OF(ioctl_set);
#undef SUBJECT_OF
	default:
		return r;
	}
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
	/* What moves the rest of the file would move it twice. */
	if (req->mode & (FALLOC_FL_COLLAPSE_RANGE | FALLOC_FL_INSERT_RANGE))
		r = doubt_once(op);
	if (!r && fallocate(h->fd, (int)req->mode, req->offset, req->length))
		r = -errno;
	r = r ? r : subject_reply_attr(op, h->fd);
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
