/*
 * What becomes of an open file while nobody serves it: a row for each thing that may happen to it, a column for each way in
 * which the agent was lost, and in each cell what the program finds afterwards.
 */
#include "test_agent.h"

#include <linux/capability.h>
#include <linux/sched.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/prctl.h>

#define CAPABILITY_TICKETS 2

/* How the agent is lost. */
enum way {
	BOTH,  /* it and its keeper are gone; the next one may use file handles … */
	PATHS, /* … or may not, as in most containers */
	WAYS
};

static const char *const way_names[WAYS] = { "both killed", "both killed, no handles" };

/* What the program has afterwards: the file that it had, or ESTALE for ever. */
enum end { SAME, DEAD };

struct row {
	const char *name;
	const char *prepare; /* shell commands in the tree; the file is `f` in directory `a`, with "content\n" in it */
	const char *file;    /* NULL: a/f */
	int flags;
	const char *happens; /* while it is open, or after the agent's end: shell commands … */
	void (*also)(void);  /* … or this */
	enum end end[WAYS];
	const char *needs;   /* a command that has to succeed: else the row is skipped */
	bool held;           /* somebody else has the file open all the time */
};

static char base[64];
static struct client c;
static uint64_t kept; /* the handle's number */
static rfs_Reopen ticket;

static bool may_use_handles(void)
{
	struct { struct file_handle h; unsigned char bytes[MAX_HANDLE_SZ]; } h = { .h.handle_bytes = MAX_HANDLE_SZ };
	int id, at = open(".", O_RDONLY | O_DIRECTORY), fd = -1;

	if (at >= 0 && !name_to_handle_at(at, "", &h.h, &id, AT_EMPTY_PATH))
		fd = open_by_handle_at(at, &h.h, O_PATH);
	close(at);
	close(fd);
	return fd >= 0;
}

/* As client_start, with or without the right to open files by their handles. */
static void agent_start(const char *root, bool handles)
{
	int p[2];

	memset(&c, 0, sizeof(c));
	c.push = calloc(PUSHES, sizeof(*c.push));
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, p), 0);
	c.pid = fork();
	if (c.pid == 0) {
		dup2(p[1], 0);
		dup2(p[1], 1);
		if (!handles)
			prctl(PR_CAPBSET_DROP, CAP_DAC_READ_SEARCH);
		execl(agent_binary, "remotefs-agent", "--stdio", "--root", root, NULL);
		_exit(126);
	}
	close(p[1]);
	c.fd = p[0];
}

static void agent_hello(bool read_only)
{
	REQUEST(hello);

	q.op.hello.version = 1;
	q.op.hello.read_only = read_only;
	q.op.hello.capabilities = CAPABILITY_TICKETS;
	assert_int_equal(client_call(&c, &q), 0);
	assert_int_equal(c.reply.op.hello.capabilities, CAPABILITY_TICKETS);
}

static void agent_kill(void)
{
	kill(c.pid, SIGKILL);
	assert_int_equal(client_status(&c), 256 + SIGKILL);
}

static void ticket_keep(uint64_t handle, int flags)
{
	const rfs_OpenReply *r = &c.reply.op.open;

	assert_true(r->ticket.size > 0);
	ticket = (rfs_Reopen){ .handle = handle, .flags = flags, .ticket.size = r->ticket.size };
	memcpy(ticket.ticket.bytes, r->ticket.bytes, r->ticket.size);
}

/* Sends the ticket. 0 or why the file is lost. */
static int reopen(void)
{
	REQUEST(reopen);

	q.op.reopen = ticket;
	assert_int_equal(client_call(&c, &q), 0);
	assert_int_equal(c.reply.which_op, rfs_Reply_open_tag);
	return (int)c.reply.op.open.lost;
}

static int shell(const char *command)
{
	return command ? system(command) : 0;
}

/* ---- what happens ---- */

static pid_t child;
static char child_file[64];

