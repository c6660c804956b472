#include "call.h"

#include "cache.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "behalf.h"
#include "behind.h"
#include "channel.h"
#include "drain.h"
#include "filter.h"
#include "log.h"
#include "mem.h"
#include "notify.h"
#include "ofd.h"
#include "overlay.h"
#include "pass.h"
#include "place.h"
#include "rules.h"
#include "state.h"
#include "stop.h"
#include "sync.h"
#include "task.h"
#include "util.h"
#include "watch.h"

pthread_mutex_t state_mutex = PTHREAD_MUTEX_INITIALIZER;

void state_wait(pthread_cond_t *cond)
{
	notify_promote();
	pthread_cond_wait(cond, &state_mutex);
}

void state_wait_ms(pthread_cond_t *cond, int ms)
{
	struct timespec t;

	notify_promote();
	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_nsec += ms * 1000000L;
	t.tv_sec += t.tv_nsec / 1000000000;
	t.tv_nsec %= 1000000000;
	pthread_cond_clockwait(cond, &state_mutex, CLOCK_MONOTONIC, &t);
}

/*
 * Calls that the kernel may have gone on with (CALL_CONTINUE), and that can wait there for long: a local
 * FIFO, a local lock. Those a signal does interrupt.
 */
static bool may_wait(const struct call *c)
{
	const struct syscall_row *row = c->row;

	/* Any local pipe or socket, where the calls on all of them are trapped. */
	if (row->class == CLASS_FD)
		return fd_all_trapped() && c->route == ROUTE_LOCAL;
	if (row->class == CLASS_ANYFD)
		return row->args[1] == A_FLOCK_OP || row->args[1] == A_SOCKADDR;
	return (row->class == CLASS_COMMAND && row->args[1] == A_FCNTL_CMD) ||
	       (row->class == CLASS_PATH && (row->args[1] == A_OFLAGS || row->args[2] == A_OFLAGS));
}

static long refuse_unknown(struct call *c)
{
	static atomic_flag told = ATOMIC_FLAG_INIT;

	c->note = c->foreign ? "a 32-bit call" : "unknown to remotefs-trace";
	if (c->foreign && !atomic_flag_test_and_set(&told))
		log_error("process %d: a 32-bit system call (int 0x80) was refused: only those of x86-64 can be trapped; "
			  "use a 64-bit build", (int)c->tid);
	return -ENOSYS;
}

long call_dispatch(struct call *c)
{
	long result;

	if (!c->row)
		return refuse_unknown(c);
	state_lock();
	/* What was written natively, and descriptors that were closed, happened before this call. */
	if (sync_active() || watch_any() || channel_any() || c->row->class != CLASS_PATH)
		drain(c);
	result = c->row->handler ? c->row->handler(c) : call_default(c);
	overlay_leave(c);
	behalf_end();
	state_unlock();
	task_lock();
	struct task *t = c->stop ? NULL : task_find(c->tid);
	if (t) {
		t->interruptible = result == -ERESTARTSYS || (result == CALL_CONTINUE && may_wait(c)) ? c->nr : -1;
		t->interruptible_arg = c->arg[0];
	}
	task_unlock();
	return result;
}

int call_install_fd(struct call *c, int src, int at, bool cloexec)
{
	if (!c->stop)
		return notify_install_fd(c, src, at, cloexec);
	if (!notify_active())
		return pass_to_task(c, src, at, cloexec);
	/* The notification is received by a worker that may want the lock for the call before it. */
	state_unlock();
	long rc = stop_install_fd(c->stop, src, at, cloexec);
	state_lock();
	return (int)rc;
}

int call_install_aside(struct call *c, int src)
{
	int at = fd_all_trapped() ? -1 : ofd_reserve_number(NULL);

	if (at < 0 && !fd_all_trapped())
		return at;
	int fd = call_install_fd(c, src, at, true);
	if (fd < 0 && at >= 0)
		ofd_release_number(at);
	return fd;
}

long call_inject_args(struct call *c, int nr, const uint64_t arg[6])
{
	if (!c->stop)
		return -EOPNOTSUPP;
	state_unlock();
	long rc = stop_inject(c->stop, nr, arg);
	state_lock();
	return rc;
}

