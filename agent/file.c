/* The bytes of open files: read, write, truncate, sync. */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "attr.h"
#include "doubt.h"
#include "frame.h"
#include "handle.h"
#include "ops.h"
#include "resolve.h"
#include "subject.h"

/* 6.11 and 6.14: newer than some libc. */
#ifndef RWF_ATOMIC
#define RWF_ATOMIC 0x40
#endif
#ifndef RWF_DONTCACHE
#define RWF_DONTCACHE 0x80
#endif
#define WRITE_FLAGS (RWF_DSYNC | RWF_SYNC | RWF_NOWAIT | RWF_ATOMIC | RWF_DONTCACHE)

/* RWF_APPEND is of 4.16: once it was refused, O_APPEND is switched on and off instead. */
static atomic_bool file_old_append;

/* One read. Flags are for kernels that know them: without any, for all. */
static ssize_t file_read_some(int fd, uint8_t *to, size_t len, uint64_t offset, int flags)
{
	struct iovec iov = { to, len };

	return flags ? preadv2(fd, &iov, 1, (off_t)offset, flags) : pread(fd, to, len, (off_t)offset);
}

int file_read(struct op *op, int fd, uint64_t offset, uint32_t size, int flags, bool *end)
{
	ssize_t n = 0;

	op->out_len = 0;
	op->out = malloc(size ? size : 1);
	if (!op->out)
		return -ENOMEM;
	do {
		n = file_read_some(fd, op->out + op->out_len, size - op->out_len, offset + op->out_len, flags);
		if (n > 0)
			op->out_len += n;
	} while (op->out_len < size && (n > 0 || (n < 0 && errno == EINTR)));
	*end = n == 0 && size > 0;
	/* What came before an error is delivered; the error is that of the next read. */
	return n < 0 && !op->out_len ? -errno : 0;
}

int op_read(struct op *op)
{
	const rfs_Read *req = &op->req->op.read;
	struct handle *h;
	bool end;
	int r;

	if (req->size > FRAME_MAX_PAYLOAD)
		return -EINVAL;
	if (req->flags & ~(uint32_t)RWF_DONTCACHE)
		return -EOPNOTSUPP;
	r = handle_get(op->agent->handles, req->handle, &h);
	if (r)
		return r;
	promise_handle(op->agent->watcher, &op->promise, h);
	r = file_read(op, h->fd, req->offset, req->size, (int)req->flags, &end);
	handle_put(op->agent->handles, h);
	return r;
}

/* pwritev2(2) is of 4.6, and of 4.7 with these flags. */
static ssize_t file_write_old(int fd, const uint8_t *data, size_t len, int64_t offset, int flags)
{
	ssize_t n = offset == -1 ? write(fd, data, len) : pwrite(fd, data, len, offset);

	if (n > 0 && flags && (flags & RWF_SYNC ? fsync(fd) : fdatasync(fd)))
		n = -1;
	return n;
}

/* One write; OFFSET -1: at the file position, which RWF_APPEND puts at the end first. */
static ssize_t file_write_some(int fd, const uint8_t *data, size_t len, int64_t offset, int flags)
{
	struct iovec iov = { (void *)data, len };
	ssize_t n = pwritev2(fd, &iov, 1, offset, flags);

	/* What libc makes of ENOSYS, if there are flags, is EOPNOTSUPP. */
	if (n < 0 && (errno == ENOSYS || errno == EOPNOTSUPP) && !(flags & ~(RWF_DSYNC | RWF_SYNC)))
		n = file_write_old(fd, data, len, offset, flags);
	return n < 0 ? -errno : n;
}

