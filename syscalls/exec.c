/* execve, execveat: of local programs; what cannot run under us is refused before it is tried. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "call.h"
#include "elf.h"
#include "handlers.h"
#include "link.h"
#include "log.h"
#include "mem.h"
#include "ofd.h"
#include "place.h"
#include "remote.h"
#include "util.h"

/* A foreign binary would use other syscall numbers, which the filter answers with ENOSYS. */
static bool is_foreign(const char *path, pid_t tid)
{
	CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct elf_info info;

	if (fd < 0 || elf_classify(fd, &info) < 0 || info.kind != ELF_FOREIGN)
		return false;
	log_error("process %d: cannot run a program for %s: only x86-64 programs can be traced; use a 64-bit x86 build",
		  (int)tid, info.arch);
	return true;
}

static long exec_remote(struct call *c, const struct place *p)
{
	rfs_Request req = { .which_op = rfs_Request_access_tag,
			    .op.access = { .has_where = true, .mode = X_OK, .flags = AT_EACCESS } };
	struct link_reply rep;

	/* A shell goes on to the next directory of PATH when the file is not there: that must be told apart. */
	place_where(p, &req.op.access.where);
	int rc = call_rpc(c, p->mount, &req, NULL, 0, &rep);
	if (rc)
		return rc;
	link_reply_free(&rep);
	return call_unsupported(c, p->mount);
}

/* The kernel closes what is close-on-exec without a word. */
static long exec_done(struct call *c, long result)
{
	if (!result)
		ofd_doubt_closed(c->tid);
	return result;
}

static long exec_at(struct call *c, int dirfd, uint64_t addr, int flags)
{
	PLACE_ON_STACK(p);
	char text[PATH_MAX], link[PATH_MAX + 64];

	c->after = exec_done;
	if (place_resolve(c, dirfd, addr, flags, &p))
		return CALL_CONTINUE;
	if (p.mount)
		return exec_remote(c, &p);
	if (p.behalf)
		return call_unsupported(c, NULL);
	if (mem_read_string(c->tid, addr, text, sizeof(text)) <= 0)
		return CALL_CONTINUE;
	if (*text == '/')
		snprintf(link, sizeof(link), "%s", text);
	else if (dirfd == AT_FDCWD)
		snprintf(link, sizeof(link), "/proc/%d/cwd/%s", (int)c->tid, text);
	else
		snprintf(link, sizeof(link), "/proc/%d/fd/%d/%s", (int)c->tid, dirfd, text);
	return is_foreign(link, c->tid) ? -ENOEXEC : CALL_CONTINUE;
}

long sys_execve(struct call *c)
{
	return exec_at(c, AT_FDCWD, c->arg[0], 0);
}

long sys_execveat(struct call *c)
{
	return exec_at(c, (int)c->arg[0], c->arg[1], PLACE_EMPTY_OK);
}
