/* Listings. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pb_encode.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "attr.h"
#include "frame.h"
#include "handle.h"
#include "ops.h"
#include "resolve.h"

#ifndef SYS_listxattrat
#define SYS_listxattrat 465
#endif
#define DIR_BUFFER 32768
#define DIR_ENTRY_MAX (rfs_Entry_size + 2) /* with the varint in front */

struct dir_record { /* struct linux_dirent64 of getdents(2) */
	uint64_t ino;
	int64_t off;
	uint16_t len;
	uint8_t type;
	char name[];
};

/* A listing in the making. */
struct listing {
	struct op *op;
	struct handle *h;
	bool promised;   /* entries may carry attributes */
	bool acls;       /* the file system has ACLs */
	pb_ostream_t out;
};

/* ZFS has ".zfs", which no listing shows. */
static bool dir_hides(int fd)
{
	struct statfs fs;

	return fstatfs(fd, &fs) || (unsigned long)fs.f_type == 0x2fc12fc1;
}

/* Attributes go along only if every way in which they may change is noticed: see stat_escapes. */
static bool dir_entry_attr(struct listing *l, const char *name, rfs_Attr *attr)
{
	struct watcher *w = l->op->agent->watcher;
	const char *dir = l->op->promise.path;
	char path[PATH_MAX];
	bool self = !strcmp(name, ".");

	if (!l->promised || !strcmp(name, ".."))
		return false;
	if (!self) {
		if ((size_t)snprintf(path, sizeof(path), "%s/%s", dir[1] ? dir : "", name) >= sizeof(path))
			return false;
		promise_child(w, path);
	}
	if (attr_get(l->h->fd, name, AT_SYMLINK_NOFOLLOW, attr))
		return false;
	/* Without attributes of its own a listing does not answer for names that it has not. */
	if (self && dir_hides(l->h->fd))
		return false;
	if (self || !S_ISDIR(attr->mode))
		return !stat_escapes(attr);
	return watch_name(w, path, true) == WATCH_YES && !attr_get(l->h->fd, name, AT_SYMLINK_NOFOLLOW, attr);
}

/* What programs ask of every file that they list, each by a call: whether it has an ACL, or attributes at all. */
static bool dir_entry_plain(const struct listing *l, const char *name, const rfs_Attr *attr)
{
	/* listxattrat(2) is of 6.13. By a path through /proc it would take longer than all else about an entry. */
	return l->acls && !S_ISLNK(attr->mode) && syscall(SYS_listxattrat, l->h->fd, name, AT_SYMLINK_NOFOLLOW, NULL, 0) == 0;
}

/* False: it does not fit. */
static bool dir_put(struct listing *l, const struct dir_record *d)
{
	rfs_Entry e = { .ino = d->ino, .type = d->type, .cookie = d->off };
	size_t len = strlen(d->name), size;

	if (len > sizeof(e.name.bytes))
		return true; /* longer than NAME_MAX: nobody could open it */
	memcpy(e.name.bytes, d->name, len);
	e.name.size = len;
	e.has_attr = dir_entry_attr(l, d->name, &e.attr);
	e.attr.plain = e.has_attr && dir_entry_plain(l, d->name, &e.attr);
	if (!pb_get_encoded_size(&size, rfs_Entry_fields, &e))
		return false;
	size += size < 128 ? 1 : 2;
	if (size > l->out.max_size - l->out.bytes_written)
		return false;
	return pb_encode_delimited(&l->out, rfs_Entry_fields, &e);
}

static bool dir_promise(struct op *op, const struct handle *h)
{
	struct place p = { .agent = op->agent, .dir = (struct handle *)h };
	char path[PATH_MAX];

	if (!resolve_canonical(&p, path))
		return false;
	promise_name(op->agent->watcher, &op->promise, path, true);
	return watch_name(op->agent->watcher, path, true) == WATCH_YES;
}

/* Puts entries until the buffer is full (0), the directory ends (1), or an error. */
static int dir_fill(struct listing *l, char *buf)
{
	const struct dir_record *d;
	ssize_t n, at;

	for (;;) {
		n = syscall(SYS_getdents64, l->h->fd, buf, DIR_BUFFER);
		if (n <= 0)
			return n == 0 ? 1 : -errno;
		for (at = 0; at < n; at += d->len) {
			d = (const struct dir_record *)(buf + at);
			if (!dir_put(l, d))
				return 0;
		}
	}
}

int dir_list(struct op *op, struct handle *h, int64_t cookie, uint32_t size, bool *end)
{
	struct listing l = { .op = op, .h = h };
	char buf[DIR_BUFFER] __attribute__((aligned(8)));
	int r;

	if (size < DIR_ENTRY_MAX)
		size = DIR_ENTRY_MAX; /* at least one entry, or the client would never get on */
	if (size > FRAME_MAX_PAYLOAD)
		size = FRAME_MAX_PAYLOAD;
	op->out = malloc(size);
	if (!op->out)
		return -ENOMEM;
	l.promised = S_ISDIR(h->type) && dir_promise(op, h);
	l.acls = l.promised && (fgetxattr(h->fd, "system.posix_acl_access", NULL, 0) >= 0 || errno == ENODATA);
	l.out = pb_ostream_from_buffer(op->out, size);
	pthread_mutex_lock(&h->position);
	if (S_ISDIR(h->type) && lseek(h->fd, cookie, SEEK_SET) < 0)
		r = -errno;
	else
		r = dir_fill(&l, buf);
	pthread_mutex_unlock(&h->position);
	op->out_len = l.out.bytes_written;
	*end = r > 0;
	/* As with read(2): what came before the error is delivered first. */
	return r < 0 && !op->out_len ? r : 0;
}

int op_list(struct op *op)
{
	const rfs_List *req = &op->req->op.list;
	struct handle *h;
	int r = handle_get(op->agent->handles, req->handle, &h);

	if (r)
		return r;
	op->reply->which_op = rfs_Reply_list_tag;
	r = dir_list(op, h, req->cookie, req->size, &op->reply->op.list.complete);
	handle_put(op->agent->handles, h);
	return r;
}
