/* For confine.c only: the system calls that serving takes, of this architecture, whichever libc makes them. */

#define PR_SET_VMA_OPTION 0x53564d41 /* PR_SET_VMA of 5.17: glibc names its memory */
#define CLONE_NEW_ALL                                                                                                   \
	(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | CLONE_PTRACE)

/* What newer kernels have and older headers do not. */
#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif
#ifndef SYS_listxattrat
#define SYS_listxattrat 465
#endif
#ifndef SYS_file_getattr
#define SYS_file_getattr 468
#define SYS_file_setattr 469
#endif
#ifndef SYS_faccessat2
#define SYS_faccessat2 439
#endif

/* Whatever their arguments are. */
static const int plain[] = {
	/* bytes */
	SYS_read, SYS_write, SYS_pread64, SYS_pwrite64, SYS_readv, SYS_writev, SYS_preadv, SYS_pwritev, SYS_preadv2, SYS_pwritev2, SYS_lseek,
	SYS_sendfile, SYS_copy_file_range, SYS_splice, SYS_fallocate, SYS_ftruncate, SYS_truncate, SYS_fadvise64,
	SYS_fsync, SYS_fdatasync, SYS_sync, SYS_syncfs, SYS_sync_file_range,
	/* descriptors */
	SYS_close, SYS_close_range, SYS_dup, SYS_dup3, SYS_fcntl, SYS_flock, SYS_pipe2, SYS_memfd_create, SYS_eventfd2,
	SYS_epoll_create1, SYS_epoll_ctl, SYS_epoll_pwait, SYS_ppoll, SYS_pselect6,
	/* names */
	SYS_openat, SYS_openat2, SYS_newfstatat, SYS_fstat, SYS_statx, SYS_statfs, SYS_fstatfs, SYS_faccessat, SYS_faccessat2, SYS_readlinkat,
	SYS_getdents64, SYS_getcwd, SYS_mkdirat, SYS_mknodat, SYS_unlinkat, SYS_renameat, SYS_renameat2, SYS_linkat, SYS_symlinkat, SYS_umask,
	SYS_name_to_handle_at, SYS_open_by_handle_at, SYS_open_tree, SYS_inotify_init1, SYS_inotify_add_watch, SYS_inotify_rm_watch,
	/* what files are */
	SYS_fchmod, SYS_fchmodat, SYS_fchmodat2, SYS_fchown, SYS_fchownat, SYS_utimensat, SYS_setxattr, SYS_lsetxattr, SYS_fsetxattr, SYS_getxattr,
	SYS_lgetxattr, SYS_fgetxattr, SYS_listxattr, SYS_llistxattr, SYS_flistxattr, SYS_listxattrat, SYS_removexattr, SYS_lremovexattr,
	SYS_fremovexattr, SYS_file_getattr, SYS_file_setattr,
	/* sockets, of which there are only those that socket(2) gives */
	SYS_connect, SYS_bind, SYS_listen, SYS_accept4, SYS_shutdown, SYS_sendto, SYS_sendmsg, SYS_recvfrom, SYS_recvmsg, SYS_getsockname,
	SYS_getpeername, SYS_getsockopt, SYS_setsockopt,
	/* memory, threads and processes, of which none is ever executed */
	SYS_brk, SYS_munmap, SYS_mremap, SYS_madvise, SYS_futex, SYS_set_robust_list, SYS_set_tid_address, SYS_rseq, SYS_membarrier,
	SYS_sched_yield, SYS_sched_getaffinity, SYS_exit, SYS_exit_group, SYS_wait4, SYS_waitid, SYS_setsid, SYS_getpid, SYS_getppid, SYS_gettid,
	SYS_kill, SYS_tgkill, SYS_getuid, SYS_geteuid, SYS_getgid, SYS_getegid, SYS_getgroups, SYS_getresuid, SYS_getresgid, SYS_capget, SYS_prlimit64, SYS_getrlimit,
	SYS_uname, SYS_sysinfo, SYS_getrandom,
	/* signals and time */
	SYS_rt_sigaction, SYS_rt_sigprocmask, SYS_rt_sigreturn, SYS_rt_sigtimedwait, SYS_rt_sigsuspend, SYS_rt_sigpending, SYS_sigaltstack,
	SYS_restart_syscall, SYS_nanosleep, SYS_clock_nanosleep, SYS_clock_gettime, SYS_clock_getres, SYS_gettimeofday,
#ifdef __x86_64__
	SYS_open, SYS_stat, SYS_lstat, SYS_access, SYS_poll, SYS_select, SYS_epoll_wait, SYS_dup2, SYS_pipe, SYS_getdents, SYS_readlink, SYS_unlink,
	SYS_rmdir, SYS_mkdir, SYS_mknod, SYS_rename, SYS_link, SYS_symlink, SYS_chmod, SYS_chown, SYS_lchown, SYS_time, SYS_arch_prctl,
#endif
};

/* Only where the lower half of argument ARG is VALUE, or, LACKS, has none of its bits. */
struct checked {
	int nr;
	unsigned char arg;
	bool lacks;
	uint32_t value;
};

static const struct checked checked[] = {
	{ SYS_clone, 0, true, CLONE_NEW_ALL },
	{ SYS_unshare, 0, false, CLONE_FS },
	{ SYS_mmap, 2, true, PROT_EXEC },
	{ SYS_mprotect, 2, true, PROT_EXEC },
	{ SYS_socket, 0, false, AF_UNIX },
	{ SYS_socketpair, 0, false, AF_UNIX },
	{ SYS_prctl, 0, false, PR_SET_PDEATHSIG },
	{ SYS_prctl, 0, false, PR_SET_NAME },
	{ SYS_prctl, 0, false, PR_SET_VMA_OPTION },
	/* ioctl.c's; what a file system does not know is refused by it */
	{ SYS_ioctl, 1, false, FS_IOC_GETFLAGS },
	{ SYS_ioctl, 1, false, FS_IOC_SETFLAGS },
	{ SYS_ioctl, 1, false, FS_IOC_FSGETXATTR },
	{ SYS_ioctl, 1, false, FS_IOC_FSSETXATTR },
	{ SYS_ioctl, 1, false, FS_IOC_GETVERSION },
	{ SYS_ioctl, 1, false, FS_IOC_SETVERSION },
	{ SYS_ioctl, 1, false, FS_IOC_GETFSLABEL },
	{ SYS_ioctl, 1, false, _IOR(0x15, 0, uint8_t[17]) },  /* FS_IOC_GETFSUUID */
	{ SYS_ioctl, 1, false, _IOR(0x15, 1, uint8_t[129]) }, /* FS_IOC_GETFSSYSFSPATH */
	{ SYS_ioctl, 1, false, FS_IOC_FIEMAP },
	{ SYS_ioctl, 1, false, FIGETBSZ },
	{ SYS_ioctl, 1, false, FIOQSIZE },
	{ SYS_ioctl, 1, false, FIBMAP },
	/* copy.c's and flow.c's */
	{ SYS_ioctl, 1, false, FICLONE },
	{ SYS_ioctl, 1, false, FICLONERANGE },
	{ SYS_ioctl, 1, false, FIDEDUPERANGE },
	{ SYS_ioctl, 1, false, FIONREAD },
	/* isatty(3) of a stream */
	{ SYS_ioctl, 1, false, TCGETS },
};
