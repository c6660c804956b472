/* Read-only roots: what the kernel says on a read-only mount. */
#include "test_agent.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/statvfs.h>

static char base[64];
static struct client c;

static int begin(void **state)
{
	return tree_make(base, "mkdir -p t/a/b && echo hello >t/a/f && ln -s f t/a/l && ln -s nowhere t/a/dangling && "
			       "ln -s b t/a/d && mkfifo t/a/fifo && ln -s none/x t/a/far && mkdir m");
}

static int end(void **state)
{
	char cmd[512];

	snprintf(cmd, sizeof(cmd), "umount -l %s/m 2>/dev/null; rm -rf %s", base, base);
	return chdir("/") || system(cmd);
}

static int native(int r)
{
	return r < 0 ? errno : 0;
}

static int differences;

/* The kernel on a read-only mount and the agent on the writable tree were asked the same. */
static void same(const char *what, const char *path, int flags, int kernel, int agent)
{
	if (kernel == agent)
		return;
	print_error("%s %s %o: kernel %s, agent %s\n", what, path, flags, strerror(kernel), strerror(agent));
	differences++;
}

static void read_only_compare(void)
{
	static const char *const paths[] = {
		"a/f", "a/l", "a/dangling", "a/d", "a/b", "a/none", "none/x", "a/f/x", "a/f/", "a/none/", "a/d/", "a/b/",
		".", "..", "a/.", "a/..", "/", "a/dangling/", "a/l/", "a/fifo", "a/far", "",
	};
	static const int flags[] = {
		O_RDONLY, O_WRONLY, O_RDWR, O_RDONLY | O_TRUNC, O_WRONLY | O_TRUNC, O_RDONLY | O_CREAT,
		O_WRONLY | O_CREAT, O_RDWR | O_CREAT | O_EXCL, O_RDONLY | O_CREAT | O_EXCL, O_RDONLY | O_DIRECTORY,
		O_WRONLY | O_NOFOLLOW, O_PATH, O_PATH | O_NOFOLLOW, O_RDONLY | O_CREAT | O_NOFOLLOW,
		O_WRONLY | O_CREAT | O_TRUNC, O_WRONLY | O_DIRECTORY,
	};
	char n[256];
	size_t i, j;
	int fd, err;

	for (i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		const char *p = paths[i];

		snprintf(n, sizeof(n), !strcmp(p, "..") ? "." : !strcmp(p, "/") ? "./" : "%s", p);
		for (j = 0; j < sizeof(flags) / sizeof(flags[0]); j++) {
			if (!*p || !strcmp(p, "a/fifo"))
				continue;
			fd = open(n, flags[j], 0600);
			err = native(fd);
			close(fd);
			same("open", p, flags[j], err, client_open(&c, p, flags[j], 0600));
		}
		if (strcmp(p, "..") && strcmp(p, "/")) {
			same("mkdir", p, 0, native(mkdir(n, 0700)), client_mkdir(&c, p, 0700));
			same("unlink", p, 0, native(unlink(n)), client_unlink(&c, p, 0));
			same("rmdir", p, 0, native(rmdir(n)), client_unlink(&c, p, AT_REMOVEDIR));
			same("rename", p, 0, native(rename(n, "a/to")), client_rename(&c, p, "a/to", 0));
			same("rename to", p, 1, native(renameat2(AT_FDCWD, "a/f", AT_FDCWD, n, 1)),
			     client_rename(&c, "a/f", p, 1));
		}
		if (*p) {
			same("truncate", p, 0, native(truncate(n, 1)), client_truncate(&c, p, 0, 1));
			same("access", p, 0, native(access(n, W_OK)), client_access(&c, p, W_OK, 0));
		}
	}
}

static void read_only(bool by_hello)
{
	struct statvfs fs;
	uint64_t h;

	/* Not in a chroot, whose root is no mount. */
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		skip();
	assert_int_equal(mount("t", "m", NULL, MS_BIND, NULL), 0);
	assert_int_equal(mount(NULL, "m", NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL), 0);
	assert_int_equal(statvfs("m", &fs), 0);
	assert_true(fs.f_flag & ST_RDONLY);
	client_start(&c, "t", by_hello ? NULL : "--read-only");
	client_hello(&c, by_hello);
	assert_int_equal(chdir("m"), 0);
	read_only_compare();
	assert_int_equal(differences, 0);
	assert_int_equal(chdir(".."), 0);
	h = client_must_open(&c, "a/f", O_RDONLY, 0);
	assert_int_equal(client_write(&c, h, 0, false, "x"), EBADF);
	assert_int_equal(client_truncate(&c, NULL, h, 0), EINVAL);
	assert_int_equal(client_lock(&c, h, 5, F_OFD_SETLK, F_WRLCK, 0, 0), EBADF);
	assert_int_equal(client_lock(&c, h, 5, F_OFD_SETLK, F_RDLCK, 0, 0), 0);
	client_stop(&c);
	assert_int_equal(system("test \"$(cat t/a/f)\" = hello && test $(find t | wc -l) = 9"), 0);
}

static void test_read_only_option(void **state)
{
	if (geteuid())
		skip();
	read_only(false);
}

static void test_read_only_hello(void **state)
{
	if (geteuid())
		skip();
	read_only(true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_read_only_option, begin, end),
		cmocka_unit_test_setup_teardown(test_read_only_hello, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