static void child_start(void)
{
	child = fork();
	if (child == 0) {
		prctl(PR_SET_NAME, "a ) (b");
		for (;;)
			pause();
	}
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

#define NEEDS_MOUNT "true"
#define LOOP(mkfs) "truncate -s 160M ../$N.img && " mkfs " >/dev/null 2>&1 && mkdir m && mount -o loop ../$N.img m && mkdir m/a && echo content >m/a/f"

static const struct row rows[] = {
	{ "nothing", NULL, NULL, O_RDWR, NULL, NULL, { SAME, SAME }, NULL, false },
	{ "renamed", NULL, NULL, O_RDWR, "mv a/f a/g", NULL, { SAME, DEAD }, NULL, false },
	{ "moved", "mkdir b", NULL, O_RDONLY, "mv a/f b/g", NULL, { SAME, DEAD }, NULL, false },
	{ "moved out of the tree", NULL, NULL, O_RDONLY, "mv a/f ../$N.out", NULL, { DEAD, DEAD }, NULL, false },
	{ "parent renamed", NULL, NULL, O_RDWR, "mv a b", NULL, { SAME, DEAD }, NULL, false },
	{ "unlinked", NULL, NULL, O_RDWR, "rm a/f", NULL, { DEAD, DEAD }, NULL, false },
	{ "unlinked, held", NULL, NULL, O_RDWR, "rm a/f", NULL, { SAME, DEAD }, NULL, true },
	{ "unlinked out of the tree, held", NULL, NULL, O_RDWR, "mv a/f ../$N.out && rm ../$N.out", NULL, { DEAD, DEAD }, NULL, true },
	{ "other hard link", "ln a/f a/l", NULL, O_RDWR, "rm a/f", NULL, { SAME, DEAD }, NULL, false },
	{ "parent removed", NULL, NULL, O_RDWR, "rm -r a", NULL, { DEAD, DEAD }, NULL, false },
	{ "parent removed, held", NULL, NULL, O_RDWR, "rm -r a", NULL, { SAME, DEAD }, NULL, true },
	{ "replaced by rename", NULL, NULL, O_RDWR, "echo content >a/g; mv a/g a/f", NULL, { DEAD, DEAD }, NULL, false },
	{ "replaced, held", NULL, NULL, O_RDWR, "echo content >a/g; mv a/g a/f", NULL, { SAME, DEAD }, NULL, true },
	{ "recreated", NULL, NULL, O_RDWR, "rm a/f; echo content >a/f", NULL, { DEAD, DEAD }, NULL, false },
	{ "exchanged for a link", NULL, NULL, O_RDWR, "mv a/f a/g; ln -s g a/f", NULL, { SAME, DEAD }, NULL, false },
	{ "lazily unmounted", "mkdir m; mount -t tmpfs t m; mkdir m/a; echo content >m/a/f", "m/a/f", O_RDWR, "umount -l m", NULL,
	  { DEAD, DEAD }, NEEDS_MOUNT, false },
	{ "lazily unmounted, mounted elsewhere", "mkdir m n; mount -t tmpfs t m; mkdir m/a; echo content >m/a/f; mount --bind m n",
	  "m/a/f", O_RDWR, "umount -l m", NULL, { SAME, DEAD }, NEEDS_MOUNT, false },
	{ "mounted over", NULL, NULL, O_RDWR, "mount -t tmpfs t a", NULL, { SAME, DEAD }, NEEDS_MOUNT, false },
	{ "mounted over by a likeness", NULL, NULL, O_RDWR, "mount -t tmpfs t a; echo content >a/f", NULL, { SAME, DEAD }, NEEDS_MOUNT, false },
	{ "file mounted over", "echo other >g", NULL, O_RDWR, "mount --bind g a/f", NULL, { SAME, DEAD }, NEEDS_MOUNT, false },
	{ "tmpfs, renamed", "mkdir m; mount -t tmpfs t m; mkdir m/a; echo content >m/a/f", "m/a/f", O_RDWR, "mv m/a/f m/g", NULL,
	  { SAME, DEAD }, NEEDS_MOUNT, false },
	{ "tmpfs, recreated", "mkdir m; mount -t tmpfs t m; mkdir m/a; echo content >m/a/f", "m/a/f", O_RDWR,
	  "rm m/a/f; echo content >m/a/f", NULL, { DEAD, DEAD }, NEEDS_MOUNT, false },
	{ "tmpfs, mounted anew", "mkdir m; mount -t tmpfs t m; mkdir m/a; echo content >m/a/f", "m/a/f", O_RDWR,
	  "umount -l m; mount -t tmpfs t m; mkdir m/a; echo content >m/a/f", NULL, { DEAD, DEAD }, NEEDS_MOUNT, false },
	{ "ext4, renamed", LOOP("mkfs.ext4 -q ../$N.img"), "m/a/f", O_RDWR, "mv m/a/f m/g", NULL, { SAME, DEAD }, NEEDS_MOUNT, false },
	{ "ext4, recreated", LOOP("mkfs.ext4 -q ../$N.img"), "m/a/f", O_RDWR, "rm m/a/f; echo content >m/a/f", NULL, { DEAD, DEAD },
	  NEEDS_MOUNT, false },
	{ "btrfs", LOOP("mkfs.btrfs -q ../$N.img"), "m/a/f", O_RDWR, NULL, NULL, { SAME, SAME },
	  NEEDS_MOUNT " && command -v mkfs.btrfs >/dev/null", false },
	{ "btrfs subvolume, renamed", LOOP("mkfs.btrfs -q ../$N.img") " && btrfs -q subvolume create m/s && mv m/a m/s && "
	  "echo 1 >m/x", "m/s/a/f", O_RDWR, "mv m/s/a/f m/s/g", NULL, { SAME, DEAD }, NEEDS_MOUNT " && command -v mkfs.btrfs >/dev/null", false },
	{ "btrfs subvolume, a snapshot in its place", LOOP("mkfs.btrfs -q ../$N.img") " && btrfs -q subvolume create m/s && mv m/a m/s",
	  "m/s/a/f", O_RDWR, "btrfs -q subvolume snapshot m/s m/t && mv m/s m/u && mv m/t m/s", NULL, { SAME, DEAD },
	  NEEDS_MOUNT " && command -v mkfs.btrfs >/dev/null", false },
#define OVERLAY "mkdir m l u w t; mount -t tmpfs t t; mkdir t/l t/u t/w t/l/a; echo content >t/l/a/f; " \
	"mount -t overlay -o lowerdir=t/l,upperdir=t/u,workdir=t/w o m"
	{ "overlayfs", OVERLAY, "m/a/f", O_RDONLY, NULL, NULL, { SAME, SAME }, NEEDS_MOUNT, false },
	{ "overlayfs, copied up", OVERLAY, "m/a/f", O_RDONLY, "touch m/a/f", NULL, { SAME, SAME }, NEEDS_MOUNT, false },
	{ "overlayfs, upper", OVERLAY "; touch m/a/f", "m/a/f", O_RDWR, NULL, NULL, { SAME, SAME }, NEEDS_MOUNT, false },
	{ "overlayfs, renamed", OVERLAY, "m/a/f", O_RDONLY, "mv m/a/f m/a/g", NULL, { DEAD, DEAD }, NEEDS_MOUNT, false },
	{ "overlayfs, recreated", OVERLAY, "m/a/f", O_RDONLY, "rm m/a/f; echo content >m/a/f", NULL, { DEAD, DEAD }, NEEDS_MOUNT, false },
	{ "overlayfs, unlinked, held", OVERLAY, "m/a/f", O_RDONLY, "rm m/a/f", NULL, { DEAD, DEAD }, NEEDS_MOUNT, true },
	{ "procfs", "mkdir p; mount -t proc p p", "", O_RDONLY, NULL, NULL, { SAME, SAME }, NEEDS_MOUNT, false },
	{ "procfs, caches dropped", "mkdir p; mount -t proc p p", "", O_RDONLY, "echo 2 >/proc/sys/vm/drop_caches", NULL,
	  { SAME, SAME }, NEEDS_MOUNT, false },
	{ "procfs, process ended", "mkdir p; mount -t proc p p", "", O_RDONLY, NULL, child_end, { DEAD, DEAD }, NEEDS_MOUNT, false },
	{ "procfs, number given out again", "mkdir p; mount -t proc p p", "", O_RDONLY, NULL, child_again, { DEAD, DEAD },
	  NEEDS_MOUNT, false },
	{ "procfs, no process's", "mkdir p; mount -t proc p p", "p/sys/kernel/ostype", O_RDONLY, "echo 2 >/proc/sys/vm/drop_caches", NULL,
	  { SAME, SAME }, NEEDS_MOUNT, false },
	{ "device", "mknod a/n c 1 3", "a/n", O_RDWR, NULL, NULL, { SAME, SAME }, NEEDS_MOUNT, false },
	{ "device, another one", "mknod a/n c 1 3", "a/n", O_RDWR, "rm a/n; mknod a/n c 1 5", NULL, { DEAD, DEAD }, NEEDS_MOUNT, false },
	{ "FIFO, read", "mkfifo a/p", "a/p", O_RDONLY, NULL, NULL, { SAME, SAME }, NULL, false },
	{ "FIFO, written, without a reader", "mkfifo a/p; exec 3<>a/p; sleep 1 &", "a/p", O_WRONLY, "sleep 1.2", NULL, { SAME, SAME }, NULL, false },
	{ "FIFO, renamed", "mkfifo a/p", "a/p", O_RDWR, "mv a/p a/q", NULL, { SAME, DEAD }, NULL, false },
	{ "O_APPEND", NULL, NULL, O_WRONLY | O_APPEND, "echo more >>a/f", NULL, { SAME, SAME }, NULL, false },
	{ "O_CREAT, O_TRUNC", "echo much more content >a/f", NULL, O_RDWR | O_CREAT | O_TRUNC, "echo content >a/f", NULL, { SAME, SAME }, NULL, false },
	{ "O_CREAT, O_EXCL", NULL, "a/new", O_RDWR | O_CREAT | O_EXCL, "echo content >a/new", NULL, { SAME, SAME }, NULL, false },
	{ "O_CREAT, unlinked", NULL, "a/new", O_RDWR | O_CREAT, "rm a/new", NULL, { DEAD, DEAD }, NULL, false },
	{ "O_TMPFILE", NULL, "a", O_RDWR | O_TMPFILE, NULL, NULL, { DEAD, DEAD }, NULL, false },
	{ "O_PATH", NULL, NULL, O_PATH, "mv a/f a/g", NULL, { SAME, DEAD }, NULL, false },
	{ "O_PATH of a link", "ln -s f a/l", "a/l", O_PATH | O_NOFOLLOW, NULL, NULL, { SAME, SAME }, NULL, false },
	{ "opened through a link", "ln -s a b", "b/f", O_RDONLY, "rm b", NULL, { SAME, SAME }, NULL, false },
	{ "directory", NULL, "a", O_RDONLY | O_DIRECTORY, "mv a b", NULL, { SAME, DEAD }, NULL, false },
	{ "directory, recreated", NULL, "a", O_RDONLY | O_DIRECTORY, "rm -r a; mkdir a; echo content >a/f", NULL, { DEAD, DEAD }, NULL, false },
	{ "the root", NULL, "/", O_RDONLY | O_DIRECTORY, NULL, NULL, { SAME, SAME }, NULL, false },
	{ "the root, renamed", NULL, "/", O_RDONLY | O_DIRECTORY, "mv $PWD $PWD.r; ln -s $PWD.r $PWD", NULL, { SAME, SAME }, NULL, false },
	{ "now without rights", NULL, NULL, O_RDWR, "chattr +i a/f", NULL, { DEAD, DEAD }, NEEDS_MOUNT " && chattr +i a/f && chattr -i a/f", false },
};

/* The same bytes or entries as before, or ESTALE whatever is asked. */
static void row_check(const struct row *row, const rfs_Attr *before, enum end end)
{
	REQUEST(stat);

	WHERE(stat, kept, "");
	if (end == DEAD) {
		assert_int_equal(client_call(&c, &q), ESTALE);
		assert_int_equal(client_read(&c, kept, 0, 10), ESTALE);
		assert_int_equal(client_open_at(&c, kept, "x", O_RDWR | O_CREAT, 0600, 0), ESTALE);
		return;
	}
	assert_int_equal(client_call(&c, &q), 0);
	assert_int_equal(c.reply.op.stat.attr.ino == before->ino || !strncmp(row->name, "procfs", 6), true);
	if (row->flags & O_PATH || !S_ISREG(before->mode))
		return;
	if ((row->flags & O_ACCMODE) != O_WRONLY) {
		assert_int_equal(client_read(&c, kept, 0, 8), 0);
		if (strncmp(row->name, "procfs", 6))
			assert_memory_equal(c.payload, "content\n", 8);
	}
	if ((row->flags & O_ACCMODE) != O_RDONLY)
		assert_int_equal(client_write(&c, kept, 0, row->flags & O_APPEND, "again"), 0);
}

static void row_run(const struct row *row, enum way way, bool handles)
{
	const char *file = row->file ? row->file : "a/f";
	rfs_Attr before;
	int fd = -1, lost;

	if (row->file && !*row->file) {
		child_start();
		file = child_file;
	}
	agent_start(".", handles);
	agent_hello(false);
	assert_int_equal(client_open(&c, file, row->flags, 0644), 0);
	kept = c.handle;
	before = c.reply.op.open.attr;
	ticket_keep(kept, row->flags);
	if (row->held)
		fd = open(file, O_RDONLY);
	assert_int_equal(shell(row->happens), 0);
	if (row->also)
		row->also();
	agent_kill();
	agent_start(base, handles && way != PATHS);
	agent_hello(false);
	lost = reopen();
	if ((row->end[way] == DEAD) != (lost != 0))
		fail_msg("%s, %s: %s", row->name, way_names[way], lost ? strerror(lost) : "another file, or one that should be lost");
	c.handle = kept;
	row_check(row, &before, row->end[way]);
	client_close(&c, kept);
	client_stop(&c);
	close(fd);
	if (child > 0)
		child_end();
	child = 0;
}

static int tree_unmount(void)
{
	char cmd[512];

	/* Whatever was mounted there goes with the namespace. */
	snprintf(cmd, sizeof(cmd), "cd /tmp; for m in $(awk '$5 ~ \"^%s\" { print $5 }' /proc/self/mountinfo | sort -r); do "
		 "umount -l $m; done; chattr -i %s/a/f 2>/dev/null; rm -rf %s %s.*", base, base, base, base);
	return chdir("/") || system(cmd);
}

/* The tree, on a mount of its own where that is allowed, so that rows may mount. */
static void tree_start(bool mounts)
{
	char cmd[128];

	assert_int_equal(tree_make(base, "true"), 0);
	setenv("N", base + strlen("/tmp/"), 1);
	if (mounts) {
		snprintf(cmd, sizeof(cmd), "mount --bind %s %s", base, base);
		assert_int_equal(system(cmd), 0);
		assert_int_equal(chdir(base), 0);
	}
	assert_int_equal(system("mkdir a && echo content >a/f"), 0);
}

static bool mounts; /* allowed, and seen by nobody else */

static void test_table(void **state)
{
	bool handles = may_use_handles();
	unsigned int skipped = 0;

	mounts = !unshare(CLONE_NEWNS) && !mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		for (int way = 0; way < WAYS; way++) {
			const struct row *row = &rows[i];
			bool skip = (way == BOTH && !handles) || (row->needs && !mounts);

			if (!skip) {
				tree_start(row->needs);
				skip = shell(row->needs) || shell(row->prepare);
				if (!skip)
					row_run(row, way, handles);
				tree_unmount();
			}
			skipped += skip;
			if (skip)
				print_message("skipped: %s, %s\n", row->name, way_names[way]);
		}
	print_message("%u cells skipped\n", skipped);
}

/* ---- what is no row ---- */

static int setup(void **state)
{
	tree_start(false);
	agent_start(base, true);
	agent_hello(false);
	return 0;
}

static int teardown(void **state)
{
	client_stop(&c);
	return tree_remove(base);
}

static void agent_next(const char *root)
{
	agent_kill();
	agent_start(root, true);
	agent_hello(false);
}

/* Puts the names of the directory that is kept, from COOKIE on, behind NAMES, at most SIZE bytes of entries. */
static int64_t names_list(int64_t cookie, uint32_t size, char *names)
{
	pb_istream_t in;

	assert_int_equal(client_list(&c, kept, cookie, size), 0);
	in = pb_istream_from_buffer(c.payload, c.payload_len);
	while (in.bytes_left) {
		rfs_Entry e;

		assert_true(pb_decode_delimited(&in, rfs_Entry_fields, &e));
		sprintf(names + strlen(names), "%.*s ", (int)e.name.size, (char *)e.name.bytes);
		cookie = e.cookie;
	}
	return cookie;
}

static void test_directory_offset(void **state)
{
	char all[8192] = "", parts[8192] = "";
	int64_t cookie;

	assert_int_equal(system("for i in $(seq 400); do : >a/$i; done"), 0);
	assert_int_equal(client_open(&c, "a", O_RDONLY | O_DIRECTORY, 0), 0);
	kept = c.handle;
	ticket_keep(kept, O_RDONLY | O_DIRECTORY);
	names_list(0, 1 << 20, all);
	cookie = names_list(0, 2000, parts);
	assert_true(strlen(parts) < strlen(all));
	agent_next(base);
	assert_int_equal(reopen(), 0);
	names_list(cookie, 1 << 20, parts);
	assert_string_equal(all, parts);
}

static void test_locks(void **state)
{
	struct flock f = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 3, .l_len = 4 };
	int fd;

	kept = client_must_open(&c, "a/f", O_RDWR, 0);
	ticket_keep(kept, O_RDWR);
	assert_int_equal(client_lock(&c, kept, 7, F_OFD_SETLK, F_WRLCK, 0, 10), 0);
	agent_next(base);
	assert_int_equal(reopen(), 0);
	fd = open("a/f", O_RDWR);
	assert_int_equal(fcntl(fd, F_SETLK, &f), 0);
	assert_int_equal(client_lock(&c, kept, 7, F_OFD_SETLK, F_WRLCK, 0, 10), EAGAIN);
	f.l_type = F_UNLCK;
	assert_int_equal(fcntl(fd, F_SETLK, &f), 0);
	assert_int_equal(client_lock(&c, kept, 7, F_OFD_SETLK, F_WRLCK, 0, 10), 0);
	close(fd);
}

