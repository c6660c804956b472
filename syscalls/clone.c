#include "clone.h"

#include <errno.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "call.h"
#include "link.h"
#include "ofd.h"
#include "overlay.h"
#include "remote.h"
#include "rules.h"
#include "sync.h"
#include "transfer.h"
#include "util.h"

/* As vfs_clone_file_range, as far as only we know it. */
static int check_clone(struct call *c, const struct end *in, const struct end *out)
{
	if (!in->o || !overlay_same(in->o->mount, out->o->mount))
		return -EXDEV;
	int rc = ends_check_files(in, out);
	return rc || in->o->mount == out->o->mount ? rc : overlay_bring_ofd(c, in->o);
}

static int ask_clone(struct call *c, struct ofd *o, const rfs_Request *req)
{
	uint64_t off = (uint64_t)req->op.clone.to_offset, len = (uint64_t)req->op.clone.length;
	struct link_reply rep;

	sync_lock(o->image);
	uint64_t since = o->node->version;
	o->node->writers++; /* no refresh may bring older bytes meanwhile */
	int rc = call_rpc(c, o->mount, req, NULL, 0, &rep);
	o->node->writers--;
	bool known = !rc && rep.msg.which_op == rfs_Reply_stat_tag && rep.msg.op.stat.has_attr;
	const rfs_Attr *attr = known ? &rep.msg.op.stat.attr : NULL;
	/* Length 0 is up to the end, wherever that is. */
	if (!rc)
		remote_changed(c, o, since, off, len ? len : attr ? attr->size : 0, attr);
	sync_unlock(o->image);
	if (attr)
		sync_follow_size(o->image, attr->size);
	if (!rc)
		link_reply_free(&rep);
	return rc;
}

static long clone_range(struct call *c, struct end *out, const struct file_clone_range *r)
{
	CLEANUP_END struct end in = END_CLOSED;
	rfs_Request req = { .which_op = rfs_Request_clone_tag };
	int rc = end_open(c, (int)r->src_fd, &in);

	rc = rc ? rc : check_clone(c, &in, out);
	rc = rc ? rc : sync_flush(c, in.o->image, 0, UINT64_MAX);
	rc = rc ? rc : sync_flush(c, out->o->image, 0, UINT64_MAX);
	if (rc)
		return rc;
	req.op.clone = (rfs_Clone){ .from = in.o->handle, .from_offset = (int64_t)r->src_offset, .to = out->o->handle,
				    .to_offset = (int64_t)r->dest_offset, .length = (int64_t)r->src_length };
	return ask_clone(c, out->o, &req);
}

/* ---- FIDEDUPERANGE ---- */

static int check_dedupe(const struct end *in, const struct file_dedupe_range *d)
{
	if (!end_can_read(in) || d->reserved1 || d->reserved2)
		return -EINVAL;
	if (S_ISDIR(in->type))
		return -EISDIR;
	return S_ISREG(in->type) ? 0 : -EINVAL;
}

/* Asks for one target, or for none. An error of the call as a whole, or 0 with *I filled in. */
static int ask_dedupe(struct call *c, const struct end *in, const struct file_dedupe_range *d, const struct end *out,
		      struct file_dedupe_range_info *i)
{
	rfs_Request req = { .which_op = rfs_Request_dedupe_tag,
			    .op.dedupe = { .from = in->o->handle, .from_offset = (int64_t)d->src_offset,
					   .length = (int64_t)d->src_length, .to = out ? out->o->handle : 0,
					   .to_offset = (int64_t)i->dest_offset } };
	struct link_reply rep;
	int rc = call_rpc(c, in->o->mount, &req, NULL, 0, &rep);

	if (rc)
		return rc;
	if (rep.msg.which_op == rfs_Reply_dedupe_tag) {
		i->status = rep.msg.op.dedupe.status;
		i->bytes_deduped = rep.msg.op.dedupe.bytes;
	}
	link_reply_free(&rep);
	return 0;
}

static int dedupe_one(struct call *c, const struct end *in, const struct file_dedupe_range *d, struct file_dedupe_range_info *i)
{
	CLEANUP_END struct end out = END_CLOSED;
	int rc = end_open(c, (int)i->dest_fd, &out);

	i->bytes_deduped = 0;
	if (!rc && out.o && overlay_same(out.o->mount, in->o->mount) && out.o->mount != in->o->mount)
		rc = overlay_bring_ofd(c, in->o->mount->is_upper ? out.o : in->o);
	i->status = rc ? rc : i->reserved ? -EINVAL : !out.o || out.o->mount != in->o->mount ? -EXDEV : 0;
	return i->status ? 0 : ask_dedupe(c, in, d, &out, i);
}

static long dedupe(struct call *c, struct end *in)
{
	struct file_dedupe_range head;
	size_t size;
	int rc;

	if (call_read(c, c->arg[2], &head, sizeof(head)) < 0)
		return -EFAULT;
	size = sizeof(head) + head.dest_count * sizeof(struct file_dedupe_range_info);
	if (size > 4096)
		return -ENOMEM; /* as the kernel: a page */
	CLEANUP_FREE struct file_dedupe_range *d = xcalloc(1, size);
	if (call_read(c, c->arg[2], d, size) < 0)
		return -EFAULT;
	d->dest_count = head.dest_count;
	rc = check_dedupe(in, d);
	/* A file system that cannot do it says so of the whole call, whatever the targets are. */
	rc = rc ? rc : ask_dedupe(c, in, d, NULL, &(struct file_dedupe_range_info){ .status = 0 });
	for (unsigned i = 0; i < d->dest_count && !rc; i++)
		rc = dedupe_one(c, in, d, &d->info[i]);
	return rc ? rc : call_write(c, c->arg[2], d, size);
}

long clone_ioctl(struct call *c, unsigned request)
{
	CLEANUP_END struct end e = END_CLOSED;
	struct file_clone_range r = { .src_fd = (int)c->arg[2] };
	int rc = end_open(c, (int)c->arg[0], &e);

	if (rc)
		return rc;
	/* Written natively: no clone would be noticed. tmpfs says the same of its own. */
	if (!end_is_emulated(&e) && request != FIDEDUPERANGE)
		return CALL_CONTINUE;
	if (request == FIDEDUPERANGE)
		return dedupe(c, &e);
	if (request == FICLONERANGE && call_read(c, c->arg[2], &r, sizeof(r)) < 0)
		return -EFAULT;
	return clone_range(c, &e, &r);
}
