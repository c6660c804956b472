/* Bytes from file to file. */
#include <errno.h>
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

int op_copy_range(struct op *op)
{
	const rfs_CopyRange *req = &op->req->op.copy_range;
	rfs_WriteReply *reply = &op->reply->op.write;
	struct handle *from, *to;
	ssize_t n;
	int r = handle_get(op->agent->handles, req->from, &from);

	if (r)
		return r;
	r = handle_get(op->agent->handles, req->to, &to);
	if (!r) {
		n = copy_bytes(req, from, to);
		op->reply->which_op = rfs_Reply_write_tag;
		if (n >= 0) {
			reply->written = (uint32_t)n;
			reply->offset = (uint64_t)req->to_offset + (uint64_t)n;
			reply->has_attr = attr_of(to->fd, &reply->attr) == 0;
		}
		r = n < 0 ? (int)n : 0;
		handle_put(op->agent->handles, to);
	}
	handle_put(op->agent->handles, from);
	return r;
}

/* Nothing is open for writing there. */
int op_copy_refuse(struct op *op)
{
	(void)op;
	return -EBADF;
}