/* The root of the agent that made the ticket was another one: the client may say whatever it likes. */
static void test_out_of_the_root(void **state)
{
	static const char *const made[] = { "a/f", "a/../out", "b/f" };
	int fd;

	assert_int_equal(system("echo content >out; mkdir b; ln -s ../out b/l; echo content >b/f"), 0);
	for (int removed = 0; removed < 2; removed++)
		for (size_t i = 0; i < sizeof(made) / sizeof(made[0]); i++) {
			agent_next(base);
			kept = client_must_open(&c, made[i], O_RDONLY, 0);
			ticket_keep(kept, O_RDONLY);
			fd = open(made[i], O_RDONLY);
			if (removed)
				unlink(made[i]);
			agent_next("a");
			assert_int_equal(reopen() != 0, i > 0 || !may_use_handles()); /* its path was another root's */
			close(fd);
		}
}

/* A deleted file of a part of the file system that is not mounted here. */
static void test_deleted_elsewhere(void **state)
{
	char root[128], inner[128];
	int fd;

	if (!mounts)
		skip();
	assert_int_equal(mkdir("x", 0700), 0);
	assert_int_equal(system("mount -t tmpfs t x"), 0);
	/* In the tmpfs the file is at the path at which the bind mount is in the tree, and a/f. */
	snprintf(root, sizeof(root), "%s/r", base);
	snprintf(inner, sizeof(inner), "x%s/r/a", base);
	assert_int_equal(setenv("I", inner, 1), 0);
	assert_int_equal(system("mkdir -p r x/s/a $I && echo content >$I/f && mount --bind x/s r"), 0);
	agent_next(base);
	strcat(inner, "/f");
	kept = client_must_open(&c, inner, O_RDONLY, 0);
	ticket_keep(kept, O_RDONLY);
	fd = open(inner, O_RDONLY);
	assert_int_equal(unlink(inner), 0);
	agent_next(root);
	assert_int_not_equal(reopen(), 0);
	/* Nor is it below "/", when the bind mount is all that is left. */
	assert_int_equal(system("umount -l x"), 0);
	agent_next("/");
	assert_int_not_equal(reopen(), 0);
	close(fd);
	assert_int_equal(system("umount r"), 0);
}

