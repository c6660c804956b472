#include "lock.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "call.h"
#include "link.h"
#include "notify.h"
#include "ofd.h"
#include "remote.h"
#include "rules.h"
#include "state.h"

/* A blocked lock is asked for again this often at most, in ns. */
#define RETRY_MAX 20000000

/* struct flock's start, made absolute. */
static int lock_start(struct call *c, struct ofd *o, const struct flock *l, int64_t *start)
{
	rfs_Attr attr;
	int rc = 0;

	*start = l->l_start;
	if (l->l_whence == SEEK_CUR)
		*start += (int64_t)o->pos;
	else if (l->l_whence == SEEK_END && !(rc = remote_attr(c, o, &attr)))
		*start += (int64_t)attr.size;
	else if (l->l_whence != SEEK_SET)
		rc = rc ? rc : -EINVAL;
	if (l->l_len < 0)
		*start += l->l_len;
	return rc ? rc : *start < 0 ? -EINVAL : 0;
}

static int ask_lock(struct call *c, struct ofd *o, const rfs_Request *req, rfs_LockReply *reply)
{
	struct link_reply rep;
	int rc = call_rpc(c, o->mount, req, NULL, 0, &rep);

	if (rc)
		return rc;
	if (reply && rep.msg.which_op == rfs_Reply_lock_tag)
		*reply = rep.msg.op.lock;
	link_reply_free(&rep);
	return 0;
}

/* Asks until the lock is free or a signal comes. */
static int wait_lock(struct call *c, struct ofd *o, const rfs_Request *req)
{
	struct timespec pause = { 0, 500000 };
	int rc;

	while ((rc = ask_lock(c, o, req, NULL)) == -EAGAIN || rc == -EACCES) {
		notify_promote();
		state_unlock();
		nanosleep(&pause, NULL);
		state_lock();
		if (call_interrupted(c))
			return -ERESTARTSYS;
		pause.tv_nsec = pause.tv_nsec < RETRY_MAX / 2 ? pause.tv_nsec * 2 : RETRY_MAX;
	}
	return rc;
}

long lock_flock(struct call *c, struct ofd *o, int operation)
{
	int kind = operation & ~LOCK_NB;
	rfs_Request req = { .which_op = rfs_Request_flock_tag,
			    .op.flock = { .handle = o->handle, .operation = (uint32_t)kind } };

	if (kind != LOCK_SH && kind != LOCK_EX && kind != LOCK_UN)
		return -EINVAL;
	ofd_ref(o);
	int rc = operation & LOCK_NB ? ask_lock(c, o, &req, NULL) : wait_lock(c, o, &req);
	ofd_unref(o);
	return rc;
}

static bool lock_allowed(const struct ofd *o, const struct flock *l)
{
	int mode = o->flags & O_ACCMODE;

	return !(l->l_type == F_RDLCK && mode == O_WRONLY) && !(l->l_type == F_WRLCK && mode == O_RDONLY);
}

long lock_fcntl(struct call *c, struct ofd *o, int command)
{
	bool get = command == F_GETLK || command == F_OFD_GETLK;
	bool open_file = command == F_OFD_GETLK || command == F_OFD_SETLK || command == F_OFD_SETLKW;
	rfs_LockReply reply = rfs_LockReply_init_zero;
	struct flock l;
	int64_t start;

	/* The kernel finds what is wrong with the structure by itself. */
	if (call_read(c, c->arg[2], &l, sizeof(l)) < 0 || (open_file && l.l_pid) || !S_ISREG(o->node->attr.mode))
		return CALL_CONTINUE;
	if (l.l_type != F_RDLCK && l.l_type != F_WRLCK && l.l_type != F_UNLCK)
		return -EINVAL;
	if (!get && !lock_allowed(o, &l))
		return -EBADF;
	int rc = lock_start(c, o, &l, &start);
	if (rc)
		return rc;
	rfs_Request req = { .which_op = rfs_Request_lock_tag,
			    .op.lock = { .handle = o->handle,
					 .owner = open_file ? 0 : (uint64_t)call_process(c),
					 .command = get ? F_OFD_GETLK : F_OFD_SETLK,
					 .type = (uint32_t)l.l_type,
					 .start = (uint64_t)start,
					 .length = (uint64_t)(l.l_len < 0 ? -l.l_len : l.l_len) } };
	bool wait = command == F_SETLKW || command == F_OFD_SETLKW;
	ofd_ref(o);
	rc = wait ? wait_lock(c, o, &req) : ask_lock(c, o, &req, &reply);
	ofd_unref(o);
	if (rc || !get)
		return rc;
	l.l_type = (short)reply.type;
	if (reply.type != F_UNLCK) {
		l.l_whence = SEEK_SET;
		l.l_start = (off_t)reply.start;
		l.l_len = (off_t)reply.length;
		l.l_pid = -1; /* as the kernel says of a holder it cannot name */
	}
	return call_write(c, c->arg[2], &l, sizeof(l));
}