long call_scratch(struct call *c, size_t size)
{
	return call_inject(c, SYS_mmap, 0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, (uint64_t)-1);
}

/* Whether C's task still waits for what we are doing. */
static bool is_waiting(const struct call *c)
{
	return c->stop ? stop_valid(c->stop) : notify_valid(c);
}

int call_read(struct call *c, uint64_t addr, void *buf, size_t len)
{
	ssize_t n = mem_read(c->tid, addr, buf, len);

	return n == (ssize_t)len && is_waiting(c) ? 0 : -EFAULT;
}

int call_write(struct call *c, uint64_t addr, const void *buf, size_t len)
{
	if (!is_waiting(c))
		return -EFAULT;
	return mem_write(c->tid, addr, buf, len) == (ssize_t)len ? 0 : -EFAULT;
}

void call_remote(struct call *c, const struct mount *m)
{
	if (!c)
		return;
	c->route = ROUTE_REMOTE;
	c->mount = m;
}

long call_unsupported(struct call *c, const struct mount *m)
{
	call_remote(c, m);
	c->note = "not emulated";
	return -ENOSYS;
}

static long put_instead(struct call *c, long result)
{
	return result ? result : c->instead;
}

void call_replace(struct call *c, long result)
{
	c->expected = c->instead = result;
	if (c->stop)
		c->after = put_instead;
}

bool call_can_replace(const struct call *c)
{
	return c->stop || filter_waits_killable();
}

/* The remote tree that path argument I is in, NULL when local. */
static const struct mount *path_argument(struct call *c, int i, bool *behalf)
{
	PLACE_ON_STACK(p);
	int dirfd = i > 0 && c->row->args[i - 1] == A_DIRFD ? (int)c->arg[i - 1] : AT_FDCWD;

	if (place_resolve(c, dirfd, c->arg[i], PLACE_EMPTY_OK, &p))
		return NULL;
	*behalf |= p.behalf;
	return p.mount;
}

long call_default(struct call *c)
{
	bool behalf = false;

	for (int i = 0; i < 6; i++) {
		const struct mount *m = NULL;

		if (c->row->args[i] == A_PATH || c->row->args[i] == A_CHANGED) {
			m = path_argument(c, i, &behalf);
		} else if (c->row->args[i] == A_FD) {
			struct ofd *o = ofd_by_fd(c->tid, (int)c->arg[i]);
			m = o ? o->mount : NULL;
		}
		if (m || behalf)
			return call_unsupported(c, m);
	}
	return CALL_CONTINUE;
}

struct status_field {
	const char *format; /* of scanf, for one value */
	void *value;
};

/* Reads COUNT fields of task TID's /proc status, which stand there in this order. False unless all are there. */
static bool status_read(pid_t tid, const struct status_field *fields, unsigned count)
{
	char path[64], line[128];
	unsigned found = 0;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)tid);
	FILE *f = fopen(path, "re");
	while (f && found < count && fgets(line, sizeof(line), f))
		found += sscanf(line, fields[found].format, fields[found].value) == 1;
	if (f)
		fclose(f);
	return found == count;
}

bool call_status(const struct call *c, const char *format, void *value)
{
	return status_read(c->tid, &(struct status_field){ format, value }, 1);
}

unsigned call_umask(const struct call *c)
{
	unsigned mask = 022;

	call_status(c, "Umask: %o", &mask);
	return mask;
}

pid_t call_process(const struct call *c)
{
	int tgid = c->tid;

	call_status(c, "Tgid: %d", &tgid);
	return tgid;
}

pid_t call_parent_of(pid_t pid)
{
	int parent = 0;

	status_read(pid, &(struct status_field){ "PPid: %d", &parent }, 1);
	return parent;
}

pid_t call_tracer_of(pid_t pid)
{
	int tracer = 0;

	status_read(pid, &(struct status_field){ "TracerPid: %d", &tracer }, 1);
	return tracer;
}

bool call_has_fds(pid_t tid)
{
	int size = 0;

	return status_read(tid, &(struct status_field){ "FDSize: %d", &size }, 1) && size;
}

