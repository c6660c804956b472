/*
 * The whole agent behind the decoder: an input is a stream of frames as a client sends it. They are answered one by one in a sandbox, and
 * nothing outside of the agent's root may be changed, read, or be in a reply.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "channel.h"
#include "dispatch.h"
#include "fuzzer.h"
#include "handle.h"
#include "mutate.h"
#include "observe.h"
#include "ops.h"
#include "resolve.h"
#include "sandbox.h"
#include "serve_int.h"

#define HANDLES 512

static struct agent agent;
static struct serve *serving;
static struct session_work *work;
static int script = -1;

void agent_say(const char *fmt, ...)
{
}

/* What an input has made, to be closed behind it. */
static struct {
	size_t count;
	rfs_Request undo[HANDLES];
} made;

/* ---- what is mutated ---- */

static char outside[128], outside_up[] = "../outside/canary";

static const char *texts[] = {
	outside, outside_up, "", ".", "..", "/", "f", "d", "d/g", "d/e/h", "d/e/f", "d/hard", "empty", "fifo", "sock", "new", "d/new", "abs", "rel",
	"abs/canary", "rel/canary", "d/e/far", "magic", "cwd", "l", "l/g", "up", "up/f", "loop", "f/", "d/", "new/", "l/", "abs/", "rel/", "/f", "//d//g",
	"./d/./g", "d/../f", "../f", "d/e/../../../outside", "/../outside/canary", "proc/self/mem", "proc/self/root", "proc/self/root/etc",
	"proc/self/fd/3", "proc/self/cwd", "proc/self/environ", "proc/thread-self/mem", "proc/1/root", "proc/self/fd", "proc/self/task",
	"proc/self/exe", "magic/tmp", "cwd/..", "user.x", "security.capability", "system.posix_acl_access", "trusted.x", "x",
	NULL
};

static const uint64_t numbers[] = {
	1, 2, 3, 4, 5, 6, 7, 8, O_RDWR, O_WRONLY, O_CREAT, O_CREAT | O_RDWR, O_CREAT | O_EXCL | O_RDWR, O_TRUNC | O_WRONLY, O_PATH, O_PATH | O_NOFOLLOW,
	O_DIRECTORY, O_TMPFILE | O_RDWR, O_NOFOLLOW, O_APPEND | O_RDWR, 0644, 0755, 0, 4096, 128 << 10, 1 << 20, AT_REMOVEDIR, AT_SYMLINK_FOLLOW,
	AT_SYMLINK_NOFOLLOW, F_OFD_SETLK, F_OFD_GETLK, F_WRLCK, F_UNLCK, SEEK_DATA, SEEK_HOLE, S_IFREG, S_IFDIR, S_IFIFO, S_IFSOCK, S_IFCHR, S_IFBLK,
	0xfff, 0x3ff, 0x80086601, 0xc020660b, 0x801c581f, 0x40086602, INT64_MAX, UINT32_MAX, UINT64_MAX, 0xffffffff80000000, 8, 16, 4, 2,
};

const struct mutate_input mutate_input = {
	.words = { texts, numbers, sizeof(numbers) / sizeof(*numbers) },
	.kinds = 1 << FRAME_REQUEST,
	.bytes = 16,
};

/* ---- set-up ---- */

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static char root[128];
	const char *base = sandbox_make();
	struct rlimit few = { 512, 512 };

	setrlimit(RLIMIT_NOFILE, &few);
	/* As main has it. */
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	snprintf(root, sizeof(root), "%s/tree", base);
	snprintf(outside, sizeof(outside), "%s/outside/canary", base);
	sandbox_reset();
	umask(0);
	umask_own();
	agent.environ = -1;
	agent.tickets = true;
	agent.root.fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	resolve_probe(&agent.root, !getenv("FUZZ_WALK"));
	agent.handles = handles_new();
	agent.locks = locks_new();
	agent.channels = channels_new(agent.handles);
	agent.watcher = watch_new(&agent.root);
	agent.observer = observe_new();
	serving = calloc(1, sizeof(*serving));
	serving->agent = &agent;
	serving->greeted = true;
	script = memfd_create("requests", MFD_CLOEXEC);
	serving->conn = conn_plain(script, memfd_create("replies", MFD_CLOEXEC));
	serving->giver = -1;
	serving->session = agent.session = session_new();
	work = session_enter(serving->session);
	pthread_mutex_init(&serving->lock, NULL);
	pthread_mutex_init(&serving->write_lock, NULL);
	agent.push = output_push;
	agent.push_to = serving;
	locks_start(agent.locks, output_lock_end, serving);
	watch_start(agent.watcher, output_notices, serving);
	observe_start(agent.observer, output_observed, serving);
	channels_start(agent.channels, output_ready, serving);
	return 0;
}

