/* One trapped syscall, from the trap to its answer. */
#ifndef TRACER_CALL_H
#define TRACER_CALL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "link.h"
#include "table.h"

struct mount;

/* A handler's answer that stands for "let the kernel do it". No errno and no result has this value. */
#define CALL_CONTINUE (-100000L)
/*
 * In a stopped call: let the kernel do rewrite_nr with rewrite_arg instead. The arguments are the program's
 * again when it goes on, unless that was an exec that went well.
 */
#define CALL_REWRITE (-100001L)

/* The kernel's own: do the call again if the signal that interrupted it has SA_RESTART or no handler, else EINTR. */
#define ERESTARTSYS 512
#define ERESTARTNOINTR 513         /* in any case */
#define ERESTARTNOHAND 514         /* if it has no handler */
#define ERESTART_RESTARTBLOCK 516  /* the same, by restart_syscall */

/* Where a call went, for the log. */
enum call_route {
	ROUTE_LOCAL,  /* the kernel did it */
	ROUTE_REMOTE, /* answered from the target, or from what is known of it */
};

/* What it has of the overlays: see overlay_share. */
enum call_overlay { CALL_OUTSIDE, CALL_SHARES, CALL_OWNS };

struct call {
	const struct syscall_row *row; /* NULL for a number beyond the table, and for a foreign call */
	int nr;
	bool foreign; /* made as a 32-bit program would (int 0x80): the number is of another table */
	pid_t tid;
	uint64_t arg[6];
	uint64_t cookie;   /* the notification's id */
	uint64_t start_ns; /* CLOCK_MONOTONIC, when the trap was received */

	struct stop *stop; /* set in a stopped call: one that is served at a ptrace stop, not by a notification */
	unsigned long message; /* … enum filter_message, or another number that says nothing */
	int rewrite_nr;
	uint64_t rewrite_arg[6];
	/*
	 * A stopped call's handler that answers CALL_CONTINUE or CALL_REWRITE may set this: it is called with the
	 * state lock when the kernel has done the call, before the program goes on, and returns the result that
	 * the program gets. RESULT is the kernel's, a restart code included (the call will be made again), or
	 * -ESRCH when the task is gone. It may do what a handler may; after an exec nothing can be injected.
	 */
	long (*after)(struct call *c, long result);
	void *after_arg; /* AFTER's own; it is called once in any case */

	/* With CALL_CONTINUE: what the kernel is bound to answer, for the log; CALL_CONTINUE when unknown. */
	long expected;

	long instead; /* call_replace, of a notified call; 0: nothing */

	enum call_overlay overlay;
	enum call_route route;
	const struct mount *mount; /* the remote tree it touched, NULL when local */
	unsigned round_trips;
	uint64_t bytes_in, bytes_out; /* payload and paths, on the wire */
	char *shown;                  /* the log's text of it, if that had to be made early; log_call frees it */
	const char *note;             /* static text for the log's <…>, or NULL: "not emulated" … */
};

/*
 * Runs C's handler and puts what it decided into C's log fields. Takes the state lock. Returns the
 * call's result (negative errno) or CALL_CONTINUE.
 */
long call_dispatch(struct call *c);

/*
 * Gives descriptor SRC (which stays the caller's) to C's task: at number AT, or at the lowest free one
 * when AT is negative. The number, or a negative errno (-EMFILE). In a stopped call the task is made to
 * fetch it, and the state lock is released meanwhile.
 */
int call_install_fd(struct call *c, int src, int at, bool cloexec);

/*
 * The same for a moment, at a number that no open of the program's would give where there are such. The number is
 * given back with ofd_release_number when the task does not have it any more.
 */
int call_install_aside(struct call *c, int src);

/*
 * In a stopped call (CLASS_TRACE): has the task itself do syscall NR with up to six arguments, as often as
 * you like, before its own call, in its stead (return the result) or behind it (from AFTER). The result,
 * negative errno; -ESRCH when the task is gone, -EFAULT after an exec, -EOPNOTSUPP in a notified call.
 *
 * Nothing is written to the task's memory, its registers end as they were, handlers see none of it. Signals
 * wait meanwhile, so inject nothing that waits for long: answer CALL_REWRITE for such a call. The state lock
 * is released while it runs, as in call_rpc.
 *
 *     rc = call_install_fd(c, src, fd, true);
 *     if (rc >= 0)
 *             rc = call_inject(c, SYS_fchdir, (uint64_t)fd);
 */
