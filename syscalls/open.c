/* open, openat, openat2, creat. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ahead.h"
#include "cache.h"
#include "call.h"
#include "fd.h"
#include "flow.h"
#include "foretold.h"
#include "handlers.h"
#include "image.h"
#include "image_fill.h"
#include "known.h"
#include "link.h"
#include "locks.h"
#include "log.h"
#include "ofd.h"
#include "overlay.h"
#include "place.h"
#include "placeholder.h"
#include "push.h"
#include "remote.h"
#include "rules.h"
#include "sync.h"
#include "task.h"
#include "util.h"
#include "watch.h"

/* <fcntl.h>'s __O_TMPFILE: O_TMPFILE has O_DIRECTORY in it. */
#define O_UNNAMED (O_TMPFILE & ~O_DIRECTORY)

/* Flags by which open itself changes something. */
#define CHANGING (O_CREAT | O_TRUNC | O_UNNAMED)

static void fill_open(struct call *c, const struct place *p, int flags, unsigned mode, uint64_t resolve, rfs_Request *req)
{
	rfs_Open *op = &req->op.open;

	*req = (rfs_Request){ .which_op = rfs_Request_open_tag };
	op->has_where = true;
	place_where(p, &op->where);
	op->handle = link_new_handle(p->mount->link);
	op->flags = (uint32_t)flags;
	op->resolve = resolve;
	op->wait = !(flags & O_NONBLOCK);
	op->no_fifo = p->mount->overlay && !p->mount->is_upper;
	req->own = flags & O_CREAT && place_owns(p);
	op->prefetch = ofd_flags_read(flags) && !watch_sees_use(p->mount) ? PREFETCH_SIZE : 0;
	if (flags & (O_CREAT | O_UNNAMED)) {
		op->mode = mode;
		op->umask = call_umask(c);
	}
}

/* When an open was asked for: node_clock(), cache_now(); and whether nothing was heard since that makes its reply old, if it is of a file. */
struct asked { uint64_t clock, since; bool current; };

static int ask_open(struct call *c, struct place *p, int flags, const rfs_Request *req, struct link_reply *rep, struct asked *asked)
{
	uint64_t since = cache_now();

	*asked = (struct asked){ .clock = node_clock(), .since = since };
	int rc = flags & O_CREAT ? foretold_rpc(c, p, NULL, req, NULL, 0, rep) : call_rpc(c, p->mount, req, NULL, 0, rep);

	if (rc == -ENOENT && *p->key && rep->msg.which_op == rfs_Reply_stat_tag &&
	    rep->msg.op.stat.coherent & rfs_Coherent_NAME)
		cache_put(p->mount, p->key, NULL, since);
	if (!rc && (rep->msg.which_op != rfs_Reply_open_tag || !rep->msg.op.open.has_attr)) {
		link_reply_free(rep);
		rc = -EPROTO;
	}
	asked->current = !rc && cache_is_current(p->mount, p->key, &rep->msg.op.open.attr, since);
	if (!rc && flags & O_CREAT)
		node_names_changed(p->mount, p->key);
	if (rc || !*p->key)
		return rc;
	const rfs_OpenReply *r = &rep->msg.op.open;
	bool told = r->coherent & rfs_Coherent_NAME;
	if (flags & O_CREAT)
		cache_made(p->mount, p->key, IFTODT(r->attr.mode), told ? &r->attr : NULL, since);
	else if (flags & O_TRUNC)
		cache_forget_name(p->mount, p->key, false);
	else if (told)
		cache_put(p->mount, p->key, &r->attr, since);
	return 0;
}

/* The name the ofd goes by: the agent's for directories, else the text it was opened with. */
static void ofd_name(const struct place *p, const rfs_OpenReply *r, char *out)
{
	size_t n = r->path.size;

	if (n && n < PATH_MAX && r->path.bytes[0] == '/' && !memchr(r->path.bytes, 0, n))
		snprintf(out, PATH_MAX, "%.*s", (int)n, (const char *)r->path.bytes);
	else
		snprintf(out, PATH_MAX, "%s", *p->key ? p->key : p->path);
}

