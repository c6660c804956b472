#include "dispatch.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/limits.h>
#include <stdlib.h>

#include "frame.h"
#include "handle.h"
#include "ops.h"
#include "own.h"

#define DISPATCH_QUICK (128u << 10)

/*
 * A row that changes something has a second function: all that is left of it under a read-only root. There
 * FN is out of reach, so nothing can be changed by a check that somebody forgot. Open is no such row:
 * resolve_open, the only place that opens anything, refuses by itself.
 */
struct handler {
	const char *name;
	bool does_write;
	bool takes_payload;
	int (*fn)(struct op *op);
	int (*refuse)(struct op *op);
};

static const struct handler handlers[] = {
	[rfs_Request_open_tag] = { "open", false, false, op_open, NULL },
	[rfs_Request_stat_tag] = { "stat", false, false, op_stat, NULL },
	[rfs_Request_access_tag] = { "access", false, false, op_access, NULL },
	[rfs_Request_readlink_tag] = { "readlink", false, false, op_readlink, NULL },
	[rfs_Request_read_tag] = { "read", false, false, op_read, NULL },
	[rfs_Request_write_tag] = { "write", true, true, op_write, op_write_refuse },
	[rfs_Request_list_tag] = { "list", false, false, op_list, NULL },
	[rfs_Request_mkdir_tag] = { "mkdir", true, false, op_mkdir, op_mkdir_refuse },
	[rfs_Request_unlink_tag] = { "unlink", true, false, op_unlink, op_unlink_refuse },
	[rfs_Request_rename_tag] = { "rename", true, false, op_rename, op_rename_refuse },
	[rfs_Request_truncate_tag] = { "truncate", true, false, op_truncate, op_truncate_refuse },
	[rfs_Request_sync_tag] = { "sync", false, false, op_sync, NULL },
	[rfs_Request_close_tag] = { "close", false, false, op_close, NULL },
	[rfs_Request_path_tag] = { "path", false, false, op_path, NULL },
	[rfs_Request_lock_tag] = { "lock", false, false, op_lock, NULL },
	[rfs_Request_seek_tag] = { "seek", false, false, op_seek, NULL },
	[rfs_Request_flock_tag] = { "flock", false, false, op_flock, NULL },
	[rfs_Request_lock_wait_tag] = { "lock_wait", false, false, op_lock_wait, NULL },
	[rfs_Request_lock_cancel_tag] = { "lock_cancel", false, false, op_lock_cancel, NULL },
	[rfs_Request_lock_release_tag] = { "lock_release", false, false, op_lock_release, NULL },
	[rfs_Request_chmod_tag] = { "chmod", true, false, op_chmod, op_meta_refuse },
	[rfs_Request_chown_tag] = { "chown", true, false, op_chown, op_meta_refuse },
	[rfs_Request_utimes_tag] = { "utimes", true, false, op_utimes, op_meta_refuse },
	[rfs_Request_allocate_tag] = { "allocate", true, false, op_allocate, op_allocate_refuse },
	[rfs_Request_link_tag] = { "link", true, false, op_link, op_link_refuse },
	[rfs_Request_symlink_tag] = { "symlink", true, true, op_symlink, op_symlink_refuse },
	[rfs_Request_mknod_tag] = { "mknod", true, false, op_mknod, op_mknod_refuse },
	[rfs_Request_digest_tag] = { "digest", false, false, op_digest, NULL },
	[rfs_Request_copy_range_tag] = { "copy_range", true, false, op_copy_range, op_copy_refuse },
	[rfs_Request_watch_tag] = { "watch", false, false, op_watch, NULL },
	[rfs_Request_release_tag] = { "release", false, false, op_release, NULL },
	[rfs_Request_unwatch_tag] = { "unwatch", false, false, op_unwatch, NULL },
	[rfs_Request_clone_tag] = { "clone", true, false, op_clone, op_copy_refuse },
	[rfs_Request_dedupe_tag] = { "dedupe", true, false, op_dedupe, op_dedupe_refuse },
	[rfs_Request_sync_range_tag] = { "sync_range", false, false, op_sync_range, NULL },
	[rfs_Request_syncfs_tag] = { "syncfs", false, false, op_syncfs, NULL },
	[rfs_Request_start_tag] = { "start", false, false, op_start, NULL },
	[rfs_Request_receive_tag] = { "receive", false, false, op_receive, NULL },
	/* What is sent changes nothing of the file system: a read-only mount lets it pass, too. */
	[rfs_Request_send_tag] = { "send", false, true, op_send, NULL },
	[rfs_Request_control_tag] = { "control", false, false, op_control, NULL },
	[rfs_Request_connect_tag] = { "connect", false, false, op_connect, NULL },
	[rfs_Request_bind_tag] = { "bind", true, false, op_bind, op_bind_refuse },
	[rfs_Request_accept_tag] = { "accept", false, false, op_accept, NULL },
	[rfs_Request_statfs_tag] = { "statfs", false, false, op_statfs, NULL },
	[rfs_Request_getxattr_tag] = { "getxattr", false, false, op_getxattr, NULL },
	[rfs_Request_listxattr_tag] = { "listxattr", false, false, op_listxattr, NULL },
	[rfs_Request_setxattr_tag] = { "setxattr", true, true, op_setxattr, op_meta_refuse },
	[rfs_Request_removexattr_tag] = { "removexattr", true, false, op_removexattr, op_meta_refuse },
	[rfs_Request_name_to_handle_tag] = { "name_to_handle", false, false, op_name_to_handle, NULL },
	[rfs_Request_handle_to_name_tag] = { "handle_to_name", false, false, op_handle_to_name, NULL },
	[rfs_Request_ioctl_tag] = { "ioctl", false, true, op_ioctl, NULL },
	[rfs_Request_environment_tag] = { "environment", false, false, op_environment, NULL },
	[rfs_Request_fetch_tag] = { "fetch", false, false, op_fetch, NULL },
	[rfs_Request_reopen_tag] = { "reopen", false, false, op_reopen, NULL },
	[rfs_Request_ioctl_set_tag] = { "ioctl_set", true, true, op_ioctl_set, op_meta_refuse },
};

