/* A client of an agent that is killed: it comes again, and sends again what was not answered. One request at a time. */
#ifndef KILLED_H
#define KILLED_H

#include "agent_process.h"

#include <stdatomic.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>

#include "plain.h"

#define LINGER_MS 20000

static struct client c;
static uint64_t sent, seen; /* requests of the session; frames of connection … */
static uint32_t stream;
static const uint8_t secret[32] = "a secret of thirty-two bytes....";
static uint8_t name[16];

/* ---- a client that comes again ---- */

static void hello(void)
{
	REQUEST(hello);

	q.op.hello.version = 1;
	q.op.hello.session.size = sizeof(name);
	memcpy(q.op.hello.session.bytes, name, sizeof(name));
	q.op.hello.secret.size = sizeof(secret);
	memcpy(q.op.hello.secret.bytes, secret, sizeof(secret));
	q.op.hello.linger_ms = LINGER_MS;
	assert_int_equal(client_call(&c, &q), 0);
	assert_true(c.reply.op.hello.resumes);
	sent = 0;
	seen = 0;
	stream = 0;
}

/* Reads a frame. False: the connection is over. */
static bool frame(uint32_t *id)
{
	struct pollfd p = { .fd = c.fd, .events = POLLIN };
	uint8_t byte;

	assert_int_equal(poll(&p, 1, 20000), 1);
	/* A frame is written at once; a process that is killed while it writes leaves a part of it. */
	for (int i = 0; i < 200; i++) {
		uint8_t raw[FRAME_HEADER_SIZE];
		ssize_t n = recv(c.fd, raw, sizeof(raw), MSG_PEEK | MSG_DONTWAIT);
		struct frame_header h;
		int there = 0;

		if (n == 0 || (n < 0 && errno == ECONNRESET))
			return false;
		if (n == sizeof(raw)) {
			assert_int_equal(frame_decode(raw, &h), 0);
			ioctl(c.fd, FIONREAD, &there);
			if ((size_t)there >= sizeof(raw) + h.message_len + h.payload_len) {
				*id = client_frame(&c);
				seen++;
				return true;
			}
		}
		p.events = POLLRDHUP;
		if (poll(&p, 1, 1) > 0 && recv(c.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) <= 0)
			return false;
	}
	return false;
}

/* False: the connection is over. */
static bool try_send(const rfs_Request *q, uint32_t id, const void *data, size_t n)
{
	uint8_t msg[FRAME_MAX_MESSAGE], raw[FRAME_HEADER_SIZE];
	pb_ostream_t o = pb_ostream_from_buffer(msg, sizeof(msg));

	assert_true(pb_encode(&o, rfs_Request_fields, q));
	frame_encode(raw, &(struct frame_header){ FRAME_REQUEST, id, o.bytes_written, n });
	return frame_writev_full(c.fd, (struct iovec[]){ { raw, sizeof(raw) }, { msg, o.bytes_written }, { (void *)data, n } }, 3) == 0;
}

/* The connection is over: another one, through another process. Its ResumeReply into R. */
static void resume(rfs_ResumeReply *r)
{
	struct client old = c;
	uint32_t id;
	bool answered;
	REQUEST(resume);

	close(old.fd);
	waitpid(old.pid, NULL, 0);
	client_start(&c, base, NULL);
	free(c.push);
	c.push = old.push;
	c.pushes = old.pushes;
	c.id = old.id;
	c.handle = old.handle;
	c.payload = old.payload;
	q.op.resume.session.size = sizeof(name);
	memcpy(q.op.resume.session.bytes, name, sizeof(name));
	q.op.resume.secret.size = sizeof(secret);
	memcpy(q.op.resume.secret.bytes, secret, sizeof(secret));
	q.op.resume.stream = stream;
	q.op.resume.seen = seen;
	answered = try_send(&q, 1, NULL, 0) && frame(&id) && c.reply.error != EAGAIN;
	if (!answered) { /* killed meanwhile: what was seen is what was seen of the last one */
		seen = q.op.resume.seen;
		resume(r);
		return;
	}
	assert_int_equal(id, 1);
	assert_int_equal(c.reply.error, 0);
	*r = c.reply.op.resume;
	stream = r->stream;
	seen = 0;
}