/* Returns the number of bytes written; an error only if there are none. *STOPPED is what kept the rest from it, or 0. */
static ssize_t file_write_all(int fd, const uint8_t *data, size_t len, int64_t offset, int flags, uint32_t *stopped)
{
	size_t done = 0;
	ssize_t n;

	do {
		n = file_write_some(fd, data + done, len - done, offset == -1 ? -1 : offset + (int64_t)done, flags);
		if (n > 0)
			done += n;
	} while (done < len && (n > 0 || n == -EINTR));
	*stopped = n < 0 ? (uint32_t)-n : 0;
	return done || n >= 0 ? (ssize_t)done : n;
}

/* Appends; the file position is at its end then. */
static ssize_t file_append_some(struct handle *h, const uint8_t *data, size_t len, int flags, rfs_WriteReply *reply)
{
	ssize_t n = -EOPNOTSUPP;

	if (!file_old_append)
		n = file_write_all(h->fd, data, len, -1, flags | RWF_APPEND, &reply->stopped);
	bool other_flags = flags & ~(RWF_DSYNC | RWF_SYNC); /* it may be these that are not supported */
	if ((n == -EOPNOTSUPP && !other_flags) || n == -ENOSYS) {
		file_old_append = true;
		fcntl(h->fd, F_SETFL, O_APPEND | O_NONBLOCK);
		n = file_write_all(h->fd, data, len, -1, flags, &reply->stopped);
		fcntl(h->fd, F_SETFL, O_NONBLOCK);
	}
	reply->offset = lseek(h->fd, 0, SEEK_CUR);
	return n;
}

/* Appends under H's lock, which keeps the file position ours until it is read. */
static ssize_t file_append(struct op *op, struct handle *h, int flags, rfs_WriteReply *reply)
{
	ssize_t n, before;
	int64_t offset = 0;

	pthread_mutex_lock(&h->position);
	n = before = doubt_append(op, h->fd, &offset);
	reply->offset = (uint64_t)offset;
	if (before >= 0 && ((size_t)before < op->data_len || !op->data_len)) {
		n = file_append_some(h, op->data + before, op->data_len - (size_t)before, flags, reply);
		n = n >= 0 ? before + n : before ? before : n;
	}
	doubt_appended(op, n, (int64_t)reply->offset);
	pthread_mutex_unlock(&h->position);
	return n;
}

static ssize_t file_overwrite(struct handle *h, const uint8_t *data, size_t len, uint64_t offset, int flags,
			      rfs_WriteReply *reply)
{
	/* Linux appends with pwrite(2), too, while O_APPEND is on (its BUGS section). */
	bool lock = file_old_append;
	ssize_t n;

	if ((int64_t)offset < 0)
		return -EINVAL;
	if (lock)
		pthread_mutex_lock(&h->position);
	n = file_write_all(h->fd, data, len, offset, flags, &reply->stopped);
	reply->offset = offset + (n > 0 ? n : 0);
	if (lock)
		pthread_mutex_unlock(&h->position);
	return n;
}

int op_write(struct op *op)
{
	const rfs_Write *req = &op->req->op.write;
	rfs_WriteReply *reply = &op->reply->op.write;
	struct handle *h;
	ssize_t n;
	int r;

	if (req->flags & ~(uint32_t)WRITE_FLAGS)
		return -EOPNOTSUPP;
	r = handle_get(op->agent->handles, req->handle, &h);
	if (r)
		return r;
	op->reply->which_op = rfs_Reply_write_tag;
	n = req->append ? file_append(op, h, req->flags, reply) :
			  file_overwrite(h, op->data, op->data_len, req->offset, req->flags, reply);
	if (n >= 0) {
		reply->written = n;
		reply->has_attr = attr_of(h->fd, &reply->attr) == 0;
	}
	handle_put(op->agent->handles, h);
	return n < 0 ? n : 0;
}

int op_write_refuse(struct op *op)
{
	struct handle *h;

	if (!handle_get(op->agent->handles, op->req->op.write.handle, &h))
		handle_put(op->agent->handles, h);
	return -EBADF; /* known or not: no handle is open for writing */
}

