#include "sandbox.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define NOBODY 65534

#define CANARY_LEN 32

static char base[64];
static char canary[CANARY_LEN + 1];
static uint64_t canary_sum;
static int base_fd = -1;

static void must(int rc, const char *what)
{
	if (rc >= 0)
		return;
	fprintf(stderr, "sandbox: %s: %s\n", what, strerror(errno));
	_exit(3);
}

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	must(fd, path);
	must((int)write(fd, text, strlen(text)), path);
	close(fd);
}

/* Even as root we are nobody to what is outside: a mistake that is looked for here must not harm the machine. */
static void enter_namespace(void)
{
	char map[32];

	if (!geteuid()) {
		must(setresgid(NOBODY, NOBODY, NOBODY), "setresgid");
		must(setresuid(NOBODY, NOBODY, NOBODY), "setresuid");
		prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
	}
	uid_t uid = geteuid();
	gid_t gid = getegid();
	must(unshare(CLONE_NEWUSER | CLONE_NEWNS), "unshare");
	put("/proc/self/setgroups", "deny");
	snprintf(map, sizeof(map), "0 %u 1", uid);
	put("/proc/self/uid_map", map);
	snprintf(map, sizeof(map), "0 %u 1", gid);
	put("/proc/self/gid_map", map);
}

/* ---- the tree ---- */

static void clear(int dir)
{
	int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *e;

	while (d && (e = readdir(d))) {
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..") || !unlinkat(dir, e->d_name, 0) ||
		    !unlinkat(dir, e->d_name, AT_REMOVEDIR))
			continue;
		int sub = openat(dir, e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		struct stat st;

		if (sub >= 0 && !fstat(sub, &st) && st.st_dev) {
			struct stat here;
			fstat(dir, &here);
			if (here.st_dev == st.st_dev) {
				fchmod(sub, 0700);
				clear(sub);
			}
		}
		if (sub >= 0)
			close(sub);
		unlinkat(dir, e->d_name, AT_REMOVEDIR);
	}
	if (d)
		closedir(d);
}

static void make_file(int at, const char *name, const char *text, mode_t mode)
{
	int fd = openat(at, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);

	must(fd, name);
	must((int)write(fd, text, strlen(text)), name);
	close(fd);
}

void sandbox_reset(void)
{
	static const char *const dirs[] = { "d", "d/e", "d/e/f", "empty" };
	char text[128];
	int tree = openat(base_fd, "tree", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	must(tree, "tree");
	fchmod(tree, 0755);
	clear(tree);
	for (size_t i = 0; i < sizeof(dirs) / sizeof(*dirs); i++)
		must(mkdirat(tree, dirs[i], 0755), dirs[i]);
	make_file(tree, "f", "hello\n", 0644);
	make_file(tree, "d/g", "there is more of this\n", 0600);
	make_file(tree, "d/e/h", "", 0444);
	must(mkfifoat(tree, "fifo", 0644), "fifo");
	snprintf(text, sizeof(text), "%s/outside", base);
	must(symlinkat(text, tree, "abs"), "abs");
	must(symlinkat("../outside", tree, "rel"), "rel");
	must(symlinkat("../../../outside/canary", tree, "d/e/far"), "far");
	must(symlinkat("proc/self/root", tree, "magic"), "magic");
	must(symlinkat("proc/self/cwd", tree, "cwd"), "cwd");
	must(symlinkat("d", tree, "l"), "l");
	must(symlinkat("l/..", tree, "up"), "up");
	must(symlinkat("loop", tree, "loop"), "loop");
	must(linkat(tree, "f", tree, "d/hard", 0), "hard");
	close(tree);
}

/* ---- what must stay ---- */

/* Of CANARY_LEN bytes; it can be moved on by one byte. */
#define SUM_BASE UINT64_C(0x100000001b3)

static uint64_t sum_of(const unsigned char *bytes)
{
	uint64_t sum = 0;

	for (int i = 0; i < CANARY_LEN; i++)
		sum = sum * SUM_BASE + bytes[i];
	return sum;
}

void sandbox_check_bytes(const unsigned char *bytes, unsigned long len)
{
	uint64_t highest = 1, sum;

	if (len < CANARY_LEN)
		return;
	for (int i = 1; i < CANARY_LEN; i++)
		highest *= SUM_BASE;
	sum = sum_of(bytes);
	for (unsigned long at = CANARY_LEN; sum != canary_sum; at++) {
		if (at == len)
			return;
		sum = (sum - bytes[at - CANARY_LEN] * highest) * SUM_BASE + bytes[at];
	}
	fprintf(stderr, "sandbox: what is outside was told\n");
	abort();
}

struct look {
	struct stat dir, file, tree_dir;
};

static struct look first;

static void look(struct look *l)
{
	if (fstatat(base_fd, "outside", &l->dir, 0) || fstatat(base_fd, "outside/canary", &l->file, 0) || fstat(base_fd, &l->tree_dir)) {
		fprintf(stderr, "sandbox: what is outside is gone\n");
		abort();
	}
}

static int differs(const struct stat *a, const struct stat *b)
{
	return a->st_ino != b->st_ino || a->st_mode != b->st_mode || a->st_nlink != b->st_nlink || a->st_uid != b->st_uid ||
	       a->st_size != b->st_size || memcmp(&a->st_mtim, &b->st_mtim, sizeof(a->st_mtim)) ||
	       memcmp(&a->st_ctim, &b->st_ctim, sizeof(a->st_ctim)) || memcmp(&a->st_atim, &b->st_atim, sizeof(a->st_atim));
}

void sandbox_check(void)
{
	struct look now;

	look(&now);
	if (differs(&now.dir, &first.dir) || differs(&now.file, &first.file) || differs(&now.tree_dir, &first.tree_dir)) {
		fprintf(stderr, "sandbox: what is outside was changed or read\n");
		abort();
	}
	if (getuid() || geteuid() || getgid() || getegid()) {
		fprintf(stderr, "sandbox: we are somebody else\n");
		abort();
	}
}

const char *sandbox_make(void)
{
	char path[256];

	enter_namespace();
	strcpy(base, "/tmp/rfs-sandbox.XXXXXX");
	must(mkdtemp(base) ? 0 : -1, base);
	/* Every read leaves its time behind, so one that must not be is seen. */
	must(mount("none", base, "tmpfs", MS_STRICTATIME | MS_NOSUID, "size=16m,nr_inodes=4000,mode=755"), "mount");
	base_fd = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	must(base_fd, base);
	must(mkdirat(base_fd, "tree", 0755), "tree");
	must(mkdirat(base_fd, "tree/proc", 0755), "proc");
	must(mkdirat(base_fd, "outside", 0755), "outside");
	for (int i = 0; i < CANARY_LEN; i++)
		canary[i] = (char)('a' + (i * 7 + 3) % 26);
	canary_sum = sum_of((const unsigned char *)canary);
	make_file(base_fd, "outside/canary", canary, 0666);
	snprintf(path, sizeof(path), "%s/tree/proc", base);
	must(mount("/proc", path, NULL, MS_BIND | MS_REC, NULL), "mount /proc");
	/* Of another time than that of all that comes, on a clock of ticks. */
	usleep(20000);
	look(&first);
	return base;
}
