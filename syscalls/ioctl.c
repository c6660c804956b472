/* ioctl: what is about a remote file is its file system's to answer; file_getattr, file_setattr. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <linux/major.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "aim.h"
#include "behind.h"
#include "call.h"
#include "clone.h"
#include "flow.h"
#include "frame.h"
#include "handlers.h"
#include "link.h"
#include "log.h"
#include "ofd.h"
#include "remote.h"
#include "util.h"

#define FILE_ATTR_REQUEST 0 /* the protocol's number for file_getattr, file_setattr */
#define FILE_ATTR_SIZE 24
#define PAGE_BYTES 4096
#define NOWHERE UINT64_MAX

static long readable_bytes(struct call *c, struct ofd *o)
{
	rfs_Attr attr;
	int rc = remote_attr(c, o, &attr);

	behind_settle_pos(c, o);
	int left = rc ? 0 : (int)(attr.size - o->pos); /* file_ioctl() cuts it like this, behind the end as well */

	return rc ? rc : call_write(c, c->arg[2], &left, sizeof(left));
}

/*
 * Asks for REQUEST with LEN bytes of DATA; up to ROOM bytes of answer go to OUT, in the task's memory. With NOWHERE
 * for OUT only the error counts.
 */
static long ask(struct call *c, const struct place *p, uint32_t request, bool nofollow, const void *data, size_t len,
		uint64_t out, size_t room)
{
	rfs_Request req = { .which_op = rfs_Request_ioctl_tag,
			    .op.ioctl = { .has_where = true, .nofollow = nofollow, .request = request } };
	struct link_reply rep;

	place_where(p, &req.op.ioctl.where);
	long rc = call_rpc(c, p->mount, &req, data, len, &rep);
	if (rc)
		return rc;
	if (out != NOWHERE)
		rc = rep.payload_len > room ? -EPROTO : call_write(c, out, rep.payload, rep.payload_len);
	link_reply_free(&rep);
	return rc;
}

static long change(struct call *c, const struct place *p, uint32_t request, bool nofollow, const void *data, size_t len)
{
	rfs_Request req = { .which_op = rfs_Request_ioctl_set_tag,
			    .op.ioctl_set = { .has_where = true, .nofollow = nofollow, .request = request } };

	place_where(p, &req.op.ioctl_set.where);
	return aim_change(c, p, &req, data, len);
}

/* As many extents as a payload takes; a program asks again behind the last one when it was not FIEMAP_EXTENT_LAST. */
static long fiemap(struct call *c, const struct place *p, uint64_t addr)
{
	struct fiemap map;
	const uint32_t most = (FIEMAP_MAX_BYTES - sizeof(map)) / sizeof(struct fiemap_extent);

	if (call_read(c, addr, &map, sizeof(map)) < 0)
		return -EFAULT;
	uint32_t asked = map.fm_extent_count;
	/* ioctl_fiemap of fs/ioctl.c: more than the struct could address, if the file system has the call at all. */
	bool impossible = asked > (UINT_MAX - sizeof(map)) / sizeof(struct fiemap_extent);
	map.fm_extent_count = impossible ? 0 : asked < most ? asked : most;
	long rc = ask(c, p, FS_IOC_FIEMAP, false, &map, sizeof(map), impossible ? NOWHERE : addr,
		      sizeof(map) + map.fm_extent_count * sizeof(struct fiemap_extent));
	if (!rc && impossible)
		return -EINVAL;
	if (!rc && asked > most)
		rc = call_write(c, addr + offsetof(struct fiemap, fm_extent_count), &asked, sizeof(asked));
	return rc;
}

/* The right to ask is asked for before the block's number is read. */
static long fibmap(struct call *c, const struct place *p, uint64_t addr)
{
	int block = 0, fault = call_read(c, addr, &block, sizeof(block));
	long rc = ask(c, p, FIBMAP, false, &block, sizeof(block), fault ? NOWHERE : addr, sizeof(block));

	return fault && rc != -EPERM ? fault : rc;
}

static long change_by(struct call *c, const struct place *p, uint32_t request, size_t len)
{
	uint8_t data[32];

	if (call_read(c, c->arg[2], data, len) < 0)
		return -EFAULT;
	return change(c, p, request, false, data, len);
}

/* How many bytes the kernel writes for REQUEST, whose number may say long and mean int. */
static size_t answer_size(uint32_t request)
{
	switch (request) {
	case FS_IOC_GETFLAGS:
	case FS_IOC_GETVERSION:
	case FIGETBSZ:
		return sizeof(int);
	case FIOQSIZE:
		return sizeof(int64_t);
	default:
		return _IOC_DIR(request) & _IOC_READ ? _IOC_SIZE(request) : 0;
	}
}

static long ask_file_system(struct call *c, const struct place *p, uint32_t request)
{
	switch (request) {
	case FS_IOC_SETFLAGS:
	case FS_IOC_SETVERSION:
		return change_by(c, p, request, 4);
	case FS_IOC_FSSETXATTR:
		return change_by(c, p, request, sizeof(struct fsxattr));
	case FS_IOC_FIEMAP:
		return fiemap(c, p, c->arg[2]);
	case FIBMAP:
		return fibmap(c, p, c->arg[2]);
	case FICLONE:
	case FICLONERANGE:
	case FIDEDUPERANGE:
		return clone_ioctl(c, request);
	default:
		return ask(c, p, request, false, NULL, 0, c->arg[2], answer_size(request));
	}
}

