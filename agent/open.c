/* Open and close. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "attr.h"
#include "channel.h"
#include "doubt.h"
#include "frame.h"
#include "handle.h"
#include "keep.h"
#include "ops.h"
#include "resolve.h"
#include "ticket.h"

/* The wire has x86-64's numbers; these differ between architectures (asm/fcntl.h). wire.c has those that do not. */
#define WIRE_DIRECTORY 0200000
#define WIRE_NOFOLLOW 0400000
#define WIRE_TMPFILE 020000000

#define OPEN_LINKS 40 /* MAXSYMLINKS of the kernel */
#define OPEN_SAME (O_ACCMODE | O_CREAT | O_EXCL | O_TRUNC | O_DSYNC | O_SYNC | O_NOATIME | O_PATH)

/*
 * O_APPEND is each write's own, and O_DIRECT and O_ASYNC make no sense from afar. O_NONBLOCK keeps an open
 * of a FIFO or device from waiting.
 */
int open_flags(uint32_t wire)
{
	int flags = wire & OPEN_SAME;

	if (wire & WIRE_DIRECTORY)
		flags |= O_DIRECTORY;
	if (wire & WIRE_NOFOLLOW)
		flags |= O_NOFOLLOW;
	if (wire & WIRE_TMPFILE)
		flags |= OPEN_UNNAMED;
	/* openat2(2) is strict about what open(2) ignores. */
	if (flags & O_PATH)
		return flags & (O_PATH | O_DIRECTORY | O_NOFOLLOW);
	return flags | O_NONBLOCK | O_NOCTTY;
}

static bool open_writes(int flags)
{
	return (flags & O_ACCMODE) != O_RDONLY || flags & O_TRUNC;
}

static int open_type(const struct place *p, bool nofollow, uint64_t resolve, mode_t *type)
{
	int fd = resolve_open(p, O_PATH | (nofollow ? O_NOFOLLOW : 0), 0, resolve);
	struct stat st;
	int r;

	if (fd < 0)
		return fd;
	r = fstat(fd, &st) ? -errno : 0;
	*type = st.st_mode & S_IFMT;
	close(fd);
	return r;
}

/* Puts the text of the link that P names in the place of its last component. False: it is no link. */
static bool open_follow(struct place *p, const char *last)
{
	int fd = resolve_open(p, O_PATH | O_NOFOLLOW, 0, 0);
	char text[PATH_MAX];
	size_t keep;
	ssize_t n;

	if (fd < 0)
		return false;
	n = readlinkat(fd, "", text, sizeof(text) - 1);
	close(fd);
	keep = n > 0 && text[0] == '/' ? 0 : last - p->path;
	if (n <= 0 || keep + n >= sizeof(p->path))
		return false;
	memcpy(p->path + keep, text, n);
	p->path[keep + n] = '\0';
	return true;
}

/*
 * O_CREAT up to the point where the name is looked for: a slash behind it is EISDIR whatever it names. R is
 * what looking for it said; of a missing one EROFS is left, unless the kernel would not have come that far.
 */
static int open_read_only_create(const struct place *p, int flags, int r)
{
	struct place copy = *p;
	const char *name;
	int fd, links = 0;
	size_t len;

	do {
		fd = resolve_parent(&copy, &name);
		if (fd < 0)
			return r ? r : fd;
		close(fd);
		len = strcspn(name, "/");
		if (len && name[len] && strncmp(name, ".", len) && strncmp(name, "..", len))
			return -EISDIR;
		if (r != -ENOENT)
			return r;
		/* A link that leads nowhere is created through, but for O_EXCL and O_NOFOLLOW. */
	} while (!(flags & (O_EXCL | O_NOFOLLOW)) && ++links < OPEN_LINKS && open_follow(&copy, name));
	return -EROFS;
}

/*
 * Under a read-only root: 0 when *FLAGS (from which creation was taken away) may go to the kernel, or the
 * errno of open(2) on a read-only mount, in the order of fs/namei.c: missing, exists, kind, EROFS.
 */
