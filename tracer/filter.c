#include "filter.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/audit.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ofd.h"
#include "table.h"
#include "util.h"

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif

/*
 * What is emulated: a stop, or once filter_install has seen to it, a notification. libseccomp would refuse to
 * make a program with what the running kernel does not have.
 */
#define TRAPPED SCMP_ACT_TRACE(1)
#define RET_TRAPPED (SECCOMP_RET_TRACE | 1)
/* What is a stop in any case. */
#define STOPPED SCMP_ACT_TRACE(0)
/* A call of another architecture, which is to be refused aloud. */
#define FOREIGN SCMP_ACT_TRACE(FILTER_FOREIGN)
#define RET_FOREIGN (SECCOMP_RET_TRACE | FILTER_FOREIGN)

/* Numbers up to here have rules of their own; above, three instructions in front trap them all. */
#define LAST_NR 511

/* ACTION for the numbers that A_FD arguments of ROW have in the range of emulated descriptors, or with LOW below it. */
static int add_range_rules(scmp_filter_ctx ctx, const struct syscall_row *row, uint32_t action, bool low)
{
	/* Only the low half counts: an fd is an int, whatever stands above it in the register. */
	uint32_t mask = UINT32_MAX & ~(uint32_t)(FD_BASE - 1), base = low ? 0 : (uint32_t)FD_BASE;
	int rc = 0;

	if (fd_all_trapped()) {
		mask = (uint32_t)INT_MIN; /* no descriptor is negative */
		base = 0;
	}
	for (unsigned i = 0; i < 6 && !rc; i++)
		if (row->args[i] == A_FD)
			rc = seccomp_rule_add(ctx, action, row->nr, 1, SCMP_CMP(i, SCMP_CMP_MASKED_EQ, mask, base));
	return rc;
}

static int add_fd_rules(scmp_filter_ctx ctx, const struct syscall_row *row)
{
	return add_range_rules(ctx, row, TRAPPED, false);
}

/* Whether the program gets an AF_UNIX socket from who has started us, which nobody would see it make. */
static bool inherits_socket(void)
{
	DIR *dir = opendir("/proc/self/fd");
	bool found = false;

	for (struct dirent *e; dir && !found && (e = readdir(dir));) {
		int fd = atoi(e->d_name), family;
		socklen_t len = sizeof(family);

		found = !(fcntl(fd, F_GETFD) & FD_CLOEXEC) && getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &len) == 0 &&
			family == AF_UNIX;
	}
	if (dir)
		closedir(dir);
	return found;
}

/*
 * Commands that are about the file itself, so that a native placeholder must not answer them. It has not all the
 * flags that the file was opened with, either.
 */
static const unsigned fcntl_any_fd[] = { F_GETFL, F_SETFL, F_GETLK, F_SETLK, F_SETLKW, F_OFD_GETLK, F_OFD_SETLK, F_OFD_SETLKW,
					 F_SETLEASE, F_GETLEASE, F_NOTIFY, F_ADD_SEALS, F_GET_SEALS };
static const unsigned ioctl_any_fd[] = { FS_IOC_GETFLAGS, FS_IOC_SETFLAGS, FS_IOC_FSGETXATTR, FS_IOC_FSSETXATTR, FS_IOC_GETVERSION,
					 FS_IOC_SETVERSION, FS_IOC_GETFSLABEL, FS_IOC_FIEMAP, FIGETBSZ, FIOQSIZE, FIBMAP,
					 LOOP_SET_FD, LOOP_CHANGE_FD, LOOP_CONFIGURE, /* they name another descriptor */
					 _IOR(0x15, 0, uint8_t[17]) /* FS_IOC_GETFSUUID */,
					 _IOR(0x15, 1, uint8_t[129]) /* FS_IOC_GETFSSYSFSPATH */ };

#ifndef RWF_NOAPPEND
#define RWF_NOAPPEND 0x20 /* Linux 6.9 */
#endif