/* Bytes that are no ticket, and tickets with a byte changed, are answered, and find the file or nothing. */
static void test_hostile(void **state)
{
	rfs_Reopen good;
	REQUEST(close);

	kept = client_must_open(&c, "a/f", O_RDONLY, 0);
	ticket_keep(kept, O_RDONLY);
	good = ticket;
	srand(1);
	for (int i = 0; i < 4000; i++) {
		ticket = good;
		ticket.handle = ++kept;
		if (i < 1000)
			ticket.ticket.size = rand() % sizeof(ticket.ticket.bytes);
		for (int n = i < 1000 ? ticket.ticket.size : 1; n > 0; n--)
			ticket.ticket.bytes[rand() % ticket.ticket.size] = rand();
		if (!reopen()) {
			assert_int_equal(client_read(&c, kept, 0, 100), 0);
			assert_string_equal((char *)c.payload, "content\n");
		}
		q.op.close.handle = kept;
		client_send(&c, &q, NULL, 0);
	}
}

static void test_dead(void **state)
{
	rfs_Reply *r = &c.reply;

	kept = client_must_open(&c, "a/f", O_RDWR, 0);
	ticket_keep(kept, O_RDWR);
	assert_int_equal(client_call(&c, &(rfs_Request){ .which_op = rfs_Request_reopen_tag, .op.reopen = ticket }), EEXIST);
	assert_int_equal(unlink("a/f"), 0);
	agent_next(base);
	spew("a/f", "another\n");
	assert_int_equal(reopen(), ESTALE);
	assert_memory_equal(r->op.open.path.bytes, "/a/f", r->op.open.path.size);
	assert_int_equal(client_write(&c, kept, 0, false, "x"), ESTALE);
	assert_int_equal(client_lock(&c, kept, 0, F_OFD_SETLK, F_WRLCK, 0, 1), ESTALE);
	assert_int_equal(client_call(&c, &(rfs_Request){ .which_op = rfs_Request_reopen_tag, .op.reopen = ticket }), EEXIST);
	client_close(&c, kept);
	assert_int_equal(client_read(&c, kept, 0, 1), EBADF);
	/* A ticket of nothing is nothing's. */
	ticket.ticket.size = 0;
	assert_int_equal(reopen(), ESTALE);
	assert_int_equal(client_call(&c, &(rfs_Request){ .which_op = rfs_Request_release_tag, .op.release.handle = kept }), 0);
}

