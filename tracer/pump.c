#include "pump.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/sockios.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "call.h"
#include "channel.h"
#include "link.h"
#include "mem.h"
#include "ofd.h"
#include "state.h"
#include "task.h"
#include "util.h"

#define PIECE (64u << 10)
#define LOOK_MS 200      /* how often a reader that has gone is noticed at the latest */
#define WANTED_MIN_MS 1  /* a waiting reader is looked for this often at first … */
#define WANTED_MAX_MS 20 /* … and this often while there is none */
#define STACK (128u << 10)

struct pump {
	struct pump *next;
	struct ofd *ofd;
	int fd;          /* our end */
	ino_t inode;     /* of the program's end */
	bool writes;     /* the program does */
	int threads;
};

static struct pump *pumps;
static pthread_cond_t ended = PTHREAD_COND_INITIALIZER;

static void leave(struct pump *p)
{
	struct pump **q = &pumps;

	if (--p->threads)
		return;
	while (*q != p)
		q = &(*q)->next;
	*q = p->next;
	close_fd(&p->fd);
	ofd_unref(p->ofd);
	free(p);
	pthread_cond_broadcast(&ended);
}

/* ---- the program writes ---- */

static int send_all(struct pump *p, const uint8_t *data, size_t len)
{
	size_t done = 0;
	long n;

	do {
		n = channel_send(NULL, p->ofd->channel, data + done, len - done, -1);
		if (n == -EAGAIN)
			n = channel_wait(NULL, p->ofd->channel, POLLOUT | POLLERR, -1);
		else
			done += n > 0 ? (size_t)n : 0;
	} while (n >= 0 && done < len);
	return n < 0 ? (int)n : 0;
}

/* One end of a pair of sockets is shut, of a pipe closed: the program is to have EPIPE, or the end of the file. */
static void shut(struct pump *p, int how)
{
	if (shutdown(p->fd, how) < 0)
		close_fd(&p->fd);
}

static void *run_out(void *arg)
{
	struct pump *p = arg;
	uint8_t *buf = xcalloc(1, PIECE);
	ssize_t n;
	int rc = 0;

	while (!rc && ((n = read(p->fd, buf, PIECE)) > 0 || (n < 0 && errno == EINTR))) {
		state_lock();
		rc = n > 0 ? send_all(p, buf, (size_t)n) : 0;
		state_unlock();
	}
	free(buf);
	state_lock();
	if (rc)
		shut(p, SHUT_RD);
	p->writes = false;
	leave(p);
	state_unlock();
	return NULL;
}

/* ---- the program reads ---- */

struct reader { const struct pump *pump; size_t wants; };

/* A call in which a task sleeps: its number and arguments. */
struct asleep { pid_t tid; long nr; unsigned long arg[6]; };

/* False while it is running. */
static bool get_asleep(pid_t tid, struct asleep *a)
{
	char path[64], line[256] = "";

	snprintf(path, sizeof(path), "/proc/%d/syscall", (int)tid);
	CLEANUP_FD int file = open(path, O_RDONLY | O_CLOEXEC);
	a->tid = tid;
	return file >= 0 && read(file, line, sizeof(line) - 1) > 0 &&
	       sscanf(line, "%ld 0x%lx 0x%lx 0x%lx 0x%lx 0x%lx 0x%lx", &a->nr, &a->arg[0], &a->arg[1], &a->arg[2], &a->arg[3],
		      &a->arg[4], &a->arg[5]) == 7;
}

static bool is_ours(const struct pump *p, pid_t tid, int fd)
{
	char link[64], name[64] = "";

	snprintf(link, sizeof(link), "/proc/%d/fd/%d", (int)tid, fd);
	ssize_t n = readlink(link, name, sizeof(name) - 1);
	const char *inode = n > 0 ? strchr(name, '[') : NULL;
	return inode && strtoul(inode + 1, NULL, 10) == p->inode;
}