bool call_interrupted(const struct call *c)
{
	const unsigned long long by_default = 1ull << (SIGCHLD - 1) | 1ull << (SIGURG - 1) | 1ull << (SIGWINCH - 1) |
					      1ull << (SIGCONT - 1);
	unsigned long long thread, process, blocked, ignored, caught;
	const struct status_field fields[] = {
		{ "SigPnd: %llx", &thread }, { "ShdPnd: %llx", &process }, { "SigBlk: %llx", &blocked },
		{ "SigIgn: %llx", &ignored }, { "SigCgt: %llx", &caught },
	};

	if (!is_waiting(c) || !status_read(c->tid, fields, sizeof(fields) / sizeof(*fields)))
		return true;
	/* A traced task is sent even what it ignores; to the kernel's own calls that is no interruption. */
	return (thread | process) & ~(blocked | ignored | (by_default & ~caught));
}

void call_signal(const struct call *c, int signal)
{
	syscall(SYS_tgkill, call_process(c), c->tid, signal);
}

int call_get_fd(struct call *c, int fd)
{
	int rc = pass_share(c, fd);

	return c->stop && (rc == -ENOSYS || rc == -EPERM) ? pass_from_task(c, fd) : rc;
}

/* Without a cache nothing is ever believed for longer than the call that asked. */
static void promise_nothing(rfs_Reply *r)
{
	if (r->which_op == rfs_Reply_open_tag)
		r->op.open.coherent = 0;
	else if (r->which_op == rfs_Reply_stat_tag)
		r->op.stat.coherent = 0;
}

/* What the agent says of a request: 0 or a negative errno, without a payload then. */
static int take_reply(const struct mount *m, struct link_reply *rep)
{
	overlay_translate(m, rep);
	if (cache_is_off())
		promise_nothing(&rep->msg);
	/* EHWPOISON is the last errno; what is beyond could be taken for a restart code by the kernel. */
	int rc = rep->msg.error > EHWPOISON ? -EPROTO : -(int)rep->msg.error;
	if (rc)
		link_reply_free(rep);
	return rc;
}

int call_rpc(struct call *c, const struct mount *m, const rfs_Request *req, const void *payload,
	     size_t payload_len, struct link_reply *rep)
{
	int rc;

	memset(rep, 0, sizeof(*rep));
	if (m->closing)
		return -EIO;
	behind_release(m);
	state_unlock();
	notify_promote();
	mount_waits(m, 1);
	rc = link_call(m->link, req, payload, payload_len, rep);
	mount_waits(m, -1);
	state_lock();
	if (c) {
		c->round_trips++;
		c->bytes_out += payload_len;
		c->bytes_in += rep->payload_len;
		call_remote(c, m);
	}
	return rc < 0 ? rc : take_reply(m, rep);
}

struct started { const struct mount *mount; call_then *then; void *arg; };

static void started_done(struct link_reply *rep, int rc, void *arg)
{
	struct started *s = arg;

	state_lock();
	s->then(rep, rc < 0 ? rc : take_reply(s->mount, rep), s->arg);
	state_unlock();
	free(s);
}

int call_start(struct call *c, const struct mount *m, const rfs_Request *req, const void *payload, size_t payload_len,
	       call_then *then, void *arg)
{
	bool waits = payload_len > LINK_SMALL;

	if (m->closing)
		return -EIO;
	behind_release(m);
	struct started *s = xcalloc(1, sizeof(*s));

	*s = (struct started){ .mount = m, .then = then, .arg = arg };
	if (waits) {
		state_unlock();
		notify_promote();
		mount_waits(m, 1); /* an agent that is stuck takes nothing */
	}
	int rc = link_start(m->link, req, payload, payload_len, started_done, s);
	if (waits) {
		mount_waits(m, -1);
		state_lock();
	}
	if (rc)
		free(s);
	else if (c)
		c->bytes_out += payload_len;
	return rc;
}

int call_send(const struct mount *m, const rfs_Request *req)
{
	if (m->closing)
		return -EIO;
	behind_release(m);
	return link_send(m->link, req);
}