static int open_read_only(const struct place *p, int *flags, uint64_t resolve)
{
	bool create = *flags & O_CREAT, exclusive = create && *flags & O_EXCL;
	mode_t type = 0;
	int r;

	if (*flags & O_PATH || (!create && !open_writes(*flags)))
		return 0;
	if (*flags & OPEN_UNNAMED) {
		/* build_open_flags and do_tmpfile of fs/open.c, fs/namei.c: the flags, the directory, EROFS. */
		if (create || !(*flags & O_DIRECTORY))
			return -EINVAL;
		r = open_type(p, *flags & O_NOFOLLOW, resolve, &type);
		return r ? r : S_ISDIR(type) ? -EROFS : -ENOTDIR;
	}
	r = open_type(p, exclusive || *flags & O_NOFOLLOW, resolve, &type);
	if (create && p->path[0])
		r = open_read_only_create(p, *flags, r);
	if (r)
		return r;
	if (exclusive)
		return -EEXIST;
	if (S_ISLNK(type))
		return -ELOOP;
	if (*flags & O_DIRECTORY && !S_ISDIR(type))
		return -ENOTDIR;
	if (S_ISDIR(type) && (create || open_writes(*flags)))
		return -EISDIR;
	if (open_writes(*flags) && S_ISREG(type))
		return -EROFS;
	*flags &= ~(O_CREAT | O_EXCL);
	return 0;
}

/*
 * A FIFO that has no reader (ENXIO), or a channel that is to be written to under a read-only root (EROFS). To be
 * waited for, a FIFO is left as an O_PATH descriptor. All else, and what is not there, stays refused: WHY.
 */
static int open_channel(const struct op *op, const struct place *p, int flags, int why, bool *pending)
{
	const rfs_Open *req = &op->req->op.open;
	int fd, path = resolve_open(p, O_PATH, 0, req->resolve);
	struct stat st = { 0 };

	if (path < 0)
		return why;
	fd = fstat(path, &st) || !channel_serves(st.st_mode, st.st_rdev) ? why : channel_open(path, flags);
	if (fd == -ENXIO && req->wait && S_ISFIFO(st.st_mode)) {
		*pending = true;
		return path;
	}
	close(path);
	return fd;
}

/* Files and directories are served, and some channels. 1 for those; 0 for files. */
static int open_check_type(int fd, int flags, struct stat *st)
{
	if (fstat(fd, st))
		return -errno;
	if (flags & O_PATH || S_ISREG(st->st_mode) || S_ISDIR(st->st_mode))
		return 0;
	return channel_serves(st->st_mode, st->st_rdev) ? 1 : -ENXIO;
}

/* Data or entries that come with the reply. They are a gift: a failure only leaves them out. */
static void open_prefetch(struct op *op, struct handle *h, uint32_t size)
{
	rfs_OpenReply *reply = &op->reply->op.open;
	bool end = false;
	int r;

	if (size > FRAME_MAX_PAYLOAD)
		size = FRAME_MAX_PAYLOAD;
	if (!size || h->flags & O_PATH || (h->flags & O_ACCMODE) == O_WRONLY)
		return;
	if (h->channel)
		return;
	if (S_ISDIR(h->type))
		r = dir_list(op, h, 0, size, &end);
	else
		r = file_read(op, h->fd, 0, size, 0, &end);
	if (r)
		op->out_len = 0;
	reply->complete = !r && end;
}

static int open_describe_dir(struct op *op, struct handle *h)
{
	rfs_OpenReply *reply = &op->reply->op.open;
	struct watcher *w = op->agent->watcher;
	char path[PATH_MAX];
	size_t len;

	if (resolve_path_of(&op->agent->root, h->fd, path)) {
		reply->coherent = rfs_Coherent_NONE; /* removed since */
	} else {
		len = strlen(path);
		memcpy(reply->path.bytes, path, len);
		reply->path.size = len;
		h->path = strdup(path);
		if (!h->path)
			return -ENOMEM;
	}
	if (reply->coherent && strcmp(path, op->promise.path))
		reply->coherent = rfs_Coherent_NONE; /* moved since */
	if (reply->coherent && watch_name(w, op->promise.path, true) != WATCH_YES)
		reply->coherent = rfs_Coherent_NONE;
	return 0;
}

