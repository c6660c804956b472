/* getdents, getdents64: from the Entry messages that came with the open or a List. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ahead.h"
#include "cache.h"
#include "call.h"
#include "dir.h"
#include "handlers.h"
#include "link.h"
#include "listing.h"
#include "ofd.h"
#include "overlay_list.h"
#include "remote.h"
#include "rules.h"
#include "util.h"

#define MAX_REPLY (256u << 10) /* more than any libc asks for at once */

/* linux_dirent64 and the older linux_dirent, whose type is the record's last byte. */
struct record64 { uint64_t ino; int64_t off; uint16_t reclen; uint8_t type; char name[]; } __attribute__((packed));
struct record { uint64_t ino; uint64_t off; uint16_t reclen; char name[]; } __attribute__((packed));

static size_t put_record64(uint8_t *out, const rfs_Entry *e)
{
	size_t len = (sizeof(struct record64) + e->name.size + 1 + 7) & ~(size_t)7;
	struct record64 *r = (struct record64 *)out;

	memset(r, 0, len);
	r->ino = e->ino;
	r->off = e->cookie;
	r->reclen = (uint16_t)len;
	r->type = (uint8_t)e->type;
	memcpy(r->name, e->name.bytes, e->name.size);
	return len;
}

static size_t put_record(uint8_t *out, const rfs_Entry *e)
{
	size_t len = (sizeof(struct record) + e->name.size + 2 + 7) & ~(size_t)7;
	struct record *r = (struct record *)out;

	memset(r, 0, len);
	r->ino = e->ino;
	r->off = (uint64_t)e->cookie;
	r->reclen = (uint16_t)len;
	memcpy(r->name, e->name.bytes, e->name.size);
	out[len - 1] = (uint8_t)e->type;
	return len;
}

static void go_to(struct ofd *o, int64_t cookie)
{
	o->list_known = false;
	o->list_cookie = cookie;
}

/*
 * A low descriptor's lseek goes to the placeholder, past us. So while O has a low one, the placeholder's own offset is
 * the position: sets it to where O's listing is now. FD is any of C's task's descriptors of O.
 */
static void show_position(struct call *c, struct ofd *o, int fd)
{
	CLEANUP_FD int own = o->low ? call_get_fd(c, fd) : -1;

	if (own >= 0)
		lseek(own, o->list_cookie, SEEK_SET);
}

void dir_find_position(struct call *c, struct ofd *o, int fd)
{
	CLEANUP_FD int own = o->low ? call_get_fd(c, fd) : -1;
	off_t at = own < 0 ? -1 : lseek(own, 0, SEEK_CUR);

	if (at >= 0 && at != o->list_cookie)
		go_to(o, at);
}

long dir_seek(struct call *c, struct ofd *o, int64_t off, int whence)
{
	dir_find_position(c, o, (int)c->arg[0]);
	if (whence == SEEK_CUR)
		off += o->list_cookie;
	else if (whence != SEEK_SET)
		return -EINVAL;
	if (off < 0)
		return -EINVAL;
	if (off != o->list_cookie || !off)
		go_to(o, off);
	show_position(c, o, (int)c->arg[0]);
	return off;
}

/* What the agent has there is another directory, or none: what was known when it was opened is listed, from the cookie on. */
static int list_known(struct ofd *o)
{
	rfs_Entry e = { 0 };

	if (!o->list)
		return -ENOENT;
	o->list_at = 0;
	for (size_t at = 0; e.cookie != o->list_cookie && listing_next(o->list, o->list_len, &at, &e) > 0;)
		o->list_at = at;
	o->list_known = o->list_complete = o->list_learned = true;
	return 0;
}

