/* struct statx and the wire's Attr. */
#ifndef AGENT_ATTR_H
#define AGENT_ATTR_H

#include "remotefs.pb.h"

/*
 * Fills ATTR from statx(FD, NAME, FLAGS); FLAGS are statx's (AT_EMPTY_PATH, AT_SYMLINK_NOFOLLOW).
 * 0 or a negative errno of statx(2).
 */
int attr_get(int fd, const char *name, int flags, rfs_Attr *attr);

/* ATTR of the open file FD itself. */
int attr_of(int fd, rfs_Attr *attr);

#endif