static bool polls(const struct pump *p, const struct asleep *a)
{
	struct pollfd f[64];
	size_t count = a->arg[1] < sizeof(f) / sizeof(*f) ? a->arg[1] : sizeof(f) / sizeof(*f);

	if (mem_read(a->tid, a->arg[0], f, count * sizeof(*f)) != (ssize_t)(count * sizeof(*f)))
		return false;
	for (size_t i = 0; i < count; i++)
		if (f[i].fd >= 0 && f[i].events & POLLIN && is_ours(p, a->tid, f[i].fd))
			return true;
	return false;
}

static bool selects(const struct pump *p, const struct asleep *a)
{
	fd_set in;
	int count = a->arg[0] < FD_SETSIZE ? (int)a->arg[0] : FD_SETSIZE;

	if (!a->arg[1] || mem_read(a->tid, a->arg[1], &in, sizeof(in)) != sizeof(in))
		return false;
	for (int fd = 0; fd < count; fd++)
		if (FD_ISSET(fd, &in) && is_ours(p, a->tid, fd))
			return true;
	return false;
}

static bool epolls(const struct pump *p, const struct asleep *a)
{
	char path[64], line[128];
	bool found = false;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", (int)a->tid, (int)a->arg[0]);
	FILE *f = fopen(path, "re");
	while (f && !found && fgets(line, sizeof(line), f))
		found = sscanf(line, "tfd: %d", &fd) == 1 && is_ours(p, a->tid, fd);
	if (f)
		fclose(f);
	return found;
}

static void look_at(const struct task *t, void *arg)
{
	struct reader *r = arg;
	struct asleep a;

	if (r->wants || !get_asleep(t->tid, &a))
		return;
	switch (a.nr) {
	case SYS_read:
		if (is_ours(r->pump, a.tid, (int)a.arg[0]))
			r->wants = a.arg[2] < PIECE ? a.arg[2] : PIECE;
		return;
	case SYS_readv:
	case SYS_splice:
	case SYS_tee:
		r->wants = is_ours(r->pump, a.tid, (int)a.arg[0]) ? PIPE_BUF : 0;
		return;
	case SYS_sendfile:
		r->wants = is_ours(r->pump, a.tid, (int)a.arg[1]) ? PIPE_BUF : 0;
		return;
	case SYS_poll:
	case SYS_ppoll:
		r->wants = polls(r->pump, &a) ? PIPE_BUF : 0;
		return;
	case SYS_select:
	case SYS_pselect6:
		r->wants = selects(r->pump, &a) ? PIPE_BUF : 0;
		return;
	case SYS_epoll_wait:
	case SYS_epoll_pwait:
	case SYS_epoll_pwait2:
		r->wants = epolls(r->pump, &a) ? PIPE_BUF : 0;
	}
}

/*
 * How much some task waits for. Nothing is taken from the target that nobody waits for: there may be other readers. Who polls
 * gets a little; what of it is not read is put back when the pipe is closed.
 */
static size_t wanted(const struct pump *p)
{
	struct reader r = { .pump = p };
	bool both = (p->ofd->flags & O_ACCMODE) == O_RDWR; /* a socket: what it has to read is the program's */
	int there = 0;

	if (ioctl(p->fd, both ? SIOCOUTQ : FIONREAD, &there) == 0 && there > 0)
		return 0;
	if (p->ofd->flags & O_NONBLOCK)
		return PIPE_BUF; /* its readers never wait */
	task_lock();
	task_each(look_at, &r);
	task_unlock();
	return r.wants;
}

static bool has_reader(const struct pump *p)
{
	struct pollfd f = { .fd = p->fd };

	return !(poll(&f, 1, 0) > 0 && f.revents & (POLLERR | POLLHUP));
}

static int put_all(struct pump *p, const uint8_t *data, size_t len)
{
	size_t done = 0;
	ssize_t n = 0;

	state_unlock();
	do {
		n = write(p->fd, data + done, len - done);
		done += n > 0 ? (size_t)n : 0;
	} while (done < len && (n > 0 || (n < 0 && errno == EINTR)));
	int rc = n < 0 ? -errno : 0;
	state_lock();
	return rc;
}

