#include "remote.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "readahead.h"
#include "cache.h"
#include "call.h"
#include "frame.h"
#include "fsize.h"
#include "image.h"
#include "image_fill.h"
#include "link.h"
#include "pages.h"
#include "push.h"
#include "rules.h"
#include "sync.h"
#include "util.h"
#include "watch.h"

void remote_release(struct call *c, struct ofd *o)
{
	rfs_Request req = { .which_op = rfs_Request_release_tag, .op.release.handle = o->handle };
	struct link_reply rep;

	ofd_ref(o);
	o->released = true;
	call_rpc(c, o->mount, &req, NULL, 0, &rep);
	link_reply_free(&rep);
	ofd_unref(o);
}

int remote_attr(struct call *c, struct ofd *o, rfs_Attr *attr)
{
	struct node *n = o->node;
	rfs_Request req = { .which_op = rfs_Request_stat_tag, .op.stat = { .has_where = true, .where.dir = o->handle } };
	struct link_reply rep;
	uint64_t version = n->version;

	call_remote(c, o->mount);
	if (o->unmade)
		return o->unmade;
	if (o->dead)
		return -ESTALE;
	if (n->attr_valid || o->lost) {
		*attr = n->attr;
		return 0;
	}
	ofd_ref(o);
	int rc = call_rpc(c, o->mount, &req, NULL, 0, &rep);
	if (!rc && (rep.msg.which_op != rfs_Reply_stat_tag || !rep.msg.op.stat.has_attr))
		rc = -EPROTO;
	rc = o->unmade ? o->unmade : rc;
	if (o->lost) { /* the agent's answer is about what stands at its name now */
		*attr = n->attr;
		rc = 0;
	} else if (!rc) {
		*attr = rep.msg.op.stat.attr;
		node_set_attr(n, attr, rep.msg.op.stat.coherent && n->version == version);
	}
	link_reply_free(&rep);
	ofd_unref(o);
	return rc;
}

int remote_size(struct call *c, struct ofd *o, uint64_t *size)
{
	rfs_Attr attr = o->node->attr;
	int rc = o->node->size_valid ? 0 : remote_attr(c, o, &attr);

	*size = attr.size;
	return rc;
}

/* ---- data ---- */

/* What is asked for each time anew: the agent does not tell of changes, or the program watches its own reading. */
static int fetch_data(struct call *c, struct ofd *o, uint64_t off, const uint8_t **data, size_t *len)
{
	uint64_t left = (uint64_t)INT64_MAX - off; /* beyond the last offset that there is, a read is an error */
	size_t size = *len < FRAME_MAX_PAYLOAD ? *len : FRAME_MAX_PAYLOAD;
	struct chunk *k = pages_expect_alone(off, size < left ? size : (size_t)left);
	int rc = readahead_ask(c, o, k, off, data, len);

	chunk_unref(k);
	/* It is another file's. */
	rc = o->lost ? -ESTALE : o->unmade ? o->unmade : rc;
	return rc;
}

/* While tasks write the file natively, they have it, and the agent has not all of it. */
static int image_data(struct ofd *o, uint64_t off, const uint8_t **data, size_t *len)
{
	size_t room = *len < FRAME_MAX_PAYLOAD ? *len : FRAME_MAX_PAYLOAD;
	struct chunk *k = chunk_ref(pages_expect_alone(off, room));
	uint8_t *bytes = xcalloc(1, room + 1);
	ssize_t got = pread(o->image->fd, bytes, room, (off_t)off);
	int rc = got < 0 ? -errno : 0;

	*data = bytes;
	*len = rc ? 0 : (size_t)got;
	pages_arrived(k, bytes, *len, rc);
	pages_hold(&o->node->pages, k);
	return rc;
}

bool remote_has_data(struct ofd *o, uint64_t off)
{
	size_t len = 1;

	return pages_find(&o->node->pages, off, &len) || pages_at_end(&o->node->pages, off);
}

int remote_data(struct call *c, struct ofd *o, uint64_t off, const uint8_t **data, size_t *len)
{
	call_remote(c, o->mount);
	if (o->dead)
		return -ESTALE;
	if (sync_decides(o))
		return image_data(o, off, data, len);
	if ((o->coherent & rfs_Coherent_HANDLE && !watch_sees_use(o->mount)) || (o->lost && remote_has_data(o, off)))
		return readahead_data(c, o, off, data, len);
	return fetch_data(c, o, off, data, len);
}

long remote_store(struct call *c, struct ofd *o, const void *data, size_t len, uint64_t off, bool append,
		  uint32_t flags, uint64_t *end)
{
	rfs_Request req = { .which_op = rfs_Request_write_tag,
			    .op.write = { .handle = o->handle, .offset = off, .append = append, .flags = flags } };
	struct node *n = o->node;
	struct link_reply rep;
	uint64_t version = n->version;

	ofd_ref(o);
	n->writers++;
	int rc = call_rpc(c, o->mount, &req, data, len, &rep);
	rc = o->unmade ? o->unmade : rc;
	n->writers--;
	if (!rc && (rep.msg.which_op != rfs_Reply_write_tag || rep.msg.op.write.written > len))
		rc = -EPROTO;
	if (!rc) {
		const rfs_WriteReply *w = &rep.msg.op.write;

		*end = w->offset;
		n->own_version++;
		/* Another change's reply may have come, which this one was before. */
		bool latest = n->version == version;
		if (latest && w->offset >= w->written)
			node_written(n, w->offset - w->written, w->written);
		else
			node_changed(n);
		cache_forget(o->mount, o->path, false);
		node_set_attr(n, &w->attr, latest && w->has_attr && o->coherent & rfs_Coherent_HANDLE);
		rc = (int)w->written;
	}
	link_reply_free(&rep);
	ofd_unref(o);
	return rc;
}

