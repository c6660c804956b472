/*
 * A client whose agent is lost, in each of the ways in which that happens, and that has its files again afterwards: as the same
 * open files of the same session, or opened again by another agent.
 */
#ifndef AGENT_LOST_H
#define AGENT_LOST_H

#include "agent_process.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include <linux/capability.h>

#define CAPABILITY_TICKETS 2
#define LINGER_MS 20000

enum way {
	CUT,    /* the connection is lost: the session goes on over another one */
	KILLED, /* the agent is: its keeper's next one has its descriptors */
	BOTH,   /* it and its keeper are gone; the next one may use file handles … */
	PATHS,  /* … or may not, as in most containers */
	WAYS
};

static const char *const way_names[WAYS] = { "connection lost", "agent killed", "both killed", "both killed, no handles" };

static struct client c;
static struct { uint8_t name[16], secret[32]; uint32_t stream, attempt; bool handed_on; } session;
static pid_t server; /* who is to end with the session */
static rlim_t agent_files; /* so many may the next one that is started have open; 0: as many as we */
static uint64_t kept; /* the handle's number */
static rfs_Reopen ticket;

/* Whether there is another agent after WAY. */
static inline bool is_another(enum way way)
{
	return way == BOTH || way == PATHS;
}

static inline bool may_use_handles(void)
{
	struct { struct file_handle h; unsigned char bytes[MAX_HANDLE_SZ]; } h = { .h.handle_bytes = MAX_HANDLE_SZ };
	int id, at = open(".", O_RDONLY | O_DIRECTORY), fd = -1;

	if (at >= 0 && !name_to_handle_at(at, "", &h.h, &id, AT_EMPTY_PATH))
		fd = open_by_handle_at(at, &h.h, O_PATH);
	close(at);
	close(fd);
	return fd >= 0;
}

/* ---- connections ---- */

/* As client_start, with or without the right to open files by their handles; what was numbered or pushed before stays. */
static inline void agent_start(const char *root, bool handles)
{
	int p[2];

	if (!c.push)
		c.push = calloc(PUSHES, sizeof(*c.push));
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, p), 0);
	c.pid = fork();
	if (c.pid == 0) {
		dup2(p[1], 0);
		dup2(p[1], 1);
		if (agent_files)
			setrlimit(RLIMIT_NOFILE, &(struct rlimit){ agent_files, agent_files });
		if (!handles)
			prctl(PR_CAPBSET_DROP, CAP_DAC_READ_SEARCH);
		execl(agent_binary, "remotefs-agent", "--stdio", "--root", root, NULL);
		_exit(126);
	}
	close(p[1]);
	c.fd = p[0];
}

static inline void agent_hello(bool read_only)
{
	REQUEST(hello);

	memset(&session, 0, sizeof(session));
	assert_int_equal(getentropy(session.name, sizeof(session.name)), 0);
	assert_int_equal(getentropy(session.secret, sizeof(session.secret)), 0);
	q.op.hello.version = 1;
	q.op.hello.read_only = read_only;
	q.op.hello.capabilities = CAPABILITY_TICKETS;
	q.op.hello.linger_ms = LINGER_MS;
	q.op.hello.session.size = sizeof(session.name);
	memcpy(q.op.hello.session.bytes, session.name, sizeof(session.name));
	q.op.hello.secret.size = sizeof(session.secret);
	memcpy(q.op.hello.secret.bytes, session.secret, sizeof(session.secret));
	assert_int_equal(client_call(&c, &q), 0);
	assert_int_equal(c.reply.op.hello.capabilities, CAPABILITY_TICKETS);
	assert_true(c.reply.op.hello.resumes);
	server = c.pid;
	c.frames = 0;
}

static inline int try_resume(const char *root, uint64_t seen)
{
	REQUEST(resume);

	agent_start(root, true);
	q.op.resume.session.size = sizeof(session.name);
	memcpy(q.op.resume.session.bytes, session.name, sizeof(session.name));
	q.op.resume.secret.size = sizeof(session.secret);
	memcpy(q.op.resume.secret.bytes, session.secret, sizeof(session.secret));
	q.op.resume.stream = session.stream;
	q.op.resume.seen = seen;
	q.op.resume.attempt = ++session.attempt;
	c.id = 0; /* as of every first request: who answers has not read it */
	return client_call(&c, &q);
}

/* The client comes again. It had all its answers: none is to come a second time. */
static inline void agent_resume(const char *root)
{
	uint64_t seen = c.frames;
	int error;

	while ((error = try_resume(root, seen)) == EAGAIN) { /* it had no time */
		close(c.fd);
		waitpid(c.pid, NULL, 0);
	}
	assert_int_equal(error, 0);
	assert_int_equal(c.reply.op.resume.working_count, 0);
	session.stream = c.reply.op.resume.stream;
	c.frames = 0;
}

/* Waits for PID, a child or, as we are a reaper, one that has lost its parent. */
static inline int status_of(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
}

/* ---- ways ---- */