static bool listed(const uint64_t *list, size_t n, uint64_t number)
{
	for (size_t i = 0; i < n; i++)
		if (list[i] == number)
			return true;
	return false;
}

/* As client_call_data, over as many connections as it takes. */
static int call_data(rfs_Request *q, const void *data, size_t n)
{
	uint64_t number = ++sent;
	rfs_ResumeReply r;
	uint32_t id = ++c.id, got;

	try_send(q, id, data, n);
	for (;;) {
		while (frame(&got))
			if (got == id)
				return (int)c.reply.error;
		resume(&r);
		sent = r.got;
		if (number <= r.got && !listed(r.missing, r.missing_count, number) &&
		    (!request_is_plain(q->which_op) || listed(r.working, r.working_count, number)))
			continue;
		try_send(q, id, data, n);
		number = ++sent;
	}
}

static int call(rfs_Request *q)
{
	return call_data(q, NULL, 0);
}

/* ---- requests ---- */

static int try_open(const char *path, int flags, bool wait)
{
	REQUEST(open);

	WHERE(open, 0, path);
	q.op.open.handle = ++c.handle;
	q.op.open.flags = (uint32_t)flags;
	q.op.open.mode = 0644;
	q.op.open.wait = wait;
	return call(&q);
}

static uint64_t must_open(const char *path, int flags)
{
	assert_int_equal(try_open(path, flags, false), 0);
	return c.handle;
}

static int put(uint64_t handle, const char *text, bool append)
{
	REQUEST(write);

	q.op.write.handle = handle;
	q.op.write.append = append;
	return call_data(&q, text, strlen(text));
}

static void expect(uint64_t handle, const char *text)
{
	REQUEST(read);

	q.op.read.handle = handle;
	q.op.read.size = 4096;
	assert_int_equal(call(&q), 0);
	assert_int_equal(c.payload_len, strlen(text));
	assert_memory_equal(c.payload, text, strlen(text));
}

static int lock(uint64_t handle, uint64_t owner, int type, uint64_t start)
{
	REQUEST(lock);

	q.op.lock = (rfs_Lock){ .handle = handle, .owner = owner, .command = F_OFD_SETLK, .type = (uint32_t)type, .start = start,
				.length = 1 };
	return call(&q);
}

static int two_names(int tag, const char *from, const char *to)
{
	rfs_Request q = { .which_op = (pb_size_t)tag };

	if (tag == rfs_Request_rename_tag) {
		where_set(&q.op.rename.from, &q.op.rename.has_from, 0, from);
		where_set(&q.op.rename.to, &q.op.rename.has_to, 0, to);
	} else {
		where_set(&q.op.link.from, &q.op.link.has_from, 0, from);
		where_set(&q.op.link.to, &q.op.link.has_to, 0, to);
	}
	return call(&q);
}

static int make_dir(const char *path)
{
	REQUEST(mkdir);

	WHERE(mkdir, 0, path);
	q.op.mkdir.mode = 0755;
	return call(&q);
}

static int remove_name(const char *path, uint32_t flags)
{
	REQUEST(unlink);

	WHERE(unlink, 0, path);
	q.op.unlink.flags = flags;
	return call(&q);
}

static int release(uint64_t handle)
{
	REQUEST(release);

	q.op.release.handle = handle;
	return call(&q);
}

static bool pushed(pb_size_t event, uint64_t handle)
{
	for (unsigned int i = 0; i < c.pushes; i++)
		if (c.push[i].which_event == event && (event != rfs_Push_ready_tag || c.push[i].event.ready.handle == handle))
			return true;
	return false;
}

/* Comes again where that is needed, and reads until EVENT (of HANDLE) is pushed. */
static void await_push(pb_size_t event, uint64_t handle)
{
	rfs_ResumeReply r;
	uint32_t id;

	while (!pushed(event, handle))
		if (!frame(&id)) {
			resume(&r);
			sent = r.got;
		}
}

#endif
