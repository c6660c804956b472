/* inotify and fanotify. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "call.h"
#include "drain.h"
#include "handlers.h"
#include "place.h"
#include "util.h"
#include "watch.h"

#define KNOWN_MASK                                                                                                  \
	(IN_ALL_EVENTS | IN_UNMOUNT | IN_Q_OVERFLOW | IN_IGNORED | IN_ONLYDIR | IN_DONT_FOLLOW | IN_EXCL_UNLINK | \
	 IN_MASK_CREATE | IN_MASK_ADD | IN_ISDIR | IN_ONESHOT)

/* Whether FD of C's task is what /proc calls WHAT. */
static bool is_anonymous(const struct call *c, int fd, const char *what)
{
	char link[64], text[64];

	snprintf(link, sizeof(link), "/proc/%d/fd/%d", (int)c->tid, fd);
	ssize_t n = readlink(link, text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = '\0';
	return !strcmp(text, what);
}

/* A path that the kernel would not find: it is watched through our own descriptor of the instance. */
static long add_behalf(struct call *c, int fd, const struct place *p, uint32_t mask)
{
	CLEANUP_FD int own = call_get_fd(c, fd);
	int wd = own < 0 ? own : inotify_add_watch(own, p->local, mask);

	return own >= 0 && wd < 0 ? -errno : wd;
}

long sys_inotify_add_watch(struct call *c)
{
	PLACE_ON_STACK(p);
	int fd = (int)c->arg[0];
	uint32_t mask = (uint32_t)c->arg[2];

	/* What is wrong with the mask or the descriptor comes before the path: the kernel says it. */
	if (mask & ~KNOWN_MASK || !mask || (mask & IN_MASK_ADD && mask & IN_MASK_CREATE) ||
	    !is_anonymous(c, fd, "anon_inode:inotify"))
		return CALL_CONTINUE;
	long rc = place_resolve(c, AT_FDCWD, c->arg[1], (mask & IN_DONT_FOLLOW ? 0 : PLACE_FOLLOW) | PLACE_CHANGE, &p);
	if (rc || (!p.mount && !p.behalf))
		return rc ? rc : CALL_CONTINUE;
	if (p.behalf)
		return add_behalf(c, fd, &p, mask);
	call_remote(c, p.mount);
	/* The agent hears of what was closed before it is asked. */
	drain(c);
	return watch_add(c, fd, &p, mask);
}

long sys_inotify_rm_watch(struct call *c)
{
	return watch_remove(c, (int)c->arg[0], (int)c->arg[1]);
}

/* Instances that were closed count against the user's limit for as long as we have them. */
long sys_inotify_init(struct call *c)
{
	watch_collect();
	return CALL_CONTINUE;
}

/* It marks whole file systems and asks for permission: of a remote place there is nothing here that could. */
long sys_fanotify_mark(struct call *c)
{
	PLACE_ON_STACK(p);
	long rc = place_resolve(c, (int)c->arg[3], c->arg[4], PLACE_NULL_OK | PLACE_FOLLOW, &p);

	if (rc || (!p.mount && !p.behalf) || !is_anonymous(c, (int)c->arg[0], "anon_inode:[fanotify]"))
		return rc ? rc : CALL_CONTINUE;
	if (p.mount)
		call_remote(c, p.mount);
	c->note = "not emulated";
	return -EOPNOTSUPP;
}
