/* Handles of what is moved out of the root, and file handles of what never was in it. */
#include <fcntl.h>
#include <pb_decode.h>
#include <pb_encode.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "escape.h"

static void told(const char *op)
{
}

static void verdict(const char *what)
{
	char text[256];

	if (outside_touched(text))
		fail("%s: %s", what, text);
	else
		pass("%s", what);
}

/* A directory that was opened stays open, as for any process; the way up from it leads nowhere. */
static void try_moved(const struct agent_how *how)
{
	static const char *const up[] = { "..", "../canary", "../..", "../../outside/canary", "../d/canary", "e/../../canary", "l/canary", NULL };
	char what[64];

	shell("rm -rf tree/m && mkdir -p tree/m/e && ln -s .. tree/m/l && chown -hR %u tree/m 2>/dev/null || [ $(id -u) -ne 0 ]", how->uid);
	uint64_t dir = ops_open(0, "m", O_DIRECTORY);
	must(dir ? 0 : -1, "a handle");
	/* The directory that it is moved to changes by that. */
	shell("mkdir -p beside && rm -rf beside/m && mv tree/m beside/m && ln -s ../outside/d beside/d && ln -s ../outside/canary beside/canary");
	for (const char *const *p = up; *p; p++) {
		ops_try(dir, *p, told);
		snprintf(what, sizeof(what), "%s of a directory that was moved out", *p);
		verdict(what);
	}
	shell("rm -rf beside");
}

static bool is_outside(const struct stat *st)
{
	struct stat canary;

	must(stat("outside/canary", &canary), "outside/canary");
	return st->st_ino == canary.st_ino && st->st_dev == canary.st_dev;
}

struct whole_handle {
	struct file_handle head;
	unsigned char bytes[MAX_HANDLE_SZ];
};

static bool make_handle(const char *path, struct whole_handle *h)
{
	int mount;

	h->head.handle_bytes = MAX_HANDLE_SZ;
	return name_to_handle_at(AT_FDCWD, path, &h->head, &mount, 0) == 0 && h->head.handle_bytes <= 128;
}

/* open_by_handle_at(2) opens any file of a file system. */
static void try_file_handle(void)
{
	rfs_Request q = { .which_op = rfs_Request_handle_to_name_tag };
	struct whole_handle h;
	uint64_t dir = ops_open(0, "q", O_DIRECTORY);

	if (!make_handle("outside/canary", &h)) {
		skip("a forged file handle: this file system has none");
		return;
	}
	q.op.handle_to_name.handle = dir;
	q.op.handle_to_name.type = (uint32_t)h.head.handle_type;
	q.op.handle_to_name.bytes.size = (pb_size_t)h.head.handle_bytes;
	memcpy(q.op.handle_to_name.bytes.bytes, h.head.f_handle, h.head.handle_bytes);
	if (client_ask(&q, NULL) == 0)
		fail("the name of a forged file handle is told: %.*s", (int)payload_len, payload);
	else
		pass("the name of a forged file handle");
}

/* The ticket of a file inside, made to be that of one outside. */
static void try_ticket(bool path_too)
{
	rfs_Request q = { .which_op = rfs_Request_reopen_tag, .op.reopen = { .handle = 1000000 + path_too, .flags = O_RDWR } };
	rfs_Ticket t = rfs_Ticket_init_zero;
	struct whole_handle h;
	struct statx st;

	if (!ops_open(0, "f", O_RDONLY) || !reply.op.open.ticket.size || !make_handle("outside/canary", &h)) {
		skip("a forged ticket: there are none here");
		return;
	}
	pb_istream_t in = pb_istream_from_buffer(reply.op.open.ticket.bytes, reply.op.open.ticket.size);
	must(pb_decode(&in, rfs_Ticket_fields, &t) ? 0 : -1, "a ticket");
	must(statx(AT_FDCWD, "outside/canary", 0, STATX_BASIC_STATS | STATX_BTIME, &st), "statx");
	t.ino = st.stx_ino;
	t.btime_sec = st.stx_btime.tv_sec;
	t.btime_nsec = st.stx_btime.tv_nsec;
	t.handle_type = (uint32_t)h.head.handle_type;
	t.handle.size = (pb_size_t)h.head.handle_bytes;
	memcpy(t.handle.bytes, h.head.f_handle, h.head.handle_bytes);
	if (path_too) {
		t.path.size = sizeof("/../outside/canary") - 1;
		memcpy(t.path.bytes, "/../outside/canary", t.path.size);
	}
	pb_ostream_t out = pb_ostream_from_buffer(q.op.reopen.ticket.bytes, sizeof(q.op.reopen.ticket.bytes));
	must(pb_encode(&out, rfs_Ticket_fields, &t) ? 0 : -1, "a ticket");
	q.op.reopen.ticket.size = (pb_size_t)out.bytes_written;
	int error = client_ask(&q, NULL);
	if (!error && !reply.op.open.lost)
		fail("a forged ticket%s opens what is outside", path_too ? " with a path" : "");
	else
		verdict(path_too ? "a forged ticket with a path" : "a forged ticket");
}

/* Of what is deleted outside, and open there, nobody knows a path any more. */
static void try_deleted(void)
{
	rfs_Request q = { .which_op = rfs_Request_handle_to_name_tag };
	struct whole_handle h;
	int fd = open("beside-deleted", O_RDWR | O_CREAT, 0666);

	if (fd < 0 || !make_handle("beside-deleted", &h)) {
		skip("the file handle of what is deleted: there are none here");
		return;
	}
	unlink("beside-deleted");
	q.op.handle_to_name.handle = ops_open(0, "q", O_DIRECTORY);
	q.op.handle_to_name.type = (uint32_t)h.head.handle_type;
	q.op.handle_to_name.bytes.size = (pb_size_t)h.head.handle_bytes;
	memcpy(q.op.handle_to_name.bytes.bytes, h.head.f_handle, h.head.handle_bytes);
	if (client_ask(&q, NULL) == 0)
		fail("the name of what is deleted outside is told");
	else
		pass("the file handle of what is deleted outside");
	close(fd);
}

/* Another name of a file is another way to it; none is made of one outside. */
static void try_links(void)
{
	static const char *const from[] = { "../outside/canary", "abs/canary", "rel/canary", "d/e/far", "l1/canary", NULL };
	rfs_Request q = { .which_op = rfs_Request_link_tag, .op.link = { .has_from = true, .has_to = true, .flags = AT_SYMLINK_FOLLOW } };
	struct stat st;

	q.op.link.to.path.size = 6;
	memcpy(q.op.link.to.path.bytes, "q/hard", 6);
	for (const char *const *p = from; *p; p++) {
		q.op.link.from.path.size = (pb_size_t)strlen(*p);
		memcpy(q.op.link.from.path.bytes, *p, strlen(*p));
		client_ask(&q, NULL);
		if (stat("tree/q/hard", &st) == 0 && is_outside(&st))
			fail("a hard link to %s", *p);
		else
			pass("a hard link to %s", *p);
		unlink("tree/q/hard");
	}
}

void try_handles(const struct agent_how *how)
{
	client_start(how);
	try_moved(how);
	try_file_handle();
	try_ticket(false);
	try_ticket(true);
	try_deleted();
	try_links();
	client_stop();
}
