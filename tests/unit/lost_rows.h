/* What may happen to an open file while nobody serves it, and what the program finds afterwards, for each way of losing the agent. */
#ifndef LOST_ROWS_H
#define LOST_ROWS_H

#include "agent_lost.h"

#include <linux/sched.h>

/*
 * What the program has: the file that it had; that file, of which the kernel refuses something to whoever has it open; or ESTALE
 * for ever.
 */
enum end { SAME, REFUSED, DEAD };

struct row {
	const char *name;
	const char *prepare; /* shell commands in the tree; the file is `f` in directory `a`, with "content\n" in it */
	const char *file;    /* NULL: a/f; "": of a process of procfs, which is in p */
	int flags;
	const char *happens; /* while nobody serves it: shell commands … */
	void (*also)(void);  /* … and this */
	enum end end[WAYS];
	const char *now;     /* where it is afterwards, if somewhere else … */
	bool nowhere;        /* … or that it is nowhere below the tree, for all who look from outside */
	const char *needs;   /* a command that has to succeed: else the row is skipped. It may mount */
	bool held;           /* somebody else has the file open all the time */
};

/* ---- what happens ---- */

static pid_t child;
static char child_file[64];

/* Its name is what it is by the time that this returns. */
static void child_start(void)
{
	int named[2];
	char byte;

	assert_int_equal(pipe(named), 0);
	child = fork();
	if (child == 0) {
		prctl(PR_SET_NAME, "a ) (b");
		close(named[0]);
		close(named[1]);
		for (;;)
			pause();
	}
	close(named[1]);
	assert_int_equal(read(named[0], &byte, 1), 0);
	close(named[0]);
	snprintf(child_file, sizeof(child_file), "p/%d/status", child);
}

