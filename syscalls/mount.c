/*
 * chroot, mount and what belongs to them, on remote places: refused, because the kernel here would do them to what it
 * has in the place's stead. The path's own errors come first.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "aim.h"
#include "call.h"
#include "handlers.h"
#include "log.h"
#include "mem.h"
#include "rules.h"
#include "util.h"

/* EPERM is what one without the right for it gets; WHY also says what to do instead. */
static long refuse(struct call *c, const struct mount *m, const char *why)
{
	call_remote(c, m);
	c->note = "refused";
	log_error("process %d: %s refused: %s", (int)c->tid, c->row->name, why);
	return -EPERM;
}

static long refuse_mount(struct call *c, const struct mount *m)
{
	return refuse(c, m, "mounts of remote places are the target's own: mount it there, or give it a --mount of its own");
}

/* The path of argument I, which the kernel looks up with AT_ FLAGS: CALL_CONTINUE when it is local, else refused. */
static long refuse_path(struct call *c, int i, int flags)
{
	PLACE_ON_STACK(p);
	long rc = place_resolve(c, AT_FDCWD, c->arg[i], place_flags(flags), &p);

	if (rc || (!p.mount && !p.behalf))
		return rc ? rc : CALL_CONTINUE;
	rc = p.mount ? aim_look(c, &p, flags & AT_SYMLINK_NOFOLLOW, NULL) : 0;
	return rc ? rc : refuse_mount(c, p.mount);
}

static bool is_remote(struct call *c, int i)
{
	PLACE_ON_STACK(p);

	return !place_resolve(c, AT_FDCWD, c->arg[i], PLACE_FOLLOW, &p) && (p.mount || p.behalf);
}

long sys_mount(struct call *c)
{
	long rc = refuse_path(c, 1, 0);

	/* Only then the first argument is a path of ours; it is looked up after the right was asked for. */
	if (rc == CALL_CONTINUE && c->arg[3] & (MS_BIND | MS_MOVE) && is_remote(c, 0))
		return refuse_mount(c, NULL);
	return rc;
}

long sys_umount2(struct call *c)
{
	return refuse_path(c, 0, c->arg[1] & UMOUNT_NOFOLLOW ? AT_SYMLINK_NOFOLLOW : 0);
}

/* Calls that ask for the right before they look at a path: pivot_root, open_tree, swapon, acct, quotactl … */
long sys_mount_other(struct call *c)
{
	long rc = call_default(c);

	return rc == -ENOSYS ? refuse_mount(c, c->mount) : rc;
}

static bool may_chroot(const struct call *c)
{
	unsigned long long capabilities = 0;

	return call_status(c, "CapEff: %llx", &capabilities) && capabilities >> CAP_SYS_CHROOT & 1;
}

/* Whether the local path at ADDR is a directory, other than the root that the task has. */
static bool is_new_root(const struct call *c, uint64_t addr)
{
	char text[PATH_MAX], link[PATH_MAX + 64];
	struct stat st, root;

	if (mem_read_string(c->tid, addr, text, sizeof(text)) <= 0)
		return false;
	if (*text == '/')
		snprintf(link, sizeof(link), "%s", text);
	else
		snprintf(link, sizeof(link), "/proc/%d/cwd/%s", (int)c->tid, text);
	return !stat(link, &st) && S_ISDIR(st.st_mode) && !stat("/", &root) && (st.st_ino != root.st_ino || st.st_dev != root.st_dev);
}

/* Whether P is the program's own "/", for which nothing has to be done. */
static bool is_root(const struct place *p)
{
	char path[PATH_MAX];

	return *p->key && !path_to_program(p->mount, p->key, path, sizeof(path)) && !path[1];
}

long sys_chroot(struct call *c)
{
	PLACE_ON_STACK(p);
	size_t mounts;
	long rc = place_resolve(c, AT_FDCWD, c->arg[0], PLACE_FOLLOW, &p);

	rules_mounts(&mounts);
	if (rc || !mounts || (p.mount && is_root(&p)))
		return rc ? rc : CALL_CONTINUE;
	if (p.mount) {
		size_t n = strlen(p.path);

		/* "." in it is found only by one who may search it, and only if it is a directory. */
		if (n + 3 <= sizeof(p.path))
			strcpy(p.path + n, !n || p.path[n - 1] == '/' ? "." : "/.");
		rc = aim_look(c, &p, false, NULL);
		if (rc)
			return rc;
	} else if (!may_chroot(c) || !is_new_root(c, c->arg[0])) {
		return CALL_CONTINUE;
	}
	/* After a local one, too, every path would mean another place than we take it for. */
	return refuse(c, p.mount, "with remote trees a process cannot get another root: start the program with --target or --mount for that root");
}
