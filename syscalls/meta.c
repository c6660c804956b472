/* What a file is: chmod, chown, utime, statfs and their forms. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/time.h>
#include <sys/vfs.h>
#include <unistd.h>
#include <utime.h>

#include "aim.h"
#include "call.h"
#include "handlers.h"
#include "link.h"
#include "ofd.h"
#include "place.h"
#include "rules.h"
#include "sync.h"

/* ---- chmod ---- */

static long chmod_place(struct call *c, const struct place *p, unsigned mode, bool nofollow)
{
	rfs_Request req = { .own = place_owns(p),
			    .which_op = rfs_Request_chmod_tag,
			    .op.chmod = { .has_where = true, .nofollow = nofollow, .mode = mode & 07777 } };

	place_where(p, &req.op.chmod.where);
	return aim_change(c, p, &req, NULL, 0);
}

static long chmod_path(struct call *c, int dirfd, uint64_t path, unsigned mode, int flags)
{
	PLACE_ON_STACK(p);
	long rc = flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) ? CALL_CONTINUE : aim_path(c, dirfd, path, flags | AIM_CHANGE, &p);

	if (!rc && p.behalf)
		return aim_done(fchmodat(AT_FDCWD, p.local, mode & 07777, flags & AT_SYMLINK_NOFOLLOW));
	return rc ? rc : chmod_place(c, &p, mode, flags & AT_SYMLINK_NOFOLLOW);
}

long sys_chmod(struct call *c)
{
	return chmod_path(c, AT_FDCWD, c->arg[0], (unsigned)c->arg[1], 0);
}

long sys_fchmod(struct call *c)
{
	PLACE_ON_STACK(p);
	long rc = aim_fd(c, (int)c->arg[0], AIM_CHANGE, &p);

	return rc ? rc : chmod_place(c, &p, (unsigned)c->arg[1], false);
}

long sys_fchmodat(struct call *c)
{
	return chmod_path(c, (int)c->arg[0], c->arg[1], (unsigned)c->arg[2], 0);
}

long sys_fchmodat2(struct call *c)
{
	return chmod_path(c, (int)c->arg[0], c->arg[1], (unsigned)c->arg[2], (int)c->arg[3]);
}

/* ---- chown ---- */

static long chown_place(struct call *c, const struct place *p, uint32_t uid, uint32_t gid, bool nofollow)
{
	rfs_Request req = { .own = place_owns(p),
			    .which_op = rfs_Request_chown_tag,
			    .op.chown = { .has_where = true, .nofollow = nofollow, .uid = uid, .gid = gid } };

	place_where(p, &req.op.chown.where);
	return aim_change(c, p, &req, NULL, 0);
}

static long chown_path(struct call *c, int dirfd, uint64_t path, uint64_t uid, uint64_t gid, int flags)
{
	PLACE_ON_STACK(p);
	long rc = flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) ? CALL_CONTINUE : aim_path(c, dirfd, path, flags | AIM_CHANGE, &p);

	if (!rc && p.behalf)
		return aim_done(fchownat(AT_FDCWD, p.local, (uid_t)uid, (gid_t)gid, flags & AT_SYMLINK_NOFOLLOW));
	return rc ? rc : chown_place(c, &p, (uint32_t)uid, (uint32_t)gid, flags & AT_SYMLINK_NOFOLLOW);
}

long sys_chown(struct call *c)
{
	return chown_path(c, AT_FDCWD, c->arg[0], c->arg[1], c->arg[2], 0);
}

long sys_lchown(struct call *c)
{
	return chown_path(c, AT_FDCWD, c->arg[0], c->arg[1], c->arg[2], AT_SYMLINK_NOFOLLOW);
}

long sys_fchown(struct call *c)
{
	PLACE_ON_STACK(p);
	long rc = aim_fd(c, (int)c->arg[0], AIM_CHANGE, &p);

	return rc ? rc : chown_place(c, &p, (uint32_t)c->arg[1], (uint32_t)c->arg[2], false);
}

long sys_fchownat(struct call *c)
{
	return chown_path(c, (int)c->arg[0], c->arg[1], c->arg[2], c->arg[3], (int)c->arg[4]);
}

/* ---- times ---- */

/* On the wire a wrong one stays wrong: EINVAL comes after what the target finds wrong with the path. */
static uint32_t wire_nsec(const struct timespec *t)
{
	bool good = t->tv_nsec == UTIME_NOW || t->tv_nsec == UTIME_OMIT || (t->tv_nsec >= 0 && t->tv_nsec < 1000000000);

	return good ? (uint32_t)t->tv_nsec : UINT32_MAX;
}

static long utimes_place(struct call *c, const struct place *p, const struct timespec t[2], bool nofollow)
{
	rfs_Request req = { .own = place_owns(p),
			    .which_op = rfs_Request_utimes_tag,
			    .op.utimes = { .has_where = true,
					   .nofollow = nofollow,
					   .atime_sec = t[0].tv_sec,
					   .atime_nsec = wire_nsec(&t[0]),
					   .mtime_sec = t[1].tv_sec,
					   .mtime_nsec = wire_nsec(&t[1]) } };

	place_where(p, &req.op.utimes.where);
	sync_all(c, p->mount); /* what was stored before must not move the times after */
	return aim_change(c, p, &req, NULL, 0);
}

