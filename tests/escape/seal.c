/* Where nothing can be changed but a directory of ours: what is tried here must not harm the machine when it works. */
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "escape.h"

/* ---- the namespace ---- */

static int set_attributes(const char *path, unsigned flags, uint64_t set, uint64_t clear)
{
	struct mount_attr a = { .attr_set = set, .attr_clr = clear };

	return (int)syscall(SYS_mount_setattr, AT_FDCWD, path, flags, &a, sizeof(a)); /* 5.12 */
}

/* The first step that fails, or NULL. This is the first process of its pid namespace: /proc/1/root leads nowhere else. */
static const char *seal_mounts(const char *dir)
{
	if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return "private mounts";
	/* A device can be written to on a read-only mount; of all that there are we need one. */
	if (mount("/dev/null", "/dev/null", NULL, MS_BIND, NULL))
		return "a mount of /dev/null";
	if (set_attributes("/", AT_RECURSIVE, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID, 0))
		return "mounts that are read-only (mount_setattr)";
	if (set_attributes("/dev/null", 0, 0, MOUNT_ATTR_NODEV))
		return "/dev/null";
	if (mount("proc", "/proc", "proc", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL))
		return "procfs of a pid namespace";
	return mount("none", dir, "tmpfs", MS_NOSUID | MS_NODEV, "size=64m,mode=755") ? "tmpfs" : NULL;
}

enum seal seal_enter(const char *dir, int *status, char why[128])
{
	int told[2];

	snprintf(why, 128, "namespaces");
	must(pipe2(told, O_CLOEXEC), "pipe");
	/* As fork(2), and what is sealed is the child alone. */
	pid_t child = (pid_t)syscall(SYS_clone, CLONE_NEWNS | CLONE_NEWPID | SIGCHLD, 0, 0, 0, 0);
	if (child < 0)
		return SEAL_NONE;
	if (!child) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		const char *failed = seal_mounts(dir);
		if (!failed)
			return SEAL_INSIDE;
		must(write(told[1], failed, strlen(failed)), "pipe");
		_exit(1);
	}
	close(told[1]);
	waitpid(child, status, 0);
	*status = WIFEXITED(*status) ? WEXITSTATUS(*status) : 1;
	ssize_t n = read(told[0], why, 127);
	close(told[0]);
	why[n > 0 ? n : 0] = '\0';
	return n > 0 ? SEAL_NONE : SEAL_OUTSIDE;
}

/* ---- the proof ---- */

static _Noreturn void stop_here(const char *path, const char *why)
{
	fail("all: it is not safe here, nothing was tried: %s: %s", path, why);
	exit(1);
}

static void must_refuse(const char *dir)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/.rfs-escape-probe", dir);
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd >= 0) {
		unlink(path);
		stop_here(path, "can be made");
	}
	if (errno != EROFS && errno != EACCES && errno != ENOENT)
		stop_here(path, strerror(errno));
}

static void must_not_open(const char *path)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd >= 0)
		stop_here(path, "can be written to");
}

/* Every mount must be read-only, but those of DIR and below. */
static void check_mounts(const char *dir)
{
	char line[8192], point[4096], options[256];
	FILE *f = fopen("/proc/self/mountinfo", "re");
	size_t len = strlen(dir);
	int ours = 0, others = 0;

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%*s %*s %*s %*s %4095s %255s", point, options) != 2)
			stop_here("/proc/self/mountinfo", "what is this?");
		if (!strncmp(point, dir, len) && (!point[len] || point[len] == '/'))
			ours++;
		else if (strncmp(options, "ro,", 3) && strcmp(options, "ro"))
			stop_here(point, "is mounted to be written to");
		else
			others++;
	}
	if (!ours || !others)
		stop_here("/proc/self/mountinfo", "has not what it should");
	fclose(f);
}

void seal_prove(const char *dir)
{
	static const char *const dirs[] = { "/", "/etc", "/usr", "/usr/bin", "/bin", "/lib", "/boot", "/root", "/proc/sys", "/sys" };
	static const char *const files[] = { "/etc/passwd", "/etc/group", "/proc/sysrq-trigger", "/proc/sys/kernel/core_pattern" };

	for (size_t i = 0; i < sizeof(dirs) / sizeof(*dirs); i++)
		must_refuse(dirs[i]);
	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++)
		must_not_open(files[i]);
	if (geteuid())
		return;
	must_refuse("/tmp");
	must_refuse("/dev");
	check_mounts(dir);
}

/* ---- procfs in the tree ---- */

/* As containers' runtimes do: what there is of the machine in procfs stays read-only also where it is mounted to be written to. */
bool seal_proc(const char *path)
{
	static const char *const machine[] = { "sys", "sysrq-trigger", "irq", "bus", "fs", "acpi", "scsi", "driver", "mtrr", "kcore", "timer_list" };
	char at[256];

	if (geteuid() || mount("proc", path, "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL))
		return false;
	for (size_t i = 0; i < sizeof(machine) / sizeof(*machine); i++) {
		snprintf(at, sizeof(at), "%s/%s", path, machine[i]);
		if (access(at, F_OK))
			continue;
		must(mount(at, at, NULL, MS_BIND | MS_REC, NULL), at);
		must(set_attributes(at, AT_RECURSIVE, MOUNT_ATTR_RDONLY, 0), at);
	}
	snprintf(at, sizeof(at), "%s/sysrq-trigger", path);
	must_not_open(at);
	snprintf(at, sizeof(at), "%s/sys/kernel/core_pattern", path);
	must_not_open(at);
	return true;
}
