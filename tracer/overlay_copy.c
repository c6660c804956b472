/* From the lower layer to the upper one: files are copied before they change, directories without what is in them. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "cache.h"
#include "call.h"
#include "frame.h"
#include "inomap.h"
#include "log.h"
#include "ofd.h"
#include "overlay.h"
#include "overlay_int.h"
#include "rules.h"
#include "upper.h"
#include "util.h"

#define COPY_CHUNK (1u << 20)
#define PREFETCH (128u << 10)

/* ---- bytes ---- */

static int put(int fd, const uint8_t *data, size_t len, uint64_t off)
{
	while (len) {
		ssize_t n = pwrite(fd, data, len, (off_t)off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -ENOSPC;
		data += n;
		len -= (size_t)n;
		off += (uint64_t)n;
	}
	return 0;
}

static int seek(struct call *c, struct overlay *ov, uint64_t handle, int whence, uint64_t *off)
{
	rfs_Request req = { .which_op = rfs_Request_seek_tag,
			    .op.seek = { .handle = handle, .offset = (int64_t)*off, .whence = (uint32_t)whence } };
	struct link_reply rep;
	int rc = call_rpc(c, ov->lower, &req, NULL, 0, &rep);

	if (!rc)
		*off = (uint64_t)rep.msg.op.seek.offset;
	link_reply_free(&rep);
	return rc;
}

static int copy_range(struct call *c, struct overlay *ov, uint64_t handle, int fd, uint64_t off, uint64_t end)
{
	while (off < end) {
		uint64_t want = end - off < COPY_CHUNK ? end - off : COPY_CHUNK;
		rfs_Request req = { .which_op = rfs_Request_read_tag,
				    .op.read = { .handle = handle, .offset = off, .size = (uint32_t)want } };
		struct link_reply rep;
		int rc = call_rpc(c, ov->lower, &req, NULL, 0, &rep);

		if (rc)
			return rc;
		rc = rep.payload_len > want ? -EPROTO : put(fd, rep.payload, rep.payload_len, off);
		off += rep.payload_len;
		bool ended = rep.payload_len < want;
		link_reply_free(&rep);
		if (rc || ended)
			return rc;
	}
	return 0;
}

/* Data only, and between it holes. */
static int copy_sparse(struct call *c, struct overlay *ov, uint64_t handle, int fd, uint64_t size)
{
	for (uint64_t data = 0, hole; data < size; data = hole) {
		int rc = seek(c, ov, handle, SEEK_DATA, &data);

		if (rc)
			return rc == -ENXIO ? 0 : rc;
		hole = data;
		rc = seek(c, ov, handle, SEEK_HOLE, &hole);
		rc = rc ? rc : hole > data ? copy_range(c, ov, handle, fd, data, hole < size ? hole : size) : -EPROTO;
		if (rc)
			return rc;
	}
	return 0;
}

static int open_lower(struct call *c, struct overlay *ov, const char *lower, int flags, uint64_t *handle, struct link_reply *rep)
{
	rfs_Request req = { .which_op = rfs_Request_open_tag,
			    .op.open = { .has_where = true, .flags = (uint32_t)(O_RDONLY | O_NOFOLLOW | flags), .prefetch = PREFETCH } };

	BYTES_PUT(req.op.open.where.path, lower);
	*handle = req.op.open.handle = link_new_handle(ov->lower->link);
	return call_rpc(c, ov->lower, &req, NULL, 0, rep);
}

static int copy_data(struct call *c, struct overlay *ov, const char *lower, const rfs_Attr *a, int fd)
{
	struct link_reply rep;
	uint64_t handle;
	/* That a file is copied is no use of it. Only its owner may say so. */
	int rc = open_lower(c, ov, lower, O_NOATIME, &handle, &rep);

	rc = rc == -EPERM ? open_lower(c, ov, lower, 0, &handle, &rep) : rc;
	if (rc)
		return rc;
	const rfs_Request close_req = { .which_op = rfs_Request_close_tag, .op.close.handle = handle };
	uint64_t have = rep.payload_len;
	bool whole = rep.msg.which_op == rfs_Reply_open_tag && rep.msg.op.open.complete, sparse = a->blocks * 512 < a->size;
	if (!sparse || whole)
		rc = put(fd, rep.payload, rep.payload_len, 0);
	link_reply_free(&rep);
	if (!rc && !whole)
		rc = sparse ? copy_sparse(c, ov, handle, fd, a->size) : copy_range(c, ov, handle, fd, have, a->size);
	call_send(ov->lower, &close_req);
	return rc ? rc : ftruncate(fd, (off_t)a->size) < 0 ? -errno : 0;
}

/* ---- attributes ---- */

static int copy_xattr(struct call *c, struct overlay *ov, const char *lower, const char *name, const char *path)
{
	rfs_Request req = { .which_op = rfs_Request_getxattr_tag, .op.getxattr = { .has_where = true, .nofollow = true } };
	struct link_reply rep;

	BYTES_PUT(req.op.getxattr.where.path, lower);
	BYTES_PUT(req.op.getxattr.name, name);
	int rc = call_rpc(c, ov->lower, &req, NULL, 0, &rep);
	/* What the local kernel does not let us set, a copy made by us would not have either. */
	if (!rc)
		lsetxattr(path, name, rep.payload ? (const void *)rep.payload : "", rep.payload_len, 0);
	link_reply_free(&rep);
	return rc == -ENODATA || rc == -EACCES || rc == -EPERM ? 0 : rc;
}

static int copy_xattrs(struct call *c, struct overlay *ov, const char *lower, const rfs_Attr *a, const char *path)
{
	rfs_Request req = { .which_op = rfs_Request_listxattr_tag, .op.listxattr = { .has_where = true, .nofollow = true } };
	struct link_reply rep;

	if (a->plain)
		return 0;
	BYTES_PUT(req.op.listxattr.where.path, lower);
	int rc = call_rpc(c, ov->lower, &req, NULL, 0, &rep);
	if (rc)
		return rc == -EOPNOTSUPP || rc == -EACCES ? 0 : rc;
	const char *names = (const char *)rep.payload;
	for (size_t i = 0; !rc && i < rep.payload_len;) {
		size_t n = strnlen(names + i, rep.payload_len - i);

		if (n && n <= 255 && i + n < rep.payload_len)
			rc = copy_xattr(c, ov, lower, names + i, path);
		i += n + 1;
	}
	link_reply_free(&rep);
	return rc;
}

/* TMP in the directory DIR, and what it has of LOWER. */
static int copy_attrs(struct call *c, struct overlay *ov, const char *lower, const rfs_Attr *a, int dir, const char *tmp)
{
	const struct timespec times[2] = { { a->atime_sec, a->atime_nsec }, { a->mtime_sec, a->mtime_nsec } };
	char path[64];

	/* The owner we may not give it is what cp -a leaves out as well. */
	if (fchownat(dir, tmp, a->uid, a->gid, AT_SYMLINK_NOFOLLOW) < 0)
		(void)!fchownat(dir, tmp, (uid_t)-1, a->gid, AT_SYMLINK_NOFOLLOW);
	snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", dir, tmp);
	int rc = copy_xattrs(c, ov, lower, a, path);
	if (!rc && !S_ISLNK(a->mode) && fchmodat(dir, tmp, a->mode & 07777, 0) < 0)
		rc = -errno;
	if (!rc && utimensat(dir, tmp, times, AT_SYMLINK_NOFOLLOW) < 0)
		rc = -errno;
	return rc;
}

/* ---- one file ---- */

static int make_link(struct call *c, struct overlay *ov, const char *lower, const char *tmp)
{
	rfs_Request req = { .which_op = rfs_Request_readlink_tag, .op.readlink.has_where = true };
	char text[PATH_MAX];
	struct link_reply rep;

	BYTES_PUT(req.op.readlink.where.path, lower);
	int rc = call_rpc(c, ov->lower, &req, NULL, 0, &rep);
	if (rc)
		return rc;
	snprintf(text, sizeof(text), "%.*s", (int)rep.payload_len, rep.payload ? (const char *)rep.payload : "");
	link_reply_free(&rep);
	return symlinkat(text, ov->work, tmp) < 0 ? -errno : 0;
}

static int make_dir(struct overlay *ov, const char *lower, const char *tmp)
{
	if (mkdirat(ov->work, tmp, 0700) < 0)
		return -errno;
	CLEANUP_FD int fd = openat(ov->work, tmp, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : upper_mark(fd, lower);
}

static int make_file(struct call *c, struct overlay *ov, const char *lower, const rfs_Attr *a, const char *tmp)
{
	CLEANUP_FD int fd = openat(ov->work, tmp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	return fd < 0 ? -errno : copy_data(c, ov, lower, a, fd);
}

/* A copy of LOWER, whose lstat is A, at TMP in work/. */
static int make_copy(struct call *c, struct overlay *ov, const char *lower, const rfs_Attr *a, const char *tmp)
{
	int rc;

	switch (a->mode & S_IFMT) {
	case S_IFREG:
		rc = make_file(c, ov, lower, a, tmp);
		break;
	case S_IFDIR:
		rc = make_dir(ov, lower, tmp);
		break;
	case S_IFLNK:
		rc = make_link(c, ov, lower, tmp);
		break;
	default:
		rc = mknodat(ov->work, tmp, a->mode, makedev(a->rdev_major, a->rdev_minor)) < 0 ? -errno : 0;
	}
	return rc ? rc : copy_attrs(c, ov, lower, a, ov->work, tmp);
}

/* What TMP was at the target: it keeps its number and its count of links. */
static int record(struct overlay *ov, const rfs_Attr *a, int dir, const char *tmp)
{
	struct statx x;

	if (statx(dir, tmp, AT_SYMLINK_NOFOLLOW, STATX_INO | STATX_BTIME | STATX_NLINK, &x) < 0)
		return -errno;
	const struct inomap_entry e = { .ino = x.stx_ino, .btime_sec = x.stx_btime.tv_sec, .btime_nsec = x.stx_btime.tv_nsec,
					.dev_major = a->dev_major, .dev_minor = a->dev_minor, .lower_ino = a->ino,
					.mtime_sec = a->mtime_sec, .mtime_nsec = a->mtime_nsec, .size = a->size,
					.links = (int64_t)a->nlink - x.stx_nlink };
	return inomap_put(ov->inodes, &e);
}

void overlay_keep_times(int dir, const struct stat *st)
{
	const struct timespec times[2] = { st->st_atim, st->st_mtim };
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", dir);
	utimensat(AT_FDCWD, path, times, 0);
}

/* Moves TMP to NAME in DIR. A directory that is moved to another one must be writable itself (vfs_rename of fs/namei.c). */
static int rename_in(struct overlay *ov, const char *tmp, int dir, const char *name, const rfs_Attr *a)
{
	bool guarded = geteuid() && S_ISDIR(a->mode) && !(a->mode & S_IWUSR);

	if (guarded)
		fchmodat(ov->work, tmp, (a->mode & 07777) | S_IWUSR, 0);
	int rc = renameat2(ov->work, tmp, dir, name, RENAME_NOREPLACE) < 0 ? -errno : 0;
	if (guarded && !rc)
		fchmodat(dir, name, a->mode & 07777, 0);
	return rc;
}

static int move_in(struct overlay *ov, const char *tmp, int dir, const char *name, const rfs_Attr *a)
{
	struct stat before;

	if (fstat(dir, &before) < 0)
		return -errno;
	int rc = rename_in(ov, tmp, dir, name, a);
	if (rc)
		return rc;
	overlay_keep_times(dir, &before);
	/* The kernel counts it here now as it did there before. */
	if (S_ISDIR(a->mode))
		overlay_count_links(ov, dir, -1);
	return 0;
}

/* The name in index/ of a file with several names. */
static bool index_name(const rfs_Attr *a, char name[64])
{
	snprintf(name, 64, "%u:%u:%llu", a->dev_major, a->dev_minor, (unsigned long long)a->ino);
	return !S_ISDIR(a->mode) && a->nlink > 1;
}

/* A copy that was made by another name gets this one as well. True if there is one. */
static bool link_indexed(struct overlay *ov, const rfs_Attr *a, int dir, const char *name)
{
	char index[64];
	struct stat before;

	if (!index_name(a, index) || fstat(dir, &before) < 0 || linkat(ov->index, index, dir, name, 0) < 0)
		return false;
	overlay_keep_times(dir, &before);
	CLEANUP_FD int fd = openat(ov->index, index, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	overlay_count_links(ov, fd, -1);
	return true;
}

bool overlay_indexed(struct overlay *ov, const rfs_Attr *a)
{
	char index[64];
	struct stat st;

	return index_name(a, index) && !fstatat(ov->index, index, &st, AT_SYMLINK_NOFOLLOW);
}

static void add_index(struct overlay *ov, const rfs_Attr *a, const char *tmp)
{
	char index[64];

	if (index_name(a, index))
		(void)!linkat(ov->work, tmp, ov->index, index, 0);
}

/* Brings LOWER to NAME in DIR, an O_PATH descriptor of the upper layer. */
static int bring_name(struct call *c, struct overlay *ov, int dir, const char *name, const char *lower, const rfs_Attr *a)
{
	char tmp[32];

	if (link_indexed(ov, a, dir, name))
		return 0;
	snprintf(tmp, sizeof(tmp), "%u", ++ov->serial);
	int rc = make_copy(c, ov, lower, a, tmp);
	if (!rc) {
		add_index(ov, a, tmp);
		rc = record(ov, a, ov->work, tmp);
	}
	rc = rc ? rc : move_in(ov, tmp, dir, name, a);
	if (rc && S_ISDIR(a->mode)) {
		CLEANUP_FD int fd = openat(ov->work, tmp, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (fd >= 0)
			upper_strip(fd);
	}
	if (rc)
		unlinkat(ov->work, tmp, S_ISDIR(a->mode) ? AT_REMOVEDIR : 0);
	return rc;
}

static void forget(struct overlay *ov, const char *path)
{
	char key[PATH_MAX + sizeof(OVERLAY_UPPER)];

	snprintf(key, sizeof(key), OVERLAY_UPPER "%s", path);
	cache_forget_name(ov->upper, key, true);
}

/* The top of the upper layer is a copy, too. */
static int copy_root(struct call *c, struct overlay *ov)
{
	struct stat st;

	if (fstat(ov->top, &st) < 0)
		return -errno;
	if (inomap_find(ov->inodes, st.st_ino, 0, UINT32_MAX))
		return 0;
	int rc = copy_attrs(c, ov, ov->lower->sub, &ov->root, ov->dir_fd, "upper");
	return rc ? rc : record(ov, &ov->root, ov->dir_fd, "upper");
}

int overlay_begin(struct call *c, struct overlay *ov)
{
	int rc = ov->root_known ? 0 : overlay_lower_attr(c, ov, ov->lower->sub, &ov->root);

	if (rc || ov->root_known)
		return rc;
	ov->root_known = ov->dirty = true;
	rc = copy_root(c, ov);
	overlay_switch(c, ov, &ov->root, "");
	return rc;
}

/* The last of PATH's names is in the directory DIR or comes there, whatever the rights to DIR are: it is no new name. */
static int bring_one(struct call *c, struct overlay *ov, int dir, const char *name, const char *path)
{
	UPPER_RIGHTS(dir);
	char lower[PATH_MAX] = "";
	struct stat st;
	rfs_Attr attr;

	if (!fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW))
		return 0;
	if (errno != ENOENT)
		return -errno;
	int rc = upper_from(dir, lower);
	if (rc < 0)
		return rc;
	if (!*lower || upper_is_gone(dir, name))
		return -ENOENT;
	rc = path_join(lower, name, lower, PATH_MAX);
	rc = rc ? rc : overlay_lower_attr(c, ov, lower, &attr);
	rc = rc ? rc : bring_name(c, ov, dir, name, lower, &attr);
	if (rc)
		return rc;
	forget(ov, path);
	overlay_switch(c, ov, &attr, path);
	return 0;
}

/* Opens the directory PATH of the upper layer, bringing what is missing on the way. */
int overlay_bring_dir(struct call *c, struct overlay *ov, const char *path)
{
	char at[PATH_MAX] = "", name[NAME_MAX + 1];
	int rc = overlay_begin(c, ov), dir = rc ? rc : openat(ov->top, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);

	for (const char *p = path; dir >= 0 && *p;) {
		size_t n = strcspn(++p, "/");

		snprintf(name, sizeof(name), "%.*s", (int)n, p);
		p += n;
		memcpy(at, path, (size_t)(p - path));
		at[p - path] = '\0';
		rc = bring_one(c, ov, dir, name, at);
		int next = rc ? rc : upper_enter(dir, name);
		close(dir);
		dir = next;
	}
	return dir;
}

int overlay_bring(struct call *c, struct overlay *ov, const char *path)
{
	char parent[PATH_MAX];
	const char *name = strrchr(path, '/');

	if (!name)
		return overlay_begin(c, ov);
	memcpy(parent, path, (size_t)(name - path));
	parent[name - path] = '\0';
	CLEANUP_FD int dir = overlay_bring_dir(c, ov, parent);
	return dir < 0 ? dir : bring_one(c, ov, dir, name + 1, path);
}