static void child_end(void)
{
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

/* A child that waits, with number PID. */
static pid_t child_with_number(pid_t pid)
{
	struct clone_args args = { .exit_signal = SIGCHLD, .set_tid = (uintptr_t)&pid, .set_tid_size = 1 };
	long r = syscall(SYS_clone3, &args, sizeof(args));

	while (r == 0)
		pause();
	return (pid_t)r;
}

/* Another process gets its number. */
static void child_again(void)
{
	pid_t old = child;

	child_end();
	child = child_with_number(old);
	assert_int_equal(child, old);
}

/* ---- the table ---- */

/* In the order of enum way: the connection lost, the agent killed, both killed, both without handles. */
#define ALWAYS { SAME, SAME, SAME, SAME }
#define BY_HANDLE { SAME, SAME, SAME, DEAD }
#define WHILE_OPEN { SAME, SAME, DEAD, DEAD }
#define OVER { REFUSED, REFUSED, DEAD, DEAD }

#define MOUNT "true"
#define BTRFS MOUNT " && command -v mkfs.btrfs >/dev/null"
#define TMPFS "mkdir m; mount -t tmpfs t m; mkdir m/a; echo content >m/a/f"
#define LOOP(mkfs) "truncate -s 160M ../$N.img && " mkfs " ../$N.img >/dev/null 2>&1 && mkdir m && mount -o loop ../$N.img m && " \
	"mkdir m/a && echo content >m/a/f"
#define SUBVOLUME LOOP("mkfs.btrfs -q") " && btrfs -q subvolume create m/s && mv m/a m/s"
#define OVERLAY "mkdir m t; mount -t tmpfs t t; mkdir t/l t/u t/w t/l/a; echo content >t/l/a/f; " \
	"mount -t overlay -o lowerdir=t/l,upperdir=t/u,workdir=t/w o m"
#define PROCFS "mkdir p; mount -t proc p p"
#define DROP "echo 2 >/proc/sys/vm/drop_caches"

static const struct row rows[] = {
	{ "nothing", .flags = O_RDWR, .end = ALWAYS },
	{ "renamed", .flags = O_RDWR, .happens = "mv a/f a/g", .end = ALWAYS, .now = "a/g" },
	{ "renamed, forgotten", .flags = O_RDWR, .happens = "mv a/f a/g; " DROP, .end = ALWAYS, .now = "a/g" },
	{ "renamed, and a likeness", .flags = O_RDWR, .happens = "mv a/f a/g; cp -a a/g a/f", .end = ALWAYS, .now = "a/g" },
	{ "renamed among many", .flags = O_RDWR, .happens = "mv a/f a/g; for i in $(seq 300); do echo content >a/$i; done", .end = ALWAYS,
	  .now = "a/g" },
	{ "moved", "mkdir b", .flags = O_RDONLY, .happens = "mv a/f b/g", .end = BY_HANDLE, .now = "b/g" },
	{ "moved out of the tree", .flags = O_RDONLY, .happens = "mv a/f ../$N.out", .end = WHILE_OPEN, .nowhere = true },
	{ "parent renamed", .flags = O_RDWR, .happens = "mv a b", .end = BY_HANDLE, .now = "b/f" },
	{ "unlinked", .flags = O_RDWR, .happens = "rm a/f", .end = WHILE_OPEN, .nowhere = true },
	{ "unlinked, held", .flags = O_RDWR, .happens = "rm a/f", .end = BY_HANDLE, .nowhere = true, .held = true },
	{ "unlinked out of the tree, held", .flags = O_RDWR, .happens = "mv a/f ../$N.out && rm ../$N.out", .end = WHILE_OPEN,
	  .nowhere = true, .held = true },
	{ "other hard link", "ln a/f a/l", .flags = O_RDWR, .happens = "rm a/f", .end = ALWAYS, .now = "a/l" },
	{ "parent removed", .flags = O_RDWR, .happens = "rm -r a", .end = WHILE_OPEN, .nowhere = true },
	{ "parent removed, held", .flags = O_RDWR, .happens = "rm -r a", .end = BY_HANDLE, .nowhere = true, .held = true },
	{ "replaced by rename", .flags = O_RDWR, .happens = "echo content >a/g; mv a/g a/f", .end = WHILE_OPEN, .nowhere = true },
	{ "replaced, held", .flags = O_RDWR, .happens = "echo content >a/g; mv a/g a/f", .end = BY_HANDLE, .nowhere = true, .held = true },
	{ "recreated", .flags = O_RDWR, .happens = "rm a/f; echo content >a/f", .end = WHILE_OPEN, .nowhere = true },
	{ "exchanged for a link", .flags = O_RDWR, .happens = "mv a/f a/g; ln -s g a/f", .end = ALWAYS, .now = "a/g" },

	{ "lazily unmounted", TMPFS, "m/a/f", O_RDWR, "umount -l m", .end = WHILE_OPEN, .nowhere = true, .needs = MOUNT },
	{ "lazily unmounted, mounted elsewhere", TMPFS "; mkdir n; mount --bind m n", "m/a/f", O_RDWR, "umount -l m", .end = BY_HANDLE,
	  .now = "n/a/f", .needs = MOUNT },
	{ "mounted over", .flags = O_RDWR, .happens = "mount -t tmpfs t a", .end = BY_HANDLE, .nowhere = true, .needs = MOUNT },
	{ "mounted over by a likeness", .flags = O_RDWR, .happens = "mount -t tmpfs t a; echo content >a/f", .end = BY_HANDLE,
	  .nowhere = true, .needs = MOUNT },
	{ "file mounted over", "echo other >g", .flags = O_RDWR, .happens = "mount --bind g a/f", .end = BY_HANDLE, .nowhere = true,
	  .needs = MOUNT },

	{ "tmpfs, renamed", TMPFS, "m/a/f", O_RDWR, "mv m/a/f m/g", .end = BY_HANDLE, .now = "m/g", .needs = MOUNT },
	{ "tmpfs, recreated", TMPFS, "m/a/f", O_RDWR, "rm m/a/f; echo content >m/a/f", .end = WHILE_OPEN, .nowhere = true, .needs = MOUNT },
	{ "tmpfs, mounted anew", TMPFS, "m/a/f", O_RDWR, "umount -l m; mount -t tmpfs t m; mkdir m/a; echo content >m/a/f",
	  .end = WHILE_OPEN, .nowhere = true, .needs = MOUNT },
	{ "ext4, renamed", LOOP("mkfs.ext4 -q"), "m/a/f", O_RDWR, "mv m/a/f m/g", .end = BY_HANDLE, .now = "m/g", .needs = MOUNT },
	{ "ext4, recreated", LOOP("mkfs.ext4 -q"), "m/a/f", O_RDWR, "rm m/a/f; echo content >m/a/f", .end = WHILE_OPEN, .nowhere = true,
	  .needs = MOUNT },
	{ "btrfs", LOOP("mkfs.btrfs -q"), "m/a/f", O_RDWR, .end = ALWAYS, .needs = BTRFS },
	{ "btrfs subvolume, renamed", SUBVOLUME " && echo 1 >m/x", "m/s/a/f", O_RDWR, "mv m/s/a/f m/s/g", .end = BY_HANDLE,
	  .now = "m/s/g", .needs = BTRFS },
	{ "btrfs subvolume, a snapshot in its place", SUBVOLUME, "m/s/a/f", O_RDWR,
	  "btrfs -q subvolume snapshot m/s m/t && mv m/s m/u && mv m/t m/s", .end = BY_HANDLE, .now = "m/u/a/f", .needs = BTRFS },
	{ "overlayfs", OVERLAY, "m/a/f", O_RDONLY, .end = ALWAYS, .needs = MOUNT },
	{ "overlayfs, copied up", OVERLAY, "m/a/f", O_RDONLY, "touch m/a/f", .end = ALWAYS, .needs = MOUNT },
	{ "overlayfs, upper", OVERLAY "; touch m/a/f", "m/a/f", O_RDWR, .end = ALWAYS, .needs = MOUNT },
	{ "overlayfs, renamed", OVERLAY, "m/a/f", O_RDONLY, "mv m/a/f m/a/g", .end = ALWAYS, .now = "m/a/g", .needs = MOUNT },
	{ "overlayfs, recreated", OVERLAY, "m/a/f", O_RDONLY, "rm m/a/f; echo content >m/a/f", .end = WHILE_OPEN, .nowhere = true,
	  .needs = MOUNT },
	{ "overlayfs, unlinked, held", OVERLAY, "m/a/f", O_RDONLY, "rm m/a/f", .end = WHILE_OPEN, .nowhere = true, .needs = MOUNT,
	  .held = true },

	{ "procfs", PROCFS, "", O_RDONLY, .end = ALWAYS, .needs = MOUNT },
	{ "procfs, caches dropped", PROCFS, "", O_RDONLY, DROP, .end = ALWAYS, .needs = MOUNT },
	{ "procfs, process ended", PROCFS, "", O_RDONLY, .also = child_end, .end = OVER, .nowhere = true, .needs = MOUNT },
	{ "procfs, number given out again", PROCFS, "", O_RDONLY, .also = child_again, .end = OVER, .nowhere = true, .needs = MOUNT },
	{ "procfs, no process's", PROCFS, "p/sys/kernel/ostype", O_RDONLY, DROP, .end = ALWAYS, .needs = MOUNT },
	{ "sysfs", "mkdir s; mount -t sysfs s s", "s/kernel/notes", O_RDONLY, DROP, .end = ALWAYS, .needs = MOUNT },
	{ "device", "mknod a/n c 1 3", "a/n", O_RDWR, .end = ALWAYS, .needs = MOUNT },
	{ "device, another one", "mknod a/n c 1 3", "a/n", O_RDWR, "rm a/n; mknod a/n c 1 5", .end = WHILE_OPEN, .nowhere = true,
	  .needs = MOUNT },
	{ "FIFO, read", "mkfifo a/p", "a/p", O_RDONLY, .end = ALWAYS },
	{ "FIFO, written, without a reader", "mkfifo a/p; exec 3<>a/p; sleep 1 &", "a/p", O_WRONLY, "sleep 1.2", .end = ALWAYS },
	{ "FIFO, renamed", "mkfifo a/p", "a/p", O_RDWR, "mv a/p a/q", .end = ALWAYS, .now = "a/q" },
	{ "FIFO, unlinked", "mkfifo a/p", "a/p", O_RDWR, "rm a/p", .end = WHILE_OPEN, .nowhere = true },

	{ "O_APPEND", .flags = O_WRONLY | O_APPEND, .happens = "echo more >>a/f", .end = ALWAYS },
	{ "O_APPEND, renamed", .flags = O_WRONLY | O_APPEND, .happens = "mv a/f a/g; echo more >>a/g", .end = ALWAYS, .now = "a/g" },
	{ "O_CREAT, O_TRUNC", "echo much more content >a/f", .flags = O_RDWR | O_CREAT | O_TRUNC, .happens = "echo content >a/f",
	  .end = ALWAYS },
	{ "O_CREAT, O_EXCL", NULL, "a/new", O_RDWR | O_CREAT | O_EXCL, "echo content >a/new", .end = ALWAYS },
	{ "O_CREAT, unlinked", NULL, "a/new", O_RDWR | O_CREAT, "echo content >a/new; rm a/new", .end = WHILE_OPEN, .nowhere = true },
	{ "O_TMPFILE", NULL, "a", O_RDWR | O_TMPFILE, .end = WHILE_OPEN, .nowhere = true },
	{ "O_PATH", NULL, NULL, O_PATH, "mv a/f a/g", .end = ALWAYS, .now = "a/g" },
	{ "O_PATH of a link", "ln -s f a/l", "a/l", O_PATH | O_NOFOLLOW, .end = ALWAYS },
	{ "opened through a link", "ln -s a b", "b/f", O_RDONLY, "rm b", .end = ALWAYS, .now = "a/f" },
	{ "now without rights", .flags = O_RDWR, .happens = "chattr +i a/f", .end = OVER,
	  .needs = MOUNT " && chattr +i a/f && chattr -i a/f" },

	{ "directory", NULL, "a", O_RDONLY | O_DIRECTORY, .end = ALWAYS },
	{ "directory, renamed", NULL, "a", O_RDONLY | O_DIRECTORY, "mv a b", .end = ALWAYS, .now = "b" },
	{ "directory, recreated", NULL, "a", O_RDONLY | O_DIRECTORY, "rm -r a; mkdir a; echo content >a/f", .end = OVER, .nowhere = true },
	{ "the root", NULL, "/", O_RDONLY | O_DIRECTORY, .end = ALWAYS, .now = "." },
	{ "the root, renamed", NULL, "/", O_RDONLY | O_DIRECTORY, "mv $PWD $PWD.r; ln -s $PWD.r $PWD", .end = ALWAYS, .now = "." },
};

#endif
