/* A client for the tests of the agent: one request at a time, pushes collected on the way. */
#ifndef TEST_AGENT_H
#define TEST_AGENT_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <pb_decode.h>
#include <pb_encode.h>

#include "frame.h"
#include "frame_io.h"
#include "remotefs.pb.h"

#define PUSHES 4096

struct client {
	int fd;
	pid_t pid;
	uint32_t id;
	uint64_t handle;
	rfs_Reply reply;
	uint8_t *payload;
	size_t payload_len;
	unsigned int pushes;
	rfs_Push *push;
	uint64_t frames; /* read */
};

/* The tests change directory; the name of the binary is relative to where they were started. */
static char agent_binary[4096];

__attribute__((constructor)) static void agent_binary_find(void)
{
	const char *name = getenv("REMOTEFS_AGENT");

	if (!realpath(name ? name : "build/remotefs-agent", agent_binary)) {
		fprintf(stderr, "%s: %s\n", name ? name : "build/remotefs-agent", strerror(errno));
		exit(77);
	}
}

static inline void client_start(struct client *c, const char *root, const char *option)
{
	int p[2];

	memset(c, 0, sizeof(*c));
	c->push = calloc(PUSHES, sizeof(*c->push));
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, p), 0);
	c->pid = fork();
	if (c->pid == 0) {
		dup2(p[1], 0);
		dup2(p[1], 1);
		execl(agent_binary, "remotefs-agent", "--stdio", "--root", root, option, NULL);
		_exit(126);
	}
	close(p[1]);
	c->fd = p[0];
}

static inline void client_send_raw(struct client *c, const void *msg, size_t len, uint32_t id, const void *data,
				   size_t n)
{
	struct frame_header h = { FRAME_REQUEST, id, len, n };
	uint8_t raw[FRAME_HEADER_SIZE];
	struct iovec iov[] = { { raw, sizeof(raw) }, { (void *)msg, len }, { (void *)data, n } };

	frame_encode(raw, &h);
	assert_int_equal(frame_writev_full(c->fd, iov, 3), 0);
}

static inline uint32_t client_send(struct client *c, const rfs_Request *req, const void *data, size_t n)
{
	uint8_t msg[FRAME_MAX_MESSAGE];
	pb_ostream_t o = pb_ostream_from_buffer(msg, sizeof(msg));

	assert_true(pb_encode(&o, rfs_Request_fields, req));
	client_send_raw(c, msg, o.bytes_written, ++c->id, data, n);
	return c->id;
}

/* Reads one frame; returns its id, 0 for a push. */
static inline uint32_t client_frame(struct client *c)
{
	uint8_t raw[FRAME_HEADER_SIZE], msg[FRAME_MAX_MESSAGE];
	struct frame_header h;
	pb_istream_t in;

	c->frames++;
	assert_int_equal(frame_read_full(c->fd, raw, sizeof(raw)), 0);
	assert_int_equal(frame_decode(raw, &h), 0);
	assert_true(h.message_len == 0 || frame_read_full(c->fd, msg, h.message_len) == 0);
	in = pb_istream_from_buffer(msg, h.message_len);
	if (h.kind == FRAME_PUSH) {
		assert_true(c->pushes < PUSHES);
		assert_true(pb_decode(&in, rfs_Push_fields, &c->push[c->pushes++]));
		return 0;
	}
	assert_int_equal(h.kind, FRAME_REPLY);
	assert_true(pb_decode(&in, rfs_Reply_fields, &c->reply));
	free(c->payload);
	c->payload = malloc(h.payload_len + 1);
	c->payload_len = h.payload_len;
	c->payload[h.payload_len] = '\0';
	assert_true(h.payload_len == 0 || frame_read_full(c->fd, c->payload, h.payload_len) == 0);
	return h.id;
}

/* Sends and waits. Returns the reply's errno. */
static inline int client_call_data(struct client *c, const rfs_Request *req, const void *data, size_t n)
{
	uint32_t id = client_send(c, req, data, n), got;

	while ((got = client_frame(c)) != id)
		assert_int_equal(got, 0);
	return c->reply.error;
}

