#include "confine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/fiemap.h>
#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ---- capabilities ---- */

/*
 * Those that change what a file system says: the owner and mode of files (the first five), chattr(1)'s +i, mknod(2), file capabilities,
 * security modules' attributes, trusted.* ones (SYS_ADMIN, of which the filter leaves little else), FIBMAP (SYS_RAWIO), and room that
 * is reserved for root (SYS_RESOURCE).
 */
static const unsigned char kept[] = {
	CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER, CAP_FSETID, CAP_LINUX_IMMUTABLE, CAP_MKNOD,
	CAP_SETFCAP, CAP_MAC_OVERRIDE, CAP_MAC_ADMIN, CAP_SYS_ADMIN, CAP_SYS_RAWIO, CAP_SYS_RESOURCE,
};

static int drop_capabilities(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
	uint64_t keep = 0;

	for (size_t i = 0; i < sizeof(kept); i++)
		keep |= UINT64_C(1) << kept[i];
	/* Nothing of ours is executed any more: what cannot be dropped here for want of CAP_SETPCAP does no harm. */
	for (int cap = 0; cap < 64 && prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		if (!(keep >> cap & 1))
			prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); /* 4.3 */
	if (syscall(SYS_capget, &header, data) < 0)
		return -errno;
	for (int i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
		data[i].permitted &= (uint32_t)(keep >> 32 * i);
		data[i].effective &= (uint32_t)(keep >> 32 * i);
		data[i].inheritable = 0;
	}
	return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

/* ---- system calls ---- */

#if defined(__x86_64__)
#define CONFINE_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define CONFINE_ARCH AUDIT_ARCH_AARCH64
#else
#error "which architecture is this to the seccomp filter?"
#endif

#include "confine_calls.h"

/* With -DCONFINE_REFUSAL=SECCOMP_RET_KILL_PROCESS a call that is missing from the list does not go unnoticed. */
#ifndef CONFINE_REFUSAL
#define CONFINE_REFUSAL (SECCOMP_RET_ERRNO | EPERM)
#endif

/* Most by far is allowed by its number alone, which kernels since 5.11 remember. */
#define FILTER_MAX (2 * sizeof(plain) / sizeof(*plain) + 5 * sizeof(checked) / sizeof(*checked) + 7)

struct filter {
	struct sock_filter code[FILTER_MAX];
	unsigned short len;
};

static void put(struct filter *f, struct sock_filter what)
{
	f->code[f->len++] = what;
}

static void put_load(struct filter *f, size_t offset)
{
	put(f, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset));
}

static void put_return(struct filter *f, uint32_t what)
{
	put(f, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, what));
}

/* Goes on behind the next SKIP instructions unless what was loaded is VALUE. */
static void put_unless_equal(struct filter *f, uint32_t value, uint8_t skip)
{
	put(f, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, skip));
}

/* The lower half of an argument, which is all that the kernel looks at in these. */
static void put_checked(struct filter *f, const struct checked *c)
{
	put_load(f, offsetof(struct seccomp_data, nr));
	put_unless_equal(f, (uint32_t)c->nr, 3);
	put_load(f, offsetof(struct seccomp_data, args) + sizeof(uint64_t) * c->arg);
	if (c->lacks)
		put(f, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, c->value, 1, 0));
	else
		put_unless_equal(f, c->value, 1);
	put_return(f, SECCOMP_RET_ALLOW);
}

static void make_filter(struct filter *f)
{
	/* Numbers of another architecture's (int 0x80) mean other calls; x32's are beyond all of these. */
	put_load(f, offsetof(struct seccomp_data, arch));
	put(f, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, CONFINE_ARCH, 1, 0));
	put_return(f, SECCOMP_RET_KILL_PROCESS);
	put_load(f, offsetof(struct seccomp_data, nr));
	for (size_t i = 0; i < sizeof(plain) / sizeof(*plain); i++) {
		put_unless_equal(f, (uint32_t)plain[i], 1);
		put_return(f, SECCOMP_RET_ALLOW);
	}
	/* Its flags are out of a filter's sight. Libraries fall back to clone. */
	put_unless_equal(f, SYS_clone3, 1);
	put_return(f, SECCOMP_RET_ERRNO | ENOSYS);
	for (size_t i = 0; i < sizeof(checked) / sizeof(*checked); i++)
		put_checked(f, checked + i);
	put_return(f, CONFINE_REFUSAL);
}

static int install_filter(void)
{
	static struct filter f;

	make_filter(&f);
	struct sock_fprog program = { f.len, f.code };
	/* Without that flag (4.17) every branch would be slower on some processors: this is no sandbox for foreign code. */
	if (!syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, &program) ||
	    !prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0))
		return 0;
	/* A kernel, or an emulator, without it. */
	return errno == EINVAL || errno == ENOSYS ? 0 : -errno;
}

/* Sanitizers trace, execute and map what they like. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define CONFINE_CALLS false
#else
#define CONFINE_CALLS true
#endif

int confine(void)
{
	int rc = drop_capabilities();

	if (!rc && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		rc = -errno;
	return rc || !CONFINE_CALLS ? rc : install_filter();
}
