#include "client_answer.h"

#include <fcntl.h>
#include <pb_encode.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "frame.h"
#include "link.h"

#define BIG 300000u /* bytes in a large file */

static size_t put_entries(uint8_t *out, size_t room)
{
	static const char *const names[] = { ".", "..", "f", "dir", "big", "link" };
	pb_ostream_t o = pb_ostream_from_buffer(out, room);

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		rfs_Entry e = { .ino = 100 + i, .type = 4, .cookie = (int64_t)i + 1, .has_attr = i != 1 };

		e.name.size = (pb_size_t)strlen(names[i]);
		memcpy(e.name.bytes, names[i], e.name.size);
		e.attr = (rfs_Attr){ .mask = 0xfff, .mode = i == 2 || i == 4 ? S_IFREG | 0644 : S_IFDIR | 0755, .nlink = 1, .ino = 100 + i, .size = 6 };
		if (!pb_encode_delimited(&o, rfs_Entry_fields, &e))
			abort();
	}
	return o.bytes_written;
}

static mode_t type_of(const rfs_Where *w)
{
	const char *end = (const char *)w->path.bytes + w->path.size;

#define ENDS(name) (w->path.size >= strlen(name) && !memcmp(end - strlen(name), name, strlen(name)))
	return ENDS("dir") || ENDS("/") || ENDS("deep") || !w->path.size ? S_IFDIR | 0755 : ENDS("fifo") ? S_IFIFO | 0644 :
	       ENDS("sock") ? S_IFSOCK | 0755 : ENDS("null") ? S_IFCHR | 0666 : ENDS("link") ? S_IFLNK | 0777 : S_IFREG | 0644;
#undef ENDS
}

static rfs_Attr attr_of(const rfs_Where *w)
{
	bool big = w->path.size > 2 && w->path.bytes[w->path.size - 1] == 'g';
	unsigned sum = 7;

	for (size_t i = 0; i < w->path.size; i++)
		sum = sum * 31 + w->path.bytes[i];
	return (rfs_Attr){ .mask = 0xfff, .mode = type_of(w), .nlink = 1, .uid = 1, .blksize = 4096, .ino = sum, .size = big ? BIG : 6,
			   .blocks = 8, .dev_major = 8, .dev_minor = 1, .rdev_major = 1, .rdev_minor = 3, .mtime_sec = 1000, .ctime_sec = 1000 };
}

void client_answer_bytes(struct link_reply *rep, size_t len)
{
	rep->payload = malloc(len + 1);
	memset(rep->payload, 'x', len + 1);
	rep->payload_len = len;
}

static void say_text(struct link_reply *rep, const char *text)
{
	client_answer_bytes(rep, strlen(text));
	memcpy(rep->payload, text, rep->payload_len);
}

static void say_list(struct link_reply *rep)
{
	client_answer_bytes(rep, 4096);
	rep->payload_len = put_entries(rep->payload, 4096);
}

static void say_open(struct link_reply *rep, const rfs_Where *where)
{
	rfs_OpenReply *r = &rep->msg.op.open;

	rep->msg.which_op = rfs_Reply_open_tag;
	*r = (rfs_OpenReply){ .has_attr = true, .attr = attr_of(where), .coherent = 3, .complete = true };
	if (S_ISDIR(r->attr.mode)) {
		r->path = (rfs_OpenReply_path_t){ .size = 4, .bytes = "/dir" };
		say_list(rep);
	} else if (S_ISREG(r->attr.mode)) {
		client_answer_bytes(rep, r->attr.size);
	}
}

static void say_stat(struct link_reply *rep, const rfs_Where *where)
{
	static const rfs_Where file = { .path = { .size = 2, .bytes = "/f" } };

	rep->msg.which_op = rfs_Reply_stat_tag;
	rep->msg.op.stat = (rfs_StatReply){ .has_attr = true, .attr = attr_of(where ? where : &file), .coherent = 3 };
}

static void say_written(struct link_reply *rep, size_t len)
{
	rep->msg.which_op = rfs_Reply_write_tag;
	rep->msg.op.write = (rfs_WriteReply){ .written = (uint32_t)len, .offset = len };
}

static void say_channel(struct link_reply *rep, size_t result)
{
	rep->msg.which_op = rfs_Reply_channel_tag;
	rep->msg.op.channel = (rfs_ChannelReply){ .result = (int64_t)result, .ready = 5, .serial = 1 };
}

static size_t at_most(size_t n)
{
	return n < FRAME_MAX_PAYLOAD ? n : FRAME_MAX_PAYLOAD;
}

