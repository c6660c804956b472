/* What the agent cannot do any more once it serves, and what it still can. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/fs.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "confine.h"

/* How a child that has confined itself ends after CHECK: 0, or what CHECK returned. */
static int confined(int (*check)(void))
{
	pid_t child = fork();
	int status;

	if (!child)
		_exit(confine() ? 255 : check());
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define NEEDS_FILTER skip()
#else
#define NEEDS_FILTER
#endif

/* ---- calls ---- */

/* Done by whoever is not confined, none of these would do anything: they have bad arguments. */
static const struct call {
	const char *name;
	long nr, a, b, c, d;
} refused[] = {
	{ "execve", SYS_execve, 0, 0, 0, 0 },
	{ "execveat", SYS_execveat, -1, 0, 0, 0 },
	{ "ptrace", SYS_ptrace, PTRACE_ATTACH, -1, 0, 0 },
	{ "process_vm_writev", SYS_process_vm_writev, -1, 0, 0, 0 },
	{ "pidfd_open", SYS_pidfd_open, -1, 0, 0, 0 },
	{ "setns", SYS_setns, -1, 0, 0, 0 },
	{ "mount", SYS_mount, 0, 0, 0, 0 },
	{ "umount2", SYS_umount2, 0, 0, 0, 0 },
	{ "pivot_root", SYS_pivot_root, 0, 0, 0, 0 },
	{ "chroot", SYS_chroot, 0, 0, 0, 0 },
	{ "fsopen", SYS_fsopen, 0, 0, 0, 0 },
	{ "move_mount", SYS_move_mount, -1, 0, -1, 0 },
	{ "mount_setattr", SYS_mount_setattr, -1, 0, 0, 0 },
	{ "bpf", SYS_bpf, -1, 0, 0, 0 },
	{ "perf_event_open", SYS_perf_event_open, 0, -1, -1, -1 },
	{ "userfaultfd", SYS_userfaultfd, -1, 0, 0, 0 },
	{ "io_uring_setup", SYS_io_uring_setup, 0, 0, 0, 0 },
	{ "add_key", SYS_add_key, 0, 0, 0, 0 },
	{ "init_module", SYS_init_module, 0, 0, 0, 0 },
	{ "reboot", SYS_reboot, 0, 0, 0, 0 },
	{ "setuid", SYS_setuid, -1, 0, 0, 0 },
	{ "setgid", SYS_setgid, -1, 0, 0, 0 },
	{ "setgroups", SYS_setgroups, -1, 0, 0, 0 },
	{ "capset", SYS_capset, 0, 0, 0, 0 },
	{ "unshare, a mount namespace", SYS_unshare, CLONE_NEWNS | CLONE_VM, 0, 0, 0 },
	{ "unshare, a user namespace", SYS_unshare, CLONE_NEWUSER | CLONE_VM, 0, 0, 0 },
	{ "clone, a user namespace", SYS_clone, CLONE_NEWUSER | CLONE_THREAD, 0, 0, 0 },
	{ "socket, AF_INET", SYS_socket, AF_INET, -1, 0, 0 },
	{ "socket, AF_NETLINK", SYS_socket, AF_NETLINK, -1, 0, 0 },
	{ "mmap, executable", SYS_mmap, 0, 4096, PROT_READ | PROT_EXEC, 0 },
	{ "mprotect, executable", SYS_mprotect, 1, 4096, PROT_READ | PROT_EXEC, 0 },
	{ "prctl, PR_SET_DUMPABLE", SYS_prctl, PR_SET_DUMPABLE, -1, 0, 0 },
	{ "ioctl, TIOCSTI", SYS_ioctl, -1, 0x5412, 0, 0 },
	{ "ioctl, FIFREEZE", SYS_ioctl, -1, (long)FIFREEZE, 0, 0 },
	{ "a number that no kernel has", 4000, 0, 0, 0, 0 },
#ifdef __x86_64__
	{ "getpid of x32", 0x40000000 | SYS_getpid, 0, 0, 0, 0 },
#endif
};

#define REFUSED (int)(sizeof(refused) / sizeof(*refused))

static int errno_of(const struct call *c)
{
	return syscall(c->nr, c->a, c->b, c->c, c->d, 0L, 0L) < 0 ? errno : 0;
}

static int check_refused(void)
{
	for (int i = 0; i < REFUSED; i++)
		if (errno_of(refused + i) != EPERM)
			return i + 1;
	errno = 0;
	return syscall(SYS_clone3, NULL, 0) == -1 && errno == ENOSYS ? 0 : REFUSED + 1;
}

static void test_calls_refused(void **state)
{
	NEEDS_FILTER;
	int which = confined(check_refused);

	if (which)
		print_error("%s\n", which <= REFUSED ? refused[which - 1].name : "clone3, or no end of its own");
	assert_int_equal(which, 0);
}

#ifdef __x86_64__
static int check_other_table(void)
{
	long rc = 20; /* getpid, of the calls of 32-bit programs; read of ours is 0, and 20 is writev */

	__asm__ volatile("int $0x80" : "+a"(rc) : : "memory", "r8", "r9", "r10", "r11");
	return 1;
}

/* A kernel without that table sends SIGSEGV. */
static void test_other_table(void **state)
{
	NEEDS_FILTER;
	int status = confined(check_other_table);

	assert_true(status == 256 + SIGSYS || status == 256 + SIGSEGV);
}
#endif

static void *thread_main(void *arg)
{
	return arg;
}

/* What is asked of the kernel in the course of serving, and by libc without our doing. */
static int check_allowed(void)
{
	pthread_t thread;
	void *end = NULL;
	int one, p[2], status;
	char *memory = malloc(64 << 20);

	if (!memory || pthread_create(&thread, NULL, thread_main, &one) || pthread_join(thread, &end) || end != &one)
		return 1;
	memset(memory, 1, 64 << 20);
	free(memory);
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, p) || write(p[0], "x", 1) != 1 || read(p[1], &status, 1) != 1)
		return 2;
	if (open("/", O_PATH | O_DIRECTORY) < 0 || memfd_create("x", 0) < 0 || unshare(CLONE_FS))
		return 3;
	pid_t child = (pid_t)syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0);
	if (!child)
		_exit(7);
	return child > 0 && waitpid(child, &status, 0) == child && WEXITSTATUS(status) == 7 ? 0 : 4;
}

