#include "pass.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "call.h"
#include "mem.h"
#include "stop.h"
#include "util.h"

#ifndef PIDFD_THREAD
#define PIDFD_THREAD O_EXCL
#endif

#define inject(c, nr, ...) stop_inject((c)->stop, nr, (const uint64_t[6]){ __VA_ARGS__ })

/* What is in the task's page. The task's other threads can change it: all that comes of it is theirs. */
struct page {
	struct msghdr message;
	struct iovec iov;
	struct sockaddr_un address;
	char byte;
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
};

struct channel {
	int ours;
	int theirs; /* the task's; the lowest number that it had free */
	uint64_t page;
};

/* False once this kernel, or who confines us, was seen to refuse pidfd_getfd. */
static atomic_bool can_share = true;

/* ---- our end ---- */

static pthread_once_t listening = PTHREAD_ONCE_INIT;
static int listener = -1;
static struct sockaddr_un address;
static socklen_t address_len;

/* Where pidfd_getfd is missing (before 5.6) tasks connect to us: an abstract name that the kernel chooses. */
static void listen_for_tasks(void)
{
	const struct sockaddr_un any = { .sun_family = AF_UNIX };

	address_len = sizeof(address);
	listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (listener < 0 || bind(listener, (const struct sockaddr *)&any, sizeof(any.sun_family)) < 0 ||
	    getsockname(listener, (struct sockaddr *)&address, &address_len) < 0 || listen(listener, SOMAXCONN) < 0)
		address_len = 0;
}

static int put(struct call *c, uint64_t addr, const void *data, size_t len)
{
	return mem_write(c->tid, addr, data, len) == (ssize_t)len ? 0 : -EFAULT;
}

/* Anybody may connect to an abstract name: only the task is let in. */
static int accept_task(struct call *c)
{
	struct ucred who;
	socklen_t len = sizeof(who);
	pid_t process = call_process(c);

	for (;;) {
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

		if (fd < 0)
			return errno == EAGAIN ? -ECONNREFUSED : -errno;
		if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) == 0 && who.pid == process)
			return fd;
		close(fd);
	}
}

static int connect_task(struct call *c, const struct channel *ch)
{
	uint64_t where = ch->page + offsetof(struct page, address);

	pthread_once(&listening, listen_for_tasks);
	if (!address_len)
		return -EOPNOTSUPP;
	int rc = put(c, where, &address, address_len);
	if (!rc)
		rc = (int)inject(c, SYS_connect, (uint64_t)ch->theirs, where, address_len);
	return rc < 0 ? rc : accept_task(c);
}

int pass_share(const struct call *c, int fd)
{
	CLEANUP_FD int pidfd = (int)syscall(SYS_pidfd_open, c->tid, PIDFD_THREAD);
	CLEANUP_FD int process = -1;
	int got;

	/* Before 6.9: threads share their descriptors, unless they went out of their way. */
	if (pidfd < 0 && errno == EINVAL)
		process = (int)syscall(SYS_pidfd_open, call_process(c), 0);
	if (pidfd < 0 && process < 0)
		return -errno;
	got = (int)syscall(SYS_pidfd_getfd, pidfd < 0 ? process : pidfd, fd, 0);
	return got < 0 ? -errno : got;
}

/* A message that the task's socket sends to itself: we hold a description of it. */
static int share_socket(struct call *c, const struct channel *ch)
{
	const struct sockaddr_un any = { .sun_family = AF_UNIX };
	CLEANUP_FD int fd = pass_share(c, ch->theirs);
	struct sockaddr_un name;
	socklen_t len = sizeof(name);

	if (fd < 0)
		return fd;
	if (bind(fd, (const struct sockaddr *)&any, sizeof(any.sun_family)) < 0 ||
	    getsockname(fd, (struct sockaddr *)&name, &len) < 0 || connect(fd, (const struct sockaddr *)&name, len) < 0)
		return -errno;
	return fcntl(fd, F_DUPFD_CLOEXEC, 0);
}

/* ---- the channel ---- */

static void channel_close_theirs(struct call *c, struct channel *ch)
{
	if (ch->theirs >= 0)
		inject(c, SYS_close, (uint64_t)ch->theirs);
	ch->theirs = -1;
}

static void channel_close(struct call *c, struct channel *ch)
{
	channel_close_theirs(c, ch);
	if (ch->ours >= 0)
		close(ch->ours);
	if (ch->page)
		inject(c, SYS_munmap, ch->page, sizeof(struct page));
}

static int channel_connect(struct call *c, struct channel *ch, bool share)
{
	ch->theirs = (int)inject(c, SYS_socket, AF_UNIX, (share ? SOCK_DGRAM : SOCK_SEQPACKET) | SOCK_CLOEXEC);
	if (ch->theirs < 0)
		return ch->theirs;
	ch->ours = share ? share_socket(c, ch) : connect_task(c, ch);
	return ch->ours < 0 ? ch->ours : 0;
}