/* What N's file has in LEN bytes at OFF goes to its image, whose sync_lock the caller has. */
static void follow(struct call *c, struct node *n, uint64_t off, uint64_t len)
{
	uint64_t version = n->own_version;

	/* Other bytes may have been written behind these meanwhile. */
	if (image_reread(c, n, off, len) < 0 || n->own_version != version) {
		n->image->stale = true;
		push_refresh(n);
	}
}

long remote_write(struct call *c, struct ofd *o, const void *data, size_t len, uint64_t off, bool append,
		  uint32_t flags, uint64_t *end)
{
	struct image *i = image_follows(o->image) ? o->image : NULL;

	ofd_ref(o);
	sync_lock(i);
	long rc = remote_store(c, o, data, len, off, append, flags, end);
	if (rc > 0 && i && image_follows(i))
		image_write(i, data, (size_t)rc, *end - (uint64_t)rc);
	sync_unlock(i);
	/* It was mapped meanwhile, and others may have written the same bytes: only the agent knows who was the last. */
	if (rc > 0 && !i && image_follows(o->image)) {
		sync_lock(o->image);
		follow(c, o->node, *end - (uint64_t)rc, (uint64_t)rc);
		sync_unlock(o->image);
	}
	rfs_Attr attr;
	if (rc > 0 && o->image && o->image->sync && !image_follows(o->image) && remote_attr(c, o, &attr) == 0)
		sync_follow_size(o->image, attr.size);
	ofd_unref(o);
	return rc;
}

void remote_changed(struct call *c, struct ofd *o, uint64_t since, uint64_t off, uint64_t len, const rfs_Attr *attr)
{
	struct node *n = o->node;
	bool latest = n->version == since; /* else ATTR may be from before another change */

	n->own_version++;
	node_changed(n);
	cache_forget(o->mount, o->path, false);
	node_set_attr(n, attr, latest && o->coherent & rfs_Coherent_HANDLE);
	if (image_follows(n->image))
		follow(c, n, off, len);
}

int remote_check_size(struct call *c, struct ofd *o, uint64_t size)
{
	rfs_Attr attr;
	int rc = fsize_limited(c) ? remote_attr(c, o, &attr) : 0;

	/* inode_newsize_ok: no file that has grown before is too large. */
	return rc || !fsize_limited(c) || size <= attr.size ? rc : fsize_check(c, size);
}

void remote_resized(const struct mount *m, const rfs_Attr *attr, uint64_t since)
{
	struct node *n = node_find(m, attr);

	/* Who is opening it at this moment has to hear of it, too. */
	if (!n) {
		cache_forget_inode(m, attr->dev_major, attr->dev_minor, attr->ino);
		return;
	}
	struct image *i = n->image;
	bool latest = n->version <= since;
	n->own_version++;
	n->cuts++;
	node_changed(n);
	node_set_attr(n, attr, false);
	if (!i)
		return;
	if (image_follows(i) || (i->sync && !sync_has_grown(i)))
		sync_resize(i, attr->size);
	if (!latest) { /* another cut may have been the later one */
		i->stale = true;
		push_refresh(n);
	}
}

/* Where O is now, as the agent says it; MARKED: as the kernel says it in /proc, also of what has no name. */
static int ask_path(struct call *c, struct ofd *o, bool marked, char *out, size_t len)
{
	rfs_Request req = { .which_op = rfs_Request_path_tag, .op.path = { .handle = o->handle, .marked = marked } };
	struct link_reply rep;
	int rc = call_rpc(c, o->mount, &req, NULL, 0, &rep);

	if (rc)
		return rc;
	if (!rep.payload_len || rep.payload_len >= len || rep.payload[0] != '/' || memchr(rep.payload, 0, rep.payload_len))
		rc = -EPROTO;
	else
		snprintf(out, len, "%.*s", (int)rep.payload_len, (const char *)rep.payload);
	link_reply_free(&rep);
	return rc;
}

int remote_path(struct call *c, struct ofd *o, char *out, size_t len)
{
	if (o->path_stale) {
		unsigned moves = o->moves;
		int rc = ask_path(c, o, false, out, len);

		/* Of a file it is what it was opened by. */
		if (!rc && o->moves == moves && S_ISDIR(o->node->attr.mode))
			ofd_rename(o, out);
		return rc;
	}
	if (strlen(o->path) >= len)
		return -ENAMETOOLONG;
	strcpy(out, o->path);
	return 0;
}

int remote_link_text(struct call *c, struct ofd *o, char *out, size_t len)
{
	char target[PATH_MAX];
	int rc = ask_path(c, o, true, target, sizeof(target));

	/* Moved out of the tree: it cannot be reached by any name any more. */
	if (rc == -ENOENT)
		rc = snprintf(target, sizeof(target), "%s (deleted)", o->path) < (int)sizeof(target) ? 0 : -ENAMETOOLONG;
	return rc ? rc : ofd_to_program(o, target, out, len);
}
