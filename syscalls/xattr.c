/* Extended attributes: the path, link, descriptor and *at forms of get, list, set and remove. */
#include <errno.h>
#include <fcntl.h>
#include <linux/limits.h>
#include <string.h>
#include <sys/xattr.h>

#include "aim.h"
#include "cache.h"
#include "call.h"
#include "frame.h"
#include "handlers.h"
#include "link.h"
#include "mem.h"
#include "util.h"

/* Whose attributes a call is about; all forms end here. */
struct whose {
	int fd;        /* what PATH is relative to, or the file itself */
	bool by_fd;
	uint64_t path;
	int flags;     /* AT_ flags */
};

#define BY_PATH(c) ((struct whose){ AT_FDCWD, false, (c)->arg[0], 0 })
#define BY_LINK(c) ((struct whose){ AT_FDCWD, false, (c)->arg[0], AT_SYMLINK_NOFOLLOW })
#define BY_FD(c) ((struct whose){ (int)(c)->arg[0], true, 0, 0 })
#define BY_AT(c) ((struct whose){ (int)(c)->arg[0], false, (c)->arg[1], (int)(c)->arg[2] })

/* Since 6.13 AT_FDCWD is the working directory for fgetxattr and fsetxattr, as it is elsewhere; before it was no descriptor. */
static struct whose by_fd_or_cwd(const struct call *c)
{
	const struct whose cwd = { AT_FDCWD, false, 0, AT_EMPTY_PATH };

	if ((int)c->arg[0] != AT_FDCWD || (fgetxattr(AT_FDCWD, "user.none", NULL, 0) < 0 && errno == EBADF))
		return BY_FD(c);
	return cwd;
}

/* The name at ADDR, or CALL_CONTINUE: the kernel refuses it before it looks at the path. */
static long read_name(struct call *c, uint64_t addr, char name[XATTR_NAME_MAX + 1])
{
	return mem_read_string(c->tid, addr, name, XATTR_NAME_MAX + 1) > 0 ? 0 : CALL_CONTINUE;
}

