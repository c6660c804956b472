#include "notify.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "call.h"
#include "log.h"
#include "regs.h"
#include "state.h"
#include "stop.h"
#include "util.h"
#include "worker.h"

#ifndef SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP
#define SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP (1UL << 0)
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS SECCOMP_IOW(4, __u64)
#endif

static int listener = -1;
static struct seccomp_notif_sizes sizes;

/* The lead: only its holder receives. Sixteen receivers cost 19 us a call (all wake), one costs 2.4. */
static pthread_mutex_t lead = PTHREAD_MUTEX_INITIALIZER;
static _Thread_local bool leading;
static atomic_int followers; /* workers that wait for the lead */

static void *receive(void *arg);

void notify_promote(void)
{
	if (!leading)
		return;
	leading = false;
	pthread_mutex_unlock(&lead);
	if (!atomic_load(&followers))
		worker_start(receive);
}

static void lead_take(void)
{
	if (leading)
		return;
	atomic_fetch_add(&followers, 1);
	pthread_mutex_lock(&lead);
	atomic_fetch_sub(&followers, 1);
	leading = true;
}

static void answer(struct call *c, long result, struct seccomp_notif_resp *resp)
{
	memset(resp, 0, sizes.seccomp_notif_resp);
	resp->id = c->cookie;
	if (result == CALL_CONTINUE)
		resp->flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
	else if (result < 0)
		resp->error = (int)result;
	else
		resp->val = result;
	if (result == CALL_CONTINUE && c->instead)
		stop_replace(c->tid, c->nr, c->arg[0], c->instead);
	else if (regs_is_restart(result))
		stop_interrupt(c->tid);
	/* ENOENT: the task was killed meanwhile; nobody is left to be told. */
	ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, resp);
}

/* A call that C's task makes for us while it is stopped. */
static long serve_injected(struct call *c, const struct stop_install *wanted)
{
	return c->nr == STOP_INSTALL_NR && wanted->src >= 0 ?
		       notify_install_fd(c, wanted->src, wanted->at, wanted->cloexec) :
		       CALL_CONTINUE;
}

static void serve(const struct seccomp_notif *req, struct seccomp_notif_resp *resp)
{
	struct stop_install wanted;
	bool foreign = req->data.arch != AUDIT_ARCH_X86_64;
	struct call c = { .row = foreign ? NULL : table_row(req->data.nr),
			  .nr = req->data.nr,
			  .foreign = foreign,
			  .tid = (pid_t)req->pid,
			  .cookie = req->id,
			  .expected = CALL_CONTINUE,
			  .start_ns = now_ns() };

	for (int i = 0; i < 6; i++)
		c.arg[i] = req->data.args[i];
	log_count_notification();
	if (stop_has(c.tid, &wanted)) {
		answer(&c, serve_injected(&c, &wanted), resp);
		return;
	}
	long result = call_dispatch(&c);
	log_call(&c, result == CALL_CONTINUE ? c.expected : result);
	answer(&c, result, resp);
}

/* With the last task that has the filter gone, receiving fails at once and for ever. */
static bool nobody_left(void)
{
	struct pollfd p = { .fd = listener };

	return poll(&p, 1, 0) > 0 && p.revents & POLLHUP;
}

static void *receive(void *arg)
{
	struct seccomp_notif *req = xcalloc(1, sizes.seccomp_notif);
	struct seccomp_notif_resp *resp = xcalloc(1, sizes.seccomp_notif_resp);

	for (;;) {
		lead_take();
		/* The kernel insists on a zeroed buffer. ENOENT: the task died before we got to it. */
		memset(req, 0, sizes.seccomp_notif);
		if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, req) == 0)
			serve(req, resp);
		else if ((errno != ENOENT && errno != EINTR) || nobody_left())
			break;
	}
	free(req);
	free(resp);
	leading = false;
	pthread_mutex_unlock(&lead);
	return arg;
}

bool notify_active(void)
{
	return listener >= 0;
}

int notify_start(int fd)
{
	listener = fd;
	if (syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &sizes) < 0)
		return -errno;
	if (sizes.seccomp_notif < sizeof(struct seccomp_notif))
		sizes.seccomp_notif = sizeof(struct seccomp_notif);
	if (sizes.seccomp_notif_resp < sizeof(struct seccomp_notif_resp))
		sizes.seccomp_notif_resp = sizeof(struct seccomp_notif_resp);
	/* Since 6.6; without it every answer crosses CPUs (47 us instead of 2.4). */
	ioctl(listener, SECCOMP_IOCTL_NOTIF_SET_FLAGS, SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP);
	return worker_start(receive);
}

int notify_install_fd(struct call *c, int src, int at, bool cloexec)
{
	struct seccomp_notif_addfd add = { .id = c->cookie,
					   .flags = at >= 0 ? SECCOMP_ADDFD_FLAG_SETFD : 0,
					   .srcfd = (uint32_t)src,
					   .newfd = at >= 0 ? (uint32_t)at : 0,
					   .newfd_flags = cloexec ? O_CLOEXEC : 0 };
	int fd = ioctl(listener, SECCOMP_IOCTL_NOTIF_ADDFD, &add);

	if (fd < 0)
		return errno == EBADF ? -EMFILE : -errno; /* EBADF: AT is beyond the task's RLIMIT_NOFILE */
	return fd;
}

bool notify_valid(const struct call *c)
{
	uint64_t id = c->cookie;

	return ioctl(listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &id) == 0;
}