/* What the client may not do now it may not go on with either. */
static void test_read_only(void **state)
{
	kept = client_must_open(&c, "a/f", O_RDWR, 0);
	ticket_keep(kept, O_RDWR);
	agent_kill();
	agent_start(base, true);
	agent_hello(true);
	assert_int_equal(reopen(), EROFS);
	client_close(&c, kept);
	ticket.flags = O_RDONLY;
	assert_int_equal(reopen(), 0);
	assert_int_equal(client_write(&c, kept, 0, false, "x"), EBADF);
}

/* A change by others is told through what was opened again as through what was opened. */
static void test_promise(void **state)
{
	kept = client_must_open(&c, "a/f", O_RDWR, 0);
	ticket_keep(kept, O_RDWR);
	agent_next(base);
	assert_int_equal(reopen(), 0);
	assert_true(c.reply.op.open.coherent & rfs_Coherent_HANDLE);
	spew("a/f", "changed\n");
	assert_true(client_await(&c, NULL, 0, kept, CLIENT_PATIENCE_MS));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test_setup_teardown(test_directory_offset, setup, teardown),
		cmocka_unit_test_setup_teardown(test_locks, setup, teardown),
		cmocka_unit_test_setup_teardown(test_out_of_the_root, setup, teardown),
		cmocka_unit_test_setup_teardown(test_deleted_elsewhere, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hostile, setup, teardown),
		cmocka_unit_test_setup_teardown(test_dead, setup, teardown),
		cmocka_unit_test_setup_teardown(test_read_only, setup, teardown),
		cmocka_unit_test_setup_teardown(test_promise, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