static int open_describe(struct op *op, struct handle *h)
{
	rfs_OpenReply *reply = &op->reply->op.open;
	struct watcher *w = op->agent->watcher;
	int r = 0;

	if (S_ISDIR(h->type))
		r = open_describe_dir(op, h);
	else if (S_ISREG(h->type) && op->opening && !(h->flags & O_PATH) && watch_file(w, h))
		reply->coherent |= rfs_Coherent_HANDLE;
	promise_handle(w, &op->promise, h);
	if (!r)
		r = attr_of(h->fd, &reply->attr);
	if (r)
		return r;
	reply->has_attr = true;
	if (stat_escapes(&reply->attr))
		reply->coherent &= ~rfs_Coherent_NAME;
	return 0;
}

/* The path that was promised is where the file is: there is no link in it. */
static void open_ticket(struct op *op, const struct handle *h)
{
	rfs_OpenReply *reply = &op->reply->op.open;
	const char *path = h->path ? h->path : reply->coherent & rfs_Coherent_NAME ? op->promise.path : NULL;
	rfs_Ticket t;

	ticket_make(&op->agent->root, h->fd, &reply->attr, path, &t);
	reply->ticket.size = ticket_encode(&t, reply->ticket.bytes);
}

static int open_file(struct op *op, const struct place *p, int flags, bool *pending)
{
	const rfs_Open *req = &op->req->op.open;
	mode_t mode = flags & (O_CREAT | OPEN_UNNAMED) ? umask_for(req->mode, req->umask) : 0;
	int fd;

	if (flags & OPEN_UNNAMED) /* the place is not the file's */
		return resolve_open(p, flags, mode, req->resolve);
	fd = stat_open(op, p, flags, mode, req->resolve, &op->reply->op.open.coherent);
	if (fd == -ENXIO || (fd == -EROFS && open_writes(flags)))
		fd = open_channel(op, p, flags, fd, pending);
	return fd;
}

/* The same, but what a process did that was killed doing it is not done again. */
static int open_once(struct op *op, const struct place *p, int flags, bool *pending)
{
	const rfs_Open *req = &op->req->op.open;
	bool exclusive = flags & O_CREAT && flags & O_EXCL, ours = false;
	int fd = doubt_fd(op);
	mode_t type;

	if (fd >= 0) {
		*pending = !(flags & O_PATH) && fcntl(fd, F_GETFL) & O_PATH;
	} else {
		if (exclusive && (op->note || op->doubt))
			ours = doubt_exclusive(op, open_type(p, true, req->resolve, &type) == 0, &flags);
		fd = open_file(op, p, flags, pending);
		if (fd == -EACCES && ours)
			return doubt_unknown(op); /* its mode lets nobody open it */
	}
	doubt_opened(op, fd);
	return fd;
}

int open_take(struct op *op, int fd, int flags, const struct stat *st, bool pending)
{
	rfs_OpenReply *reply = &op->reply->op.open;
	struct handle *h = op->opening;
	int r = 0;

	h->fd = fd;
	h->flags = flags;
	h->type = st->st_mode & S_IFMT;
	h->dev = st->st_dev;
	h->ino = st->st_ino;
	reply->pending = pending;
	if (!(flags & O_PATH) && !S_ISREG(h->type) && !S_ISDIR(h->type))
		r = channel_make(h, pending);
	if (!r)
		r = open_describe(op, h);
	if (!r && op->agent->tickets)
		open_ticket(op, h);
	return r;
}

static int open_place(struct op *op, const struct place *p)
{
	const rfs_Open *req = &op->req->op.open;
	int fd, r, flags = open_flags(req->flags);
	bool pending = false;
	struct stat st;

	r = op->agent->root.read_only ? open_read_only(p, &flags, req->resolve) : 0;
	if (r)
		return r;
	fd = open_once(op, p, flags, &pending);
	if (fd < 0)
		return fd;
	r = open_check_type(fd, flags, &st);
	if (r > 0 && req->no_fifo && S_ISFIFO(st.st_mode))
		r = -EDEADLK;
	if (r < 0) {
		doubt_closes(op);
		close(fd);
		return r;
	}
	/* To read, it was opened at once: that is what a writer waits for. */
	pending |= r && req->wait && S_ISFIFO(st.st_mode) && (flags & O_ACCMODE) == O_RDONLY;
	r = open_take(op, fd, flags, &st, pending);
	if (!r)
		open_prefetch(op, op->opening, req->prefetch);
	return r;
}

