/*
 * What travels as a number is x86-64's, and here it is the same: checked when this is compiled. open(2)'s flags that
 * are not are in open.c.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>

#define SAME(name, number) _Static_assert((name) == (number), #name " has another number here")

/* Open */
SAME(O_ACCMODE, 03);
SAME(O_CREAT, 0100);
SAME(O_EXCL, 0200);
SAME(O_TRUNC, 01000);
SAME(O_DSYNC, 010000);
SAME(O_SYNC, 04010000);
SAME(O_NOATIME, 01000000);
SAME(O_PATH, 010000000);
SAME(RESOLVE_NO_XDEV, 1);
SAME(RESOLVE_NO_MAGICLINKS, 2);
SAME(RESOLVE_NO_SYMLINKS, 4);
SAME(RESOLVE_BENEATH, 8);
SAME(RESOLVE_IN_ROOT, 16);

/* Access, Unlink, Rename, Link, NameToHandle, Setxattr, Utimes */
SAME(AT_SYMLINK_NOFOLLOW, 0x100);
SAME(AT_EACCESS, 0x200);
SAME(AT_REMOVEDIR, 0x200);
SAME(AT_SYMLINK_FOLLOW, 0x400);
SAME(RENAME_NOREPLACE, 1);
SAME(RENAME_EXCHANGE, 2);
SAME(RENAME_WHITEOUT, 4);
SAME(XATTR_CREATE, 1);
SAME(XATTR_REPLACE, 2);
SAME(UTIME_NOW, 0x3fffffff);
SAME(UTIME_OMIT, 0x3ffffffe);

/* Attr, Entry, StatfsReply */
SAME(S_IFMT, 0170000);
SAME(S_IFLNK, 0120000);
SAME(S_IFSOCK, 0140000);
SAME(DT_LNK, 10);
SAME(DT_SOCK, 12);
SAME(STATX_BTIME, 0x800);
SAME(STATX_ATTR_MOUNT_ROOT, 0x2000);
SAME(ST_RDONLY, 1);

/* Write, Seek, Allocate, SyncRange */
SAME(RWF_DSYNC, 2);
SAME(RWF_SYNC, 4);
SAME(RWF_NOWAIT, 8);
SAME(SEEK_DATA, 3);
SAME(SEEK_HOLE, 4);
SAME(FALLOC_FL_PUNCH_HOLE, 2);
SAME(FALLOC_FL_ZERO_RANGE, 16);
SAME(SYNC_FILE_RANGE_WAIT_AFTER, 4);

/* Lock, Flock */
SAME(F_OFD_GETLK, 36);
SAME(F_OFD_SETLK, 37);
SAME(F_RDLCK, 0);
SAME(F_WRLCK, 1);
SAME(F_UNLCK, 2);
SAME(LOCK_SH, 1);
SAME(LOCK_EX, 2);
SAME(LOCK_UN, 8);

/* Watch, Ready, Connect */
SAME(IN_ONLYDIR, 0x1000000);
SAME(IN_Q_OVERFLOW, 0x4000);
SAME(POLLHUP, 0x10);
SAME(POLLRDHUP, 0x2000);
SAME(SOCK_STREAM, 1);
SAME(SOCK_DGRAM, 2);
SAME(SOCK_SEQPACKET, 5);

/* Ioctl: some have a structure's size in their number. */
SAME(FS_IOC_GETFLAGS, 0x80086601);
SAME(FS_IOC_SETFLAGS, 0x40086602);
SAME(FS_IOC_GETVERSION, 0x80087601);
SAME(FS_IOC_SETVERSION, 0x40087602);
SAME(FS_IOC_FSGETXATTR, 0x801c581f);
SAME(FS_IOC_FSSETXATTR, 0x401c5820);
SAME(FS_IOC_GETFSLABEL, 0x81009431);
SAME(FS_IOC_FIEMAP, 0xc020660b);
SAME(FIGETBSZ, 2);
SAME(FIOQSIZE, 0x5460);
SAME(FIBMAP, 1);
SAME(sizeof(struct fiemap_extent), 56);

/* Those that differ somewhere. */
SAME(EAGAIN, 11);
SAME(EDEADLK, 35);
SAME(ENAMETOOLONG, 36);
SAME(ENOLCK, 37);
SAME(ENOSYS, 38);
SAME(ENOTEMPTY, 39);
SAME(ELOOP, 40);
SAME(EOVERFLOW, 75);
SAME(EOPNOTSUPP, 95);
SAME(EADDRINUSE, 98);
SAME(ESTALE, 116);
SAME(EDQUOT, 122);
