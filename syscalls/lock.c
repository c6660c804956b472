#include "lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "behind.h"
#include "call.h"
#include "dir.h"
#include "handlers.h"
#include "link.h"
#include "locks.h"
#include "notify.h"
#include "ofd.h"
#include "overlay.h"
#include "remote.h"
#include "rules.h"

/* How often, in ns, a call that waits looks for signals, closed descriptors and deadlocks: more and more seldom. */
#define LOOK_FIRST 1000000
#define LOOK_MAX 20000000

#ifndef LOCK_MAND
#define LOCK_MAND 32
#endif

/* The file offset where the kernel keeps it itself. */
static int native_offset(const struct call *c, int64_t *pos)
{
	char path[64], line[128];
	long long at = -1;

	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", (int)c->tid, (int)c->arg[0]);
	FILE *f = fopen(path, "re");
	if (!f)
		return -EBADF;
	while (at < 0 && fgets(line, sizeof(line), f))
		if (sscanf(line, "pos: %lld", &at) == 1)
			break;
	fclose(f);
	*pos = at;
	return at < 0 ? -EBADF : 0;
}

/* What l_start counts from. */
static int lock_base(struct call *c, struct ofd *o, int whence, int64_t *base)
{
	rfs_Attr attr;
	int rc;

	*base = 0;
	switch (whence) {
	case SEEK_SET:
		return 0;
	case SEEK_CUR:
		behind_settle_pos(c, o);
		if (S_ISDIR(o->node->attr.mode))
			dir_find_position(c, o, (int)c->arg[0]);
		*base = S_ISDIR(o->node->attr.mode) ? o->list_cookie : (int64_t)o->pos;
		return o->io == OFD_NATIVE ? native_offset(c, base) : 0;
	case SEEK_END:
		rc = remote_attr(c, o, &attr);
		*base = rc ? 0 : (int64_t)attr.size;
		return rc;
	default:
		return -EINVAL;
	}
}

/* struct flock as a range, with the errors of fs/locks.c, flock64_to_posix_lock(), in their order. */
static int lock_range(struct call *c, struct ofd *o, const struct flock *l, struct lock_want *w)
{
	int64_t base, from, to = INT64_MAX;
	int rc = lock_base(c, o, l->l_whence, &base);

	if (rc)
		return rc;
	if (l->l_start > INT64_MAX - base)
		return -EOVERFLOW;
	from = base + l->l_start;
	if (from < 0)
		return -EINVAL;
	if (l->l_len > 0) {
		if (l->l_len - 1 > INT64_MAX - from)
			return -EOVERFLOW;
		to = from + (l->l_len - 1);
	} else if (l->l_len < 0) {
		if (from + l->l_len < 0)
			return -EINVAL;
		to = from - 1;
		from += l->l_len;
	}
	w->from = (uint64_t)from;
	w->to = (uint64_t)to;
	w->type = l->l_type;
	return l->l_type == F_RDLCK || l->l_type == F_WRLCK || l->l_type == F_UNLCK ? 0 : -EINVAL;
}

static bool lock_allowed(const struct ofd *o, short type)
{
	int mode = o->flags & O_ACCMODE;

	/* Access mode 3 is neither. */
	return type == F_UNLCK || mode == O_RDWR || mode == (type == F_RDLCK ? O_RDONLY : O_WRONLY);
}

static rfs_Lock lock_message(const struct ofd *o, const struct lock_want *w, bool get)
{
	return (rfs_Lock){ .handle = o->handle,
			   .owner = locks_is_file(w->owner) ? 0 : w->owner,
			   .command = get ? F_OFD_GETLK : F_OFD_SETLK,
			   .type = (uint32_t)w->type,
			   .start = w->from,
			   .length = w->to == INT64_MAX ? 0 : w->to - w->from + 1 };
}