static const struct handler *dispatch_find(const rfs_Request *req)
{
	if (req->which_op >= sizeof(handlers) / sizeof(handlers[0]) || !handlers[req->which_op].fn)
		return NULL;
	return &handlers[req->which_op];
}

const char *dispatch_name(const rfs_Request *req)
{
	const struct handler *h = dispatch_find(req);

	return h ? h->name : "a request";
}

size_t dispatch_cost(const rfs_Request *req)
{
	size_t size = PATH_MAX;

	if (req->which_op == rfs_Request_read_tag)
		size = req->op.read.size;
	else if (req->which_op == rfs_Request_digest_tag)
		size = (size_t)req->op.digest.pages * sizeof(uint64_t);
	else if (req->which_op == rfs_Request_receive_tag)
		size = req->op.receive.size;
	else if (req->which_op == rfs_Request_environment_tag)
		size = req->op.environment.size;
	else if (req->which_op == rfs_Request_list_tag)
		size = req->op.list.size;
	else if (req->which_op == rfs_Request_open_tag)
		size = req->op.open.prefetch;
	else if (req->which_op == rfs_Request_fetch_tag)
		size = req->op.fetch.size;
	else if (req->which_op == rfs_Request_getxattr_tag || req->which_op == rfs_Request_listxattr_tag)
		size = XATTR_SIZE_MAX;
	else if (req->which_op == rfs_Request_ioctl_tag)
		size = FIEMAP_MAX_BYTES;
	return size > FRAME_MAX_PAYLOAD ? FRAME_MAX_PAYLOAD : size;
}

/* For a disk. */
static bool dispatch_waits(const struct handler *h)
{
	return h->fn == op_sync || h->fn == op_sync_range || h->fn == op_syncfs || h->fn == op_copy_range ||
	       h->fn == op_clone || h->fn == op_dedupe || h->fn == op_digest;
}

bool dispatch_is_quick(const rfs_Request *req)
{
	const struct handler *h = dispatch_find(req);

	/* Most writes end in memory; a large answer keeps the stream busy anyway. */
	return h && !dispatch_waits(h) && dispatch_cost(req) <= DISPATCH_QUICK;
}

bool dispatch_changes_names(const rfs_Request *req)
{
	switch (req->which_op) {
	case rfs_Request_open_tag:
		return req->op.open.flags & O_CREAT;
	case rfs_Request_mkdir_tag:
	case rfs_Request_mknod_tag:
	case rfs_Request_symlink_tag:
	case rfs_Request_link_tag:
	case rfs_Request_bind_tag:
	case rfs_Request_unlink_tag:
	case rfs_Request_rename_tag:
	case rfs_Request_chmod_tag:
	case rfs_Request_chown_tag:
	case rfs_Request_setxattr_tag:
	case rfs_Request_removexattr_tag:
		return true;
	}
	return false;
}

bool dispatch_takes_lock(const rfs_Request *req)
{
	return req->which_op == rfs_Request_lock_tag || req->which_op == rfs_Request_flock_tag || req->which_op == rfs_Request_lock_wait_tag;
}

/* The number of the handle that REQ makes, or 0 and *MAKES false. */
static uint64_t dispatch_makes(const rfs_Request *req, bool *makes)
{
	*makes = true;
	switch (req->which_op) {
	case rfs_Request_open_tag:
		return req->op.open.handle;
	case rfs_Request_reopen_tag:
		return req->op.reopen.handle;
	case rfs_Request_connect_tag:
		return req->op.connect.handle;
	case rfs_Request_bind_tag:
		return req->op.bind.handle;
	case rfs_Request_accept_tag:
		return req->op.accept.handle;
	}
	*makes = false;
	return 0;
}

void dispatch_prepare(struct op *op)
{
	bool makes;
	uint64_t number = dispatch_makes(op->req, &makes);
	int r = makes ? handle_reserve(op->agent->handles, number, &op->opening) : 0;

	if (r == -EEXIST && op->doubt)
		r = handle_get(op->agent->handles, number, &op->opened);
	if (r)
		op->reply->error = -r;
}

static int dispatch_call(struct op *op)
{
	const struct handler *h = dispatch_find(op->req);

	if (!h)
		return -ENOSYS;
	op->data = op->data ? op->data : (const uint8_t *)"";
	if (op->data_len && !h->takes_payload)
		return -EINVAL;
	if (h->does_write && op->agent->root.read_only)
		return h->refuse(op);
	return own_applies(op) ? own_run(op, h->fn) : h->fn(op);
}

void dispatch_run(struct op *op)
{
	int r;

	if (op->reply->error)
		return;
	r = dispatch_call(op);
	handle_put(op->agent->handles, op->opened);
	if (op->opening) { /* refused before op_open saw it */
		handle_ready(op->agent->handles, op->opening, true);
		handle_put(op->agent->handles, op->opening);
	}
	if (!r)
		return;
	op->reply->error = -r;
	op->out_len = 0;
	/* The answer to "it does not exist" says whether that may be kept; no other failure has a body. */
	if (r != -ENOENT || op->reply->which_op != rfs_Reply_stat_tag)
		op->reply->which_op = 0;
}
