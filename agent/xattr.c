/* Extended attributes. The f*xattr calls refuse O_PATH descriptors, so all go through /proc. */
#include <errno.h>
#include <linux/limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#include "doubt.h"
#include "ops.h"
#include "subject.h"

/* The name that came as SIZE bytes; the kernel gives ERANGE for one that is empty or too long. */
static int xattr_name(const uint8_t *bytes, size_t size, char name[XATTR_NAME_MAX + 1])
{
	if (!size || size > XATTR_NAME_MAX || memchr(bytes, 0, size))
		return -ERANGE;
	memcpy(name, bytes, size);
	name[size] = '\0';
	return 0;
}

/* The whole value of NAME, or with NULL the list of names, of FD's file as the reply's payload. */
static int xattr_reply(struct op *op, int fd, const char *name)
{
	size_t most = name ? XATTR_SIZE_MAX : XATTR_LIST_MAX;
	char proc[32];
	ssize_t n;

	op->out = malloc(most);
	if (!op->out)
		return -ENOMEM;
	if (name)
		n = getxattr(subject_proc(fd, proc), name, op->out, most);
	else
		n = listxattr(subject_proc(fd, proc), (char *)op->out, most);
	op->out_len = n > 0 ? (size_t)n : 0;
	return n < 0 ? -errno : 0;
}

int op_getxattr(struct op *op)
{
	const rfs_Getxattr *req = &op->req->op.getxattr;
	char name[XATTR_NAME_MAX + 1];
	struct subject s;
	int r = subject_get(op, req->has_where, &req->where, req->nofollow, &s);

	r = r ? r : xattr_name(req->name.bytes, req->name.size, name);
	r = r ? r : xattr_reply(op, s.fd, name);
	subject_put(&s);
	return r;
}

int op_listxattr(struct op *op)
{
	const rfs_Listxattr *req = &op->req->op.listxattr;
	struct subject s;
	int r = subject_get(op, req->has_where, &req->where, req->nofollow, &s);

	r = r ? r : xattr_reply(op, s.fd, NULL);
	subject_put(&s);
	return r;
}

int op_setxattr(struct op *op)
{
	const rfs_Setxattr *req = &op->req->op.setxattr;
	char name[XATTR_NAME_MAX + 1], proc[32];
	struct subject s;
	int r = subject_get(op, req->has_where, &req->where, req->nofollow, &s);

	r = r ? r : xattr_name(req->name.bytes, req->name.size, name);
	if (!r) {
		/* It may be there by what a killed process did of the same request. */
		int flags = doubt_is(op) ? (int)req->flags & ~XATTR_CREATE : (int)req->flags;

		doubt_begin(op);
		if (setxattr(subject_proc(s.fd, proc), name, op->data, op->data_len, flags))
			r = -errno;
	}
	r = r ? r : subject_reply_attr(op, s.fd);
	subject_put(&s);
	return r;
}

int op_removexattr(struct op *op)
{
	const rfs_Removexattr *req = &op->req->op.removexattr;
	char name[XATTR_NAME_MAX + 1], proc[32];
	struct subject s;
	int r = subject_get(op, req->has_where, &req->where, req->nofollow, &s);

	r = r ? r : xattr_name(req->name.bytes, req->name.size, name);
	if (!r) {
		doubt_begin(op);
		if (removexattr(subject_proc(s.fd, proc), name) && !(errno == ENODATA && doubt_is(op)))
			r = -errno;
	}
	r = r ? r : subject_reply_attr(op, s.fd);
	subject_put(&s);
	return r;
}