static struct ofd *make_ofd(const struct place *p, int flags, uint64_t handle, const rfs_OpenReply *r, const struct asked *asked)
{
	char name[PATH_MAX];

	ofd_name(p, r, name);
	struct ofd *o = ofd_new(p->mount, handle, name, flags & ~(O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC), &r->attr);
	o->path_stale = *name != '/' || flags & O_UNNAMED || (S_ISDIR(r->attr.mode) && !cache_is_current(p->mount, name, NULL, asked->since));
	if (p->mount->overlay && *p->local)
		o->merged = xstrdup(p->local);
	else if (p->self && p->dir && p->dir->merged && p->dir->mount == p->mount)
		o->merged = xstrdup(p->dir->merged);
	o->coherent = r->coherent;
	/* What another task has written meanwhile is known to be done: R may be from before. The node that knew of it may be gone. */
	bool current = asked->current && o->node->version <= asked->clock && !push_missed(p->mount, handle);
	if (flags & O_TRUNC)
		remote_resized(p->mount, &r->attr, asked->clock);
	bool told = r->coherent & (S_ISDIR(r->attr.mode) ? rfs_Coherent_NAME : rfs_Coherent_HANDLE);
	node_set_attr(o->node, &r->attr, told && current);
	return o;
}

/* REP was asked for at ASKED (cache_now); a name that was made or removed since may not be in it as it is. */
static void take_list(struct ofd *o, struct link_reply *rep, uint64_t asked)
{
	o->list = rep->payload;
	o->list_len = rep->payload_len;
	o->list_complete = rep->msg.op.open.complete;
	o->list_known = !o->path_stale && cache_is_current(o->mount, o->path, NULL, asked);
	o->list_since = asked;
	rep->payload = NULL;
}

static void take_data(struct ofd *o, struct link_reply *rep)
{
	struct node *n = o->node;
	size_t len = rep->payload_len;

	if (!n->attr_valid)
		return;
	/* All that there is, even if the agent did not try to read on behind it. */
	if (rep->msg.op.open.complete || len == n->attr.size)
		pages_set_end(&n->pages, len);
	pages_put(&n->pages, 0, rep->payload, len);
	rep->payload = NULL;
}

/*
 * The image of a small file holds its bytes, and the kernel serves them. That needs the agent's word to tell
 * of changes; and with no room for the bytes (-ENOSPC) the file is emulated instead.
 */
static int native_placeholder(struct call *c, struct ofd *o)
{
	struct node *n = o->node;
	int fd = placeholder_file(o, true), rc;
	size_t len = SIZE_MAX;

	if (fd < 0)
		return fd;
	const uint8_t *data = n->attr_valid ? pages_find(&n->pages, 0, &len) : NULL;
	bool complete = n->attr_valid && pages_at_end(&n->pages, data ? len : 0);
	if (n->image->filled && !data && !complete)
		n->image->stale = true;
	rc = image_fill_from(c, o, data ? data : (const uint8_t *)"", data ? len : 0, complete);
	if (rc == -ENOSPC)
		return fd;
	if (rc < 0) {
		close(fd);
		return rc;
	}
	o->io = OFD_NATIVE;
	return fd;
}

static bool wants_native(const struct ofd *o)
{
	return (o->flags & (O_ACCMODE | O_PATH | O_DIRECT)) == O_RDONLY && S_ISREG(o->node->attr.mode) &&
	       o->coherent & rfs_Coherent_HANDLE && o->node->attr.size <= NATIVE_MAX && !watch_sees_use(o->mount);
}

static int reserve_number(const struct call *c)
{
	static bool told;
	int number = ofd_reserve_number(NULL);

	if (number < 0 && !told)
		log_error("process %d: no descriptor left for remote files (%d to %d are in use): raise the hard limit (ulimit -Hn)",
			  (int)c->tid, FD_BASE, FD_TOP - 1);
	told |= number < 0;
	return number;
}

/*
 * The kernel looks for a free number before it looks at the path, so an open without one makes and cuts
 * nothing. The number found (-1 where the kernel picks it), or -EMFILE.
 */