/* Where data and holes are, an image does not know. */
static const unsigned lseek_any_fd[] = { SEEK_DATA, SEEK_HOLE };

/* Of a file that is only appended to nobody looks at what is before its end. */
static const unsigned noappend_any_fd[] = {
	RWF_NOAPPEND,
	RWF_NOAPPEND | RWF_HIPRI,
	RWF_NOAPPEND | RWF_DSYNC,
	RWF_NOAPPEND | RWF_SYNC,
	RWF_NOAPPEND | RWF_NOWAIT,
	RWF_NOAPPEND | RWF_DSYNC | RWF_SYNC,
	RWF_NOAPPEND | RWF_DSYNC | RWF_NOWAIT,
	RWF_NOAPPEND | RWF_SYNC | RWF_NOWAIT,
};

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

static const struct commands {
	enum arg_kind kind; /* of the argument that tells */
	unsigned at;
	const unsigned *values;
	size_t count;
} commands[] = {
	{ A_FCNTL_CMD, 1, fcntl_any_fd, COUNT(fcntl_any_fd) },
	{ A_IOCTL, 1, ioctl_any_fd, COUNT(ioctl_any_fd) },
	{ A_WHENCE, 2, lseek_any_fd, COUNT(lseek_any_fd) },
	{ A_RWF, 5, noappend_any_fd, COUNT(noappend_any_fd) },
};

static const struct commands *trapped_commands(const struct syscall_row *row)
{
	const struct commands *c = commands;

	while (row->args[c->at] != c->kind)
		c++;
	return c;
}

static int add_fcntl_rules(scmp_filter_ctx ctx, const struct syscall_row *row)
{
	const struct commands *c = trapped_commands(row);
	int rc = add_fd_rules(ctx, row);

	for (size_t i = 0; i < c->count && !rc; i++)
		rc = seccomp_rule_add(ctx, TRAPPED, row->nr, 1, SCMP_CMP(c->at, SCMP_CMP_MASKED_EQ, UINT32_MAX, c->values[i]));
	return rc;
}

static int add_limit_rule(scmp_filter_ctx ctx, const struct syscall_row *row)
{
	unsigned i = 0;

	while (row->args[i] != A_RESOURCE)
		i++;
	return seccomp_rule_add(ctx, TRAPPED, row->nr, 1,
				SCMP_CMP(i, SCMP_CMP_MASKED_EQ, UINT32_MAX, RLIMIT_NOFILE));
}

static int add_family_rule(scmp_filter_ctx ctx, const struct syscall_row *row, uint32_t action)
{
	return seccomp_rule_add(ctx, action, row->nr, 1, SCMP_CMP(0, SCMP_CMP_MASKED_EQ, UINT32_MAX, AF_UNIX));
}

static int add_row(scmp_filter_ctx ctx, const struct syscall_row *row)
{
	switch (row->class) {
	case CLASS_PASS:
		return 0;
	case CLASS_PASSING:
		return !fd_all_trapped() && inherits_socket() ? seccomp_rule_add(ctx, STOPPED, row->nr, 0) : 0;
	case CLASS_SOCKET:
		return fd_all_trapped() || inherits_socket() ? 0 : add_family_rule(ctx, row, STOPPED);
	case CLASS_DUP:
		return add_range_rules(ctx, row, fd_all_trapped() ? TRAPPED : STOPPED, false);
	case CLASS_PATH:
	case CLASS_ANY:
	case CLASS_ANYFD:
		return seccomp_rule_add(ctx, TRAPPED, row->nr, 0);
	case CLASS_FD:
		return add_fd_rules(ctx, row);
	case CLASS_COMMAND:
		return add_fcntl_rules(ctx, row);
	case CLASS_LIMIT:
		return add_limit_rule(ctx, row);
	case CLASS_TRACE:
		return seccomp_rule_add(ctx, STOPPED, row->nr, 0);
	case CLASS_NOSYS:
		return seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), row->nr, 0);
	}
	return -EINVAL;
}

