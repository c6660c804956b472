/* name_to_handle_at, open_by_handle_at: the handles are the target's. */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>

#include "aim.h"
#include "call.h"
#include "frame.h"
#include "handlers.h"
#include "link.h"
#include "log.h"
#include "ofd.h"
#include "overlay.h"
#include "remote.h"
#include "rules.h"

#ifndef AT_HANDLE_FID
#define AT_HANDLE_FID 0x200           /* 6.5 */
#endif
#define HANDLE_MNT_ID_UNIQUE 0x001    /* AT_HANDLE_MNT_ID_UNIQUE, 6.12 */
#define HANDLE_CONNECTABLE 0x002      /* AT_HANDLE_CONNECTABLE, 6.13 */
#define HANDLE_FLAGS (AT_SYMLINK_FOLLOW | AT_EMPTY_PATH | AT_HANDLE_FID | HANDLE_MNT_ID_UNIQUE | HANDLE_CONNECTABLE)

struct handle_head {
	uint32_t size;
	int32_t type;
};

/* do_sys_name_to_handle of fs/fhandle.c: the mount first, then the handle. */
static long put_handle(struct call *c, const rfs_HandleReply *r, uint32_t room)
{
	struct handle_head head = { r->size, (int32_t)r->type };
	bool fits = r->size <= room;

	if (fits && r->bytes.size != r->size)
		return -EPROTO;
	if (call_write(c, c->arg[3], &r->mount_id, c->arg[4] & HANDLE_MNT_ID_UNIQUE ? 8 : 4) < 0 ||
	    call_write(c, c->arg[2], &head, sizeof(head)) < 0 ||
	    (fits && call_write(c, c->arg[2] + sizeof(head), r->bytes.bytes, r->size) < 0))
		return -EFAULT;
	return fits ? 0 : -EOVERFLOW;
}

long sys_name_to_handle_at(struct call *c)
{
	PLACE_ON_STACK(p);
	int flags = (int)c->arg[4];
	rfs_Request req = { .which_op = rfs_Request_name_to_handle_tag, .op.name_to_handle.has_where = true };
	struct handle_head head = { 0, 0 };
	struct link_reply rep;

	if (flags & ~HANDLE_FLAGS || (flags & HANDLE_CONNECTABLE && flags & (AT_HANDLE_FID | AT_EMPTY_PATH)))
		return CALL_CONTINUE;
	/* Unlike most, this follows a link only when it is told to. */
	long rc = aim_path(c, (int)c->arg[0], c->arg[1],
			   (flags & AT_EMPTY_PATH) | (flags & AT_SYMLINK_FOLLOW ? 0 : AT_SYMLINK_NOFOLLOW), &p);
	if (rc)
		return rc;
	if (p.behalf)
		return call_unsupported(c, NULL);
	/* What is wrong with the path comes before what is wrong with the handle. */
	int fault = call_read(c, c->arg[2], &head, sizeof(head));
	place_where(&p, &req.op.name_to_handle.where);
	req.op.name_to_handle.flags = (uint32_t)(flags & ~AT_EMPTY_PATH);
	req.op.name_to_handle.size = fault || head.size > MAX_HANDLE_SZ ? 0 : head.size;
	rc = call_rpc(c, p.mount, &req, NULL, 0, &rep);
	if (rc)
		return rc;
	if (rep.msg.which_op != rfs_Reply_handle_tag)
		rc = -EPROTO;
	else if (fault || head.size > MAX_HANDLE_SZ)
		rc = fault ? -EFAULT : -EINVAL;
	else
		rc = put_handle(c, &rep.msg.op.handle, head.size);
	link_reply_free(&rep);
	return rc;
}

/* What a program has of a file: open_by_handle_at's argument. */
struct file_handle_of {
	int type;
	uint32_t len;
	uint8_t bytes[MAX_HANDLE_SZ];
};

