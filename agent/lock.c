/*
 * Record locks. Owner 0 locks on the handle's own open file (F_OFD_SETLK). Every other owner has, per
 * inode, one open file of its own here, so that its handles share locks as POSIX wants it and other owners
 * conflict. Closing that file releases all its locks at once. Which close of the owner's does that, only the client
 * knows: a handle may live on in another process.
 */
#include "lock_int.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#define LOCK_OWNERS 4096 /* owners times inodes */

struct locks *locks_new(void)
{
	struct locks *l = calloc(1, sizeof(*l));

	if (l) {
		pthread_mutex_init(&l->lock, NULL);
		lock_wait_init(l);
	}
	return l;
}

/*
 * The file may be one that nobody can open any more (created with mode 0): then its first owner locks on the
 * handle itself. A second one there, or the handle's own locks, would not conflict with that.
 */
static int lock_borrow(struct agent *a, struct lock_owner *o, struct handle *h)
{
	if (h->lent || h->own_locks)
		return -ENOLCK;
	handle_ref(a->handles, h);
	o->lender = h;
	h->lent = true;
	o->fd = h->fd;
	return 0;
}

/* As widely as it can be had: the next handle of this owner may be open for writing. */
static int lock_open(struct agent *a, struct lock_owner *o, struct handle *h)
{
	char proc[32];

	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", h->fd);
	o->mode = O_RDWR;
	o->fd = a->root.read_only ? -1 : open(proc, O_RDWR | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (o->fd < 0) {
		o->mode = h->flags & O_ACCMODE;
		o->fd = open(proc, o->mode | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	}
	return o->fd < 0 ? lock_borrow(a, o, h) : 0;
}

static struct lock_owner **lock_find(struct locks *l, const struct handle *h, uint64_t owner)
{
	struct lock_owner **p = &l->owners;

	while (*p && ((*p)->owner != owner || (*p)->dev != h->dev || (*p)->ino != h->ino))
		p = &(*p)->next;
	return p;
}

struct lock_owner *lock_owner_of(struct locks *l, const struct handle *h, uint64_t owner)
{
	return *lock_find(l, h, owner);
}

static void lock_drop(struct agent *a, struct lock_owner **p)
{
	struct flock all = { .l_type = F_UNLCK, .l_whence = SEEK_SET };
	struct lock_owner *o = *p;

	fcntl(o->fd, F_OFD_SETLK, &all);
	o->handles = 0;
	if (o->kept)
		atomic_store(&o->kept->handles, 0);
	if (o->waiters) /* what they wait for must not conflict with what the owner locks next */
		return;
	*p = o->next;
	a->locks->count--;
	keep_end(o->kept);
	if (o->lender) {
		o->lender->lent = false;
		handle_put(a->handles, o->lender);
	} else {
		close(o->fd);
	}
	keep_drop(KEEP_OWNER, o->kept);
	free(o);
}

/* Notes that H is one of those whose closes, when all are closed, release O's locks. */
static int lock_note(struct lock_owner *o, const struct handle *h)
{
	unsigned int i;

	for (i = 0; i < o->handles; i++)
		if (o->handle[i] == h->number)
			return 0;
	if (o->handles == LOCK_HANDLES)
		return -ENOLCK;
	o->handle[o->handles] = h->number;
	if (o->kept)
		atomic_store(&o->kept->handle[o->handles], h->number);
	o->handles++;
	if (o->kept)
		atomic_store(&o->kept->handles, o->handles);
	return 0;
}

static void lock_keep(struct lock_owner *o)
{
	struct keep_owner k = { .owner = o->owner, .dev = o->dev, .ino = o->ino, .lender = o->lender ? o->lender->number : 0,
				.fd = o->fd, .mode = o->mode };

	o->kept = keep_put(KEEP_OWNER, &k);
}

static int lock_owner_get(struct agent *a, struct handle *h, uint64_t owner, struct lock_owner **out)
{
	struct locks *l = a->locks;
	struct lock_owner *o = *lock_find(l, h, owner);
	int r;

	if (o) {
		*out = o;
		return lock_note(o, h);
	}
	if (l->count >= LOCK_OWNERS)
		return -ENOLCK;
	o = calloc(1, sizeof(*o));
	if (!o)
		return -ENOLCK;
	*o = (struct lock_owner){ .owner = owner, .dev = h->dev, .ino = h->ino, .next = l->owners };
	r = lock_open(a, o, h);
	if (r) {
		free(o);
		return r;
	}
	lock_keep(o);
	lock_note(o, h);
	l->owners = o;
	l->count++;
	*out = o;
	return 0;
}

/* fcntl(2) wants a descriptor that is open for what the lock protects. */
static int lock_check(const struct handle *h, uint32_t command, uint32_t type)
{
	int mode = h->flags & O_ACCMODE;

	if (h->flags & O_PATH)
		return -EBADF;
	if (command == F_OFD_GETLK)
		return 0;
	if (type == F_RDLCK && mode == O_WRONLY)
		return -EBADF;
	return type == F_WRLCK && mode == O_RDONLY ? -EBADF : 0;
}

static int lock_fcntl(const rfs_Lock *req, int fd, struct flock *f)
{
	*f = (struct flock){
		.l_type = req->type,
		.l_whence = SEEK_SET,
		.l_start = req->start,
		.l_len = req->length,
	};
	if (!fcntl(fd, req->command, f))
		return 0;
	return errno == EACCES ? -EAGAIN : -errno;
}

static int lock_as_owner(struct agent *a, const rfs_Lock *req, struct handle *h, struct flock *f,
			 struct lock_owner **waiter)
{
	struct lock_owner *o;
	int r = lock_owner_get(a, h, req->owner, &o);

	if (!r && req->command == F_OFD_SETLK && o->mode != O_RDWR && req->type != F_UNLCK &&
	    o->mode != (req->type == F_WRLCK ? O_WRONLY : O_RDONLY))
		r = -ENOLCK; /* a second open file would conflict with the first one's locks */
	if (!r)
		r = lock_fcntl(req, o->fd, f);
	if (!r && req->command == F_OFD_SETLK && req->type == F_UNLCK && !req->start && !req->length)
		lock_drop(a, lock_find(a->locks, h, req->owner));
	if (r == -EAGAIN && waiter) {
		o->waiters++;
		*waiter = o;
	}
	return r;
}

static int lock_as_file(const rfs_Lock *req, struct handle *h, struct flock *f)
{
	if (h->lent)
		return -ENOLCK;
	h->own_locks = true;
	keep_bit(h->kept, KEEP_OWN_LOCKS, true);
	return lock_fcntl(req, h->fd, f);
}

int lock_try(struct agent *a, const rfs_Lock *req, struct handle *h, struct flock *f, struct lock_owner **waiter)
{
	int r;

	pthread_mutex_lock(&a->locks->lock);
	/* The close that has passed meanwhile would leave the lock behind: fcntl(2) says so, too. */
	if (handle_is_closed(a->handles, h))
		r = -EBADF;
	else
		r = req->owner ? lock_as_owner(a, req, h, f, waiter) : lock_as_file(req, h, f);
	pthread_mutex_unlock(&a->locks->lock);
	return r;
}

int lock_handle(struct agent *a, const rfs_Lock *req, struct handle **h)
{
	int r;

	if ((req->command != F_OFD_GETLK && req->command != F_OFD_SETLK) || req->type > F_UNLCK)
		return -EINVAL;
	r = handle_get(a->handles, req->handle, h);
	if (r)
		return r;
	handle_note_lock(*h);
	r = lock_check(*h, req->command, req->type);
	if (r)
		handle_put(a->handles, *h);
	return r;
}

int op_lock(struct op *op)
{
	const rfs_Lock *req = &op->req->op.lock;
	struct handle *h;
	struct flock f;
	int r = lock_handle(op->agent, req, &h);

	if (r)
		return r;
	r = lock_try(op->agent, req, h, &f, NULL);
	handle_put(op->agent->handles, h);
	if (r)
		return r;
	op->reply->which_op = rfs_Reply_lock_tag;
	op->reply->op.lock = (rfs_LockReply){ .type = f.l_type, .start = f.l_start, .length = f.l_len,
					      .pid = req->command == F_OFD_GETLK && f.l_pid > 0 ? f.l_pid : 0 };
	return 0;
}

/* Its journal may name a handle twice, if its writer was killed in the middle of this. */
static bool lock_unnote(struct lock_owner *o, const struct handle *h)
{
	bool noted = false;

	for (unsigned int i = 0; i < o->handles;) {
		if (o->handle[i] != h->number) {
			i++;
			continue;
		}
		noted = true;
		o->handle[i] = o->handle[--o->handles];
		if (o->kept) {
			atomic_store(&o->kept->handle[i], o->handle[i]);
			atomic_store(&o->kept->handles, o->handles);
		}
	}
	return noted;
}

/* The close of a handle that is no longer in the journal was not finished. */
static void lock_unnote_closed(struct agent *a, struct lock_owner *o)
{
	struct flock all = { .l_type = F_UNLCK, .l_whence = SEEK_SET };
	bool any = o->handles;
	struct handle *h;

	for (unsigned int i = o->handles; i-- > 0;) {
		if (handle_get(a->handles, o->handle[i], &h))
			lock_unnote(o, &(struct handle){ .number = o->handle[i] });
		else
			handle_put(a->handles, h);
	}
	if (any && !o->handles)
		fcntl(o->fd, F_OFD_SETLK, &all);
}

/* Its lender's slot may have gone first: then the descriptor is the owner's. */
static int lock_restore(struct agent *a, struct keep_owner *k)
{
	struct lock_owner *o = calloc(1, sizeof(*o));

	if (!o)
		return -ENOMEM;
	*o = (struct lock_owner){ .owner = k->owner, .dev = k->dev, .ino = k->ino, .fd = k->fd, .mode = k->mode, .kept = k,
				  .handles = atomic_load(&k->handles), .next = a->locks->owners };
	for (unsigned int i = 0; i < o->handles; i++)
		o->handle[i] = atomic_load(&k->handle[i]);
	lock_unnote_closed(a, o);
	if (k->lender && !handle_get(a->handles, k->lender, &o->lender))
		o->lender->lent = true;
	a->locks->owners = o;
	a->locks->count++;
	return 0;
}

int locks_restore(struct agent *a)
{
	struct keep_owner *k = NULL;
	int r = 0;

	while (!r && (k = keep_next(KEEP_OWNER, k)))
		r = lock_restore(a, k);
	return r;
}

void locks_forget(struct agent *a, const struct handle *h)
{
	struct locks *l = a->locks;
	struct lock_owner **p;

	pthread_mutex_lock(&l->lock);
	for (p = &l->owners; *p;) {
		struct lock_owner *o = *p;

		if (lock_unnote(o, h) && !o->handles)
			lock_drop(a, p);
		if (*p == o)
			p = &o->next;
	}
	pthread_mutex_unlock(&l->lock);
}

void lock_release_file(struct agent *a, const struct handle *h)
{
	struct flock all = { .l_type = F_UNLCK, .l_whence = SEEK_SET };

	flock(h->fd, LOCK_UN);
	pthread_mutex_lock(&a->locks->lock);
	if (!h->lent)
		fcntl(h->fd, F_OFD_SETLK, &all);
	pthread_mutex_unlock(&a->locks->lock);
}

int op_lock_release(struct op *op)
{
	const rfs_LockRelease *req = &op->req->op.lock_release;
	struct locks *l = op->agent->locks;
	struct handle *h = NULL;
	struct lock_owner **p;
	int r = req->handle ? handle_get(op->agent->handles, req->handle, &h) : 0;

	if (r)
		return r;
	if (h && !req->owner)
		lock_release_file(op->agent, h);
	pthread_mutex_lock(&l->lock);
	for (p = &l->owners; *p;) {
		struct lock_owner *o = *p;

		if (o->owner == req->owner && (!h || (o->dev == h->dev && o->ino == h->ino)))
			lock_drop(op->agent, p);
		if (*p == o)
			p = &o->next;
	}
	pthread_mutex_unlock(&l->lock);
	handle_put(op->agent->handles, h);
	return 0;
}

int lock_flock_handle(struct agent *a, const rfs_Flock *req, struct handle **h)
{
	int r = req->operation == LOCK_SH || req->operation == LOCK_EX || req->operation == LOCK_UN ? 0 : -EINVAL;

	r = r ? r : handle_get(a->handles, req->handle, h);
	if (!r)
		handle_note_lock(*h);
	return r;
}

int op_flock(struct op *op)
{
	const rfs_Flock *req = &op->req->op.flock;
	struct handle *h;
	int r = lock_flock_handle(op->agent, req, &h);

	if (r)
		return r;
	r = flock(h->fd, (int)req->operation | LOCK_NB) < 0 ? -errno : 0;
	handle_put(op->agent->handles, h);
	return r;
}