/* An absent name is an answer that may be kept: StatReply. */
static void open_absent(struct op *op)
{
	uint32_t coherent = op->reply->op.open.coherent;

	memset(&op->reply->op, 0, sizeof(op->reply->op));
	op->reply->which_op = rfs_Reply_stat_tag;
	op->reply->op.stat.coherent = coherent & rfs_Coherent_NAME;
}

void open_undo(struct op *op, struct handle *h)
{
	watch_forget(op->agent->watcher, h);
	doubt_closes(op);
	if (h->fd >= 0)
		close(h->fd);
	h->fd = -1;
}

void open_done(struct op *op, bool failed)
{
	struct handle *h = op->opening;

	if (!failed && h->channel)
		channel_settle(op->agent->channels, h, NULL); /* the other end notices */
	handle_ready(op->agent->handles, h, failed);
	handle_put(op->agent->handles, h);
	op->opening = NULL;
}

/* A process that was killed had opened it, and did not come to say so. */
static int open_again(struct op *op, struct handle *h)
{
	rfs_OpenReply *reply = &op->reply->op.open;
	char path[PATH_MAX];
	int r = attr_of(h->fd, &reply->attr);

	if (r)
		return r;
	reply->has_attr = true;
	reply->pending = channel_kept(h) & KEEP_PENDING;
	if (h->kept && atomic_load(&h->kept->bits) & KEEP_PROMISED)
		reply->coherent = rfs_Coherent_HANDLE;
	if (S_ISDIR(h->type) && resolve_path_of(&op->agent->root, h->fd, path) == 0) {
		reply->path.size = strlen(path);
		memcpy(reply->path.bytes, path, reply->path.size);
	}
	if (op->agent->tickets)
		open_ticket(op, h);
	return 0;
}

int op_open(struct op *op)
{
	struct handle *h = op->opening;
	struct place p;
	int r = place_get(op, op->req->op.open.has_where, &op->req->op.open.where, &p);

	op->reply->which_op = rfs_Reply_open_tag;
	if (op->opened) {
		place_put(&p);
		return open_again(op, op->opened);
	}
	if (!r)
		r = open_place(op, &p);
	place_put(&p);
	if (r)
		open_undo(op, h);
	if (r == -ENOENT)
		open_absent(op);
	open_done(op, r);
	return r;
}

/* ---- fetch ---- */

static int fetch_open(struct op *op, const struct place *p)
{
	const int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
	rfs_OpenReply *reply = &op->reply->op.open;
	int fd = stat_open(op, p, flags | O_NOATIME, 0, 0, &reply->coherent);

	/* O_NOATIME is the owner's right only. */
	reply->quiet = fd >= 0;
	return fd == -EPERM ? stat_open(op, p, flags, 0, 0, &reply->coherent) : fd;
}

/* H is nobody's: it has no number. */
static int fetch_place(struct op *op, const struct place *p, struct handle *h, uint32_t size)
{
	struct stat st;
	int r;

	h->fd = fetch_open(op, p);
	if (h->fd < 0)
		return h->fd;
	if (fstat(h->fd, &st))
		return -errno;
	if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
		return -ENXIO;
	h->type = st.st_mode & S_IFMT;
	r = open_describe(op, h);
	if (!r && (S_ISDIR(h->type) || op->reply->op.open.attr.size <= size))
		open_prefetch(op, h, size);
	return r;
}

int fetch_where(struct op *op, bool present, const rfs_Where *where, uint32_t size)
{
	struct handle h = { .fd = -1 };
	struct place p;
	int r = place_get(op, present, where, &p);

	op->reply->which_op = rfs_Reply_open_tag;
	pthread_mutex_init(&h.position, NULL);
	if (!r)
		r = fetch_place(op, &p, &h, size);
	place_put(&p);
	if (h.fd >= 0)
		close(h.fd);
	free(h.path);
	pthread_mutex_destroy(&h.position);
	return r;
}

int op_fetch(struct op *op)
{
	int r = fetch_where(op, op->req->op.fetch.has_where, &op->req->op.fetch.where, op->req->op.fetch.size);

	if (r == -ENOENT)
		open_absent(op);
	return r;
}