/* Asks and drops the answer's body. */
static int ask(struct call *c, const struct ofd *o, const rfs_Request *req)
{
	struct link_reply rep;
	int rc = call_rpc(c, o->mount, req, NULL, 0, &rep);

	if (!rc)
		link_reply_free(&rep);
	return rc;
}

/* ---- waiting ---- */

/* Takes the wait back; WHY is the result unless the lock was granted meanwhile: then the call was quicker. */
static int wait_cancel(struct call *c, const struct ofd *o, struct lock_waiter *w, int why)
{
	rfs_Request req = { .which_op = rfs_Request_lock_cancel_tag, .op.lock_cancel.ticket = w->ticket };
	int rc = ask(c, o, &req);

	if (rc)
		return rc;
	if (!w->done)
		return -EPROTO; /* its end stands before this answer */
	return w->error == EINTR ? why : -w->error;
}

/* Why W must not be waited for any longer: a negative errno or 0. */
static int wait_reason(struct call *c, const struct lock_waiter *w)
{
	if (call_interrupted(c))
		return -ERESTARTSYS;
	locks_verify(w->node);
	return locks_deadlock(w->node, &w->want) ? -EDEADLK : 0;
}

static int wait_for_end(struct call *c, const struct ofd *o, struct lock_waiter *w)
{
	long pause = LOOK_FIRST;
	int why = 0;

	notify_promote();
	while (!w->done && !why) {
		locks_wait_some(w, pause);
		pause = pause < LOOK_MAX / 2 ? pause * 2 : LOOK_MAX;
		if (!w->done)
			why = wait_reason(c, w);
	}
	if (!w->done)
		return wait_cancel(c, o, w, why);
	return w->error > EHWPOISON ? -EPROTO : -w->error;
}

/* Has the agent wait for what REQ says, of W. 0 when it is held. */
static int wait_lock(struct call *c, struct ofd *o, const struct lock_want *want, rfs_Request *req)
{
	struct lock_waiter w = { .node = o->node, .mount = o->mount, .call = c, .want = *want };
	struct link_reply rep;
	int rc;

	if (locks_deadlock(o->node, want))
		return -EDEADLK;
	locks_wait_begin(&w);
	req->op.lock_wait.ticket = w.ticket;
	rc = call_rpc(c, o->mount, req, NULL, 0, &rep);
	if (!rc) {
		bool waits = rep.msg.which_op == rfs_Reply_lock_wait_tag && rep.msg.op.lock_wait.waits;

		link_reply_free(&rep);
		rc = waits ? wait_for_end(c, o, &w) : 0;
	}
	locks_wait_end(&w);
	return rc;
}

/*
 * In an overlay a lock is the program's own business as a copy's would be, and the target's processes hear nothing of it. What
 * cannot be copied is locked there.
 */
static void own_file(struct call *c, struct ofd *o)
{
	overlay_bring_ofd(c, o);
	overlay_leave(c);
}

/* ---- flock ---- */

static int flock_ask(struct call *c, struct ofd *o, int kind, bool wait)
{
	rfs_Flock message = { .handle = o->handle, .operation = (uint32_t)kind };
	rfs_Request req = { .which_op = rfs_Request_flock_tag, .op.flock = message };
	rfs_Request waiting = { .which_op = rfs_Request_lock_wait_tag,
				.op.lock_wait = { .has_flock = true, .flock = message } };

	return wait ? wait_lock(c, o, &(struct lock_want){ .type = F_WRLCK }, &waiting) : ask(c, o, &req);
}

long sys_flock(struct call *c)
{
	struct ofd *o = ofd_by_fd(c->tid, (int)c->arg[0]);
	int operation = (int)c->arg[1], kind = operation & ~LOCK_NB;

	/* What is wrong with the operation is the kernel's to say, and before it looks at the descriptor. */
	if (!o || operation & LOCK_MAND || (kind != LOCK_SH && kind != LOCK_EX && kind != LOCK_UN))
		return CALL_CONTINUE;
	call_remote(c, o->mount);
	if (o->flags & O_PATH)
		return -EBADF;
	locks_begin(o);
	own_file(c, o);
	locks_expel(o->node);
	int rc = flock_ask(c, o, kind, kind != LOCK_UN && !(operation & LOCK_NB));
	locks_end(o);
	return rc;
}