/* ---- one input ---- */

static void undo_later(rfs_Request undo)
{
	if (made.count < HANDLES)
		made.undo[made.count++] = undo;
}

static void note_made(const rfs_Request *r)
{
	uint64_t handle = r->which_op == rfs_Request_open_tag ? r->op.open.handle : r->which_op == rfs_Request_connect_tag ? r->op.connect.handle :
			  r->which_op == rfs_Request_bind_tag ? r->op.bind.handle : r->which_op == rfs_Request_accept_tag ? r->op.accept.handle :
			  r->which_op == rfs_Request_reopen_tag ? r->op.reopen.handle : 0;

	if (handle)
		undo_later((rfs_Request){ .which_op = rfs_Request_close_tag, .op.close.handle = handle });
	if (r->which_op == rfs_Request_watch_tag)
		undo_later((rfs_Request){ .which_op = rfs_Request_unwatch_tag, .op.unwatch.instance = r->op.watch.instance });
	if (r->which_op == rfs_Request_lock_wait_tag)
		undo_later((rfs_Request){ .which_op = rfs_Request_lock_cancel_tag, .op.lock_cancel.ticket = r->op.lock_wait.ticket });
}

/* Hello is serve.c's, which has threads; what it does to the agent is this. */
static void hello(const rfs_Hello *h)
{
	free(agent.root.at);
	free(agent.root.sub);
	agent.root.at = agent.root.sub = NULL;
	agent.root.read_only = h->read_only;
	resolve_set_view(&agent.root, &h->at, &h->sub);
}

/* sync(2) is the machine's. */
static bool is_for_dispatch(const rfs_Request *r)
{
	return r->which_op != rfs_Request_hello_tag && r->which_op != rfs_Request_goodbye_tag &&
	       !(r->which_op == rfs_Request_syncfs_tag && !r->op.syncfs.handle);
}

/* A Reopen or Watch without a ticket has that of the last Open: the bytes of one are too many to be guessed. */
static void keep_ticket(struct job *job)
{
	static rfs_OpenReply_ticket_t last;

	if (job->reply.which_op == rfs_Reply_open_tag && job->reply.op.open.ticket.size)
		last = job->reply.op.open.ticket;
	if (job->req.which_op == rfs_Request_watch_tag && !job->req.op.watch.has_where && !job->req.op.watch.ticket.size) {
		memcpy(job->req.op.watch.ticket.bytes, last.bytes, last.size);
		job->req.op.watch.ticket.size = last.size;
	}
	if (job->req.which_op != rfs_Request_reopen_tag || job->req.op.reopen.ticket.size)
		return;
	memcpy(job->req.op.reopen.ticket.bytes, last.bytes, last.size);
	job->req.op.reopen.ticket.size = last.size;
}

static void answer(struct job *job)
{
	job->op.agent = &agent;
	job->op.req = &job->req;
	job->op.reply = &job->reply;
	keep_ticket(job);
	dispatch_prepare(&job->op);
	dispatch_run(&job->op);
	keep_ticket(job);
	output_reply(serving, job);
	free(job->op.out);
}

static void begin(struct job *job)
{
	memset(&job->reply, 0, sizeof(job->reply));
	memset(&job->op, 0, sizeof(job->op));
	job->payload = NULL;
	job->work = work;
}

static void undo_all(void)
{
	static struct job job;

	while (made.count) {
		begin(&job);
		job.id = 0;
		job.req = made.undo[--made.count];
		answer(&job);
	}
}

static void check_replies(void)
{
	off_t len = lseek(serving->conn.out, 0, SEEK_END);
	void *all = len > 0 ? mmap(NULL, (size_t)len, PROT_READ, MAP_SHARED, serving->conn.out, 0) : MAP_FAILED;

	if (all == MAP_FAILED)
		return;
	sandbox_check_bytes(all, (size_t)len);
	munmap(all, (size_t)len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct job job;

	sandbox_reset();
	hello(&(rfs_Hello){ .version = 1 });
	if (ftruncate(script, 0) || pwrite(script, data, len, 0) != (ssize_t)len || ftruncate(serving->conn.out, 0))
		abort();
	lseek(script, 0, SEEK_SET);
	lseek(serving->conn.out, 0, SEEK_SET);
	serving->at = serving->filled = 0;
	while (begin(&job), input_next(serving, &job) == 0) {
		note_made(&job.req);
		if (job.req.which_op == rfs_Request_hello_tag)
			hello(&job.req.op.hello);
		else if (is_for_dispatch(&job.req))
			answer(&job);
		free(job.payload);
	}
	free(job.payload);
	undo_all();
	check_replies();
	sandbox_check();
	return 0;
}
