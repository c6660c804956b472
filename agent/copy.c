/* Bytes from file to file. */
#include <errno.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "attr.h"
#include "handle.h"
#include "ops.h"

/* With sendfile, TO's file position is the target's offset: it is ours while we hold the lock. */
static ssize_t copy_splice(struct handle *from, off_t from_offset, struct handle *to, off_t to_offset, size_t len)
{
	ssize_t n = -1;

	pthread_mutex_lock(&to->position);
	if (lseek(to->fd, to_offset, SEEK_SET) >= 0)
		n = sendfile(to->fd, from->fd, &from_offset, len);
	n = n < 0 ? -errno : n;
	pthread_mutex_unlock(&to->position);
	return n;
}

static ssize_t copy_bytes(const rfs_CopyRange *req, struct handle *from, struct handle *to)
{
	loff_t in = req->from_offset, out = req->to_offset;
	ssize_t n;

	if (req->splice)
		return copy_splice(from, in, to, out, req->length);
	n = syscall(SYS_copy_file_range, from->fd, &in, to->fd, &out, (size_t)req->length, 0);
	return n < 0 ? -errno : n;
}

/* The two handles of a request: 0 with references, to be given back. */
static int pair_get(struct op *op, uint64_t from_number, uint64_t to_number, struct handle **from, struct handle **to)
{
	int r = handle_get(op->agent->handles, from_number, from);

	if (r)
		return r;
	r = handle_get(op->agent->handles, to_number, to);
	if (r)
		handle_put(op->agent->handles, *from);
	return r;
}

static void pair_put(struct op *op, struct handle *from, struct handle *to)
{
	handle_put(op->agent->handles, from);
	handle_put(op->agent->handles, to);
}

int op_copy_range(struct op *op)
{
	const rfs_CopyRange *req = &op->req->op.copy_range;
	rfs_WriteReply *reply = &op->reply->op.write;
	struct handle *from, *to;
	int r = pair_get(op, req->from, req->to, &from, &to);

	if (r)
		return r;
	ssize_t n = copy_bytes(req, from, to);
	op->reply->which_op = rfs_Reply_write_tag;
	if (n >= 0) {
		reply->written = (uint32_t)n;
		reply->offset = (uint64_t)req->to_offset + (uint64_t)n;
		reply->has_attr = attr_of(to->fd, &reply->attr) == 0;
	}
	pair_put(op, from, to);
	return n < 0 ? (int)n : 0;
}

int op_clone(struct op *op)
{
	const rfs_Clone *req = &op->req->op.clone;
	rfs_StatReply *reply = &op->reply->op.stat;
	struct handle *from, *to;
	int r = pair_get(op, req->from, req->to, &from, &to);

	if (r)
		return r;
	struct file_clone_range range = { .src_fd = from->fd, .src_offset = (uint64_t)req->from_offset,
					  .src_length = (uint64_t)req->length, .dest_offset = (uint64_t)req->to_offset };
	r = ioctl(to->fd, FICLONERANGE, &range) ? -errno : 0;
	op->reply->which_op = rfs_Reply_stat_tag;
	reply->has_attr = !r && attr_of(to->fd, &reply->attr) == 0;
	pair_put(op, from, to);
	return r;
}

int op_dedupe(struct op *op)
{
	const rfs_Dedupe *req = &op->req->op.dedupe;
	struct { struct file_dedupe_range head; struct file_dedupe_range_info info; } range;
	struct handle *from, *to = NULL;
	int r = req->to ? pair_get(op, req->from, req->to, &from, &to) : handle_get(op->agent->handles, req->from, &from);

	if (r)
		return r;
	memset(&range, 0, sizeof(range));
	range.head.src_offset = (uint64_t)req->from_offset;
	range.head.src_length = (uint64_t)req->length;
	range.head.dest_count = to ? 1 : 0;
	range.info.dest_fd = to ? to->fd : -1;
	range.info.dest_offset = (uint64_t)req->to_offset;
	r = ioctl(from->fd, FIDEDUPERANGE, &range) ? -errno : 0;
	op->reply->which_op = rfs_Reply_dedupe_tag;
	op->reply->op.dedupe = (rfs_DedupeReply){ .status = range.info.status, .bytes = range.info.bytes_deduped };
	pair_put(op, from, to);
	return r;
}

/* Nothing is open for writing there. */
int op_copy_refuse(struct op *op)
{
	(void)op;
	return -EBADF;
}

/* As on a file system that is mounted for reading. */
int op_dedupe_refuse(struct op *op)
{
	(void)op;
	return -EROFS;
}