static int find_number(const struct call *c, int flags, int *number)
{
	*number = -1;
	if (!(flags & CHANGING))
		return 0;
	if (task_fds_full(c->tid))
		return -EMFILE;
	if (fd_all_trapped())
		return 0;
	*number = reserve_number(c);
	return *number < 0 ? *number : 0;
}

/* Whether the kernel picks the number of O, whose placeholder is SRC. */
static bool goes_low(struct call *c, struct ofd *o, int src)
{
	if (o->io != OFD_EMULATED || fd_all_trapped())
		return true;
	return !o->channel && fd_free_standard(c, 0) >= 0 && !fd_lower(c, o, src, false);
}

/* Takes over NUMBER, one that find_number has found. */
static long install(struct call *c, struct ofd *o, int src, int number)
{
	if (!goes_low(c, o, src)) {
		number = number < 0 ? reserve_number(c) : number;
		if (number < 0)
			return number;
		ofd_set_number(number, o);
	} else if (number >= 0) {
		ofd_release_number(number);
		number = -1;
	}
	int fd = call_install_fd(c, src, number, o->flags & O_CLOEXEC);
	if (fd < 0 && number >= 0)
		ofd_release_number(number);
	if (fd >= 0 && number < 0) {
		ofd_mark_low(o);
		locks_opened(c->tid, o, fd);
	}
	return fd;
}

static int make_placeholder(struct call *c, struct ofd *o)
{
	int src = -ENOSPC;

	if (S_ISDIR(o->node->attr.mode))
		return placeholder_dir(o);
	if (o->channel && S_ISFIFO(o->node->attr.mode))
		return placeholder_fifo(o);
	if (wants_native(o))
		src = native_placeholder(c, o);
	if ((src == -ENOSPC || src == -ELOOP) && !o->image)
		src = placeholder_file(o, false);
	if (src == -ENOSPC)
		log_error("%s: no room for placeholder files: free space in /dev/shm", o->path);
	return src;
}

static bool known_absent(const struct place *p, int flags)
{
	rfs_Attr attr;

	return !(flags & O_CREAT) && *p->key && cache_find(p->mount, p->key, &attr) == -ENOENT;
}

/* Opens P at the agent as REQ says. *OUT is the ofd, whose one reference is the caller's. 0 or a negative errno. */
static int open_remotely(struct call *c, struct place *p, int flags, const rfs_Request *req, struct ofd **out)
{
	struct link_reply rep;
	struct ofd *o = NULL;

	if (flags & O_TRUNC)
		sync_hold();
	struct asked asked;
	int rc = ask_open(c, p, flags, req, &rep, &asked);
	if (rc >= 0)
		o = make_ofd(p, flags, req->op.open.handle, &rep.msg.op.open, &asked);
	if (flags & O_TRUNC)
		sync_release();
	if (rc < 0)
		return rc;
	o->list_learned = !(flags & CHANGING) && ofd_flags_read(flags) && known_keep(p, flags, &rep, asked.since);
	if (S_ISDIR(o->node->attr.mode) && ofd_flags_read(flags) && !p->mount->is_upper)
		take_list(o, &rep, asked.since);
	else if (S_ISREG(o->node->attr.mode) && ofd_flags_read(flags))
		take_data(o, &rep);
	link_reply_free(&rep);
	*out = o;
	return 0;
}

/* KNOWN: what is known may do. -ESTALE: it turned out not to be so any more, and the program does not have it yet. */
static int open_once(struct call *c, struct place *p, int flags, unsigned mode, uint64_t resolve, bool known, struct ofd **out)
{
	rfs_Request req;

	if (flags & O_UNNAMED)
		p->key[0] = '\0'; /* the name is the directory's, not the file's */
	call_remote(c, p->mount);
	if (known_absent(p, flags))
		return -ENOENT;
	fill_open(c, p, flags, mode, resolve, &req);
	struct ofd *o = known ? known_open(c, p, flags, &req) : NULL;
	o = o ? o : foretold_open(c, p, flags, &req);
	int rc = o ? 0 : open_remotely(c, p, flags, &req, &o);
	if (rc == -ENOENT && *p->key)
		ahead_asked(p->mount, p->key);
	if (rc < 0)
		return rc;
	if (*p->key && (flags & O_ACCMODE) == O_RDONLY && !(flags & (O_PATH | CHANGING)))
		ahead_opened(p->mount, p->key, S_ISDIR(o->node->attr.mode));
	ofd_ref(o);
	overlay_leave(c); /* the other end of a FIFO may want to change something before it comes */
	int src = flow_open(c, o);
	src = src ? src : make_placeholder(c, o);
	if (src < 0 && !o->image)
		ofd_unref(o); /* no placeholder whose end would do it */
	bool lost = o->lost;
	ofd_unref(o);
	*out = o;
	if (!lost)
		return src;
	if (src >= 0)
		close(src);
	return -ESTALE;
}

