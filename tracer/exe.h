/*
 * Local copies of remote programs: the kernel can run only what is here. Each is a memfd, which is executable
 * whatever the mount options of file systems are. All functions want the state lock held.
 */
#ifndef TRACER_EXE_H
#define TRACER_EXE_H

#include <sys/types.h>

#include "elf.h"
#include "remotefs.pb.h"

struct mount;

/* A copy. It lives until the supervisor ends. */
struct exe {
	struct exe *next;
	const struct mount *mount;
	char *path;    /* in the target's eyes */
	rfs_Attr attr; /* of the file that it is a copy of */
	int fd;        /* read only; -1 when the file has changed since: then it is kept for those who run it */
	ino_t ino;     /* of the copy */
	struct elf_info info;
};

/* The copy of the file of M that has ATTR, or NULL. */
struct exe *exe_find(const struct mount *m, const rfs_Attr *attr);

/*
 * Makes a copy of the memfd FD (which stays the caller's, and must be closed before the copy can be run); it holds
 * the file of M that has ATTR, was at PATH and is what INFO says. NULL with a negative errno in *ERROR on failure.
 */
struct exe *exe_add(const struct mount *m, const char *path, const rfs_Attr *attr, const struct elf_info *info, int fd,
			int *error);

/* The remote program that process PID runs, or NULL. */
const struct exe *exe_of(pid_t pid);

#endif