/* The path of what H stands for on the file system that HANDLE of M is on, into P. */
static long find_name(struct call *c, const struct mount *m, uint64_t handle, const struct file_handle_of *h, struct place *p)
{
	rfs_Request req = { .which_op = rfs_Request_handle_to_name_tag,
			    .op.handle_to_name = { .handle = handle, .type = (uint32_t)h->type, .bytes.size = (pb_size_t)h->len } };
	struct link_reply rep;

	memcpy(req.op.handle_to_name.bytes.bytes, h->bytes, h->len);
	long rc = call_rpc(c, m, &req, NULL, 0, &rep);
	if (rc)
		return rc;
	if (!rep.payload_len || rep.payload_len >= sizeof(p->path) || memchr(rep.payload, 0, rep.payload_len)) {
		rc = -EPROTO;
	} else {
		p->mount = m;
		p->self = p->link = p->behalf = false;
		memcpy(p->path, rep.payload, rep.payload_len);
		p->path[rep.payload_len] = p->key[0] = '\0';
	}
	link_reply_free(&rep);
	return rc;
}

/* The same on the file system of an overlay's layer M. */
static long find_in_layer(struct call *c, const struct mount *m, const struct file_handle_of *h, struct place *p)
{
	rfs_Request req = { .which_op = rfs_Request_open_tag,
			    .op.open = { .has_where = true, .handle = link_new_handle(m->link), .flags = O_PATH | O_DIRECTORY } };
	const rfs_Request closing = { .which_op = rfs_Request_close_tag, .op.close.handle = req.op.open.handle };
	struct link_reply rep;

	BYTES_PUT(req.op.open.where.path, m->sub);
	long rc = call_rpc(c, m, &req, NULL, 0, &rep);
	if (rc)
		return rc;
	link_reply_free(&rep);
	rc = find_name(c, m, req.op.open.handle, h, p);
	call_send(m, &closing);
	/* What an overlay has beside its tree is no file of the program's. */
	return !rc && !path_within(p->path, m->sub) ? -ESTALE : rc;
}

/* In an overlay a handle may be of either layer's, and a file may have come up since. */
static long find_in_overlay(struct call *c, const struct overlay *ov, const struct file_handle_of *h, int flags, struct place *p)
{
	long rc = find_in_layer(c, ov->upper, h, p);

	if (rc == -ESTALE || rc == -EXDEV)
		rc = find_in_layer(c, ov->lower, h, p);
	p->local[0] = '\0';
	rc = rc ? rc : overlay_place(c, p, remote_open_intent(flags | O_NOFOLLOW, 0));
	/* Its copy has another name now, or none. */
	return rc == -ENOENT ? -ESTALE : rc;
}

long sys_open_by_handle_at(struct call *c)
{
	int fd = (int)c->arg[0], flags = (int)c->arg[2];
	struct handle_head head;
	struct file_handle_of h;
	PLACE_ON_STACK(p);

	CLEANUP_OFD struct ofd *mount = fd == AT_FDCWD ? ofd_by_cwd(c->tid) : ofd_by_fd(c->tid, fd);
	if (mount)
		ofd_ref(mount);
	if (!mount || call_read(c, c->arg[1], &head, sizeof(head)) < 0 || !head.size || head.size > MAX_HANDLE_SZ)
		return CALL_CONTINUE; /* EFAULT, EINVAL */
	h.type = head.type;
	h.len = head.size;
	if (call_read(c, c->arg[1] + sizeof(head), h.bytes, h.len) < 0)
		return CALL_CONTINUE;
	call_remote(c, mount->mount);
	if (fd != AT_FDCWD && mount->flags & O_PATH)
		return -EBADF;
	/* The name is the file's own: a link there is what was meant, and nothing is to be made in its place. */
	flags &= ~(O_CREAT | O_EXCL);
	long rc = mount->mount->overlay ? find_in_overlay(c, mount->mount->overlay, &h, flags, &p)
					: find_name(c, mount->mount, mount->handle, &h, &p);
	if (rc == -EXDEV) {
		log_error("open_by_handle_at: refused: the file was not found below the target's root; open it by its path first");
		return -ESTALE;
	}
	if (rc)
		return rc;
	return remote_open(c, &p, flags & O_PATH ? flags | O_NOFOLLOW : flags, 0, flags & O_PATH ? 0 : RESOLVE_NO_SYMLINKS);
}
