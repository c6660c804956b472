/* mmap and msync: the kernel maps the image of a remote file, which is filled first. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "call.h"
#include "handlers.h"
#include "image.h"
#include "image_fill.h"
#include "log.h"
#include "ofd.h"
#include "placeholder.h"
#include "remote.h"
#include "rules.h"
#include "sync.h"
#include "util.h"

static bool is_shared(int flags)
{
	return (flags & MAP_TYPE) == MAP_SHARED || (flags & MAP_TYPE) == MAP_SHARED_VALIDATE;
}

/* True when the kernel refuses to map O so, whatever is in it: EACCES, ENODEV, EINVAL, EOVERFLOW. */
static bool is_refused(const struct ofd *o, uint64_t len, int prot, int flags, uint64_t off)
{
	int mode = o->flags & O_ACCMODE;

	return mode == O_WRONLY || mode == O_ACCMODE || !len || off % 4096 || off + (len + 4095) / 4096 * 4096 < off ||
	       (is_shared(flags) && prot & PROT_WRITE && mode == O_RDONLY);
}

long sys_mmap(struct call *c)
{
	int prot = (int)c->arg[2], flags = (int)c->arg[3], fd = (int)c->arg[4], rc;
	struct ofd *o = flags & MAP_ANONYMOUS ? NULL : ofd_by_fd(c->tid, fd);

	if (!o)
		return CALL_CONTINUE;
	call_remote(c, o->mount);
	if (o->flags & O_PATH)
		return c->arg[5] % 4096 ? CALL_CONTINUE : -EBADF; /* EINVAL before the descriptor is looked at */
	if (is_refused(o, c->arg[1], prot, flags, c->arg[5]))
		return CALL_CONTINUE;
	if (o->channel && !o->shadow)
		return -ENODEV; /* of null and the like; zero's pages are not served */
	if (!S_ISREG(o->node->attr.mode))
		return CALL_CONTINUE;
	ofd_ref(o);
	/* What may be written may be made writable by mprotect, of which nobody tells. */
	rc = is_shared(flags) && (o->flags & O_ACCMODE) == O_RDWR ? sync_mapped(c, o) : image_fill(c, o);
	if (rc == -ENOSPC)
		log_error("%s: no room in /dev/shm for the whole file, which mmap needs: free space there", o->path);
	ofd_unref(o);
	return rc == -ENOSPC ? -ENOMEM : rc ? rc : CALL_CONTINUE;
}

/* What an msync finds in one line of /proc/PID/maps. */
struct area {
	uint64_t from, to, off;
	struct image *image;
};

static bool parse_area(const char *line, struct area *a)
{
	unsigned long long from, to, off;
	char access[8], text[PATH_MAX];

	if (sscanf(line, "%llx-%llx %7s %llx %*s %*s %4095[^\n]", &from, &to, access, &off, text) != 5 || access[3] != 's')
		return false;
	*a = (struct area){ .from = from, .to = to, .off = off, .image = placeholder_image(text) };
	return a->image && a->image->sync;
}

/* A descriptor of N's that can be synced: every one but O_PATH's. */
static struct ofd *syncable(const struct node *n)
{
	struct ofd *o = n->ofds;

	while (o->flags & O_PATH && o->next_of_node)
		o = o->next_of_node;
	return o;
}

static int sync_area(struct call *c, const struct area *a, uint64_t from, uint64_t to)
{
	struct ofd *o = ofd_ref(syncable(a->image->node));
	rfs_Request req = { .which_op = rfs_Request_sync_tag, .op.sync = { .handle = o->handle, .data_only = true } };
	struct link_reply rep;

	from = from > a->from ? from : a->from;
	to = to < a->to ? to : a->to;
	call_remote(c, o->mount);
	int rc = sync_flush(c, a->image, a->off + (from - a->from), to - from);
	rc = rc ? rc : call_rpc(c, o->mount, &req, NULL, 0, &rep);
	if (!rc)
		link_reply_free(&rep);
	ofd_unref(o);
	return rc;
}

/* Brings the shared mappings in the range to the target; the first error is the result. */
static int sync_range(struct call *c, uint64_t from, uint64_t to)
{
	char path[64], line[PATH_MAX + 128];
	struct area a;
	int rc = 0;

	snprintf(path, sizeof(path), "/proc/%d/maps", (int)c->tid);
	FILE *f = fopen(path, "re");
	while (f && !rc && fgets(line, sizeof(line), f))
		if (parse_area(line, &a) && a.to > from && a.from < to)
			rc = sync_area(c, &a, from, to);
	if (f)
		fclose(f);
	return rc;
}

long sys_msync(struct call *c)
{
	uint64_t from = c->arg[0], to = from + ((c->arg[1] + 4095) & ~4095ull);
	int flags = (int)c->arg[2], rc;

	/* What the kernel refuses, and what may as well be done later. */
	if (!sync_active() || flags & ~(MS_ASYNC | MS_INVALIDATE | MS_SYNC) || from % 4096 || to <= from ||
	    !(flags & MS_SYNC) || flags & MS_ASYNC)
		return CALL_CONTINUE;
	rc = sync_range(c, from, to);
	return rc ? rc : CALL_CONTINUE; /* ENOMEM for what is not mapped */
}