static int truncate_handle(struct op *op, uint64_t number, int64_t length)
{
	struct handle *h;
	int r = handle_get(op->agent->handles, number, &h);

	if (r)
		return r;
	r = ftruncate(h->fd, length) ? -errno : subject_reply_attr(op, h->fd);
	handle_put(op->agent->handles, h);
	return r;
}

/* truncate(2) needs no descriptor that is open for writing, so none is made: O_PATH and /proc. */
static int truncate_place(struct op *op, const rfs_Truncate *req)
{
	struct subject s;
	char proc[32];
	int r = subject_get(op, req->has_where, &req->where, false, &s);

	if (!r)
		r = truncate(subject_proc(s.fd, proc), req->length) ? -errno : subject_reply_attr(op, s.fd);
	subject_put(&s);
	return r;
}

int op_truncate(struct op *op)
{
	const rfs_Truncate *req = &op->req->op.truncate;

	if (req->length < 0)
		return -EINVAL;
	return req->handle ? truncate_handle(op, req->handle, req->length) : truncate_place(op, req);
}

static int truncate_place_refuse(struct op *op, const rfs_Truncate *req)
{
	struct subject s;
	struct stat st;
	int r = subject_get(op, req->has_where, &req->where, false, &s);

	if (!r && fstat(s.fd, &st))
		r = -errno;
	else if (!r)
		r = S_ISDIR(st.st_mode) ? -EISDIR : S_ISREG(st.st_mode) ? -EROFS : -EINVAL;
	subject_put(&s);
	return r;
}

int op_truncate_refuse(struct op *op)
{
	const rfs_Truncate *req = &op->req->op.truncate;
	struct handle *h = NULL;
	int r;

	if (req->length < 0)
		return -EINVAL;
	if (req->handle) {
		r = handle_get(op->agent->handles, req->handle, &h);
		if (!r)
			r = h->flags & O_PATH ? -EBADF : -EINVAL; /* ftruncate(2): not open for writing */
		handle_put(op->agent->handles, h);
		return r;
	}
	return truncate_place_refuse(op, req);
}

int op_sync(struct op *op)
{
	struct handle *h;
	int r = handle_get(op->agent->handles, op->req->op.sync.handle, &h);

	if (r)
		return r;
	r = op->req->op.sync.data_only ? fdatasync(h->fd) : fsync(h->fd);
	if (r)
		r = -errno;
	handle_put(op->agent->handles, h);
	return r;
}

int op_sync_range(struct op *op)
{
	const rfs_SyncRange *req = &op->req->op.sync_range;
	struct handle *h;
	int r = handle_get(op->agent->handles, req->handle, &h);

	if (r)
		return r;
	r = sync_file_range(h->fd, req->offset, req->length, req->flags) ? -errno : 0;
	handle_put(op->agent->handles, h);
	return r;
}

int op_syncfs(struct op *op)
{
	struct handle *h;
	int r;

	if (!op->req->op.syncfs.handle) {
		sync();
		return 0;
	}
	r = handle_get(op->agent->handles, op->req->op.syncfs.handle, &h);
	if (r)
		return r;
	r = syncfs(h->fd) ? -errno : 0;
	handle_put(op->agent->handles, h);
	return r;
}

int op_seek(struct op *op)
{
	const rfs_Seek *req = &op->req->op.seek;
	struct handle *h;
	int r = handle_get(op->agent->handles, req->handle, &h);

	if (r)
		return r;
	if (!h->channel && req->whence != SEEK_SET && req->whence != SEEK_DATA && req->whence != SEEK_HOLE) {
		r = -EINVAL;
	} else {
		pthread_mutex_lock(&h->position);
		off_t at = lseek(h->fd, req->offset, (int)req->whence);
		r = at < 0 ? -errno : 0;
		pthread_mutex_unlock(&h->position);
		op->reply->which_op = rfs_Reply_seek_tag;
		op->reply->op.seek.offset = at;
	}
	handle_put(op->agent->handles, h);
	return r;
}
