/* File handles: name_to_handle_at(2), and finding the name of what a handle stands for. */
#include <errno.h>
#include <fcntl.h>
#include <linux/limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "handle.h"
#include "ops.h"
#include "subject.h"

struct whole_handle {
	struct file_handle head;
	unsigned char bytes[MAX_HANDLE_SZ];
};

int op_name_to_handle(struct op *op)
{
	const rfs_NameToHandle *req = &op->req->op.name_to_handle;
	rfs_HandleReply *reply = &op->reply->op.handle;
	struct whole_handle h = { .head.handle_bytes = req->size };
	uint64_t mount = 0; /* an int, or with AT_HANDLE_MNT_ID_UNIQUE 64 bits */
	struct subject s;
	char proc[32];
	int r;

	if (req->size > MAX_HANDLE_SZ)
		return -EINVAL;
	r = subject_get(op, req->has_where, &req->where, !(req->flags & AT_SYMLINK_FOLLOW), &s);
	/* Not by AT_EMPTY_PATH, with which the kernel refuses a connectable handle. */
	if (!r && name_to_handle_at(AT_FDCWD, subject_proc(s.fd, proc), &h.head, (int *)&mount,
				    (int)(req->flags | AT_SYMLINK_FOLLOW)))
		r = -errno;
	subject_put(&s);
	/* What the kernel says of a handle that did not fit is an answer, too. */
	if (r && (r != -EOVERFLOW || h.head.handle_bytes <= req->size))
		return r;
	op->reply->which_op = rfs_Reply_handle_tag;
	reply->size = h.head.handle_bytes;
	reply->type = (uint32_t)h.head.handle_type;
	reply->mount_id = mount;
	if (!r) {
		reply->bytes.size = (pb_size_t)h.head.handle_bytes;
		memcpy(reply->bytes.bytes, h.head.f_handle, h.head.handle_bytes);
	}
	return 0;
}

int op_handle_to_name(struct op *op)
{
	const rfs_HandleToName *req = &op->req->op.handle_to_name;
	struct whole_handle h = { .head = { .handle_bytes = req->bytes.size, .handle_type = (int)req->type } };
	struct place mount = { .agent = op->agent };
	int at, fd, r = handle_get(op->agent->handles, req->handle, &mount.dir);

	if (r)
		return r;
	memcpy(h.head.f_handle, req->bytes.bytes, req->bytes.size);
	/* Opened anew: a working directory's handle is O_PATH, which the kernel takes for a working directory only. */
	at = resolve_open(&mount, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, 0);
	place_put(&mount);
	if (at < 0)
		return at;
	fd = open_by_handle_at(at, &h.head, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	r = fd < 0 ? -errno : 0;
	close(at);
	if (r)
		return r;
	op->out = malloc(PATH_MAX);
	if (!op->out) {
		close(fd);
		return -ENOMEM;
	}
	r = resolve_below(&op->agent->root, fd, (char *)op->out);
	close(fd);
	op->out_len = r ? 0 : strlen((char *)op->out);
	return r ? -EXDEV : 0;
}