static int add_rules(scmp_filter_ctx ctx)
{
	int rc = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);

	rc = rc ? rc : seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, FOREIGN);
	for (int nr = 0; nr <= LAST_NR && !rc; nr++) {
		const struct syscall_row *row = table_row(nr);

		rc = row ? add_row(ctx, row) : seccomp_rule_add(ctx, TRAPPED, nr, 0);
	}
	return rc;
}

/* What a task gets with FILTER_PASSING; and with FILTER_LOW. */
static int add_passing(scmp_filter_ctx ctx, const struct syscall_row *row)
{
	if (row->class == CLASS_SOCKET)
		return add_family_rule(ctx, row, SCMP_ACT_TRACE(FILTER_PASSING));
	return row->class == CLASS_PASSING ? seccomp_rule_add(ctx, STOPPED, row->nr, 0) : 0;
}

static int add_low(scmp_filter_ctx ctx, const struct syscall_row *row)
{
	if (row->class == CLASS_DUP)
		return seccomp_rule_add(ctx, SCMP_ACT_TRACE(FILTER_LOW), row->nr, 0);
	return row->class == CLASS_FD || row->class == CLASS_COMMAND ? add_range_rules(ctx, row, STOPPED, true) : 0;
}

static int add_added_rules(scmp_filter_ctx ctx, enum filter_message which)
{
	size_t count;
	const struct syscall_row *rows = table_all(&count);
	int rc = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);

	rc = rc ? rc : seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ALLOW);
	for (size_t i = 0; i < count && !rc; i++)
		rc = which == FILTER_LOW ? add_low(ctx, &rows[i]) : add_passing(ctx, &rows[i]);
	return rc;
}

/* The rules of CTX, which is released, behind the LEN instructions HEAD. */
static int export(scmp_filter_ctx ctx, const struct sock_filter *head, size_t len, struct sock_fprog *program)
{
	CLEANUP_FD int fd = memfd_create("filter", MFD_CLOEXEC);
	struct stat st;
	int rc = fd < 0 ? -errno : seccomp_export_bpf(ctx, fd);

	seccomp_release(ctx);
	if (rc < 0)
		return rc;
	if (fstat(fd, &st) < 0)
		return -errno;
	program->filter = xcalloc(1, len * sizeof(*head) + (size_t)st.st_size);
	if (len)
		memcpy(program->filter, head, len * sizeof(*head));
	if (pread(fd, program->filter + len, (size_t)st.st_size, 0) != st.st_size)
		return -EIO;
	program->len = (unsigned short)(len + (size_t)st.st_size / sizeof(*head));
	return 0;
}

#define LOAD(member) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, member))
#define JUMP(if_what, than, then, or_else) BPF_JUMP(BPF_JMP | BPF_K | (if_what), than, then, or_else)
#define RETURN(what) BPF_STMT(BPF_RET | BPF_K, what)
#define HEAD_ALWAYS 3 /* where there are low descriptors that are not trapped, the rest as well */

int filter_build(struct sock_fprog *program)
{
	const struct sock_filter head[] = {
		/* "Numbers above LAST_NR: trapped"; libseccomp compares arguments only. */
		LOAD(nr),
		JUMP(BPF_JGT, LAST_NR, 0, 1),
		RETURN(RET_TRAPPED),
		/*
		 * The calls of which programs make most, on a low descriptor, are allowed by 8 to 11 instructions instead of 19 to 22. The kernel
		 * runs the program for each of them, as their arguments count; what is always allowed it remembers (5.11).
		 */
		JUMP(BPF_JEQ, SYS_read, 3, 0),
		JUMP(BPF_JEQ, SYS_write, 2, 0),
		JUMP(BPF_JEQ, SYS_pread64, 1, 0),
		JUMP(BPF_JEQ, SYS_pwrite64, 0, 5),
		LOAD(arch),
		JUMP(BPF_JEQ, AUDIT_ARCH_X86_64, 0, 3),
		LOAD(args[0]),
		JUMP(BPF_JSET, ~(uint32_t)(FD_BASE - 1), 1, 0),
		RETURN(SECCOMP_RET_ALLOW),
	};
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
	int rc = ctx ? add_rules(ctx) : -ENOMEM;

	if (rc < 0 && ctx)
		seccomp_release(ctx);
	return rc < 0 ? rc : export(ctx, head, fd_all_trapped() ? HEAD_ALWAYS : COUNT(head), program);
}

