/*
 * Remote descriptors that go from one process to another: over AF_UNIX sockets (SCM_RIGHTS), and by pidfd_getfd. The
 * receiver gets a number that the kernel chooses, when it likes; so before it goes the placeholder is made to do.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "call.h"
#include "fd.h"
#include "handlers.h"
#include "ofd.h"
#include "pass.h"
#include "util.h"
#include "widen.h"

/* The kernel's own limit, net.core.optmem_max, is an eighth of this unless somebody has raised it. */
#define CONTROL_MAX ((size_t)1 << 20)

long sys_socket(struct call *c)
{
	if (widen(c, FILTER_PASSING) < 0)
		c->note = "descriptors passed over it cannot be seen";
	return CALL_CONTINUE;
}

static int lower_passed(struct call *c, int fd)
{
	struct ofd *o = ofd_by_fd(c->tid, fd);
	CLEANUP_OFD struct ofd *held = o ? ofd_ref(o) : NULL;
	CLEANUP_FD int src = o ? call_get_fd(c, fd) : -1;

	if (!o)
		return 0;
	call_remote(c, o->mount);
	/* Closed meanwhile: EBADF is the kernel's to say. */
	int rc = src < 0 ? 0 : fd_lower(c, o, src, true);
	return rc == -ENOSPC ? -ENOBUFS : rc;
}

/* The descriptors in M, a message whose control data are ours. */
static int lower_all(struct call *c, const struct msghdr *m)
{
	int rc = 0, fd;

	for (struct cmsghdr *h = CMSG_FIRSTHDR(m); h && !rc; h = CMSG_NXTHDR((struct msghdr *)m, h)) {
		const unsigned char *data = CMSG_DATA(h), *end = (unsigned char *)m->msg_control + m->msg_controllen;

		if (h->cmsg_len < sizeof(*h) || h->cmsg_len > (size_t)(end - (unsigned char *)h))
			break; /* EINVAL */
		if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t left = h->cmsg_len - CMSG_LEN(0); left >= sizeof(fd) && !rc; left -= sizeof(fd), data += sizeof(fd)) {
			memcpy(&fd, data, sizeof(fd));
			rc = lower_passed(c, fd);
		}
	}
	return rc;
}

static int look_at_message(struct call *c, struct msghdr *m)
{
	size_t size = m->msg_controllen;

	if (!m->msg_control || size < CMSG_LEN(sizeof(int)) || size > CONTROL_MAX)
		return 0;
	CLEANUP_FREE void *control = xcalloc(1, size);
	/* EFAULT is for the kernel to say, with what comes before it. */
	if (call_read(c, (uint64_t)m->msg_control, control, size) < 0)
		return 0;
	m->msg_control = control;
	return lower_all(c, m);
}

long sys_sendmsg(struct call *c)
{
	struct msghdr m;
	int rc = call_read(c, c->arg[1], &m, sizeof(m)) < 0 ? 0 : look_at_message(c, &m);

	return rc ? rc : CALL_CONTINUE;
}

long sys_sendmmsg(struct call *c)
{
	unsigned count = (unsigned)c->arg[2] < UIO_MAXIOV ? (unsigned)c->arg[2] : UIO_MAXIOV;
	struct mmsghdr m;

	for (unsigned i = 0; i < count && call_read(c, c->arg[1] + i * sizeof(m), &m, sizeof(m)) == 0; i++) {
		int rc = look_at_message(c, &m.msg_hdr);

		if (rc)
			return rc;
	}
	return CALL_CONTINUE;
}

/* The process that PIDFD of C's task stands for, or 0. */
static pid_t process_of(const struct call *c, int pidfd)
{
	char path[64], line[128];
	int pid = 0;

	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", (int)c->tid, pidfd);
	FILE *f = fopen(path, "re");
	while (f && !pid && fgets(line, sizeof(line), f))
		sscanf(line, "Pid: %d", &pid);
	if (f)
		fclose(f);
	return pid > 0 ? pid : 0;
}

long sys_pidfd_getfd(struct call *c)
{
	const struct call owner = { .tid = process_of(c, (int)c->arg[0]) };
	int fd = (int)c->arg[1];
	struct ofd *o = owner.tid ? ofd_by_fd(owner.tid, fd) : NULL;
	CLEANUP_OFD struct ofd *held = o ? ofd_ref(o) : NULL;
	CLEANUP_FD int src = o ? pass_share(&owner, fd) : -1;

	if (src < 0)
		return CALL_CONTINUE;
	call_remote(c, o->mount);
	int rc = fd_lower(c, o, src, false);
	/* pidfd_getfd(2) has no errno for a full disk. */
	return rc ? -EMFILE : CALL_CONTINUE;
}