/* 1 when something was moved, 0 at the end, -EAGAIN when nobody wants it now. */
static int move_in(struct pump *p)
{
	struct channel *ch = p->ofd->channel;
	struct link_reply rep;
	int rc = p->ofd->node->back_len ? 0 : channel_wait(NULL, ch, POLLIN | POLLHUP, LOOK_MS);
	size_t size = rc ? 0 : p->ofd->node->back_len || ch->ready & POLLIN ? wanted(p) : 1;

	if (rc && rc != -ETIMEDOUT)
		return rc;
	if (!size)
		return -EAGAIN;
	long n = ofd_take(NULL, p->ofd, size, -1, &rep);
	if (n < 0)
		return (int)n;
	rc = n ? put_all(p, rep.payload, (size_t)n) : 0;
	link_reply_free(&rep);
	return rc ? rc : n > 0;
}

/* What no reader took is for the next one of the same FIFO. */
static void put_back(struct pump *p)
{
	uint8_t buf[PIECE];
	char link[64];

	snprintf(link, sizeof(link), "/proc/self/fd/%d", p->fd);
	CLEANUP_FD int fd = open(link, O_RDONLY | O_NONBLOCK | O_CLOEXEC); /* a pair of sockets keeps nothing: ENXIO */
	ssize_t n = fd < 0 ? 0 : read(fd, buf, sizeof(buf));
	if (n > 0)
		ofd_put_back(p->ofd, buf, (size_t)n);
}

static void *run_in(void *arg)
{
	struct pump *p = arg;
	int rc, pause = WANTED_MIN_MS;

	state_lock();
	do {
		rc = move_in(p);
		if (rc == -EAGAIN)
			state_wait_ms(&ended, pause);
		pause = rc > 0 ? WANTED_MIN_MS : pause * 2 < WANTED_MAX_MS ? pause * 2 : WANTED_MAX_MS;
	} while ((rc > 0 || rc == -EAGAIN) && has_reader(p));
	put_back(p);
	shut(p, SHUT_WR);
	leave(p);
	state_unlock();
	return NULL;
}

/* ---- */

/* The program's end in ENDS[0], ours in ENDS[1]. Packets keep what is written at once together, as far as it is atomic. */
static int make_ends(const struct ofd *o, int ends[2])
{
	int mode = o->flags & O_ACCMODE, made[2];

	if (mode == O_RDWR)
		return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0 ? -errno : 0;
	if (pipe2(made, O_CLOEXEC | (mode == O_WRONLY ? O_DIRECT : 0)) < 0)
		return -errno;
	ends[0] = made[mode == O_WRONLY];
	ends[1] = made[mode != O_WRONLY];
	return 0;
}

int pump_start(struct ofd *o)
{
	struct pump *p = xcalloc(1, sizeof(*p));
	int mode = o->flags & O_ACCMODE, ends[2], rc = make_ends(o, ends);
	struct stat st;

	if (rc) {
		free(p);
		return rc;
	}
	fstat(ends[0], &st);
	if (o->flags & O_NONBLOCK)
		fcntl(ends[0], F_SETFL, fcntl(ends[0], F_GETFL) | O_NONBLOCK);
	p->ofd = ofd_ref(o);
	p->fd = ends[1];
	p->inode = st.st_ino;
	p->writes = mode != O_RDONLY;
	p->next = pumps;
	pumps = p;
	p->threads = 2;
	if (mode == O_RDONLY || (rc = thread_start(STACK, run_out, p)))
		leave(p);
	if (mode == O_WRONLY || (!rc && (rc = thread_start(STACK, run_in, p))))
		leave(p);
	if (rc)
		close_fd(&ends[0]);
	return rc ? rc : ends[0];
}

unsigned pump_finish(int ms)
{
	uint64_t until = now_ns() + (uint64_t)ms * 1000000;
	unsigned left;

	do {
		left = 0;
		for (const struct pump *p = pumps; p; p = p->next)
			left += p->writes;
		if (left)
			state_wait_ms(&ended, WANTED_MAX_MS);
	} while (left && now_ns() < until);
	return left;
}
