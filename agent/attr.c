#include "attr.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

/*
 * Not simply all bits: STATX_MNT_ID_UNIQUE (6.8) would replace the mount id that everyone else knows.
 * Kernels that do not know a bit ignore it and leave it out of stx_mask.
 */
#define ATTR_WANTED (STATX_BASIC_STATS | STATX_BTIME | STATX_MNT_ID | STATX_DIOALIGN)

int attr_get(int fd, const char *name, int flags, rfs_Attr *attr)
{
	struct statx sx;

	if (statx(fd, name, flags | AT_NO_AUTOMOUNT, ATTR_WANTED, &sx))
		return -errno;
	*attr = (rfs_Attr){
		.mask = sx.stx_mask,
		.mode = sx.stx_mode,
		.nlink = sx.stx_nlink,
		.uid = sx.stx_uid,
		.gid = sx.stx_gid,
		.blksize = sx.stx_blksize,
		.ino = sx.stx_ino,
		.size = sx.stx_size,
		.blocks = sx.stx_blocks,
		.attributes = sx.stx_attributes,
		.attributes_mask = sx.stx_attributes_mask,
		.atime_sec = sx.stx_atime.tv_sec,
		.atime_nsec = sx.stx_atime.tv_nsec,
		.mtime_sec = sx.stx_mtime.tv_sec,
		.mtime_nsec = sx.stx_mtime.tv_nsec,
		.ctime_sec = sx.stx_ctime.tv_sec,
		.ctime_nsec = sx.stx_ctime.tv_nsec,
		.btime_sec = sx.stx_btime.tv_sec,
		.btime_nsec = sx.stx_btime.tv_nsec,
		.rdev_major = sx.stx_rdev_major,
		.rdev_minor = sx.stx_rdev_minor,
		.dev_major = sx.stx_dev_major,
		.dev_minor = sx.stx_dev_minor,
		.mnt_id = sx.stx_mnt_id,
		.dio_mem_align = sx.stx_dio_mem_align,
		.dio_offset_align = sx.stx_dio_offset_align,
	};
	return 0;
}

int attr_of(int fd, rfs_Attr *attr)
{
	return attr_get(fd, "", AT_EMPTY_PATH, attr);
}
