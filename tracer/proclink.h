/* The links of /proc (and /dev) that lead to a task's descriptors, working directory and program. */
#ifndef TRACER_PROCLINK_H
#define TRACER_PROCLINK_H

#include <sys/types.h>

struct exe;
struct ofd;

/*
 * The remote file that the absolute path RAW, as task TID gives it, leads to or through: /proc/self/fd/5,
 * /proc/123/cwd/x, /dev/fd/5, /dev/stdin. *REST is what follows the link, "" or "/x". NULL for other paths and for
 * links to local files. No reference is taken; wants the state lock held.
 */
struct ofd *proclink_find(pid_t tid, const char *raw, const char **rest);

/* The remote program that RAW, as TID gives it, names as /proc/PID/exe; or NULL. */
const struct exe *proclink_exe(pid_t tid, const char *raw);

#endif
