/*
 * io_submit and io_getevents, where a request is for a remote file. The kernel would do it on the placeholder, so
 * we do it, before io_submit returns, as the kernel does what it cannot do in the background; the events are
 * kept in aio_ring.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/aio_abi.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "aio_ring.h"
#include "call.h"
#include "handlers.h"
#include "io.h"
#include "notify.h"
#include "ofd.h"
#include "state.h"
#include "transfer.h"
#include "util.h"

#define LOOK_NS 20000000u /* nothing else tells of a signal, or of the kernel's events */
#define BATCH 64

/* One request on its way. */
struct request {
	struct iocb cb;
	struct end e;
	int resfd;
	struct buffers b;
};

/* ---- doing it ---- */

/* Without the state lock: a local file may take its time, and other calls need not wait for it. */
static ssize_t local_move(const struct request *r, const struct iovec *v, int64_t off, bool writing)
{
	notify_promote();
	state_unlock();
	ssize_t n = writing ? pwritev2(r->e.fd, v, 1, off, (int)r->cb.aio_rw_flags)
			    : preadv2(r->e.fd, v, 1, off, (int)r->cb.aio_rw_flags);
	n = n < 0 ? -errno : n;
	state_lock();
	return n;
}

/* A local file, which is in one call with a remote one: a piece at a time, as long as all of it can be moved. */
static long local_rw(struct call *c, struct request *r, bool writing)
{
	size_t room = r->b.total < (1u << 20) ? r->b.total : 1u << 20, total = 0;
	CLEANUP_FREE uint8_t *data = xcalloc(1, room + 1);
	bool seekable = end_pos(&r->e) >= 0;

	while (total < r->b.total) {
		size_t len = r->b.total - total < room ? r->b.total - total : room;
		struct iovec v = { data, len };
		int64_t off = seekable ? r->cb.aio_offset + (int64_t)total : -1;
		ssize_t n = writing ? buffers_copy(c, &r->b, data, len, false) : (ssize_t)len;

		if (n > 0) {
			v.iov_len = (size_t)n;
			n = local_move(r, &v, off, writing);
		}
		if (n > 0 && !writing)
			n = buffers_copy(c, &r->b, data, (size_t)n, true);
		if (n <= 0)
			return total ? (long)total : n;
		total += (size_t)n;
		if ((size_t)n < len)
			break;
	}
	return (long)total;
}

static long do_rw(struct call *c, struct request *r, bool writing)
{
	if (!r->b.total)
		return 0;
	if (!end_is_emulated(&r->e))
		return local_rw(c, r, writing);
	return writing ? io_write(c, r->e.o, &r->b, r->cb.aio_offset, (unsigned)r->cb.aio_rw_flags)
		       : io_read(c, r->e.o, &r->b, r->cb.aio_offset, (unsigned)r->cb.aio_rw_flags);
}

/* What is wrong with R at once, as aio_read and aio_write find it. */
static int check_rw(struct call *c, struct request *r, bool writing, bool vector)
{
	int rc = io_check_flags((unsigned)r->cb.aio_rw_flags, writing);

	if (rc)
		return rc;
	if (!(writing ? end_can_write(&r->e) : end_can_read(&r->e)))
		return -EBADF;
	if (S_ISDIR(r->e.type))
		return -EINVAL;
	if (vector)
		rc = buffers_vector(c, &r->b, r->cb.aio_buf, r->cb.aio_nbytes);
	else
		rc = buffers_one(&r->b, r->cb.aio_buf, r->cb.aio_nbytes);
	return rc ? rc : S_ISREG(r->e.type) ? io_verify(r->cb.aio_offset, r->b.total) : 0;
}

static long do_fsync(struct call *c, struct request *r, bool data_only)
{
	if (end_is_emulated(&r->e))
		return io_sync(c, r->e.o, data_only);
	notify_promote();
	state_unlock();
	long rc = (data_only ? fdatasync(r->e.fd) : fsync(r->e.fd)) < 0 ? -errno : 0;
	state_lock();
	return rc;
}