static long utimes_path(struct call *c, int dirfd, uint64_t path, const struct timespec t[2], int flags)
{
	PLACE_ON_STACK(p);
	long rc;

	p.behalf = false;
	if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) || (t[0].tv_nsec == UTIME_OMIT && t[1].tv_nsec == UTIME_OMIT))
		return CALL_CONTINUE; /* EINVAL, or nothing to be done */
	/* No path: the descriptor itself (futimens). */
	if (!path && dirfd != AT_FDCWD)
		rc = flags ? CALL_CONTINUE : aim_fd(c, dirfd, AIM_CHANGE, &p);
	else
		rc = aim_path(c, dirfd, path, flags | AIM_CHANGE, &p);
	if (!rc && p.behalf)
		return aim_done(utimensat(AT_FDCWD, p.local, t, flags & AT_SYMLINK_NOFOLLOW));
	return rc ? rc : utimes_place(c, &p, t, flags & AT_SYMLINK_NOFOLLOW);
}

static const struct timespec both_now[2] = { { 0, UTIME_NOW }, { 0, UTIME_NOW } };

long sys_utimensat(struct call *c)
{
	struct timespec t[2];

	if (!c->arg[2])
		return utimes_path(c, (int)c->arg[0], c->arg[1], both_now, (int)c->arg[3]);
	if (call_read(c, c->arg[2], t, sizeof(t)) < 0)
		return CALL_CONTINUE;
	return utimes_path(c, (int)c->arg[0], c->arg[1], t, (int)c->arg[3]);
}

static long utimes_micro(struct call *c, int dirfd, uint64_t path, uint64_t addr)
{
	struct timeval v[2];
	struct timespec t[2];

	if (!addr)
		return utimes_path(c, dirfd, path, both_now, 0);
	if (call_read(c, addr, v, sizeof(v)) < 0)
		return CALL_CONTINUE;
	for (int i = 0; i < 2; i++) {
		if (v[i].tv_usec < 0 || v[i].tv_usec >= 1000000)
			return CALL_CONTINUE;
		t[i] = (struct timespec){ v[i].tv_sec, v[i].tv_usec * 1000 };
	}
	return utimes_path(c, dirfd, path, t, 0);
}

long sys_utimes(struct call *c)
{
	return utimes_micro(c, AT_FDCWD, c->arg[0], c->arg[1]);
}

long sys_futimesat(struct call *c)
{
	return utimes_micro(c, (int)c->arg[0], c->arg[1], c->arg[2]);
}

long sys_utime(struct call *c)
{
	struct utimbuf u;

	if (!c->arg[1])
		return utimes_path(c, AT_FDCWD, c->arg[0], both_now, 0);
	if (call_read(c, c->arg[1], &u, sizeof(u)) < 0)
		return CALL_CONTINUE;
	const struct timespec t[2] = { { u.actime, 0 }, { u.modtime, 0 } };
	return utimes_path(c, AT_FDCWD, c->arg[0], t, 0);
}

/* ---- statfs ---- */

static long statfs_place(struct call *c, const struct place *p, uint64_t out)
{
	rfs_Request req = { .which_op = rfs_Request_statfs_tag, .op.statfs.has_where = true };
	struct link_reply rep;
	struct statfs st;

	place_where(p, &req.op.statfs.where);
	int rc = call_rpc(c, p->mount, &req, NULL, 0, &rep);
	if (rc)
		return rc;
	const rfs_StatfsReply *r = &rep.msg.op.statfs;
	memset(&st, 0, sizeof(st));
	if (rep.msg.which_op != rfs_Reply_statfs_tag)
		rc = -EPROTO;
	st.f_type = (__fsword_t)r->type;
	st.f_bsize = (__fsword_t)r->blksize;
	st.f_blocks = r->blocks;
	st.f_bfree = r->bfree;
	st.f_bavail = r->bavail;
	st.f_files = r->files;
	st.f_ffree = r->ffree;
	st.f_fsid.__val[0] = (int)r->fsid0;
	st.f_fsid.__val[1] = (int)r->fsid1;
	st.f_namelen = (__fsword_t)r->namelen;
	st.f_frsize = (__fsword_t)r->frsize;
	st.f_flags = (__fsword_t)r->flags;
	/* The agent of an overlay's lower layer changes nothing; the program does. */
	if (p->mount->overlay)
		st.f_flags &= ~(__fsword_t)ST_RDONLY;
	link_reply_free(&rep);
	return rc ? rc : call_write(c, out, &st, sizeof(st));
}

long sys_statfs(struct call *c)
{
	PLACE_ON_STACK(p);
	long rc = aim_path(c, AT_FDCWD, c->arg[0], 0, &p);
	struct statfs st;

	if (!rc && p.behalf)
		return statfs(p.local, &st) < 0 ? -errno : call_write(c, c->arg[1], &st, sizeof(st));
	return rc ? rc : statfs_place(c, &p, c->arg[1]);
}

long sys_fstatfs(struct call *c)
{
	struct ofd *o = ofd_by_fd(c->tid, (int)c->arg[0]);
	PLACE_ON_STACK(p);

	/* Unlike most, this works on O_PATH descriptors. */
	if (!o)
		return CALL_CONTINUE;
	call_remote(c, o->mount);
	p.mount = o->mount;
	p.dir = ofd_ref(o);
	p.path[0] = '\0';
	return statfs_place(c, &p, c->arg[1]);
}
