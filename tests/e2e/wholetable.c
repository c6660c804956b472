/*
 * wholetable TREE ROUNDS: makes every call of syscalls/table.def that has to do with files, with arguments of each kind drawn from what
 * may be given to it: names and descriptors of the tree, flags that change things. Prints how many rows were tried, how many
 * calls were made, and how many of them succeeded.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

enum kind {
	A_NONE,
#define ARG_KIND(name) A_##name,
#include "../../syscalls/args.def"
#undef ARG_KIND
};

enum class { PASS, PATH, ANY, FD, ANYFD, COMMAND, LIMIT, TRACE, DUP, SOCKET, PASSING, NOSYS };

static const struct row {
	int nr;
	const char *name;
	enum class class;
	enum kind args[7];
} rows[] = {
#define SYSCALL(nr, name, class, handler, ...) { nr, #name, class, { __VA_ARGS__ } },
#include "../../syscalls/table.def"
#undef SYSCALL
};

/* They end or stop the caller, or run something else. */
static const char *const left_out[] = {
	"exit", "exit_group", "fork", "vfork", "clone", "clone3", "execve", "execveat", "rt_sigreturn", "pause", "kill", "tkill", "tgkill",
	"rt_sigsuspend", "reboot", "ptrace", "close_range", "unshare", "setns", "finit_module", "kexec_file_load",
};

/* What they do to a local object is not the tree's business: they get names that only exist there. */
static const char *const only_names[] = {
	"mount", "umount2", "pivot_root", "move_mount", "swapon", "swapoff", "acct", "quotactl", "mount_setattr", "open_tree", "chroot", "fsmount",
};

static char names[64][256];
static size_t name_count, absolute_count;
static int fds[16];
static size_t fd_count;
static char buffer[8192] __attribute__((aligned(4096)));
static unsigned long seed = 1;

static bool listed(const char *const *list, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(list[i], name))
			return true;
	return false;
}

static unsigned long pick(unsigned long n)
{
	seed = seed * 6364136223846793005ul + 1442695040888963407ul;
	return (seed >> 33) % n;
}

#define ONE_OF(...)                                              \
	({                                                       \
		const long from[] = { __VA_ARGS__ };             \
		from[pick(sizeof(from) / sizeof(from[0]))];      \
	})

static void make_names(const char *tree)
{
	static const char *const below[] = { "hello.txt", "empty", "ro", "dir", "dir/empty", "dir/file", "new", "dir/new", "links/rel", "links/dangling",
					     "hard/a", "sizes/s4096", "sizes/s3145745", "deep", "deep/a/b", "modes/m0666", "missing/x" };

	for (size_t i = 0; i < COUNT(below); i++)
		snprintf(names[name_count++], sizeof(names[0]), "%s/%s", tree, below[i]);
	absolute_count = name_count;
	for (size_t i = 0; i < COUNT(below); i++)
		snprintf(names[name_count++], sizeof(names[0]), "%s", below[i]);
	names[name_count++][0] = 0;
}

static void keep(int fd)
{
	if (fd >= 0)
		fds[fd_count++] = fd;
}

static void open_some(void)
{
	keep(open("hello.txt", O_RDONLY));
	keep(open("sizes/s3145745", O_RDONLY));
	keep(open("modes/m0666", O_RDWR));
	keep(open("sizes/s4096", O_WRONLY | O_APPEND));
	keep(open("ro", O_PATH));
	keep(open("links/rel", O_PATH | O_NOFOLLOW));
	keep(open("dir", O_RDONLY | O_DIRECTORY));
	keep(open(".", O_RDONLY | O_DIRECTORY));
	keep(open("deep", O_PATH | O_DIRECTORY));
	keep(memfd_create("local", 0));
}

static const void *filled(const void *data, size_t n)
{
	memset(buffer, 0, sizeof(buffer));
	memcpy(buffer, data, n);
	return buffer;
}

static long address(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", names[pick(absolute_count)]);
	return (long)filled(&a, sizeof(a));
}

static long how(void)
{
	const struct open_how h = { .flags = (uint64_t)ONE_OF(O_RDWR, O_WRONLY | O_TRUNC, O_RDWR | O_CREAT), .resolve = 0 };

	return (long)filled(&h, sizeof(h));
}

static long vector(void)
{
	static struct iovec v[2];

	v[0] = v[1] = (struct iovec){ buffer, 10 };
	return (long)v;
}