/* The first keeper ends with its agent. The one that it makes way for becomes our child, and stays. */
static inline void lose_agent(void)
{
	pid_t old = agent_await(0);

	assert_int_equal(parent_of(old), server);
	kill(old, SIGKILL);
	if (!session.handed_on)
		assert_int_equal(status_of(server), 128 + SIGKILL);
	session.handed_on = true;
	server = parent_of(agent_await(old));
}

/* Neither may see the other one's end. */
static inline void lose_both(void)
{
	pid_t agent = agent_await(0);

	assert_int_equal(parent_of(agent), server);
	kill(server, SIGSTOP);
	kill(agent, SIGKILL);
	kill(server, SIGKILL);
	assert_int_equal(status_of(server), 256 + SIGKILL);
	assert_int_equal(status_of(agent), 256 + SIGKILL);
}

/* Nobody serves the client any more. */
static inline void agent_lose(enum way way)
{
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	if (is_another(way))
		lose_both();
	else if (way == KILLED)
		lose_agent();
	close(c.fd);
}

/* Somebody does again, from ROOT. */
static inline void agent_return(enum way way, const char *root)
{
	if (!is_another(way)) {
		agent_resume(root);
		return;
	}
	agent_start(root, way != PATHS);
	agent_hello(false);
}

/* Another agent has the place of the one that there was. */
static inline void agent_next(const char *root)
{
	agent_lose(BOTH);
	agent_return(BOTH, root);
}

/* Whoever has the session ends with it. */
static inline void agent_stop(void)
{
	pid_t last = server;

	/* Who came for a session that another process has waits for its end, too. */
	if (c.pid != last) {
		REQUEST(goodbye);

		assert_int_equal(client_call(&c, &q), 0);
		assert_int_equal(status_of(last), 0);
		assert_int_equal(client_status(&c), 0);
	} else {
		client_stop(&c);
	}
	memset(&c, 0, sizeof(c));
}

/* ---- tickets ---- */

static inline void ticket_keep(uint64_t handle, int flags)
{
	const rfs_OpenReply *r = &c.reply.op.open;

	assert_true(r->ticket.size > 0);
	ticket = (rfs_Reopen){ .handle = handle, .flags = flags, .ticket.size = r->ticket.size };
	memcpy(ticket.ticket.bytes, r->ticket.bytes, r->ticket.size);
}

/* What is kept from here on: PATH, opened with FLAGS. */
static inline void open_kept(const char *path, int flags)
{
	assert_int_equal(client_open(&c, path, flags, 0644), 0);
	kept = c.handle;
	ticket_keep(kept, flags);
}

/* Closes what is kept; it is closed when this returns. */
static inline void close_kept(void)
{
	REQUEST(release);

	q.op.release.handle = kept;
	assert_int_equal(client_call(&c, &q), 0);
}

/* Sends the ticket. 0 or why the file is lost. */
static inline int reopen(void)
{
	REQUEST(reopen);

	q.op.reopen = ticket;
	assert_int_equal(client_call(&c, &q), 0);
	assert_int_equal(c.reply.which_op, rfs_Reply_open_tag);
	return (int)c.reply.op.open.lost;
}

/* As agent_return, and what is kept is open again: 0, or why it is lost. */
static inline int return_kept(enum way way, const char *root)
{
	agent_return(way, root);
	return is_another(way) ? reopen() : 0;
}

/* Puts the names of the directory that is kept, from COOKIE on, behind NAMES, at most SIZE bytes of entries. The cookie behind them. */
static inline int64_t names_list(int64_t cookie, uint32_t size, char *names)
{
	pb_istream_t in;

	assert_int_equal(client_list(&c, kept, cookie, size), 0);
	in = pb_istream_from_buffer(c.payload, c.payload_len);
	while (in.bytes_left) {
		rfs_Entry e;

		assert_true(pb_decode_delimited(&in, rfs_Entry_fields, &e));
		sprintf(names + strlen(names), "%.*s ", (int)e.name.size, (char *)e.name.bytes);
		cookie = e.cookie;
	}
	return cookie;
}

/* ---- trees ---- */

/* The tree, in a directory of its own that is named in BASE: a/f with "content\n" in it. With MOUNT, on a mount of its own. */
static inline void tree_start(bool mounted)
{
	char cmd[256];

	assert_int_equal(tree_make(base, "true"), 0);
	setenv("N", base + strlen("/tmp/"), 1);
	if (mounted) {
		snprintf(cmd, sizeof(cmd), "mount --bind %s %s", base, base);
		assert_int_equal(system(cmd), 0);
		assert_int_equal(chdir(base), 0);
	}
	assert_int_equal(system("mkdir a && echo content >a/f"), 0);
}

/* Whether we may mount what nobody else sees; from here on. */
static inline bool may_mount(void)
{
	return !unshare(CLONE_NEWNS) && !mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
}

static inline int setup(void **state)
{
	tree_start(false);
	agent_start(base, true);
	agent_hello(false);
	return 0;
}

static inline int teardown(void **state)
{
	agent_stop();
	return tree_remove(base);
}

/* WHAT, with a tree and an agent of its own each time. */
static inline void in_each_way(void (*what)(enum way way))
{
	for (int way = 0; way < WAYS; way++) {
		print_message("%s\n", way_names[way]);
		setup(NULL);
		what(way);
		teardown(NULL);
	}
}

#endif
