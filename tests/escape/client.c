#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pb_decode.h>
#include <pb_encode.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../unit/frame_io.h"
#include "escape.h"
#include "frame.h"

rfs_Reply reply;
uint8_t *payload;
size_t payload_len;
unsigned pushes;

static int stream;
static pid_t agent;
static uint32_t last_id;

void client_become(uid_t uid)
{
	if (uid == geteuid())
		return;
	must(setgroups(0, NULL), "setgroups");
	must(setresgid(uid, uid, uid), "setresgid");
	must(setresuid(uid, uid, uid), "setresuid");
}

void client_start(const struct agent_how *how)
{
	rfs_Request hello = { .which_op = rfs_Request_hello_tag, .op.hello = { .version = 1, .capabilities = UINT64_MAX >> 1 } };
	int p[2];

	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, p), "socketpair");
	agent = fork();
	if (!agent) {
		client_become(how->uid);
		dup2(p[1], 0);
		dup2(p[1], 1);
		execl(how->binary, "remotefs-agent", "--stdio", "--root", how->root, how->walk ? "--no-openat2" : NULL, NULL);
		_exit(126);
	}
	close(p[1]);
	stream = p[0];
	must(client_ask(&hello, NULL) ? -1 : 0, "hello");
}

static void take(void *to, size_t len)
{
	must(len ? frame_read_full(stream, to, len) : 0, "the agent's stream");
}

/* Reads one frame; its id, 0 for a push. What it says must be nothing of what is outside. */
static uint32_t take_frame(void)
{
	static uint8_t message[FRAME_MAX_MESSAGE];
	uint8_t raw[FRAME_HEADER_SIZE];
	struct frame_header h;

	take(raw, sizeof(raw));
	must(frame_decode(raw, &h), "a frame");
	take(message, h.message_len);
	free(payload);
	payload = malloc(h.payload_len + 1);
	payload_len = h.payload_len;
	take(payload, payload_len);
	payload[payload_len] = '\0';
	if (outside_told(message, h.message_len) || outside_told(payload, payload_len))
		fail("the agent told what is outside");
	if (h.kind == FRAME_PUSH) {
		pushes++;
		return 0;
	}
	pb_istream_t in = pb_istream_from_buffer(message, h.message_len);
	must(pb_decode(&in, rfs_Reply_fields, &reply) ? 0 : -1, "a reply");
	return h.id;
}

int client_ask(const rfs_Request *req, const char *data)
{
	static uint8_t message[FRAME_MAX_MESSAGE];
	pb_ostream_t o = pb_ostream_from_buffer(message, sizeof(message));
	uint8_t raw[FRAME_HEADER_SIZE];

	must(pb_encode(&o, rfs_Request_fields, req) ? 0 : -1, "a request");
	struct frame_header h = { FRAME_REQUEST, ++last_id, (uint32_t)o.bytes_written, data ? (uint32_t)strlen(data) : 0 };
	struct iovec iov[] = { { raw, sizeof(raw) }, { message, h.message_len }, { (void *)data, h.payload_len } };

	frame_encode(raw, &h);
	must(frame_writev_full(stream, iov, 3), "the agent's stream");
	while (take_frame() != h.id)
		;
	return (int)reply.error;
}

pid_t client_agent(void)
{
	return agent;
}

void client_stop(void)
{
	int status;

	close(stream);
	waitpid(agent, &status, 0);
	if (status)
		fail("the agent ended with status %x", status);
}