/* ---- record locks ---- */

static int lock_get(struct call *c, struct ofd *o, const struct lock_want *w, struct flock *l)
{
	rfs_Request req = { .which_op = rfs_Request_lock_tag, .op.lock = lock_message(o, w, true) };
	struct link_reply rep;
	int rc = call_rpc(c, o->mount, &req, NULL, 0, &rep);

	if (rc)
		return rc;
	const rfs_LockReply got = rep.msg.op.lock;
	bool valid = rep.msg.which_op == rfs_Reply_lock_tag && got.type <= F_UNLCK && got.start <= INT64_MAX &&
		     got.length <= INT64_MAX - got.start;
	link_reply_free(&rep);
	if (!valid)
		return -EPROTO;
	l->l_type = (short)got.type;
	if (got.type != F_UNLCK) {
		uint64_t to = got.length ? got.start + got.length - 1 : INT64_MAX;
		/* F_UNLCK asks what the open file itself has locked (Linux 6.13). */
		pid_t ours = w->type == F_UNLCK ? 0 : locks_holder(o->node, w->owner, l->l_type, got.start, to);

		l->l_whence = SEEK_SET;
		l->l_start = (off_t)got.start;
		l->l_len = (off_t)got.length;
		/* As the kernel says of an open file's lock, which belongs to no process. */
		l->l_pid = got.pid ? (pid_t)got.pid : ours ? ours : -1;
	}
	return call_write(c, c->arg[2], l, sizeof(*l));
}

static int lock_set(struct call *c, struct ofd *o, const struct lock_want *w, bool wait)
{
	rfs_Lock message = lock_message(o, w, false);
	rfs_Request req = { .which_op = rfs_Request_lock_tag, .op.lock = message };
	rfs_Request waiting = { .which_op = rfs_Request_lock_wait_tag,
				.op.lock_wait = { .has_lock = true, .lock = message } };
	int rc = wait && w->type != F_UNLCK ? wait_lock(c, o, w, &waiting) : ask(c, o, &req);

	if (!rc) {
		locks_set(o, w, c->tid, call_process(c), (int)c->arg[0]);
		/* It may have been killed, or have closed the descriptor, since it asked. */
		locks_verify(o->node);
	}
	return rc;
}

long lock_fcntl(struct call *c, struct ofd *o, int command)
{
	bool get = command == F_GETLK || command == F_OFD_GETLK;
	bool open_file = command == F_OFD_GETLK || command == F_OFD_SETLK || command == F_OFD_SETLKW;
	struct lock_want want;
	struct flock l;

	/* FIFOs are ours alone, and so are their locks. */
	if (o->shadow)
		return CALL_CONTINUE;
	if (call_read(c, c->arg[2], &l, sizeof(l)) < 0)
		return -EFAULT;
	if (command == F_GETLK && l.l_type != F_RDLCK && l.l_type != F_WRLCK)
		return -EINVAL;
	locks_begin(o);
	own_file(c, o);
	int rc = lock_range(c, o, &l, &want);
	if (!rc && !get && !lock_allowed(o, l.l_type))
		rc = -EBADF;
	if (!rc && open_file && l.l_pid)
		rc = -EINVAL;
	if (!rc) {
		want.owner = open_file ? locks_file_owner(o) : locks_owner(c->tid);
		locks_expel(o->node);
		locks_verify(o->node);
		rc = get ? lock_get(c, o, &want, &l)
			 : lock_set(c, o, &want, command == F_SETLKW || command == F_OFD_SETLKW);
	}
	locks_end(o);
	return rc;
}
