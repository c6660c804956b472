/*
 * without FEATURE[=ERRNO][,…] COMMAND…: runs COMMAND as on a kernel, or in a container, that lacks these:
 *
 *   busy      a seccomp listener exists already, so that a second one is EBUSY
 *   listener  seccomp(2) has no SECCOMP_FILTER_FLAG_NEW_LISTENER
 *   addfd     a listener has no SECCOMP_IOCTL_NOTIF_ADDFD
 *   filter    seccomp(2) installs no filter
 *   NAME      system call NAME
 *
 * ERRNO, a number, is what is answered instead: ENOSYS, or EINVAL where a known call lacks a part.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static int fail(const char *what, int error)
{
	fprintf(stderr, "without: %s: %s\n", what, strerror(error));
	return 125;
}

static int take_listener(void)
{
	struct sock_filter all[] = { BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW) };
	struct sock_fprog program = { 1, all };

	/* It stays open, over the exec as well. */
	int fd = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
	return fd < 0 ? -errno : dup(fd) < 0 ? -errno : 0;
}

static int refuse(scmp_filter_ctx ctx, const char *name, int error)
{
	const struct scmp_arg_cmp install = SCMP_A0(SCMP_CMP_EQ, SECCOMP_SET_MODE_FILTER);
	const struct scmp_arg_cmp flag = SCMP_A1(SCMP_CMP_MASKED_EQ, SECCOMP_FILTER_FLAG_NEW_LISTENER,
						  SECCOMP_FILTER_FLAG_NEW_LISTENER);

	const scmp_datum_t addfd = SECCOMP_IOCTL_NOTIF_ADDFD;

	if (!strcmp(name, "busy"))
		return take_listener();
	if (!strcmp(name, "listener"))
		return seccomp_rule_add(ctx, SCMP_ACT_ERRNO(error ? error : EINVAL), SCMP_SYS(seccomp), 2, install, flag);
	if (!strcmp(name, "filter"))
		return seccomp_rule_add(ctx, SCMP_ACT_ERRNO(error ? error : EINVAL), SCMP_SYS(seccomp), 1, install);
	if (!strcmp(name, "addfd"))
		return seccomp_rule_add(ctx, SCMP_ACT_ERRNO(error ? error : EINVAL), SCMP_SYS(ioctl), 1,
					SCMP_A1(SCMP_CMP_MASKED_EQ, UINT32_MAX, addfd));
	int nr = seccomp_syscall_resolve_name(name);
	return nr < 0 ? -EINVAL : seccomp_rule_add(ctx, SCMP_ACT_ERRNO(error ? error : ENOSYS), nr, 0);
}

int main(int argc, char **argv)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);

	if (argc < 3)
		return fail("usage: without FEATURE[=ERRNO][,...] COMMAND...", EINVAL);
	seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ALLOW);
	/* Root keeps what no_new_privs would take, as we do. */
	if (geteuid() == 0)
		seccomp_attr_set(ctx, SCMP_FLTATR_CTL_NNP, 0);
	else
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	for (char *name = strtok(argv[1], ","); name; name = strtok(NULL, ",")) {
		char *error = strchr(name, '=');

		if (error)
			*error++ = '\0';
		int rc = refuse(ctx, name, error ? atoi(error) : 0);
		if (rc < 0)
			return fail(name, -rc);
	}
	int rc = seccomp_load(ctx);
	if (rc < 0)
		return fail("seccomp_load", -rc);
	execvp(argv[2], argv + 2);
	return fail(argv[2], errno);
}
