#include "filter.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
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
/* A call of another architecture, which is to be refused aloud. */
#define FOREIGN SCMP_ACT_TRACE(FILTER_FOREIGN)
#define RET_FOREIGN (SECCOMP_RET_TRACE | FILTER_FOREIGN)

/* Numbers up to here have rules of their own; above, three instructions in front trap them all. */
#define LAST_NR 511

static int add_fd_rules(scmp_filter_ctx ctx, const struct syscall_row *row)
{
	int rc = 0;

	/* Only the low half counts: an fd is an int, whatever stands above it in the register. */
	for (unsigned i = 0; i < 6 && !rc; i++)
		if (row->args[i] == A_FD)
			rc = seccomp_rule_add(ctx, TRAPPED, row->nr, 1,
					      SCMP_CMP(i, SCMP_CMP_MASKED_EQ, UINT32_MAX & ~(uint32_t)(FD_BASE - 1),
						       (uint32_t)FD_BASE));
	return rc;
}

/* Commands that are about the file itself, so that a native placeholder must not answer them. */
static const unsigned fcntl_any_fd[] = { F_GETLK, F_SETLK, F_SETLKW, F_OFD_GETLK, F_OFD_SETLK, F_OFD_SETLKW,
					 F_SETLEASE, F_GETLEASE, F_NOTIFY, F_ADD_SEALS, F_GET_SEALS };
static const unsigned ioctl_any_fd[] = { FS_IOC_GETFLAGS, FS_IOC_SETFLAGS, FS_IOC_FSGETXATTR, FS_IOC_FSSETXATTR, FS_IOC_GETVERSION,
					 FS_IOC_SETVERSION, FS_IOC_GETFSLABEL, FS_IOC_FIEMAP, FIGETBSZ, FIOQSIZE, FIBMAP,
					 _IOR(0x15, 0, uint8_t[17]) /* FS_IOC_GETFSUUID */,
					 _IOR(0x15, 1, uint8_t[129]) /* FS_IOC_GETFSSYSFSPATH */ };

/* Where data and holes are, an image does not know. */
static const unsigned lseek_any_fd[] = { SEEK_DATA, SEEK_HOLE };

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

static int add_row(scmp_filter_ctx ctx, const struct syscall_row *row)
{
	switch (row->class) {
	case CLASS_PASS:
		return 0;
	case CLASS_PATH:
	case CLASS_ANY:
	case CLASS_ANYFD:
		return seccomp_rule_add(ctx, TRAPPED, row->nr, 0);
	case CLASS_FD:
		return add_fd_rules(ctx, row);
	case CLASS_FCNTL:
		return add_fcntl_rules(ctx, row);
	case CLASS_LIMIT:
		return add_limit_rule(ctx, row);
	case CLASS_TRACE:
		return seccomp_rule_add(ctx, SCMP_ACT_TRACE(0), row->nr, 0);
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

/* PROGRAM with "numbers above LAST_NR: trapped" in front of it; libseccomp compares arguments only. */
static int import(int fd, struct sock_fprog *program)
{
	const struct sock_filter head[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, LAST_NR, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, RET_TRAPPED),
	};
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	program->filter = xcalloc(1, sizeof(head) + (size_t)st.st_size);
	memcpy(program->filter, head, sizeof(head));
	if (pread(fd, program->filter + 3, (size_t)st.st_size, 0) != st.st_size)
		return -EIO;
	program->len = (unsigned short)(3 + (size_t)st.st_size / sizeof(*head));
	return 0;
}

int filter_build(struct sock_fprog *program)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
	CLEANUP_FD int fd = memfd_create("filter", MFD_CLOEXEC);

	if (!ctx)
		return -ENOMEM;
	if (fd < 0) {
		seccomp_release(ctx);
		return -errno;
	}
	int rc = add_rules(ctx);
	rc = rc ? rc : seccomp_export_bpf(ctx, fd);
	seccomp_release(ctx);
	return rc ? rc : import(fd, program);
}

int filter_install(const struct sock_fprog *program, bool notify)
{
	unsigned long flags = SECCOMP_FILTER_FLAG_NEW_LISTENER;
	long fd;

	if (!notify)
		return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, program) < 0 ? -errno : 0;
	for (struct sock_filter *f = program->filter; f < program->filter + program->len; f++)
		if (f->code == (BPF_RET | BPF_K) && (f->k == RET_TRAPPED || f->k == RET_FOREIGN))
			f->k = SECCOMP_RET_USER_NOTIF;
	fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, program);
	/* Before 5.19 a signal restarts a call that was already being answered. */
	if (fd < 0 && errno == EINVAL)
		fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, program);
	return fd < 0 ? -errno : (int)fd;
}

static bool has_emulated_fd(const struct syscall_row *row, const uint64_t *arg)
{
	for (int i = 0; i < 6; i++)
		if (row->args[i] == A_FD && (int)arg[i] >= FD_BASE && (int)arg[i] < FD_TOP)
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

bool filter_traps(const struct syscall_row *row, const uint64_t arg[6])
{
	if (!row)
		return true;
	switch (row->class) {
	case CLASS_PASS:
	case CLASS_NOSYS:
		return false;
	case CLASS_PATH:
	case CLASS_ANY:
	case CLASS_ANYFD:
	case CLASS_TRACE:
		return true;
	case CLASS_FD:
		return has_emulated_fd(row, arg);
	case CLASS_FCNTL:
		return has_emulated_fd(row, arg) || has_trapped_command(row, arg);
	case CLASS_LIMIT:
		for (int i = 0; i < 6; i++)
			if (row->args[i] == A_RESOURCE)
				return (int)arg[i] == RLIMIT_NOFILE;
	}
	return false;
}