static int channel_open(struct call *c, struct channel *ch)
{
	bool share = atomic_load(&can_share);
	long page = inject(c, SYS_mmap, 0, sizeof(struct page), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			   (uint64_t)-1);

	*ch = (struct channel){ .ours = -1, .theirs = -1 };
	if (page < 0)
		return (int)page;
	ch->page = (uint64_t)page;
	int rc = channel_connect(c, ch, share);
	if (share && (rc == -ENOSYS || rc == -EPERM)) {
		atomic_store(&can_share, false);
		channel_close_theirs(c, ch);
		rc = channel_connect(c, ch, false);
	}
	if (rc < 0)
		channel_close(c, ch);
	return rc;
}

/* CONTROL with one descriptor in it. */
static void control_fill(char *control, int fd)
{
	struct cmsghdr *h = (struct cmsghdr *)control;

	memset(control, 0, CMSG_SPACE(sizeof(int)));
	h->cmsg_level = SOL_SOCKET;
	h->cmsg_type = SCM_RIGHTS;
	h->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(h), &fd, sizeof(fd));
}

/* The descriptor in CONTROL, or -EMFILE when there was no room for it. */
static int control_fd(const char *control)
{
	const struct cmsghdr *h = (const struct cmsghdr *)control;
	int fd;

	if (h->cmsg_type != SCM_RIGHTS || h->cmsg_len != CMSG_LEN(sizeof(int)))
		return -EMFILE;
	memcpy(&fd, CMSG_DATA(h), sizeof(fd));
	return fd;
}

/* A message of one byte, with room for a descriptor, in memory that starts at BASE. */
static struct page page_make(uint64_t base)
{
	return (struct page){ .message = { .msg_iov = (struct iovec *)(base + offsetof(struct page, iov)),
					   .msg_iovlen = 1,
					   .msg_control = (void *)(base + offsetof(struct page, control)),
					   .msg_controllen = CMSG_SPACE(sizeof(int)) },
			      .iov = { (void *)(base + offsetof(struct page, byte)), 1 } };
}

/* ---- to and from ---- */

static int send_ours(int sock, int fd)
{
	struct page m = page_make((uint64_t)(uintptr_t)&m);

	control_fill(m.control, fd);
	return sendmsg(sock, &m.message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static int receive_ours(int sock)
{
	struct page m = page_make((uint64_t)(uintptr_t)&m);

	return recvmsg(sock, &m.message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) < 0 ? -errno : control_fd(m.control);
}

/* The number at which the task has what we sent. */
static int receive_theirs(struct call *c, const struct channel *ch)
{
	struct page m = page_make(ch->page);
	int rc = put(c, ch->page, &m, sizeof(m));

	if (!rc)
		rc = (int)inject(c, SYS_recvmsg, (uint64_t)ch->theirs, ch->page, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (rc < 0)
		return rc;
	if (mem_read(c->tid, ch->page, &m, sizeof(m)) != sizeof(m))
		return -EFAULT;
	return control_fd(m.control);
}

static int send_theirs(struct call *c, const struct channel *ch, int src)
{
	int rc = send_ours(ch->ours, src);

	return rc ? rc : receive_theirs(c, ch);
}

/*
 * The channel has the last number that the task may use, and is needed while another one comes. Without CAP_SYS_RESOURCE no more can be
 * had than the hard limit: EMFILE, one number early.
 */
static int send_beyond(struct call *c, const struct channel *ch, int src)
{
	pid_t process = call_process(c);
	struct rlimit limit, more;

	if (prlimit(process, RLIMIT_NOFILE, NULL, &limit) < 0)
		return -EMFILE;
	more = (struct rlimit){ limit.rlim_cur + 1, limit.rlim_max > limit.rlim_cur ? limit.rlim_max : limit.rlim_cur + 1 };
	if (prlimit(process, RLIMIT_NOFILE, &more, NULL) < 0)
		return -EMFILE;
	int rc = send_theirs(c, ch, src);
	prlimit(process, RLIMIT_NOFILE, &limit, NULL);
	return rc;
}

int pass_to_task(struct call *c, int src, int at, bool cloexec)
{
	struct channel ch;
	int rc = channel_open(c, &ch);

	if (rc < 0)
		return rc;
	rc = send_theirs(c, &ch, src);
	if (rc == -EMFILE)
		rc = send_beyond(c, &ch, src);
	if (rc >= 0) {
		int got = rc, to = at < 0 ? ch.theirs : at;

		rc = (int)inject(c, SYS_dup3, (uint64_t)got, (uint64_t)to, cloexec ? O_CLOEXEC : 0);
		inject(c, SYS_close, (uint64_t)got);
		/* It took the socket's place. */
		if (rc == ch.theirs)
			ch.theirs = -1;
	}
	channel_close(c, &ch);
	return rc == -EBADF ? -EMFILE : rc; /* AT is beyond the task's RLIMIT_NOFILE */
}

int pass_from_task(struct call *c, int fd)
{
	struct channel ch;
	int rc = channel_open(c, &ch);

	if (rc < 0)
		return rc;
	struct page m = page_make(ch.page);
	control_fill(m.control, fd);
	rc = put(c, ch.page, &m, sizeof(m));
	if (!rc)
		rc = (int)inject(c, SYS_sendmsg, (uint64_t)ch.theirs, ch.page, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (rc >= 0)
		rc = receive_ours(ch.ours);
	channel_close(c, &ch);
	return rc;
}