int filter_build_added(enum filter_message which, struct sock_fprog *program)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
	int rc = ctx ? add_added_rules(ctx, which) : -ENOMEM;

	if (rc < 0 && ctx)
		seccomp_release(ctx);
	return rc < 0 ? rc : export(ctx, NULL, 0, program);
}

int filter_install(const struct sock_fprog *program, bool notify)
{
	/* Before 5.16 a filter takes a processor's speculation from the program, which here guards nobody from it. */
	unsigned long flags = SECCOMP_FILTER_FLAG_SPEC_ALLOW | SECCOMP_FILTER_FLAG_NEW_LISTENER;
	long fd;

	if (!notify)
		return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, program) < 0 ? -errno : 0;
	for (struct sock_filter *f = program->filter; f < program->filter + program->len; f++)
		if (f->code == (BPF_RET | BPF_K) && (f->k == RET_TRAPPED || f->k == RET_FOREIGN))
			f->k = SECCOMP_RET_USER_NOTIF;
	fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, program);
	/* Before 5.19 a signal restarts a call that was already being answered. */
	if (fd < 0 && errno == EINVAL)
		fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, program);
	return fd < 0 ? -errno : (int)fd;
}

bool filter_waits_killable(void)
{
	static int known = -1;
	long flags = SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;

	/* Flags are looked at before the program, which is none. */
	if (known < 0)
		known = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, NULL) < 0 && errno == EFAULT;
	return known;
}

static bool has_trapped_fd(const struct syscall_row *row, const uint64_t *arg, bool low)
{
	for (int i = 0; i < 6; i++)
		if (row->args[i] == A_FD && (int)arg[i] >= (low || fd_all_trapped() ? 0 : FD_BASE) && (int)arg[i] < FD_TOP)
			return true;
	return false;
}

static bool has_trapped_command(const struct syscall_row *row, const uint64_t *arg)
{
	const struct commands *c = trapped_commands(row);

	for (size_t i = 0; i < c->count; i++)
		if ((unsigned)arg[c->at] == c->values[i])
			return true;
	return false;
}

bool filter_traps(const struct syscall_row *row, const uint64_t arg[6], bool every)
{
	if (!row)
		return true;
	switch (row->class) {
	case CLASS_PASS:
	case CLASS_NOSYS:
	case CLASS_SOCKET:
		return false;
	case CLASS_PATH:
	case CLASS_ANY:
	case CLASS_ANYFD:
	case CLASS_TRACE:
		return true;
	case CLASS_PASSING:
		return every;
	case CLASS_FD:
	case CLASS_DUP:
		return has_trapped_fd(row, arg, every);
	case CLASS_COMMAND:
		return has_trapped_fd(row, arg, every) || has_trapped_command(row, arg);
	case CLASS_LIMIT:
		for (int i = 0; i < 6; i++)
			if (row->args[i] == A_RESOURCE)
				return (int)arg[i] == RLIMIT_NOFILE;
	}
	return false;
}

bool filter_stops(const struct syscall_row *row)
{
	return row->class == CLASS_TRACE || (row->class == CLASS_DUP && !fd_all_trapped()) || row->class == CLASS_SOCKET || row->class == CLASS_PASSING;
}