static int fetch_list(struct call *c, struct ofd *o)
{
	rfs_Request req = { .which_op = rfs_Request_list_tag,
			    .op.list = { .handle = o->handle, .cookie = o->list_cookie, .size = PREFETCH_SIZE } };
	struct link_reply rep;
	uint64_t since = cache_now();

	if (o->mount->is_upper)
		return overlay_list(c, o);
	int rc = call_rpc(c, o->mount, &req, NULL, 0, &rep);
	if (o->lost) {
		if (!rc)
			link_reply_free(&rep);
		return list_known(o);
	}
	if (rc)
		return rc;
	free(o->list);
	o->list = rep.payload;
	o->list_len = rep.payload_len;
	o->list_at = 0;
	o->list_complete = rep.msg.which_op != rfs_Reply_list_tag || rep.msg.op.list.complete || !rep.payload_len;
	o->list_known = true;
	o->list_old = o->path_stale ? cache_now() != since : !cache_is_current(o->mount, o->path, NULL, since);
	o->list_since = since;
	o->list_learned = false;
	return 0;
}

/* What comes with a name answers the stat that is likely to follow. */
static void learn(struct ofd *o, const rfs_Entry *e)
{
	char path[PATH_MAX];

	if (e->has_attr && !o->path_stale && !o->list_learned && !listing_path(o->path, e, path))
		cache_put(o->mount, path, &e->attr, o->list_since);
}

/* Fills OUT from the list. How many bytes; 0 at its end; -EINVAL when not even one record fits. */
static long fill(struct ofd *o, uint8_t *out, size_t size, bool old)
{
	size_t done = 0;

	for (size_t at = o->list_at;; o->list_at = at) {
		rfs_Entry e;
		int rc = listing_next(o->list, o->list_len, &at, &e);

		if (rc <= 0) {
			o->list_at = at;
			return done ? (long)done : rc;
		}
		if (done + sizeof(struct record64) + e.name.size + 9 > size) {
			size_t exact = ((old ? sizeof(struct record) + 2 : sizeof(struct record64) + 1) + e.name.size + 7) & ~7ul;
			if (done + exact > size)
				return done ? (long)done : -EINVAL;
		}
		done += old ? put_record(out + done, &e) : put_record64(out + done, &e);
		o->list_cookie = e.cookie;
		learn(o, &e);
	}
}

static long list_locked(struct call *c, struct ofd *o, uint8_t *out, size_t size, bool old)
{
	for (;;) {
		if (o->list_known) {
			long n = fill(o, out, size, old);
			if (n || o->list_complete)
				return n;
		}
		int rc = fetch_list(c, o);
		if (rc)
			return rc;
	}
}

static long getdents_common(struct call *c, bool old)
{
	struct ofd *o = ofd_by_fd(c->tid, (int)c->arg[0]);
	size_t size = (unsigned)c->arg[2] < MAX_REPLY ? (unsigned)c->arg[2] : MAX_REPLY;

	if (!o)
		return CALL_CONTINUE;
	call_remote(c, o->mount);
	if (o->flags & O_PATH)
		return -EBADF;
	if (!S_ISDIR(o->node->attr.mode))
		return CALL_CONTINUE; /* ENOTDIR */
	CLEANUP_FREE uint8_t *out = xcalloc(1, size + 512);
	ofd_ref(o);
	ofd_lock_pos(c, o);
	dir_find_position(c, o, (int)c->arg[0]);
	int64_t cookie = o->list_cookie;
	long n = list_locked(c, o, out, size, old);
	if (o->list_old)
		o->list_known = o->list_old = false;
	if (!cookie && n > 0 && !o->path_stale)
		ahead_listed(o->mount, o->path);
	if (n > 0 && call_write(c, c->arg[1], out, (size_t)n) < 0) {
		/* Nothing was delivered: the next call starts here again. */
		go_to(o, cookie);
		n = -EFAULT;
	}
	show_position(c, o, (int)c->arg[0]);
	ofd_unlock_pos(o);
	ofd_unref(o);
	return n;
}

long sys_getdents(struct call *c)
{
	return getdents_common(c, true);
}

long sys_getdents64(struct call *c)
{
	return getdents_common(c, false);
}
