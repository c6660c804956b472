#include "client_agent.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pb_decode.h>
#include <pb_encode.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/stat.h>
#include <unistd.h>

#include "link.h"
#include "push.h"
#include "rules.h"
#include "state.h"

#define BIG 300000u /* bytes in a large file */

static const char *const texts[] = { "/f", "/", "/dir", "/dir/f", "..", "", ".", "f", "a/b", "/x (deleted)", "//", "user.x", NULL };
static const uint64_t numbers[] = {
	0, 1, 2, 3, 4, 5, 17, 22, 35, 133, 134, 512, 4096, 65536, 1 << 20, (1 << 20) + 1, INT32_MAX, UINT32_MAX, INT64_MAX, UINT64_MAX,
	(uint64_t)INT64_MIN, S_IFREG | 0644, S_IFDIR | 0755, S_IFIFO | 0644, S_IFCHR | 0666, S_IFSOCK | 0755, S_IFLNK | 0777, S_IFMT, 0777,
	INT64_MAX - 4095, UINT64_C(1) << 44, 0x400, 0x8000, 0x2000, 0x40000000,
};
const struct mutate_words client_agent_words = { texts, numbers, sizeof(numbers) / sizeof(*numbers) };

struct link {
	struct mount *mount;
};

struct started {
	TAILQ_ENTRY(started) entry;
	struct link *link;
	rfs_Request req;
	size_t payload_len;
	link_done *then;
	void *arg;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards what follows */
static TAILQ_HEAD(, started) started = TAILQ_HEAD_INITIALIZER(started);
static const uint8_t *script;
static size_t script_len, script_at;
static bool starving;
static struct link links[4];
static size_t link_count;
static atomic_uint_fast64_t handles = 1;

struct link *client_agent_link(struct mount *m)
{
	links[link_count].mount = m;
	return &links[link_count++];
}

void client_agent_begin(const uint8_t *data, size_t len)
{
	pthread_mutex_lock(&lock);
	script = data;
	script_len = len;
	script_at = 0;
	starving = false;
	pthread_mutex_unlock(&lock);
}

void client_agent_starve(void)
{
	pthread_mutex_lock(&lock);
	script_len = 0;
	script_at = 0;
	starving = true;
	pthread_mutex_unlock(&lock);
}

/* The next frame, which stays where it is until script_at is moved behind it. The lock is held. */
static bool peek(struct frame_header *h, const uint8_t **message, const uint8_t **payload)
{
	const uint8_t *at = script + script_at;

	if (script_len - script_at < FRAME_HEADER_SIZE || frame_decode(at, h) ||
	    script_len - script_at - FRAME_HEADER_SIZE < h->message_len + h->payload_len)
		return false;
	*message = at + FRAME_HEADER_SIZE;
	*payload = *message + h->message_len;
	return true;
}

static void skip(const struct frame_header *h)
{
	script_at += FRAME_HEADER_SIZE + h->message_len + h->payload_len;
}

/* ---- what an honest agent might say ---- */

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

static void say_bytes(struct link_reply *rep, size_t len)
{
	rep->payload = malloc(len + 1);
	memset(rep->payload, 'x', len + 1);
	rep->payload_len = len;
}

static void say_text(struct link_reply *rep, const char *text)
{
	say_bytes(rep, strlen(text));
	memcpy(rep->payload, text, rep->payload_len);
}

static void say_list(struct link_reply *rep)
{
	say_bytes(rep, 4096);
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
		say_bytes(rep, r->attr.size);
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
		say_bytes(rep, what_is_there(req->op.read.offset, req->op.read.size));
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
		say_bytes(rep, what_is_there(req->op.digest.offset, (size_t)req->op.digest.pages * 4096) / 4096 * 8);
		break;
	case rfs_Request_receive_tag:
		say_channel(rep, at_most(req->op.receive.size) / 2);
		say_bytes(rep, at_most(req->op.receive.size) / 2);
		break;
	case rfs_Request_send_tag:
		say_channel(rep, payload_len);
		break;
	case rfs_Request_ioctl_tag:
		say_bytes(rep, payload_len > 4 ? payload_len : 4);
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
		say_bytes(rep, 7);
		rep->payload[6] = '\0';
		break;
	}
}

static void say_honestly(const rfs_Request *req, size_t payload_len, struct link_reply *rep)
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

/* ---- what this one says ---- */

static void change(struct link_reply *rep, uint32_t seed)
{
	struct mutate m;

	mutate_seed(&m, seed, &client_agent_words);
	if (mutate_below(&m, 4))
		mutate_change(&m, rfs_Reply_fields, &rep->msg, 1 + (unsigned)mutate_below(&m, 3));
	if (mutate_below(&m, 3) == 0) { /* the payload, too */
		size_t len = mutate_below(&m, 3) ? mutate_below(&m, rep->payload_len + 64) : mutate_below(&m, FRAME_MAX_PAYLOAD);
		uint8_t *bytes = calloc(1, len + 1);

		memcpy(bytes, rep->payload ? rep->payload : (uint8_t *)"", len < rep->payload_len ? len : rep->payload_len);
		free(rep->payload);
		rep->payload = len ? bytes : NULL;
		rep->payload_len = len;
		if (!len)
			free(bytes);
	}
	for (size_t n = mutate_below(&m, 4); n > 0 && rep->payload_len; n--)
		rep->payload[mutate_below(&m, rep->payload_len)] ^= (uint8_t)mutate_below(&m, 256);
}

