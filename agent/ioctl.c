/* What file systems answer through ioctl(2), and file_getattr(2), file_setattr(2). Only what is listed here is asked. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "frame.h"
#include "ops.h"
#include "subject.h"

#ifndef SYS_file_getattr
#define SYS_file_getattr 468
#define SYS_file_setattr 469
#endif
#define FILE_ATTR_REQUEST 0 /* in the place of an ioctl's number */
#define FILE_ATTR_SIZE 24   /* struct file_attr of 6.17 */

/* FS_IOC_GETFSUUID and FS_IOC_GETFSSYSFSPATH of 6.9. */
#define GET_FS_UUID _IOR(0x15, 0, uint8_t[17])
#define GET_SYSFS_PATH _IOR(0x15, 1, uint8_t[129])

/* Bytes that go in and come out: the numbers themselves say long where the kernel means int. */
struct ioctl_row {
	uint32_t request;
	bool changes;
	uint16_t in, out;
};

static const struct ioctl_row rows[] = {
	{ FS_IOC_GETFLAGS, false, 0, 4 },
	{ FS_IOC_SETFLAGS, true, 4, 0 },
	{ FS_IOC_FSGETXATTR, false, 0, sizeof(struct fsxattr) },
	{ FS_IOC_FSSETXATTR, true, sizeof(struct fsxattr), 0 },
	{ FS_IOC_GETVERSION, false, 0, 4 },
	{ FS_IOC_SETVERSION, true, 4, 0 },
	{ FS_IOC_GETFSLABEL, false, 0, FSLABEL_MAX },
	{ GET_FS_UUID, false, 0, 17 },
	{ GET_SYSFS_PATH, false, 0, 129 },
	{ FIGETBSZ, false, 0, 4 },
	{ FIOQSIZE, false, 0, 8 },
	{ FIBMAP, false, 4, 4 },
};

static const struct ioctl_row *find_row(uint32_t request, bool changes)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		if (rows[i].request == request && rows[i].changes == changes)
			return &rows[i];
	return NULL;
}

/* The reply's payload, LEN bytes of which begin with the request's. */
static int take_out(struct op *op, size_t len)
{
	op->out = calloc(1, len + 1);
	if (!op->out)
		return -ENOMEM;
	if (op->data_len)
		memcpy(op->out, op->data, op->data_len < len ? op->data_len : len);
	op->out_len = len;
	return 0;
}

/* A struct fiemap, its extents behind it. */
static int ioctl_fiemap(struct op *op, int fd)
{
	struct fiemap map;
	size_t most;
	int r;

	if (op->data_len != sizeof(map))
		return -EINVAL;
	memcpy(&map, op->data, sizeof(map));
	most = (FIEMAP_MAX_BYTES - sizeof(map)) / sizeof(struct fiemap_extent);
	if (map.fm_extent_count > most)
		return -EINVAL;
	r = take_out(op, sizeof(map) + map.fm_extent_count * sizeof(struct fiemap_extent));
	return r ? r : ioctl(fd, FS_IOC_FIEMAP, op->out) ? -errno : 0;
}

static int ioctl_ask(struct op *op, int fd, uint32_t request)
{
	const struct ioctl_row *row = find_row(request, false);
	char proc[32];
	int r;

	if (request == FILE_ATTR_REQUEST) {
		r = take_out(op, FILE_ATTR_SIZE);
		return r ? r : syscall(SYS_file_getattr, AT_FDCWD, subject_proc(fd, proc), op->out, FILE_ATTR_SIZE, 0) ? -errno : 0;
	}
	if (request == FS_IOC_FIEMAP)
		return ioctl_fiemap(op, fd);
	if (!row)
		return -ENOTTY;
	if (op->data_len != row->in)
		return -EINVAL;
	r = take_out(op, row->out);
	return r ? r : ioctl(fd, request, op->out) < 0 ? -errno : 0;
}

static int ioctl_change(struct op *op, int fd, uint32_t request)
{
	const struct ioctl_row *row = find_row(request, true);
	uint64_t bytes[8];
	char proc[32];

	if (op->data_len > sizeof(bytes) || op->data_len != (row ? row->in : request == FILE_ATTR_REQUEST ? FILE_ATTR_SIZE : 0))
		return -EINVAL;
	if (op->data_len)
		memcpy(bytes, op->data, op->data_len);
	if (request == FILE_ATTR_REQUEST)
		return syscall(SYS_file_setattr, AT_FDCWD, subject_proc(fd, proc), bytes, FILE_ATTR_SIZE, 0) ? -errno : 0;
	return !row ? -ENOTTY : ioctl(fd, request, bytes) ? -errno : 0;
}

int op_ioctl(struct op *op)
{
	const rfs_Ioctl *req = &op->req->op.ioctl;
	struct subject s;
	int r = subject_get(op, req->has_where, &req->where, req->nofollow, &s);

	r = r ? r : ioctl_ask(op, s.fd, req->request);
	subject_put(&s);
	return r;
}

int op_ioctl_set(struct op *op)
{
	const rfs_Ioctl *req = &op->req->op.ioctl_set;
	struct subject s;
	int r = subject_get(op, req->has_where, &req->where, req->nofollow, &s);

	r = r ? r : ioctl_change(op, s.fd, req->request);
	r = r ? r : subject_reply_attr(op, s.fd);
	subject_put(&s);
	return r;
}