static inline int client_call(struct client *c, const rfs_Request *req)
{
	return client_call_data(c, req, NULL, 0);
}

static inline void client_hello(struct client *c, bool read_only)
{
	rfs_Request q = { .which_op = rfs_Request_hello_tag };

	q.op.hello.version = 1;
	q.op.hello.read_only = read_only;
	assert_int_equal(client_call(c, &q), 0);
	assert_int_equal(c->reply.op.hello.version, 1);
	assert_int_equal(c->reply.op.hello.max_payload, FRAME_MAX_PAYLOAD);
}

static inline void client_drop(struct client *c)
{
	close(c->fd);
	free(c->payload);
	free(c->push);
}

static inline int client_status(struct client *c)
{
	int status;

	client_drop(c);
	assert_int_equal(waitpid(c->pid, &status, 0), c->pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
}

static inline void client_stop(struct client *c)
{
	rfs_Request q = { .which_op = rfs_Request_goodbye_tag };

	assert_int_equal(client_call(c, &q), 0);
	assert_int_equal(client_status(c), 0);
}

static inline void where_set(rfs_Where *w, bool *has, uint64_t dir, const char *path)
{
	*has = true;
	w->dir = dir;
	w->path.size = strlen(path);
	memcpy(w->path.bytes, path, w->path.size);
}

#define REQUEST(tag) rfs_Request q = { .which_op = rfs_Request_##tag##_tag }
#define WHERE(msg, dir, path) where_set(&q.op.msg.where, &q.op.msg.has_where, dir, path)

/* Returns the errno; the handle is c->handle. */
static inline int client_open_at(struct client *c, uint64_t dir, const char *path, int flags, int mode,
				 uint32_t prefetch)
{
	REQUEST(open);

	WHERE(open, dir, path);
	q.op.open.handle = ++c->handle;
	q.op.open.flags = flags;
	q.op.open.mode = mode;
	q.op.open.umask = 022;
	q.op.open.prefetch = prefetch;
	return client_call(c, &q);
}

static inline int client_open(struct client *c, const char *path, int flags, int mode)
{
	return client_open_at(c, 0, path, flags, mode, 0);
}

static inline uint64_t client_must_open(struct client *c, const char *path, int flags, uint32_t prefetch)
{
	assert_int_equal(client_open_at(c, 0, path, flags, 0644, prefetch), 0);
	return c->handle;
}

static inline void client_close(struct client *c, uint64_t handle)
{
	REQUEST(close);

	q.op.close.handle = handle;
	client_send(c, &q, NULL, 0);
}

static inline int client_stat_at(struct client *c, uint64_t dir, const char *path, bool nofollow)
{
	REQUEST(stat);

	WHERE(stat, dir, path);
	q.op.stat.nofollow = nofollow;
	return client_call(c, &q);
}

static inline int client_stat(struct client *c, const char *path)
{
	return client_stat_at(c, 0, path, false);
}

static inline int client_read(struct client *c, uint64_t handle, uint64_t offset, uint32_t size)
{
	REQUEST(read);

	q.op.read.handle = handle;
	q.op.read.offset = offset;
	q.op.read.size = size;
	return client_call(c, &q);
}

static inline int client_write(struct client *c, uint64_t handle, uint64_t offset, bool append, const char *text)
{
	REQUEST(write);

	q.op.write.handle = handle;
	q.op.write.offset = offset;
	q.op.write.append = append;
	return client_call_data(c, &q, text, strlen(text));
}

static inline int client_list(struct client *c, uint64_t handle, int64_t cookie, uint32_t size)
{
	REQUEST(list);

	q.op.list.handle = handle;
	q.op.list.cookie = cookie;
	q.op.list.size = size;
	return client_call(c, &q);
}

static inline int client_mkdir(struct client *c, const char *path, int mode)
{
	REQUEST(mkdir);

	WHERE(mkdir, 0, path);
	q.op.mkdir.mode = mode;
	q.op.mkdir.umask = 022;
	return client_call(c, &q);
}

static inline int client_unlink(struct client *c, const char *path, int flags)
{
	REQUEST(unlink);

	WHERE(unlink, 0, path);
	q.op.unlink.flags = flags;
	return client_call(c, &q);
}

static inline int client_rename(struct client *c, const char *from, const char *to, uint32_t flags)
{
	REQUEST(rename);

	where_set(&q.op.rename.from, &q.op.rename.has_from, 0, from);
	where_set(&q.op.rename.to, &q.op.rename.has_to, 0, to);
	q.op.rename.flags = flags;
	return client_call(c, &q);
}

static inline int client_readlink(struct client *c, const char *path)
{
	REQUEST(readlink);

	WHERE(readlink, 0, path);
	return client_call(c, &q);
}

static inline int client_access(struct client *c, const char *path, int mode, int flags)
{
	REQUEST(access);

	WHERE(access, 0, path);
	q.op.access.mode = mode;
	q.op.access.flags = flags;
	return client_call(c, &q);
}

static inline int client_truncate(struct client *c, const char *path, uint64_t handle, int64_t length)
{
	REQUEST(truncate);

	if (path)
		WHERE(truncate, 0, path);
	q.op.truncate.handle = handle;
	q.op.truncate.length = length;
	return client_call(c, &q);
}

static inline int client_lock(struct client *c, uint64_t handle, uint64_t owner, int command, int type,
			      uint64_t start, uint64_t length)
{
	REQUEST(lock);

	q.op.lock.handle = handle;
	q.op.lock.owner = owner;
	q.op.lock.command = command;
	q.op.lock.type = type;
	q.op.lock.start = start;
	q.op.lock.length = length;
	return client_call(c, &q);
}

/* For what has to come, on however busy a machine; and for what must not come. */
#define CLIENT_PATIENCE_MS 5000
#define CLIENT_SILENCE_MS 300

/* Reads pushes until one matches (true) or MS milliseconds pass without any. */
static inline bool client_await(struct client *c, const char *path, int subtree, uint64_t handle, int ms)
{
	struct pollfd p = { .fd = c->fd, .events = POLLIN };
	unsigned int i = 0;

	for (;;) {
		for (; i < c->pushes; i++) {
			const rfs_Push *e = &c->push[i];
			const rfs_Invalidate *v = &e->event.invalidate;

			if (path && e->which_event == rfs_Push_invalidate_tag && v->path.size == strlen(path) &&
			    !memcmp(v->path.bytes, path, v->path.size) && (subtree < 0 || v->subtree == subtree))
				return true;
			/* Somebody has mounted something on this machine: that tells of everything. */
			if (path && e->which_event == rfs_Push_invalidate_tag && v->path.size == 1 && v->subtree &&
			    ms == CLIENT_PATIENCE_MS)
				return true;
			if (handle && e->which_event == rfs_Push_changed_tag && e->event.changed.handle == handle)
				return true;
		}
		if (poll(&p, 1, ms) <= 0)
			return false;
		assert_int_equal(client_frame(c), 0);
	}
}

static inline bool client_invalidated(struct client *c, const char *path)
{
	return client_await(c, path, -1, 0, CLIENT_PATIENCE_MS);
}

static inline bool client_changed(struct client *c, uint64_t handle)
{
	return client_await(c, NULL, 0, handle, CLIENT_PATIENCE_MS);
}

/* Forgets pushes, those still on their way too. */
static inline void client_settle(struct client *c)
{
	client_await(c, NULL, 0, 0, CLIENT_SILENCE_MS);
	c->pushes = 0;
}

/* Goes into a new directory, named in BASE, in which COMMAND has made what is to be served. */
static inline int tree_make(char base[64], const char *command)
{
	strcpy(base, "/tmp/test-agent-XXXXXX");
	return mkdtemp(base) && !chdir(base) ? system(command) : -1;
}

static inline int tree_remove(const char *base)
{
	char cmd[128];

	snprintf(cmd, sizeof(cmd), "rm -rf %s", base);
	return chdir("/") || system(cmd);
}

static inline void spew(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

#endif