static long aim(struct call *c, const struct whose *w, int intent, struct place *p)
{
	if (w->flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
		return CALL_CONTINUE; /* EINVAL */
	return w->by_fd ? aim_fd(c, w->fd, intent, p) : aim_path_or_fd(c, w->fd, w->path, w->flags | intent, p);
}

/* The name comes before the path. */
static long aim_named(struct call *c, const struct whose *w, int intent, uint64_t name_addr, char name[XATTR_NAME_MAX + 1],
		      struct place *p)
{
	long rc = read_name(c, name_addr, name);

	return rc ? rc : aim(c, w, intent, p);
}

/* LEN bytes of attribute for a buffer of SIZE bytes at OUT, which may be asked about by 0. */
static long deliver(struct call *c, const void *data, size_t len, uint64_t out, uint64_t size)
{
	if (!size)
		return (long)len;
	if (len > size)
		return -ERANGE;
	long rc = call_write(c, out, data, len);
	return rc ? rc : (long)len;
}

static long ask_bytes(struct call *c, const struct place *p, const rfs_Request *req, uint64_t out, uint64_t size)
{
	struct link_reply rep;
	long rc = call_rpc(c, p->mount, req, NULL, 0, &rep);

	if (rc)
		return rc;
	rc = rep.payload_len > XATTR_SIZE_MAX ? -EPROTO : deliver(c, rep.payload, rep.payload_len, out, size);
	link_reply_free(&rep);
	return rc;
}

/* Whether a listing that is still good told that P has no attributes: ls -l asks for the ACL of every file. */
static bool is_plain(const struct place *p)
{
	rfs_Attr attr;

	return *p->key && !p->self && cache_find(p->mount, p->key, &attr) > 0 && attr.plain;
}

/* Names that are ENODATA where there is none, whoever asks; of others the file system has its say. */
static bool is_usual(const char *name)
{
	return !strcmp(name, "system.posix_acl_access") || !strcmp(name, "system.posix_acl_default") ||
	       !strcmp(name, "security.capability") || !strcmp(name, "security.selinux");
}

/* ---- get ---- */

static long get_local(struct call *c, const struct place *p, const char *name, bool nofollow, uint64_t out, uint64_t size)
{
	CLEANUP_FREE char *value = xcalloc(1, XATTR_SIZE_MAX);
	ssize_t n = nofollow ? lgetxattr(p->local, name, value, XATTR_SIZE_MAX) : getxattr(p->local, name, value, XATTR_SIZE_MAX);

	return n < 0 ? -errno : deliver(c, value, (size_t)n, out, size);
}

static long get(struct call *c, struct whose w, uint64_t name_addr, uint64_t out, uint64_t size)
{
	PLACE_ON_STACK(p);
	rfs_Request req = { .which_op = rfs_Request_getxattr_tag, .op.getxattr.has_where = true };
	bool nofollow = w.flags & AT_SYMLINK_NOFOLLOW;
	char name[XATTR_NAME_MAX + 1];
	long rc = aim_named(c, &w, 0, name_addr, name, &p);

	if (rc)
		return rc;
	if (p.behalf)
		return get_local(c, &p, name, nofollow, out, size);
	if (is_usual(name) && is_plain(&p))
		return -ENODATA;
	place_where(&p, &req.op.getxattr.where);
	req.op.getxattr.nofollow = nofollow;
	BYTES_PUT(req.op.getxattr.name, name);
	return ask_bytes(c, &p, &req, out, size);
}

long sys_getxattr(struct call *c)
{
	return get(c, BY_PATH(c), c->arg[1], c->arg[2], c->arg[3]);
}

long sys_lgetxattr(struct call *c)
{
	return get(c, BY_LINK(c), c->arg[1], c->arg[2], c->arg[3]);
}

long sys_fgetxattr(struct call *c)
{
	return get(c, by_fd_or_cwd(c), c->arg[1], c->arg[2], c->arg[3]);
}

/* struct xattr_args of linux/xattr.h, since 6.13. */
struct at_args {
	uint64_t value;
	uint32_t size, flags;
};

/* CALL_CONTINUE: the kernel refuses the structure by itself, as copy_struct_from_user. */
static long read_args(struct call *c, uint64_t addr, uint64_t size, struct at_args *args)
{
	uint8_t bytes[4096];

	if (size < sizeof(*args) || size > sizeof(bytes) || call_read(c, addr, bytes, size) < 0)
		return CALL_CONTINUE;
	for (size_t i = sizeof(*args); i < size; i++)
		if (bytes[i])
			return CALL_CONTINUE;
	memcpy(args, bytes, sizeof(*args));
	return 0;
}

long sys_getxattrat(struct call *c)
{
	struct at_args args;
	long rc = read_args(c, c->arg[4], c->arg[5], &args);

	if (rc || args.flags)
		return CALL_CONTINUE;
	return get(c, BY_AT(c), c->arg[3], args.value, args.size);
}

/* ---- list ---- */

static long list_local(struct call *c, const struct place *p, bool nofollow, uint64_t out, uint64_t size)
{
	CLEANUP_FREE char *names = xcalloc(1, XATTR_LIST_MAX);
	ssize_t n = nofollow ? llistxattr(p->local, names, XATTR_LIST_MAX) : listxattr(p->local, names, XATTR_LIST_MAX);

	return n < 0 ? -errno : deliver(c, names, (size_t)n, out, size);
}

static long list(struct call *c, struct whose w, uint64_t out, uint64_t size)
{
	PLACE_ON_STACK(p);
	rfs_Request req = { .which_op = rfs_Request_listxattr_tag, .op.listxattr.has_where = true };
	bool nofollow = w.flags & AT_SYMLINK_NOFOLLOW;
	long rc = aim(c, &w, 0, &p);

	if (rc)
		return rc;
	if (p.behalf)
		return list_local(c, &p, nofollow, out, size);
	if (is_plain(&p))
		return 0;
	place_where(&p, &req.op.listxattr.where);
	req.op.listxattr.nofollow = nofollow;
	return ask_bytes(c, &p, &req, out, size);
}

long sys_listxattr(struct call *c)
{
	return list(c, BY_PATH(c), c->arg[1], c->arg[2]);
}

long sys_llistxattr(struct call *c)
{
	return list(c, BY_LINK(c), c->arg[1], c->arg[2]);
}

long sys_flistxattr(struct call *c)
{
	return list(c, BY_FD(c), c->arg[1], c->arg[2]);
}

long sys_listxattrat(struct call *c)
{
	return list(c, BY_AT(c), c->arg[3], c->arg[4]);
}

/* ---- set ---- */

static long set_place(struct call *c, const struct place *p, const char *name, const void *value, size_t size, int how,
		      bool nofollow)
{
	rfs_Request req = { .which_op = rfs_Request_setxattr_tag,
			    .op.setxattr = { .has_where = true, .nofollow = nofollow, .flags = (uint32_t)how } };

	if (p->behalf)
		return aim_done(nofollow ? lsetxattr(p->local, name, value, size, how) :
					   setxattr(p->local, name, value, size, how));
	place_where(p, &req.op.setxattr.where);
	BYTES_PUT(req.op.setxattr.name, name);
	return aim_change(c, p, &req, value, size);
}

static long set(struct call *c, struct whose w, uint64_t name_addr, uint64_t addr, uint64_t size, int how)
{
	PLACE_ON_STACK(p);
	char name[XATTR_NAME_MAX + 1];

	/* setxattr_copy of fs/xattr.c: the flags, the name and the value are looked at before the path. */
	if (how & ~(XATTR_CREATE | XATTR_REPLACE) || read_name(c, name_addr, name) || size > XATTR_SIZE_MAX)
		return CALL_CONTINUE;
	CLEANUP_FREE void *value = xcalloc(1, size + 1);
	if (call_read(c, addr, value, size) < 0)
		return CALL_CONTINUE;
	long rc = aim(c, &w, AIM_CHANGE, &p);
	return rc ? rc : set_place(c, &p, name, value, size, how, w.flags & AT_SYMLINK_NOFOLLOW);
}

long sys_setxattr(struct call *c)
{
	return set(c, BY_PATH(c), c->arg[1], c->arg[2], c->arg[3], (int)c->arg[4]);
}

long sys_lsetxattr(struct call *c)
{
	return set(c, BY_LINK(c), c->arg[1], c->arg[2], c->arg[3], (int)c->arg[4]);
}

long sys_fsetxattr(struct call *c)
{
	return set(c, by_fd_or_cwd(c), c->arg[1], c->arg[2], c->arg[3], (int)c->arg[4]);
}

long sys_setxattrat(struct call *c)
{
	struct at_args args;
	long rc = read_args(c, c->arg[4], c->arg[5], &args);

	return rc ? rc : set(c, BY_AT(c), c->arg[3], args.value, args.size, (int)args.flags);
}

/* ---- remove ---- */

static long drop(struct call *c, struct whose w, uint64_t name_addr)
{
	PLACE_ON_STACK(p);
	rfs_Request req = { .which_op = rfs_Request_removexattr_tag, .op.removexattr.has_where = true };
	bool nofollow = w.flags & AT_SYMLINK_NOFOLLOW;
	char name[XATTR_NAME_MAX + 1];
	long rc = aim_named(c, &w, AIM_CHANGE, name_addr, name, &p);

	if (rc)
		return rc;
	if (p.behalf)
		return aim_done(nofollow ? lremovexattr(p.local, name) : removexattr(p.local, name));
	place_where(&p, &req.op.removexattr.where);
	req.op.removexattr.nofollow = nofollow;
	BYTES_PUT(req.op.removexattr.name, name);
	return aim_change(c, &p, &req, NULL, 0);
}

long sys_removexattr(struct call *c)
{
	return drop(c, BY_PATH(c), c->arg[1]);
}

long sys_lremovexattr(struct call *c)
{
	return drop(c, BY_LINK(c), c->arg[1]);
}

long sys_fremovexattr(struct call *c)
{
	return drop(c, BY_FD(c), c->arg[1]);
}

long sys_removexattrat(struct call *c)
{
	return drop(c, BY_AT(c), c->arg[3]);
}
