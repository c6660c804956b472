/* The handlers that table.def names: one per emulated call, in the file of its family. */
#ifndef SYSCALLS_HANDLERS_H
#define SYSCALLS_HANDLERS_H

#include "table.h"

#define SYSCALL_HANDLERS(X) \
	X(sys_readahead) X(sys_fadvise64) X(sys_sync_file_range) X(sys_syncfs) X(sys_cachestat) X(sys_sync) \
	X(sys_io_submit) X(sys_io_getevents) X(sys_io_pgetevents) X(sys_io_destroy) \
	X(sys_connect) X(sys_bind) X(sys_listen) X(sys_getsockname) X(sys_getpeername) \
	X(sys_read) X(sys_write) X(sys_open) X(sys_close) X(sys_stat) X(sys_fstat) X(sys_lstat) \
	X(sys_lseek) X(sys_mmap) X(sys_msync) X(sys_ioctl) X(sys_pread64) X(sys_pwrite64) X(sys_readv) \
	X(sys_writev) X(sys_access) X(sys_dup) X(sys_dup2) X(sys_sendfile) X(sys_copy_file_range) X(sys_splice) X(sys_tee) X(sys_vmsplice) X(sys_execve) X(sys_fcntl) X(sys_flock) \
	X(sys_socket) X(sys_sendmsg) X(sys_sendmmsg) X(sys_pidfd_getfd) \
	X(sys_close_range) X(sys_unshare) X(sys_fsync) X(sys_fdatasync) X(sys_truncate) X(sys_ftruncate) X(sys_getdents) X(sys_getcwd) \
	X(sys_chmod) X(sys_fchmod) X(sys_fchmodat) X(sys_fchmodat2) X(sys_chown) X(sys_fchown) X(sys_lchown) \
	X(sys_fchownat) X(sys_utime) X(sys_utimes) X(sys_utimensat) X(sys_futimesat) X(sys_link) X(sys_linkat) \
	X(sys_symlink) X(sys_symlinkat) X(sys_mknod) X(sys_mknodat) X(sys_statfs) X(sys_fstatfs) X(sys_fallocate) \
	X(sys_chdir) X(sys_fchdir) X(sys_rename) X(sys_mkdir) X(sys_rmdir) X(sys_creat) X(sys_unlink) \
	X(sys_readlink) X(sys_getrlimit) X(sys_setrlimit) X(sys_getdents64) X(sys_openat) \
	X(sys_mkdirat) X(sys_newfstatat) X(sys_unlinkat) X(sys_renameat) X(sys_readlinkat) \
	X(sys_faccessat) X(sys_dup3) X(sys_preadv) X(sys_pwritev) X(sys_prlimit64) X(sys_renameat2) \
	X(sys_execveat) X(sys_preadv2) X(sys_pwritev2) X(sys_statx) X(sys_openat2) X(sys_faccessat2) \
	X(sys_ptrace) X(sys_chroot) X(sys_mount) X(sys_umount2) X(sys_mount_other) \
	X(sys_name_to_handle_at) X(sys_open_by_handle_at) X(sys_file_getattr) X(sys_file_setattr) \
	X(sys_setxattr) X(sys_lsetxattr) X(sys_fsetxattr) X(sys_setxattrat) \
	X(sys_getxattr) X(sys_lgetxattr) X(sys_fgetxattr) X(sys_getxattrat) \
	X(sys_listxattr) X(sys_llistxattr) X(sys_flistxattr) X(sys_listxattrat) \
	X(sys_removexattr) X(sys_lremovexattr) X(sys_fremovexattr) X(sys_removexattrat) \
	X(sys_inotify_init) X(sys_inotify_add_watch) X(sys_inotify_rm_watch) X(sys_fanotify_mark)

#define DECLARE_HANDLER(name) syscall_handler name;
SYSCALL_HANDLERS(DECLARE_HANDLER)
#undef DECLARE_HANDLER

#endif