static void test_calls_allowed(void **state)
{
	assert_int_equal(confined(check_allowed), 0);
}

/* ---- rights ---- */

static uint64_t status_field(const char *name, int radix)
{
	char line[256];
	uint64_t value = UINT64_MAX;
	FILE *f = fopen("/proc/self/status", "re");

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, name, strlen(name)) && line[strlen(name)] == ':')
			value = strtoull(line + strlen(name) + 1, NULL, radix);
	if (f)
		fclose(f);
	return value;
}

#define BIT(cap) (UINT64_C(1) << (cap))

/* Written out here once more: what is kept of root's rights is not to grow by a slip. */
static const uint64_t meant = BIT(CAP_CHOWN) | BIT(CAP_DAC_OVERRIDE) | BIT(CAP_DAC_READ_SEARCH) | BIT(CAP_FOWNER) | BIT(CAP_FSETID) |
			      BIT(CAP_LINUX_IMMUTABLE) | BIT(CAP_MKNOD) | BIT(CAP_SETFCAP) | BIT(CAP_MAC_OVERRIDE) | BIT(CAP_MAC_ADMIN) |
			      BIT(CAP_SYS_ADMIN) | BIT(CAP_SYS_RAWIO) | BIT(CAP_SYS_RESOURCE);

static struct {
	uint64_t permitted, effective, bounding;
} before;

static int check_rights(void)
{
	bool limits = before.effective & BIT(CAP_SETPCAP);

	return status_field("CapPrm", 16) != (before.permitted & meant) ? 1 :
	       status_field("CapEff", 16) != (before.effective & meant) ? 2 :
	       status_field("CapInh", 16) || status_field("CapAmb", 16) ? 3 :
	       limits && status_field("CapBnd", 16) != (before.bounding & meant) ? 4 :
	       status_field("NoNewPrivs", 10) != 1 ? 5 : 0;
}

static void test_rights(void **state)
{
	before.permitted = status_field("CapPrm", 16);
	before.effective = status_field("CapEff", 16);
	before.bounding = status_field("CapBnd", 16);
	assert_int_equal(confined(check_rights), 0);
}

static int check_filter(void)
{
	return status_field("Seccomp", 10) == 2 ? 0 : 1;
}

static void test_filter(void **state)
{
	NEEDS_FILTER;
	assert_int_equal(confined(check_filter), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_calls_refused),
#ifdef __x86_64__
		cmocka_unit_test(test_other_table),
#endif
		cmocka_unit_test(test_calls_allowed),
		cmocka_unit_test(test_rights),
		cmocka_unit_test(test_filter),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
