#include "probe.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "frame.h"
#include "link.h"
#include "util.h"

#define FIRST_PIECE (64u << 10)

/* The target's error counts as the call's. REP, only valid after 0, is to be freed. */
static int ask(struct link *l, const rfs_Request *req, struct link_reply *rep)
{
	int rc = link_call(l, req, NULL, 0, rep);

	if (!rc && rep->msg.error) {
		rc = -(int)rep->msg.error;
		link_reply_free(rep);
	}
	return rc;
}

static int open_file(struct link *l, const char *path, uint64_t *handle)
{
	rfs_Request req = { .which_op = rfs_Request_open_tag, .op.open = { .has_where = true, .handle = link_new_handle(l) } };
	struct link_reply rep;

	*handle = req.op.open.handle;
	req.op.open.flags = O_RDONLY | O_NOCTTY;
	BYTES_PUT(req.op.open.where.path, path);
	int rc = ask(l, &req, &rep);
	if (!rc)
		link_reply_free(&rep);
	return rc;
}

static void close_file(struct link *l, uint64_t handle)
{
	rfs_Request req = { .which_op = rfs_Request_close_tag, .op.close.handle = handle };

	link_send(l, &req);
}

int probe_read(struct link *l, const char *path, char *text, size_t len)
{
	rfs_Request req = { .which_op = rfs_Request_read_tag };
	struct link_reply rep;
	int rc = open_file(l, path, &req.op.read.handle);

	text[0] = '\0';
	if (rc)
		return rc;
	req.op.read.size = (uint32_t)len - 1;
	rc = ask(l, &req, &rep);
	if (!rc) {
		size_t n = rep.payload_len < len ? rep.payload_len : len - 1;

		if (n)
			memcpy(text, rep.payload, n);
		text[n] = '\0';
		link_reply_free(&rep);
	}
	close_file(l, req.op.read.handle);
	return rc;
}

int probe_access(struct link *l, uint32_t mode)
{
	rfs_Request req = { .which_op = rfs_Request_access_tag, .op.access = { .has_where = true, .mode = mode, .flags = AT_EACCESS } };
	struct link_reply rep;

	BYTES_PUT(req.op.access.where.path, "/");
	int rc = ask(l, &req, &rep);
	if (!rc)
		link_reply_free(&rep);
	return rc;
}

static int stat_root(struct link *l, uint32_t *coherent)
{
	rfs_Request req = { .which_op = rfs_Request_stat_tag, .op.stat.has_where = true };
	struct link_reply rep;

	BYTES_PUT(req.op.stat.where.path, "/");
	int rc = ask(l, &req, &rep);
	if (!rc) {
		*coherent = rep.msg.op.stat.coherent;
		link_reply_free(&rep);
	}
	return rc;
}

int probe_notices(struct link *l, bool *notices)
{
	uint32_t coherent = 0;
	int rc = stat_root(l, &coherent);

	*notices = coherent & rfs_Coherent_NAME;
	return rc;
}

int probe_latency(struct link *l, unsigned count, uint64_t max_ns, struct probe_times *t)
{
	uint32_t coherent;
	int rc = 0;

	*t = (struct probe_times){ .min_ns = UINT64_MAX };
	while (!rc && t->count < count && t->sum_ns < max_ns) {
		uint64_t begin = now_ns();

		rc = stat_root(l, &coherent);
		uint64_t spent = now_ns() - begin;
		t->min_ns = spent < t->min_ns ? spent : t->min_ns;
		t->max_ns = spent > t->max_ns ? spent : t->max_ns;
		t->sum_ns += spent;
		t->count++;
	}
	return rc;
}

int probe_throughput(struct link *l, uint64_t max, uint64_t max_ns, uint64_t *bytes, uint64_t *ns)
{
	rfs_Request req = { .which_op = rfs_Request_receive_tag, .op.receive.size = FIRST_PIECE };
	struct link_reply rep;
	int rc = open_file(l, "/dev/zero", &req.op.receive.handle);
	uint64_t begin = now_ns();

	*bytes = *ns = 0;
	if (rc)
		return rc;
	while (!rc && *bytes < max && *ns < max_ns) {
		rc = ask(l, &req, &rep);
		if (rc)
			break;
		/* A file that is no device of endless bytes measures nothing. */
		rc = rep.payload_len ? 0 : -ENODATA;
		*bytes += rep.payload_len;
		*ns = now_ns() - begin;
		/* The first one is small: a slow line is to be told from a silent one. */
		if (req.op.receive.size < FRAME_MAX_PAYLOAD)
			req.op.receive.size *= 2;
		link_reply_free(&rep);
	}
	close_file(l, req.op.receive.handle);
	return rc;
}