/* Sizes, flags and the like. */
static long number_argument(enum kind kind)
{
	switch (kind) {
	case A_SIZE:
	case A_UINT:
		return ONE_OF(0, 1, 2, 10, 16, 24, 110, 4096);
	case A_OFF:
		return ONE_OF(0, 1, 100, 4096);
	case A_OFLAGS:
		return ONE_OF(O_RDWR, O_WRONLY, O_RDONLY | O_TRUNC, O_RDWR | O_CREAT, O_CREAT | O_EXCL, O_WRONLY | O_APPEND, O_TMPFILE | O_RDWR, O_PATH);
	case A_MODE:
	case A_FMODE:
		return ONE_OF(0600, 0777, 0, S_IFREG | 0644, S_IFIFO | 0644, 04755);
	case A_ATFLAGS:
		return ONE_OF(0, AT_SYMLINK_NOFOLLOW, AT_REMOVEDIR, AT_EMPTY_PATH, AT_SYMLINK_FOLLOW);
	case A_PROT:
		return ONE_OF(PROT_READ, PROT_READ | PROT_WRITE);
	case A_MAP_FLAGS:
		return ONE_OF(MAP_SHARED, MAP_PRIVATE);
	case A_FLOCK_OP:
		return ONE_OF(1, 2, 8) | 4;
	case A_FCNTL_CMD:
		return ONE_OF(F_SETFL, F_SETLK, F_SETLEASE, F_DUPFD, F_GETFL, F_ADD_SEALS, F_SET_RW_HINT, F_OFD_SETLK);
	case A_IOCTL:
		return ONE_OF(FS_IOC_SETFLAGS, FS_IOC_GETFLAGS, FICLONE, FICLONERANGE, FIDEDUPERANGE, FS_IOC_FSSETXATTR, FITRIM, FS_IOC_SETFSLABEL, FIONREAD);
	case A_RENAME_FLAGS:
		return ONE_OF(0, 1, 2, 4);
	case A_FALLOC_MODE:
		return ONE_OF(0, 1, 3, 8, 16, 32);
	case A_INT:
	case A_HEX:
	case A_XATTR_FLAGS:
	case A_RWF:
	case A_WHENCE:
	case A_ACCESS:
		return ONE_OF(0, 0, 1, 2, 4);
	default:
		return (long)buffer;
	}
}

static long argument(enum kind kind, bool only_named)
{
	switch (kind) {
	case A_FD:
		return only_named ? -1 : fds[pick(fd_count)];
	case A_DIRFD:
		return only_named || pick(2) ? AT_FDCWD : fds[pick(fd_count)];
	case A_PATH:
	case A_CHANGED:
		return (long)names[pick(only_named ? absolute_count : name_count)];
	case A_STR:
	case A_LINKTEXT:
		return (long)(pick(2) ? "user.new" : "user.other");
	case A_OPEN_HOW:
		return how();
	case A_IOV_IN:
	case A_IOV_OUT:
		return vector();
	case A_SOCKADDR:
	case A_BOUND:
		return address();
	case A_SIGNAL:
	case A_PID:
	case A_RESOURCE:
	case A_ARGV:
	case A_ENVP:
	case A_FD_FLAGS:
	case A_DEV:
	case A_OFFP:
		return 0;
	default:
		return number_argument(kind);
	}
}

static bool is_about_files(const struct row *r)
{
	bool about = r->class != PASS && r->class != NOSYS;

	for (int i = 0; i < 6; i++)
		about |= r->args[i] == A_FD || r->args[i] == A_DIRFD || r->args[i] == A_PATH || r->args[i] == A_CHANGED || r->args[i] == A_BOUND;
	return about;
}

struct counts {
	long calls, good;
};

static void try(const struct row *r, long rounds, struct counts *c)
{
	bool only_named = listed(only_names, COUNT(only_names), r->name);
	long a[6];

	for (long n = 0; n < rounds; n++) {
		memset(buffer, 'x', sizeof(buffer));
		for (int i = 0; i < 6; i++)
			a[i] = argument(r->args[i], only_named);
		/* What blocks must not. */
		alarm(2);
		c->calls++;
		c->good += syscall(r->nr, a[0], a[1], a[2], a[3], a[4], a[5]) >= 0;
	}
	alarm(0);
}

static void on_alarm(int sig)
{
	(void)sig;
}

/* Each row in a process of its own, which may ruin itself: its limits, its root, its memory. */
static bool try_apart(const struct row *r, const char *tree, long rounds, struct counts *shared)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		const struct sigaction act = { .sa_handler = on_alarm };
		sigaction(SIGALRM, &act, NULL);
		signal(SIGPIPE, SIG_IGN);
		if (chdir(tree) < 0)
			_exit(1);
		open_some();
		seed = (unsigned long)r->nr + 1;
		try(r, rounds, shared);
		_exit(0);
	}
	return waitpid(pid, &status, 0) == pid;
}

int main(int argc, char **argv)
{
	struct counts *c = mmap(NULL, sizeof(*c), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	long tried = 0;

	if (argc < 3 || c == MAP_FAILED)
		return 98;
	make_names(argv[1]);
	for (size_t i = 0; i < COUNT(rows); i++)
		if (is_about_files(rows + i) && !listed(left_out, COUNT(left_out), rows[i].name))
			tried += try_apart(rows + i, argv[1], atol(argv[2]), c);
	printf("%ld rows, %ld calls, %ld succeeded\n", tried, c->calls, c->good);
	return 0;
}