/* A regular file is always ready; what is not ready now is for the program to ask again. */
static int do_poll(struct request *r, int64_t *res)
{
	struct pollfd p = { .fd = r->e.fd, .events = (short)r->cb.aio_buf };

	if (r->cb.aio_buf > UINT16_MAX || r->cb.aio_offset || r->cb.aio_nbytes || r->cb.aio_rw_flags)
		return -EINVAL;
	if (end_is_emulated(&r->e))
		*res = p.events & (POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM);
	else
		*res = poll(&p, 1, 0) > 0 ? p.revents : 0;
	return *res ? 0 : -EAGAIN;
}

/* 0 with the result that the event tells in *RES, or the negative errno that io_submit returns. */
static int do_request(struct call *c, struct request *r, int64_t *res)
{
	unsigned op = r->cb.aio_lio_opcode;
	bool writing = op == IOCB_CMD_PWRITE || op == IOCB_CMD_PWRITEV;
	int rc;

	switch (op) {
	case IOCB_CMD_PREAD:
	case IOCB_CMD_PWRITE:
	case IOCB_CMD_PREADV:
	case IOCB_CMD_PWRITEV:
		rc = check_rw(c, r, writing, op == IOCB_CMD_PREADV || op == IOCB_CMD_PWRITEV);
		if (!rc)
			*res = do_rw(c, r, writing);
		return rc;
	case IOCB_CMD_FSYNC:
	case IOCB_CMD_FDSYNC:
		if (r->cb.aio_buf || r->cb.aio_offset || r->cb.aio_nbytes || r->cb.aio_rw_flags)
			return -EINVAL;
		*res = do_fsync(c, r, op == IOCB_CMD_FDSYNC);
		return 0;
	case IOCB_CMD_POLL:
		return do_poll(r, res);
	default:
		return -EINVAL;
	}
}

/* ---- submitting ---- */

static int open_eventfd(struct call *c, struct request *r)
{
	char link[64], text[32] = "";

	if (!(r->cb.aio_flags & IOCB_FLAG_RESFD))
		return 0;
	r->resfd = call_get_fd(c, (int)r->cb.aio_resfd);
	if (r->resfd < 0)
		return -EBADF;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", r->resfd);
	return readlink(link, text, sizeof(text) - 1) > 0 && !strcmp(text, "anon_inode:[eventfd]") ? 0 : -EINVAL;
}

/* As eventfd_signal: a counter that is full stays so, and nobody waits. */
static void signal_eventfd(const struct request *r)
{
	const uint64_t one = 1;
	struct pollfd p = { .fd = r->resfd, .events = POLLOUT };

	if (r->resfd >= 0 && poll(&p, 1, 0) > 0 && write(r->resfd, &one, sizeof(one)) < 0)
		return;
}

static int prepare(struct call *c, uint64_t ctx, uint64_t addr, struct request *r)
{
	const uint32_t key = 0; /* KIOCB_KEY */

	if (r->cb.aio_reserved2 || (int64_t)r->cb.aio_nbytes < 0)
		return -EINVAL;
	if (!aio_ring_room(c, ctx))
		return -EAGAIN;
	int rc = end_open(c, (int)r->cb.aio_fildes, &r->e);
	rc = rc ? rc : open_eventfd(c, r);
	return rc ? rc : call_write(c, addr + offsetof(struct iocb, aio_key), &key, sizeof(key));
}

static int submit_one(struct call *c, uint64_t ctx, uint64_t addr)
{
	CLEANUP_FREE struct request *r = xcalloc(1, sizeof(*r));
	int64_t res = 0;

	r->e.fd = r->resfd = -1;
	int rc = call_read(c, addr, &r->cb, sizeof(r->cb));
	rc = rc ? rc : prepare(c, ctx, addr, r);
	rc = rc ? rc : do_request(c, r, &res);
	if (!rc) {
		const struct io_event e = { .data = r->cb.aio_data, .obj = addr, .res = res };

		aio_ring_put(c, ctx, &e);
		signal_eventfd(r);
	}
	end_close(&r->e);
	close_fd(&r->resfd);
	return rc;
}

