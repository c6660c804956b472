#include <fcntl.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "escape.h"

static uint64_t last_handle;

static void put(rfs_Where *w, bool *has, uint64_t dir, const char *path)
{
	*has = true;
	w->dir = dir;
	w->path.size = (pb_size_t)strlen(path);
	memcpy(w->path.bytes, path, w->path.size);
}

#define AIM(member) put(&q->op.member.where, &q->op.member.has_where, dir, path)

/* One request: its number in the protocol, and what is special about it. */
struct how {
	const char *name;
	pb_size_t tag;
	int number;          /* flags or mode, as the operation has them */
	const char *payload;
};

static const struct how hows[] = {
	{ "open to read", rfs_Request_open_tag, O_RDONLY, NULL },
	{ "open to write", rfs_Request_open_tag, O_WRONLY | O_TRUNC, NULL },
	{ "open to create", rfs_Request_open_tag, O_RDWR | O_CREAT, NULL },
	{ "open a directory", rfs_Request_open_tag, O_DIRECTORY, NULL },
	{ "open unnamed", rfs_Request_open_tag, O_TMPFILE | O_RDWR, NULL },
	{ "fetch", rfs_Request_fetch_tag, 0, NULL },
	{ "stat", rfs_Request_stat_tag, 0, NULL },
	{ "access", rfs_Request_access_tag, 0, NULL },
	{ "readlink", rfs_Request_readlink_tag, 0, NULL },
	{ "mkdir", rfs_Request_mkdir_tag, 0755, NULL },
	{ "unlink", rfs_Request_unlink_tag, 0, NULL },
	{ "rmdir", rfs_Request_unlink_tag, AT_REMOVEDIR, NULL },
	{ "rename from", rfs_Request_rename_tag, 0, NULL },
	{ "rename to", rfs_Request_rename_tag, 1, NULL },
	{ "truncate", rfs_Request_truncate_tag, 0, NULL },
	{ "chmod", rfs_Request_chmod_tag, 0600, NULL },
	{ "chown", rfs_Request_chown_tag, 0, NULL },
	{ "utimes", rfs_Request_utimes_tag, 0, NULL },
	{ "link from", rfs_Request_link_tag, AT_SYMLINK_FOLLOW, NULL },
	{ "link to", rfs_Request_link_tag, 0, NULL },
	{ "symlink", rfs_Request_symlink_tag, 0, "nowhere" },
	{ "mknod", rfs_Request_mknod_tag, S_IFIFO | 0644, NULL },
	{ "statfs", rfs_Request_statfs_tag, 0, NULL },
	{ "getxattr", rfs_Request_getxattr_tag, 0, NULL },
	{ "listxattr", rfs_Request_listxattr_tag, 0, NULL },
	{ "setxattr", rfs_Request_setxattr_tag, 0, "value" },
	{ "removexattr", rfs_Request_removexattr_tag, 0, NULL },
	{ "name_to_handle", rfs_Request_name_to_handle_tag, AT_SYMLINK_FOLLOW, NULL },
	{ "ioctl", rfs_Request_ioctl_tag, 0, NULL },
	{ "watch", rfs_Request_watch_tag, IN_ALL_EVENTS, NULL },
	{ "connect", rfs_Request_connect_tag, 0, NULL },
	{ "bind", rfs_Request_bind_tag, 0777, NULL },
};

static void fill_open(rfs_Open *o, int flags)
{
	o->handle = ++last_handle;
	o->flags = (uint32_t)flags | O_NONBLOCK; /* there may be a FIFO by now */
	o->mode = 0644;
	o->prefetch = 4096;
}

/* What has two places has "f" or "got", of the root, as the other one. */
static void fill_pair(rfs_Where *here, bool *has, rfs_Where *other, bool *has_other, uint64_t dir, const char *path, const char *name)
{
	put(here, has, dir, path);
	put(other, has_other, 0, name);
}

static void fill_names(rfs_Request *q, const struct how *how, uint64_t dir, const char *path)
{
	rfs_Rename *r = &q->op.rename;
	rfs_Link *l = &q->op.link;

	switch (how->tag) {
	case rfs_Request_rename_tag:
		if (how->number)
			fill_pair(&r->to, &r->has_to, &r->from, &r->has_from, dir, path, "f");
		else
			fill_pair(&r->from, &r->has_from, &r->to, &r->has_to, dir, path, "got");
		break;
	case rfs_Request_link_tag:
		if (how->number)
			fill_pair(&l->from, &l->has_from, &l->to, &l->has_to, dir, path, "got");
		else
			fill_pair(&l->to, &l->has_to, &l->from, &l->has_from, dir, path, "f");
		l->flags = (uint32_t)how->number;
		break;
	case rfs_Request_mkdir_tag:
		AIM(mkdir);
		break;
	case rfs_Request_unlink_tag:
		AIM(unlink);
		q->op.unlink.flags = (uint32_t)how->number;
		break;
	case rfs_Request_symlink_tag:
		AIM(symlink);
		break;
	case rfs_Request_mknod_tag:
		AIM(mknod);
		q->op.mknod.mode = (uint32_t)how->number;
		break;
	}
}

