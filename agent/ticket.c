#include "ticket.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <pb_decode.h>
#include <pb_encode.h>

#include "attr.h"
#include "resolve.h"

/* Of 6.5 and 6.12; glibc's headers may be older. */
#define HANDLE_FID 0x200
#define HANDLE_MNT_ID_UNIQUE 0x001

/* include/linux/exportfs.h */
#define HANDLE_BTRFS_FIRST 0x4d
#define HANDLE_BTRFS_LAST 0x4f

#define STAT_STARTED 22 /* proc_pid_stat(5): the field of the start time */

struct whole_handle {
	struct file_handle head;
	unsigned char bytes[MAX_HANDLE_SZ];
};

/* name_to_handle_at(2) with FLAGS into T. 0 or a negative errno. */
static int ticket_name(int fd, int flags, rfs_Ticket *t)
{
	static atomic_bool no_unique; /* before 6.12 */
	struct whole_handle h = { .head.handle_bytes = MAX_HANDLE_SZ };
	uint64_t mount = 0;
	bool unique = !atomic_load_explicit(&no_unique, memory_order_relaxed);
	int r;

	flags |= AT_EMPTY_PATH;
	r = name_to_handle_at(fd, "", &h.head, (int *)&mount, flags | (unique ? HANDLE_MNT_ID_UNIQUE : 0));
	if (r && errno == EINVAL && unique) {
		unique = false;
		r = name_to_handle_at(fd, "", &h.head, (int *)&mount, flags);
		if (!r)
			atomic_store(&no_unique, true);
	}
	if (r)
		return -errno;
	t->handle_type = (uint32_t)h.head.handle_type;
	t->handle.size = (pb_size_t)h.head.handle_bytes;
	memcpy(t->handle.bytes, h.head.f_handle, h.head.handle_bytes);
	t->mount = unique ? mount : 0; /* the other numbers are given out again */
	return 0;
}

/* When the process whose directory of procfs DIR is started; 0: DIR is none. */
static uint64_t ticket_started(const struct root *root, const char *dir)
{
	char path[PATH_MAX], text[1024], proc[32], *field;
	struct statfs fs;
	uint64_t when = 0;
	ssize_t n = -1;
	int fd, stat;

	if (snprintf(path, sizeof(path), "%s/stat", dir) >= (int)sizeof(path))
		return 0;
	fd = resolve_exact(root, path, O_NOFOLLOW);
	if (fd < 0)
		return 0;
	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
	stat = !fstatfs(fd, &fs) && fs.f_type == PROC_SUPER_MAGIC ? open(proc, O_RDONLY | O_CLOEXEC) : -1;
	if (stat >= 0) {
		n = read(stat, text, sizeof(text) - 1);
		close(stat);
	}
	close(fd);
	text[n > 0 ? n : 0] = '\0';
	/* The second field is the program's name in brackets, and may have anything in it. */
	field = strrchr(text, ')');
	for (int i = 2; field && i < STAT_STARTED; i++)
		field = strchr(field + 1, ' ');
	if (field)
		when = strtoull(field, NULL, 10);
	return when;
}

/* Inode numbers of procfs are given out anew whenever a name is looked up, and process numbers are given out again. */
static void ticket_process(const struct root *root, rfs_Ticket *t)
{
	char dir[PATH_MAX], *slash, *name;

	t->process = true;
	t->ino = 0;
	memcpy(dir, t->path.bytes, t->path.size);
	dir[t->path.size] = '\0';
	/* Of a thread before its process's. */
	while (!t->started && (slash = strrchr(dir, '/'))) {
		name = slash + 1;
		if (*name && !name[strspn(name, "0123456789")])
			t->started = ticket_started(root, dir);
		*slash = '\0';
	}
}

static void ticket_identify(const struct root *root, int fd, rfs_Ticket *t)
{
	struct statfs fs;

	if (!ticket_name(fd, 0, t)) {
		/* Its device numbers stand for a subvolume, and may be others after the next mount. */
		if (t->handle_type >= HANDLE_BTRFS_FIRST && t->handle_type <= HANDLE_BTRFS_LAST && !fstatfs(fd, &fs))
			memcpy(&t->fsid, &fs.f_fsid, sizeof(t->fsid));
		return;
	}
	if (!fstatfs(fd, &fs) && fs.f_type == PROC_SUPER_MAGIC)
		ticket_process(root, t);
	else if (!ticket_name(fd, HANDLE_FID, t))
		t->compared_only = true;
}

void ticket_make(const struct root *root, int fd, const rfs_Attr *attr, const char *path, rfs_Ticket *t)
{
	char now[PATH_MAX];

	*t = (rfs_Ticket){
		.type = attr->mode & S_IFMT,
		.dev_major = attr->dev_major,
		.dev_minor = attr->dev_minor,
		.ino = attr->ino,
		.btime_sec = attr->btime_sec,
		.btime_nsec = attr->btime_nsec,
		.rdev_major = attr->rdev_major,
		.rdev_minor = attr->rdev_minor,
	};
	if (!path)
		path = resolve_path_of(root, fd, now) ? "" : now;
	t->path.size = (pb_size_t)strnlen(path, sizeof(t->path.bytes));
	memcpy(t->path.bytes, path, t->path.size);
	ticket_identify(root, fd, t);
}

pb_size_t ticket_encode(const rfs_Ticket *t, uint8_t *out)
{
	pb_ostream_t o = pb_ostream_from_buffer(out, TICKET_MAX);

	return pb_encode(&o, rfs_Ticket_fields, t) ? (pb_size_t)o.bytes_written : 0;
}

bool ticket_decode(const uint8_t *bytes, size_t size, rfs_Ticket *t)
{
	pb_istream_t in = pb_istream_from_buffer(bytes, size);

	return size && pb_decode(&in, rfs_Ticket_fields, t) && t->path.size <= sizeof(t->path.bytes) &&
	       !memchr(t->path.bytes, '\0', t->path.size);
}

static bool ticket_same_device(const rfs_Ticket *a, const rfs_Ticket *b)
{
	if (a->dev_major == b->dev_major && a->dev_minor == b->dev_minor)
		return true;
	return a->fsid && a->fsid == b->fsid;
}

/* A handle has the inode's generation in it: it tells a file from a later one with the same number. */
static bool ticket_same_handle(const rfs_Ticket *a, const rfs_Ticket *b)
{
	return a->handle_type == b->handle_type && a->compared_only == b->compared_only && a->handle.size == b->handle.size &&
	       !memcmp(a->handle.bytes, b->handle.bytes, a->handle.size);
}

int ticket_check(const struct root *root, int fd, const rfs_Ticket *t)
{
	rfs_Ticket is;
	rfs_Attr attr;
	int r = attr_of(fd, &attr);
	bool same;

	if (r)
		return r;
	ticket_make(root, fd, &attr, NULL, &is);
	same = is.type == t->type && ticket_same_device(&is, t) && ticket_same_handle(&is, t) && is.process == t->process &&
	       is.started == t->started;
	same = same && is.rdev_major == t->rdev_major && is.rdev_minor == t->rdev_minor;
	if (same && !t->process)
		same = is.ino == t->ino;
	/* In an overlay a file that is written to for the first time is a new one below, with the same handle. */
	if (same && !t->compared_only)
		same = is.btime_sec == t->btime_sec && is.btime_nsec == t->btime_nsec;
	return same ? 0 : -ESTALE;
}
