/* fallocate: at the target, and what it does to an image of the file here. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cache.h"
#include "call.h"
#include "flow.h"
#include "handlers.h"
#include "image.h"
#include "link.h"
#include "ofd.h"
#include "push.h"
#include "remote.h"
#include "sync.h"
#include "util.h"

/* ---- moving ---- */

static int punch(int fd, off_t off, off_t len)
{
	return len > 0 && fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, off, len) < 0 ? -errno : 0;
}

/* Copies what FD has from FROM to END by SHIFT, as memmove(3). 0 or a negative errno. */
static int copy_bytes(int fd, off_t from, off_t end, off_t shift)
{
	char buf[65536];
	off_t len = end - from;

	for (off_t done = 0; done < len;) {
		off_t n = len - done < (off_t)sizeof(buf) ? len - done : (off_t)sizeof(buf);
		off_t at = from + (shift > 0 ? len - done - n : done);
		ssize_t got = pread(fd, buf, (size_t)n, at);

		if (got != n || pwrite(fd, buf, (size_t)n, at + shift) != n)
			return -EIO;
		done += n;
	}
	return 0;
}

struct extent { off_t from, end; };

/* Where FD has data from FROM to END; *COUNT of them, to be freed. */
static struct extent *find_data(int fd, off_t from, off_t end, size_t *count)
{
	struct extent *list = NULL;
	off_t at = from;

	*count = 0;
	while ((at = lseek(fd, at, SEEK_DATA)) >= 0 && at < end) {
		off_t hole = lseek(fd, at, SEEK_HOLE);

		if (!(*count & (*count + 1)))
			list = xrealloc(list, (2 * *count + 2) * sizeof(*list));
		list[(*count)++] = (struct extent){ at, hole < at || hole > end ? end : hole };
		at = list[*count - 1].end;
	}
	return list;
}

/*
 * Moves what FD has from FROM to END by SHIFT. Holes are moved as holes: a file may be far larger than what is in it. 0 or a negative
 * errno.
 */
static int move_bytes(int fd, off_t from, off_t end, off_t shift)
{
	size_t count;
	CLEANUP_FREE struct extent *list = find_data(fd, from, end, &count);
	int rc = 0;

	/* Nothing may go where something still has to be taken from. */
	for (size_t i = 0; i <= count && !rc; i++) {
		size_t n = shift > 0 ? count - i : i;
		off_t hole = n ? list[n - 1].end : from, data = n < count ? list[n].from : end;

		/* Of extent N and the hole before it, or the last hole: from the side that it goes to. */
		if (shift > 0 && n < count)
			rc = copy_bytes(fd, data, list[n].end, shift);
		rc = rc ? rc : punch(fd, hole + shift, data - hole);
		if (shift < 0 && n < count && !rc)
			rc = copy_bytes(fd, data, list[n].end, shift);
	}
	return rc;
}

/* ---- the image ---- */

/*
 * The image after an fallocate that left the file SIZE bytes long. tmpfs knows holes only: zeroes are
 * holes there, moved ranges are copied, and room that nobody can see is not taken.
 */
static int allocate_image(struct image *i, int mode, off_t off, off_t len, uint64_t size)
{
	int kind = mode & ~FALLOC_FL_KEEP_SIZE, fd = i->fd, rc = 0;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (off < st.st_size && (kind == FALLOC_FL_PUNCH_HOLE || kind == FALLOC_FL_ZERO_RANGE))
		sync_before_write(i, NULL, (size_t)(len < st.st_size - off ? len : st.st_size - off), (uint64_t)off);
	sync_change_begin(i);
	if (kind == FALLOC_FL_PUNCH_HOLE || kind == FALLOC_FL_ZERO_RANGE)
		rc = punch(fd, off, len);
	else if (kind == FALLOC_FL_COLLAPSE_RANGE && off + len < st.st_size)
		rc = move_bytes(fd, off + len, st.st_size, -len);
	else if (kind == FALLOC_FL_INSERT_RANGE && off < st.st_size)
		rc = move_bytes(fd, off, st.st_size, len);
	else if (kind && kind != FALLOC_FL_UNSHARE_RANGE)
		rc = -EOPNOTSUPP;
	if (!rc && kind == FALLOC_FL_INSERT_RANGE)
		rc = punch(fd, off, len);
	sync_change_end(i);
	return rc ? rc : image_resize(i, size);
}

/* Before the call is answered, an image with the file's bytes follows; what fails is read again. */
static void allocate_follow(struct node *n, int mode, off_t off, off_t len, uint64_t size)
{
	n->own_version++;
	node_changed(n);
	if (!image_follows(n->image))
		return;
	if (allocate_image(n->image, mode, off, len, size) < 0) {
		n->image->stale = true;
		push_refresh(n);
	}
}

/* ---- the call ---- */

/* What is there now goes first: it must not come after. */
static int ask_allocate(struct call *c, struct ofd *o, const rfs_Request *req, struct link_reply *rep)
{
	int rc = sync_flush(c, o->image, 0, UINT64_MAX);

	if (rc)
		return rc;
	sync_lock(o->image);
	o->node->writers++; /* no refresh may bring older bytes meanwhile */
	rc = call_rpc(c, o->mount, req, NULL, 0, rep);
	o->node->writers--;
	if (!rc && (rep->msg.which_op != rfs_Reply_stat_tag || !rep->msg.op.stat.has_attr))
		rc = -EPROTO;
	if (!rc)
		allocate_follow(o->node, (int)req->op.allocate.mode, req->op.allocate.offset, req->op.allocate.length,
				rep->msg.op.stat.attr.size);
	sync_unlock(o->image);
	if (!rc)
		sync_follow_size(o->node->image, rep->msg.op.stat.attr.size);
	return rc;
}

/* The limit on file sizes, where the call would make the file longer; every other mistake comes before it. */
static int check_size(struct call *c, struct ofd *o, int mode, int64_t off, int64_t len)
{
	int64_t end;

	if ((mode && mode != FALLOC_FL_ZERO_RANGE) || off < 0 || len <= 0 || __builtin_add_overflow(off, len, &end))
		return 0;
	return remote_check_size(c, o, (uint64_t)end);
}

long sys_fallocate(struct call *c)
{
	struct ofd *o = ofd_by_fd(c->tid, (int)c->arg[0]);
	int mode = (int)c->arg[1];
	struct link_reply rep = { 0 };

	if (!o)
		return CALL_CONTINUE;
	call_remote(c, o->mount);
	if (o->flags & O_PATH)
		return -EBADF;
	if (o->channel && !o->shadow)
		return flow_allocate(o, mode, (int64_t)c->arg[2], (int64_t)c->arg[3]);
	if ((o->flags & O_ACCMODE) == O_RDONLY || !S_ISREG(o->node->attr.mode))
		return CALL_CONTINUE; /* EBADF, or what the arguments deserve first */
	rfs_Request req = { .which_op = rfs_Request_allocate_tag,
			    .op.allocate = { .handle = o->handle, .mode = (uint32_t)mode,
					     .offset = (int64_t)c->arg[2], .length = (int64_t)c->arg[3] } };
	ofd_ref(o);
	int rc = check_size(c, o, mode, (int64_t)c->arg[2], (int64_t)c->arg[3]);
	rc = rc ? rc : ask_allocate(c, o, &req, &rep);
	/* A range that cannot be collapsed has moved mtime all the same (ext4). */
	if (rc)
		node_changed(o->node);
	cache_forget(o->mount, o->path, false);
	link_reply_free(&rep);
	ofd_unref(o);
	return rc;
}