/* Opens P; *OUT gets its placeholder's reference, the result is a descriptor of that. */
static int open_place(struct call *c, struct place *p, int flags, unsigned mode, uint64_t resolve, struct ofd **out)
{
	int src = open_once(c, p, flags, mode, resolve, true, out);

	return src == -ESTALE ? open_once(c, p, flags, mode, resolve, false, out) : src;
}

long remote_open(struct call *c, struct place *p, int flags, unsigned mode, uint64_t resolve)
{
	struct ofd *o;
	int number;

	call_remote(c, p->mount);
	int rc = find_number(c, flags, &number);
	if (rc < 0)
		return rc;
	int src = open_place(c, p, flags, mode, resolve, &o);
	if (src < 0) {
		if (number >= 0)
			ofd_release_number(number);
		return src;
	}
	long fd = install(c, o, src, number);
	/* If that failed, this was the last description, and the watch thread drops the ofd. */
	close(src);
	return fd;
}

int remote_open_own(struct call *c, struct place *p, int flags, struct ofd **out)
{
	return open_place(c, p, flags, 0, 0, out);
}

static long open_behalf(struct call *c, const struct place *p, int flags, unsigned mode)
{
	if (flags & CHANGING && task_fds_full(c->tid))
		return -EMFILE;
	/* ADDFD cannot pass an O_PATH description on; one that reads does all that this one would. */
	flags &= ~O_PATH;
	CLEANUP_FD int fd = open(p->local, flags | O_CLOEXEC | O_NONBLOCK, mode);

	if (fd < 0)
		return -errno;
	if (!(flags & O_NONBLOCK))
		fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
	return call_install_fd(c, fd, -1, flags & O_CLOEXEC);
}

int remote_open_intent(int flags, uint64_t resolve)
{
	int how = (resolve & RESOLVE_BENEATH ? PLACE_BENEATH : 0) | (resolve & RESOLVE_NO_SYMLINKS ? PLACE_NO_LINKS : 0);

	if (!(flags & O_NOFOLLOW) && (flags & (O_CREAT | O_EXCL)) != (O_CREAT | O_EXCL))
		how |= PLACE_LAST;
	if (flags & O_PATH)
		return how;
	if (flags & O_CREAT)
		how |= PLACE_MAKE | (flags & O_EXCL ? PLACE_EXCL : 0);
	/* With O_DIRECTORY alone nothing can be written: that is ENOTDIR or EISDIR. */
	else if (flags & O_UNNAMED || (!(flags & O_DIRECTORY) && ((flags & O_ACCMODE) != O_RDONLY || flags & O_TRUNC)))
		how |= PLACE_CHANGE;
	return how | PLACE_OPEN;
}

/* What an overlay's walk has seen to; what is left is a path without links from the root. */
#define RESOLVE_WALKED (RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH | RESOLVE_IN_ROOT)