static void fill_meta(rfs_Request *q, const struct how *how, uint64_t dir, const char *path)
{
	static const rfs_Setxattr_name_t name = { .size = 6, .bytes = "user.x" };

	switch (how->tag) {
	case rfs_Request_truncate_tag: AIM(truncate); break;
	case rfs_Request_chmod_tag: AIM(chmod); q->op.chmod.mode = (uint32_t)how->number; break;
	case rfs_Request_chown_tag: AIM(chown); q->op.chown.uid = q->op.chown.gid = 12345; break;
	case rfs_Request_utimes_tag: AIM(utimes); q->op.utimes.mtime_sec = 5; break;
	case rfs_Request_statfs_tag: AIM(statfs); break;
	case rfs_Request_getxattr_tag: AIM(getxattr); memcpy(&q->op.getxattr.name, &name, sizeof(name)); break;
	case rfs_Request_listxattr_tag: AIM(listxattr); break;
	case rfs_Request_setxattr_tag: AIM(setxattr); memcpy(&q->op.setxattr.name, &name, sizeof(name)); break;
	case rfs_Request_removexattr_tag: AIM(removexattr); memcpy(&q->op.removexattr.name, &name, sizeof(name)); break;
	}
}

static void fill_others(rfs_Request *q, const struct how *how, uint64_t dir, const char *path)
{
	switch (how->tag) {
	case rfs_Request_open_tag: AIM(open); fill_open(&q->op.open, how->number); break;
	case rfs_Request_fetch_tag: AIM(fetch); q->op.fetch.size = 65536; break;
	case rfs_Request_stat_tag: AIM(stat); break;
	case rfs_Request_access_tag: AIM(access); break;
	case rfs_Request_readlink_tag: AIM(readlink); break;
	case rfs_Request_name_to_handle_tag: AIM(name_to_handle); q->op.name_to_handle.flags = (uint32_t)how->number; q->op.name_to_handle.size = 128; break;
	case rfs_Request_ioctl_tag: AIM(ioctl); break;
	case rfs_Request_watch_tag: AIM(watch); q->op.watch.instance = 1; q->op.watch.mask = (uint32_t)how->number; break;
	case rfs_Request_connect_tag: AIM(connect); q->op.connect.handle = ++last_handle; q->op.connect.type = SOCK_STREAM; break;
	case rfs_Request_bind_tag: AIM(bind); q->op.bind.handle = ++last_handle; q->op.bind.type = SOCK_STREAM; break;
	}
}

static uint64_t made_by(const rfs_Request *q)
{
	return q->which_op == rfs_Request_open_tag ? q->op.open.handle : q->which_op == rfs_Request_connect_tag ? q->op.connect.handle :
	       q->which_op == rfs_Request_bind_tag ? q->op.bind.handle : 0;
}

static void release(uint64_t handle)
{
	rfs_Request q = { .which_op = rfs_Request_release_tag, .op.release.handle = handle };

	if (handle)
		client_ask(&q, NULL);
}

static void try_how(const struct how *how, uint64_t dir, const char *path)
{
	rfs_Request q = { .which_op = how->tag };

	fill_names(&q, how, dir, path);
	fill_meta(&q, how, dir, path);
	fill_others(&q, how, dir, path);
	int error = client_ask(&q, how->payload);
	uint64_t handle = error ? 0 : made_by(&q);
	if (handle && how->number & O_TRUNC) {
		rfs_Request w = { .which_op = rfs_Request_write_tag, .op.write.handle = handle };

		client_ask(&w, "overwritten");
	}
	release(handle);
}

void ops_try(uint64_t dir, const char *path, void (*told)(const char *op))
{
	for (size_t i = 0; i < sizeof(hows) / sizeof(*hows); i++) {
		told(hows[i].name);
		try_how(hows + i, dir, path);
	}
}

void ops_try_one(uint64_t dir, const char *path, unsigned which)
{
	try_how(hows + which % (sizeof(hows) / sizeof(*hows)), dir, path);
}

uint64_t ops_open(uint64_t dir, const char *path, int flags)
{
	rfs_Request request = { .which_op = rfs_Request_open_tag }, *q = &request;

	AIM(open);
	fill_open(&q->op.open, flags);
	return client_ask(q, NULL) ? 0 : q->op.open.handle;
}