/* How much of SIZE bytes at OFFSET files have: they end. */
static size_t what_is_there(uint64_t offset, size_t size)
{
	return offset >= BIG ? 0 : size < BIG - offset ? size : BIG - (size_t)offset;
}

static void say_about_bytes(const rfs_Request *req, size_t payload_len, struct link_reply *rep)
{
	switch (req->which_op) {
	case rfs_Request_read_tag:
		client_answer_bytes(rep, what_is_there(req->op.read.offset, req->op.read.size));
		break;
	case rfs_Request_write_tag:
		say_written(rep, payload_len);
		break;
	case rfs_Request_copy_range_tag:
		say_written(rep, req->op.copy_range.length);
		break;
	case rfs_Request_list_tag:
		rep->msg.which_op = rfs_Reply_list_tag;
		rep->msg.op.list.complete = true;
		say_list(rep);
		break;
	case rfs_Request_digest_tag:
		rep->msg.which_op = rfs_Reply_digest_tag;
		rep->msg.op.digest.size = BIG;
		client_answer_bytes(rep, what_is_there(req->op.digest.offset, (size_t)req->op.digest.pages * 4096) / 4096 * 8);
		break;
	case rfs_Request_receive_tag:
		say_channel(rep, at_most(req->op.receive.size) / 2);
		client_answer_bytes(rep, at_most(req->op.receive.size) / 2);
		break;
	case rfs_Request_send_tag:
		say_channel(rep, payload_len);
		break;
	case rfs_Request_ioctl_tag:
		client_answer_bytes(rep, payload_len > 4 ? payload_len : 4);
		break;
	}
}

static void say_about_others(const rfs_Request *req, struct link_reply *rep)
{
	switch (req->which_op) {
	case rfs_Request_lock_tag:
		rep->msg.which_op = rfs_Reply_lock_tag;
		rep->msg.op.lock = (rfs_LockReply){ .type = F_UNLCK, .start = req->op.lock.start, .length = req->op.lock.length };
		break;
	case rfs_Request_lock_wait_tag:
		rep->msg.which_op = rfs_Reply_lock_wait_tag;
		break;
	case rfs_Request_seek_tag:
		rep->msg.which_op = rfs_Reply_seek_tag;
		rep->msg.op.seek.offset = req->op.seek.offset;
		break;
	case rfs_Request_statfs_tag:
		rep->msg.which_op = rfs_Reply_statfs_tag;
		break;
	case rfs_Request_watch_tag:
		rep->msg.which_op = rfs_Reply_watch_tag;
		rep->msg.op.watch = (rfs_WatchReply){ .wd = 1, .directory = true };
		break;
	case rfs_Request_dedupe_tag:
		rep->msg.which_op = rfs_Reply_dedupe_tag;
		break;
	case rfs_Request_name_to_handle_tag:
		rep->msg.which_op = rfs_Reply_handle_tag;
		rep->msg.op.handle = (rfs_HandleReply){ .size = 8, .type = 1, .bytes.size = 8 };
		break;
	case rfs_Request_start_tag:
	case rfs_Request_control_tag:
	case rfs_Request_accept_tag:
		say_channel(rep, 0);
		break;
	case rfs_Request_path_tag:
	case rfs_Request_handle_to_name_tag:
	case rfs_Request_readlink_tag:
		say_text(rep, "/dir/f");
		break;
	case rfs_Request_getxattr_tag:
	case rfs_Request_listxattr_tag:
		client_answer_bytes(rep, 7);
		rep->payload[6] = '\0';
		break;
	}
}

void client_answer(const rfs_Request *req, size_t payload_len, struct link_reply *rep)
{
	if (req->which_op == rfs_Request_open_tag)
		say_open(rep, &req->op.open.where);
	else if (req->which_op == rfs_Request_fetch_tag)
		say_open(rep, &req->op.fetch.where);
	else if (req->which_op == rfs_Request_stat_tag)
		say_stat(rep, &req->op.stat.where);
	else if (req->which_op == rfs_Request_chmod_tag || req->which_op == rfs_Request_chown_tag || req->which_op == rfs_Request_utimes_tag ||
		 req->which_op == rfs_Request_truncate_tag || req->which_op == rfs_Request_allocate_tag || req->which_op == rfs_Request_setxattr_tag ||
		 req->which_op == rfs_Request_removexattr_tag || req->which_op == rfs_Request_clone_tag || req->which_op == rfs_Request_ioctl_set_tag)
		say_stat(rep, NULL);
	say_about_bytes(req, payload_len, rep);
	say_about_others(req, rep);
}