static void say_it(const rfs_Request *req, size_t payload_len, struct link_reply *rep, const struct frame_header *h, const uint8_t *message,
		   const uint8_t *payload)
{
	pb_istream_t in = pb_istream_from_buffer(message, h->message_len);

	if (h->message_len && pb_decode(&in, rfs_Reply_fields, &rep->msg)) {
		if (h->payload_len) {
			say_bytes(rep, h->payload_len);
			memcpy(rep->payload, payload, h->payload_len);
		}
		return;
	}
	memset(rep, 0, sizeof(*rep));
	say_honestly(req, payload_len, rep);
	if (h->id)
		change(rep, h->id);
}

static void deliver_push(const uint8_t *message, size_t len)
{
	pb_istream_t in = pb_istream_from_buffer(message, len);
	rfs_Push push = { 0 };

	if (!pb_decode(&in, rfs_Push_fields, &push))
		return;
	for (size_t i = 0; i < link_count; i++)
		push_receive(&links[i], &push, links[i].mount);
}

/* Pushes up to the next other frame. Without locks. */
static void deliver_pushes(void)
{
	const uint8_t *message, *payload;
	struct frame_header h;

	for (;;) {
		pthread_mutex_lock(&lock);
		bool mine = peek(&h, &message, &payload) && h.kind == FRAME_PUSH;
		if (mine)
			skip(&h);
		pthread_mutex_unlock(&lock);
		if (!mine)
			return;
		deliver_push(message, h.message_len);
	}
}

/* The answer to REQ. Without the state lock. */
static int reply_to(const rfs_Request *req, size_t payload_len, struct link_reply *rep)
{
	const uint8_t *message = NULL, *payload = NULL;
	struct frame_header h;

	memset(rep, 0, sizeof(*rep));
	deliver_pushes();
	pthread_mutex_lock(&lock);
	if (starving) {
		pthread_mutex_unlock(&lock);
		return -EIO;
	}
	if (peek(&h, &message, &payload) && h.kind == FRAME_REPLY)
		skip(&h);
	else
		h = (struct frame_header){ .kind = FRAME_REPLY };
	say_it(req, payload_len, rep, &h, message, payload);
	pthread_mutex_unlock(&lock);
	/* As stream_decode_reply has it. */
	if (rep->msg.error <= 4095)
		return 0;
	link_reply_free(rep);
	return -EIO;
}

static bool finish_one(void)
{
	struct link_reply *rep = calloc(1, sizeof(*rep));

	pthread_mutex_lock(&lock);
	struct started *s = TAILQ_FIRST(&started);
	if (s)
		TAILQ_REMOVE(&started, s, entry);
	pthread_mutex_unlock(&lock);
	if (s) {
		int rc = reply_to(&s->req, s->payload_len, rep);

		s->then(rep, rc, s->arg);
		link_reply_free(rep);
	}
	free(rep);
	free(s);
	return s != NULL;
}

bool client_agent_news(void)
{
	const uint8_t *message, *payload;
	struct frame_header h;

	if (finish_one())
		return true;
	pthread_mutex_lock(&lock);
	bool push = peek(&h, &message, &payload) && h.kind == FRAME_PUSH;
	pthread_mutex_unlock(&lock);
	deliver_pushes();
	return push;
}

bool client_agent_next_call(struct frame_header *h, const uint8_t **payload)
{
	const uint8_t *message;

	for (;;) {
		deliver_pushes();
		pthread_mutex_lock(&lock);
		bool any = peek(h, &message, payload);
		if (any)
			skip(h);
		pthread_mutex_unlock(&lock);
		if (!any || h->kind == FRAME_REQUEST)
			return any;
	}
}

void client_agent_end(void)
{
	rfs_Push all = { .which_event = rfs_Push_invalidate_tag, .event.invalidate = { .subtree = true, .path = { .size = 1, .bytes = "/" } } };

	while (finish_one())
		;
	for (size_t i = 0; i < link_count; i++)
		push_receive(&links[i], &all, links[i].mount);
}

/* ---- link.h ---- */

int link_call(struct link *l, const rfs_Request *req, const void *payload, size_t payload_len, struct link_reply *rep)
{
	/* What was asked for earlier is answered earlier. */
	while (finish_one())
		;
	return reply_to(req, payload_len, rep);
}

int link_start(struct link *l, const rfs_Request *req, const void *payload, size_t payload_len, link_done *then, void *arg)
{
	struct started *s = calloc(1, sizeof(*s));

	*s = (struct started){ .link = l, .req = *req, .payload_len = payload_len, .then = then, .arg = arg };
	pthread_mutex_lock(&lock);
	TAILQ_INSERT_TAIL(&started, s, entry);
	pthread_mutex_unlock(&lock);
	return 0;
}

int link_send(struct link *l, const rfs_Request *req)
{
	return 0;
}

void link_count_wait(struct link *l)
{
}

void link_reply_free(struct link_reply *rep)
{
	free(rep->payload);
	rep->payload = NULL;
	rep->payload_len = 0;
}

uint64_t link_new_handle(struct link *l)
{
	return atomic_fetch_add(&handles, 1);
}

const char *link_tag(const struct link *l)
{
	return "fuzz";
}

const char *link_program(const struct link *l)
{
	return "";
}

const struct link_agent *link_agent(const struct link *l)
{
	static const struct link_agent is = { .orders = true, .uid = 0, .owns_all = true, .gives_away = true };

	return &is;
}