static bool is_for_file_system(uint32_t request)
{
	unsigned type = _IOC_TYPE(request);

	return request == FIGETBSZ || request == FIOQSIZE || request == FIBMAP || type == 'f' || type == 'v' ||
	       type == 'X' || type == 0x94 || type == 0x15;
}

static bool is_change(uint32_t request)
{
	return request == FS_IOC_SETFLAGS || request == FS_IOC_SETVERSION || request == FS_IOC_FSSETXATTR;
}

/* What F_SETFL does by another name: FLAG as the call's argument says. */
static void note_status(struct call *c, struct ofd *o, int flag)
{
	int on;

	if (call_read(c, c->arg[2], &on, sizeof(on)) == 0)
		o->flags = on ? o->flags | flag : o->flags & ~flag;
}

/* The descriptor of the file that REQUEST puts behind a loop device, or -1. */
static int behind_loop(struct call *c, unsigned request)
{
	int fd;

	if (request == LOOP_SET_FD || request == LOOP_CHANGE_FD)
		return (int)c->arg[2];
	return request == LOOP_CONFIGURE && call_read(c, c->arg[2], &fd, sizeof(fd)) == 0 ? fd : -1;
}

static bool is_loop_device(struct call *c, int fd)
{
	CLEANUP_FD int own = call_get_fd(c, fd);
	struct stat st;

	return own >= 0 && fstat(own, &st) == 0 && S_ISBLK(st.st_mode) && major(st.st_rdev) == LOOP_MAJOR;
}

/* The device would read and write what stands here for a file at the target. */
static long local_ioctl(struct call *c, unsigned request)
{
	int fd = behind_loop(c, request);
	const struct ofd *o = fd < 0 ? NULL : ofd_by_fd(c->tid, fd);
	char path[PATH_MAX];

	if (!o || !is_loop_device(c, (int)c->arg[0]))
		return CALL_CONTINUE;
	call_remote(c, o->mount);
	c->note = "refused";
	ofd_show(o, path);
	log_error("process %d: ioctl refused: no loop device of this machine can have %s behind it, which is at the target: copy it here first",
		  (int)c->tid, path);
	return -EINVAL;
}

long sys_ioctl(struct call *c)
{
	struct ofd *o = ofd_by_fd(c->tid, (int)c->arg[0]);
	unsigned request = (unsigned)c->arg[1];
	PLACE_ON_STACK(p);

	if (!o)
		return local_ioctl(c, request);
	long rc = aim_fd(c, (int)c->arg[0], is_change(request) ? AIM_CHANGE : 0, &p);
	if (rc)
		return rc;
	if (request == FIONBIO)
		note_status(c, o, O_NONBLOCK);
	else if (request == FIOASYNC && o->shadow)
		note_status(c, o, O_ASYNC);
	if (o->channel)
		return flow_ioctl(c, o, request);
	if (request == FIONREAD && S_ISREG(o->node->attr.mode) && o->io == OFD_EMULATED)
		return readable_bytes(c, o);
	if (!is_for_file_system(request))
		return CALL_CONTINUE; /* about the descriptor, or ENOTTY */
	if (!S_ISREG(o->node->attr.mode) && request == FIBMAP)
		return -ENOTTY;
	return ask_file_system(c, &p, request);
}

long sys_file_getattr(struct call *c)
{
	PLACE_ON_STACK(p);
	uint64_t size = c->arg[3];
	int flags = (int)c->arg[4];

	if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) || size > PAGE_BYTES || size < FILE_ATTR_SIZE)
		return CALL_CONTINUE;
	long rc = aim_path_or_fd(c, (int)c->arg[0], c->arg[1], flags, &p);
	if (rc)
		return rc;
	if (p.behalf)
		return call_unsupported(c, NULL);
	rc = ask(c, &p, FILE_ATTR_REQUEST, flags & AT_SYMLINK_NOFOLLOW, NULL, 0, c->arg[2], FILE_ATTR_SIZE);
	if (rc || size == FILE_ATTR_SIZE)
		return rc;
	/* A younger program's structure: what we do not know is zero. */
	CLEANUP_FREE uint8_t *zeros = xcalloc(1, size);
	return call_write(c, c->arg[2] + FILE_ATTR_SIZE, zeros, size - FILE_ATTR_SIZE);
}

long sys_file_setattr(struct call *c)
{
	PLACE_ON_STACK(p);
	uint64_t size = c->arg[3];
	int flags = (int)c->arg[4];
	uint8_t bytes[PAGE_BYTES];

	if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) || size > sizeof(bytes) || size < FILE_ATTR_SIZE ||
	    call_read(c, c->arg[2], bytes, size) < 0)
		return CALL_CONTINUE;
	for (size_t i = FILE_ATTR_SIZE; i < size; i++)
		if (bytes[i])
			return CALL_CONTINUE; /* E2BIG */
	long rc = aim_path_or_fd(c, (int)c->arg[0], c->arg[1], flags | AIM_CHANGE, &p);
	if (rc)
		return rc;
	if (p.behalf)
		return call_unsupported(c, NULL);
	return change(c, &p, FILE_ATTR_REQUEST, flags & AT_SYMLINK_NOFOLLOW, bytes, FILE_ATTR_SIZE);
}