/* The mount of the first of the NR requests that is for an emulated file. */
static const struct mount *find_remote(struct call *c, uint64_t list, int64_t nr)
{
	uint64_t addr[BATCH];
	struct iocb cb;

	for (int64_t i = 0; i < nr; i++) {
		int64_t left = nr - i < BATCH ? nr - i : BATCH;

		if (i % BATCH == 0 && call_read(c, list + (uint64_t)i * 8, addr, (size_t)left * 8) < 0)
			return NULL;
		if (call_read(c, addr[i % BATCH], &cb, sizeof(cb)) < 0)
			return NULL;
		const struct ofd *o = ofd_by_fd(c->tid, (int)cb.aio_fildes);
		if (o && (o->io == OFD_EMULATED || o->flags & O_PATH))
			return o->mount;
	}
	return NULL;
}

long sys_io_submit(struct call *c)
{
	uint64_t ctx = c->arg[0], list = c->arg[2], addr;
	int64_t nr = (int64_t)c->arg[1], done;
	const struct mount *m = nr > 0 && nr < INT_MAX ? find_remote(c, list, nr) : NULL;
	int rc = 0;

	/* No context, or nothing for us: the kernel knows. */
	if (!m || !aio_ring_ours(c, ctx, true))
		return CALL_CONTINUE;
	call_remote(c, m);
	for (done = 0; done < nr && !rc; done += !rc) {
		rc = call_read(c, list + (uint64_t)done * 8, &addr, sizeof(addr));
		rc = rc ? rc : submit_one(c, ctx, addr);
	}
	return done ? done : rc;
}

/* ---- events ---- */

static int read_timeout(struct call *c, uint64_t addr, uint64_t *deadline)
{
	struct timespec t;

	*deadline = UINT64_MAX;
	if (!addr)
		return 0;
	if (call_read(c, addr, &t, sizeof(t)) < 0)
		return -EFAULT;
	if (t.tv_sec < 0 || (uint64_t)t.tv_nsec > 999999999u)
		*deadline = 0; /* as a time that has come */
	else if (t.tv_sec < 1000000000)
		*deadline = now_ns() + (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
	return 0;
}

/* Up to NR events to TO, but not less than MIN until the DEADLINE or a signal. */
static long collect(struct call *c, uint64_t ctx, size_t min, size_t nr, uint64_t to, uint64_t deadline)
{
	size_t total = 0;

	for (;;) {
		long n = aio_ring_take(c, ctx, to + total * sizeof(struct io_event), nr - total);
		if (n < 0)
			return total ? (long)total : n;
		total += (size_t)n;
		uint64_t now = now_ns();
		if (total >= min || now >= deadline)
			return (long)total;
		if (call_interrupted(c))
			return total ? (long)total : -EINTR;
		aio_ring_wait(deadline - now < LOOK_NS ? deadline - now : LOOK_NS);
	}
}

static long getevents(struct call *c)
{
	int64_t min = (int64_t)c->arg[1], nr = (int64_t)c->arg[2];
	uint64_t deadline;

	if (!aio_ring_ours(c, c->arg[0], false))
		return CALL_CONTINUE;
	c->route = ROUTE_REMOTE;
	if (read_timeout(c, c->arg[4], &deadline) < 0)
		return -EFAULT;
	if (min < 0 || min > nr)
		return -EINVAL;
	return collect(c, c->arg[0], (size_t)min, (size_t)nr, c->arg[3], deadline);
}

long sys_io_getevents(struct call *c)
{
	return getevents(c);
}

/* A signal mask for the time of a wait would be the kernel's to set: no remote events that way. */
long sys_io_pgetevents(struct call *c)
{
	struct { uint64_t mask, size; } set = { 0, 0 };

	if (c->arg[5] && call_read(c, c->arg[5], &set, sizeof(set)) < 0)
		return CALL_CONTINUE;
	if (set.mask && aio_ring_ours(c, c->arg[0], false)) {
		c->note = "not emulated with a signal mask";
		return -ENOSYS;
	}
	return getevents(c);
}

long sys_io_destroy(struct call *c)
{
	aio_ring_forget(c, c->arg[0]);
	return CALL_CONTINUE;
}