/* AGAIN, if any, comes on top of what FLAGS mean to do. */
static long open_place_of(struct call *c, int dirfd, uint64_t addr, int flags, unsigned mode, uint64_t resolve, int again)
{
	PLACE_ON_STACK(p);
	int how = resolve & (RESOLVE_BENEATH | RESOLVE_IN_ROOT) ? PLACE_SCOPED : 0;

	if (resolve)
		how |= PLACE_NO_MAGIC;
	else if (!(flags & O_NOFOLLOW) && (flags & (O_CREAT | O_EXCL)) != (O_CREAT | O_EXCL))
		how |= PLACE_FOLLOW;
	long rc = place_resolve(c, dirfd, addr, how | remote_open_intent(flags, resolve) | again, &p);

	if (rc)
		return rc;
	if (p.behalf)
		return open_behalf(c, &p, flags, mode);
	if (!p.mount)
		return CALL_CONTINUE;
	/* A clean overlay is not walked through: the agent has to see to it. */
	if (p.mount->overlay && !p.dir && c->overlay != CALL_OUTSIDE)
		resolve &= ~RESOLVE_WALKED;
	rc = remote_open(c, &p, flags, mode & 07777, resolve);
	/* Whoever reads a FIFO must find who writes to it: in the upper layer. */
	if (rc == -EDEADLK && p.mount->overlay && !again)
		return open_place_of(c, dirfd, addr, flags, mode, resolve, PLACE_CHANGE);
	return rc;
}

/* Whether the kernel refuses FLAGS before it looks at a path; which it does has changed over time (6.4: O_CREAT with O_DIRECTORY). */
static bool is_invalid(int flags)
{
	bool odd = flags & O_UNNAMED || (flags & O_CREAT && flags & O_DIRECTORY);

	return odd && open("", flags, 0600) < 0 && errno == EINVAL;
}

static long open_common(struct call *c, int dirfd, uint64_t addr, int flags, unsigned mode, uint64_t resolve)
{
	return is_invalid(flags) ? -EINVAL : open_place_of(c, dirfd, addr, flags, mode, resolve, 0);
}

/* Flags that open knows; it ignores others, and with O_PATH nearly all, where openat2 refuses them. */
#define KNOWN_FLAGS                                                                                                \
	(O_ACCMODE | O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_APPEND | O_NONBLOCK | O_DSYNC | O_ASYNC | O_DIRECT | \
	 0100000 /* O_LARGEFILE */ | O_DIRECTORY | O_NOFOLLOW | O_NOATIME | O_CLOEXEC | O_SYNC | O_PATH | O_TMPFILE)
#define PATH_FLAGS (O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

static int known_flags(uint64_t flags)
{
	return (int)flags & (flags & O_PATH ? PATH_FLAGS : KNOWN_FLAGS);
}

long sys_open(struct call *c)
{
	return open_common(c, AT_FDCWD, c->arg[0], known_flags(c->arg[1]), (unsigned)c->arg[2], 0);
}

long sys_creat(struct call *c)
{
	return open_common(c, AT_FDCWD, c->arg[0], O_CREAT | O_WRONLY | O_TRUNC, (unsigned)c->arg[1], 0);
}

long sys_openat(struct call *c)
{
	return open_common(c, (int)c->arg[0], c->arg[1], known_flags(c->arg[2]), (unsigned)c->arg[3], 0);
}

#define OPEN2_RESOLVE \
	(RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH | RESOLVE_IN_ROOT | RESOLVE_CACHED)

long sys_openat2(struct call *c)
{
	struct open_how how;
	uint8_t bytes[4096];

	/* What is wrong with the structure, the kernel finds by itself; a longer one must end in zeros. */
	if (c->arg[3] < sizeof(how) || c->arg[3] > sizeof(bytes) || call_read(c, c->arg[2], bytes, c->arg[3]) < 0)
		return CALL_CONTINUE;
	for (size_t i = sizeof(how); i < c->arg[3]; i++)
		if (bytes[i])
			return CALL_CONTINUE;
	memcpy(&how, bytes, sizeof(how));
	if (how.flags != (uint64_t)(unsigned)known_flags(how.flags) || how.resolve & ~(uint64_t)OPEN2_RESOLVE || how.mode & ~07777ull ||
	    (how.mode && !(how.flags & (O_CREAT | O_UNNAMED))) || (how.resolve & RESOLVE_BENEATH && how.resolve & RESOLVE_IN_ROOT))
		return CALL_CONTINUE;
	return open_common(c, (int)c->arg[0], c->arg[1], (int)how.flags, (unsigned)how.mode, how.resolve);
}