#define call_inject(c, nr, ...) call_inject_args(c, nr, (const uint64_t[6]){ __VA_ARGS__ })
long call_inject_args(struct call *c, int nr, const uint64_t arg[6]);

/*
 * In a stopped call: SIZE bytes of new memory in the task, for strings that only a pointer can name. The
 * address or a negative errno. The caller has it unmapped (SYS_munmap), unless an exec does.
 */
long call_scratch(struct call *c, size_t size);

/*
 * Copies LEN bytes from (to) the task's memory: 0, or -EFAULT unless all could be copied. The copy is
 * known to be of the task that made the call, not of one that got its number later.
 */
int call_read(struct call *c, uint64_t addr, void *buf, size_t len);
int call_write(struct call *c, uint64_t addr, const void *buf, size_t len);

/* Marks C, which may be NULL, as answered from M. */
void call_remote(struct call *c, const struct mount *m);

/* ENOSYS for what is not emulated on a remote object, saying so in the log. */
long call_unsupported(struct call *c, const struct mount *m);

/*
 * The handler will answer CALL_CONTINUE; if the kernel returns 0, the program gets RESULT, a negative errno. Only where
 * call_can_replace says so.
 */
void call_replace(struct call *c, long result);
bool call_can_replace(const struct call *c);

/* What a call without a handler comes to: unsupported on remote objects, else the kernel's. */
long call_default(struct call *c);

/* Reads the line of C's task's /proc status that matches FORMAT, a scanf format for one VALUE. False: there is none. */
bool call_status(const struct call *c, const char *format, void *value);

/* The caller's umask, read from /proc; 022 when it cannot be read. */
unsigned call_umask(const struct call *c);

/* The process (thread group) that C's task belongs to. */
pid_t call_process(const struct call *c);

/* The parent of process PID, 0 when it has none that is known. */
pid_t call_parent_of(pid_t pid);

/* Who traces PID, or 0. */
pid_t call_tracer_of(pid_t pid);

/* Whether task TID has descriptors still: one that is on its way out has not even a table of them. */
bool call_has_fds(pid_t tid);

/*
 * Whether a signal is pending that C's task does not block, or the task is gone: a call that waits answers
 * -ERESTARTSYS then. No signal wakes a task whose call we answer, so whoever waits long looks now and then.
 * Reads /proc; does not need the state lock.
 */
bool call_interrupted(const struct call *c);

/* Sends SIGNAL to C's task, as the kernel does with SIGPIPE and SIGXFSZ; it is taken once the call is answered. */
void call_signal(const struct call *c, int signal);

/* A descriptor of ours for the open file that FD is in C's task; the caller closes it. Negative errno. */
int call_get_fd(struct call *c, int fd);

/*
 * Asks the target of M: link_call, but with the state lock released while waiting and the round trip
 * counted. 0 when the target did it; its errno or the link's, negated. REP is freed on failure; on
 * success the caller frees it. Pointers into shared state must be held by reference across it.
 */
int call_rpc(struct call *c, const struct mount *m, const rfs_Request *req, const void *payload,
	     size_t payload_len, struct link_reply *rep);

/*
 * A request of call_start is done: RC is what call_rpc would have returned, REP as there; what is left in it is freed
 * afterwards. Called with the state lock, in stream order with pushes. Must not wait for anything.
 */
typedef void call_then(struct link_reply *rep, int rc, void *arg);

/*
 * As call_rpc, but does not wait for the reply: THEN gets it, with ARG. 0 or a negative errno (-EIO, -ENOBUFS); then THEN is not
 * called. With a payload that is not small (LINK_SMALL) the state lock is released until the stream has taken that. C may be NULL.
 */
int call_start(struct call *c, const struct mount *m, const rfs_Request *req, const void *payload, size_t payload_len,
	       call_then *then, void *arg);

/* Sends REQ, which gets no reply, to M, in order with this thread's other requests; never waits. 0 or a negative errno, as link_send. */
int call_send(const struct mount *m, const rfs_Request *req);

#endif
