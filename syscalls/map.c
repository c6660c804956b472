/* mmap of emulated descriptors: the placeholder gets the file's bytes, and the kernel maps that. */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "call.h"
#include "handlers.h"
#include "log.h"
#include "ofd.h"
#include "remote.h"
#include "rules.h"
#include "util.h"

long sys_mmap(struct call *c)
{
	int prot = (int)c->arg[2], flags = (int)c->arg[3], fd = (int)c->arg[4];
	struct ofd *o = flags & MAP_ANONYMOUS ? NULL : ofd_by_fd(c->tid, fd);

	if (!o)
		return CALL_CONTINUE;
	call_remote(c, o->mount);
	if (o->flags & O_PATH)
		return -EBADF;
	/* EACCES for what cannot be read, ENODEV for a directory: the placeholder's, too. */
	if (o->filled || (o->flags & O_ACCMODE) == O_WRONLY || !S_ISREG(o->node->attr.mode))
		return CALL_CONTINUE;
	bool shared = (flags & MAP_TYPE) == MAP_SHARED || (flags & MAP_TYPE) == MAP_SHARED_VALIDATE;
	if (shared && prot & PROT_WRITE && (o->flags & O_ACCMODE) == O_RDONLY)
		return CALL_CONTINUE; /* EACCES */
	if (shared && prot & PROT_WRITE)
		return call_unsupported(c, o->mount);
	CLEANUP_FD int src = call_get_fd(c, fd);
	if (src < 0)
		return src;
	ofd_ref(o);
	int rc = remote_fill(c, o, src);
	if (rc == -ENOSPC)
		log_error("%s: no room in /dev/shm for the whole file, which mmap needs: free space there", o->path);
	ofd_unref(o);
	return rc == -ENOSPC ? -ENOMEM : rc ? rc : CALL_CONTINUE;
}
