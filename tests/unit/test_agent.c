/* The agent's operations and its confinement, with openat2 and without. */
#include "test_agent.h"

#include <sys/file.h>

#include <stdatomic.h>
#include <dirent.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/time.h>

static char base[64];
static struct client c;
static const char *mode_option; /* NULL or --no-openat2 */

static int setup(void **state)
{
	if (tree_make(base, "echo secret >secret && mkdir -p root/a/b/c root/secretless && cd root && echo hello >a/f && "
			    "ln -s f a/l && ln -s /a/f abs && ln -s ../../../secret up && ln -s $(dirname \"$(pwd)\")/secret out && "
			    "ln -s loop loop && ln -s nowhere dangling && ln -s a/b d && mkfifo fifo && ln -s ../.. a/root") ||
	    chdir("root"))
		return -1;
	client_start(&c, ".", mode_option);
	client_hello(&c, false);
	return 0;
}

static int teardown(void **state)
{
	client_stop(&c);
	return tree_remove(base);
}

static void test_open_read(void **state)
{
	uint64_t h = client_must_open(&c, "a/f", O_RDONLY, 100);

	assert_int_equal(c.payload_len, 6);
	assert_memory_equal(c.payload, "hello\n", 6);
	assert_true(c.reply.op.open.complete);
	assert_true(c.reply.op.open.has_attr);
	assert_int_equal(c.reply.op.open.attr.size, 6);
	assert_int_equal(client_read(&c, h, 1, 3), 0);
	assert_string_equal((char *)c.payload, "ell");
	assert_int_equal(client_read(&c, h, 6, 10), 0);
	assert_int_equal(c.payload_len, 0);
	assert_int_equal(client_read(&c, h, 0, FRAME_MAX_PAYLOAD + 1), EINVAL);
	assert_int_equal(client_read(&c, 999, 0, 1), EBADF);
	client_must_open(&c, "a/f", O_RDONLY, 3);
	assert_false(c.reply.op.open.complete);
	client_must_open(&c, "a/f", O_WRONLY, 3);
	assert_int_equal(c.payload_len, 0);
	client_close(&c, h); /* without a reply: it is done soon, not at once */
	while (client_stat_at(&c, h, "", false) == 0)
		;
	assert_int_equal(c.reply.error, EBADF);
}

static void test_open_errors(void **state)
{
	static const struct {
		const char *path;
		int flags, error;
	} t[] = {
		{ "none", O_RDONLY, ENOENT }, { "none/x", O_RDONLY, ENOENT }, { "a/f/x", O_RDONLY, ENOTDIR },
		{ "a/f/", O_RDONLY, ENOTDIR }, { "loop", O_RDONLY, ELOOP }, { "loop/x", O_RDONLY, ELOOP },
		{ "a/l", O_RDONLY | O_NOFOLLOW, ELOOP }, { "a/l", O_RDONLY | O_NOFOLLOW | O_DIRECTORY, ENOTDIR },
		{ "a", O_WRONLY, EISDIR }, { "a", O_RDWR, EISDIR }, { "a/f", O_DIRECTORY, ENOTDIR },
		{ "a/f", O_CREAT | O_EXCL | O_RDWR, EEXIST }, { "a/l", O_CREAT | O_EXCL | O_RDWR, EEXIST },
		{ "dangling", O_CREAT | O_EXCL | O_RDWR, EEXIST }, { "dangling", O_RDONLY, ENOENT },
		{ "x/", O_CREAT | O_RDWR, EISDIR }, { "a/", O_CREAT | O_RDONLY, EISDIR }, { "d/", O_RDONLY, 0 },
		{ "none/x", O_CREAT | O_RDWR, ENOENT }, { "d", O_RDONLY | O_NOFOLLOW, ELOOP },
		{ "d/", O_RDONLY | O_NOFOLLOW, 0 }, { ".", O_RDONLY, 0 }, { "a/..", O_RDONLY, 0 },
		{ "a/b/../f", O_RDONLY, 0 }, { "d/..", O_RDONLY, 0 }, { "a//b///c//", O_RDONLY, 0 },
		{ "a/f/.", O_RDONLY, ENOTDIR }, { "a/f/..", O_RDONLY, ENOTDIR }, { ".", O_CREAT | O_RDWR, EISDIR },
		{ "d", O_CREAT | O_RDONLY, EISDIR }, { "a/l", O_PATH | O_NOFOLLOW, 0 },
		{ "a/l/", O_PATH | O_NOFOLLOW, ENOTDIR }, { "d/c", O_PATH, 0 }, { "a/f", O_PATH | O_DIRECTORY, ENOTDIR },
		{ "dangling/", O_RDONLY, ENOENT }, { "dangling/", O_CREAT | O_RDWR, EISDIR },
	};
	size_t i;
	int fd, got;

	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		fd = open(t[i].path, t[i].flags, 0644);
		assert_int_equal(fd < 0 ? errno : 0, t[i].error); /* the table is what this kernel does */
		close(fd);
		got = client_open(&c, t[i].path, t[i].flags, 0644);
		if (got != t[i].error)
			print_error("%s with %o\n", t[i].path, t[i].flags);
		assert_int_equal(got, t[i].error);
	}
	assert_int_equal(client_open(&c, "dangling", O_CREAT | O_WRONLY, 0666), 0);
	assert_int_equal(access("nowhere", F_OK), 0);
	assert_int_equal(client_open(&c, "fifo", O_WRONLY, 0), ENXIO);
	assert_int_equal(client_open(&c, "a", O_TMPFILE | O_RDWR, 0600), 0);
	assert_int_equal(client_open(&c, "a", O_TMPFILE, 0), EINVAL);
	assert_int_equal(client_open(&c, "a/f", O_TMPFILE | O_RDWR, 0600), ENOTDIR);
	assert_int_equal(client_open(&c, "", O_RDONLY, 0), 0);
}

static void test_long_names(void **state)
{
	char name[300], path[4096];

	memset(name, 'n', 299);
	name[255] = '\0';
	assert_int_equal(client_open(&c, name, O_RDONLY, 0), ENOENT);
	name[255] = 'n';
	name[256] = '\0';
	assert_int_equal(client_open(&c, name, O_RDONLY, 0), ENAMETOOLONG);
	assert_int_equal(client_mkdir(&c, name, 0700), ENAMETOOLONG);
	memset(path, '/', sizeof(path));
	strcpy(path + 4090, "a/f");
	assert_int_equal(client_open(&c, path, O_RDONLY, 0), 0);
}

static void test_create_umask(void **state)
{
	struct stat st;

	assert_int_equal(client_open(&c, "new", O_CREAT | O_EXCL | O_RDWR, 0666), 0);
	assert_int_equal(stat("new", &st), 0);
	assert_int_equal(st.st_mode & 07777, 0644);
	assert_int_equal(client_mkdir(&c, "newdir/", 01777), 0);
	assert_int_equal(stat("newdir", &st), 0);
	assert_int_equal(st.st_mode & 07777, 01755);
}

static void test_write(void **state)
{
	uint64_t h = client_must_open(&c, "w", O_CREAT | O_RDWR, 0);
	char buf[32] = "";
	int fd;

	assert_int_equal(client_write(&c, h, 2, false, "abc"), 0);
	assert_int_equal(c.reply.op.write.written, 3);
	assert_int_equal(c.reply.op.write.offset, 5);
	assert_int_equal(c.reply.op.write.attr.size, 5);
	assert_int_equal(client_write(&c, h, 0, true, "de"), 0);
	assert_int_equal(c.reply.op.write.offset, 7);
	assert_int_equal(client_write(&c, h, 0, false, "X"), 0);
	fd = open("w", O_RDONLY);
	assert_int_equal(read(fd, buf, sizeof(buf)), 7);
	close(fd);
	assert_memory_equal(buf, "X\0abcde", 7);
	h = client_must_open(&c, "w", O_RDONLY, 0);
	assert_int_equal(client_write(&c, h, 0, false, "X"), EBADF);
	h = client_must_open(&c, "a", O_RDONLY, 0);
	assert_int_equal(client_read(&c, h, 0, 1), EISDIR);
}

static void test_truncate_sync(void **state)
{
	uint64_t h = client_must_open(&c, "a/f", O_RDWR, 0);
	struct stat st;
	REQUEST(sync);

	assert_int_equal(client_truncate(&c, NULL, h, 2), 0);
	assert_int_equal(c.reply.op.stat.attr.size, 2);
	assert_int_equal(client_truncate(&c, "a/l", 0, 100), 0);
	assert_int_equal(stat("a/f", &st), 0);
	assert_int_equal(st.st_size, 100);
	assert_int_equal(client_truncate(&c, "a", 0, 1), EISDIR);
	assert_int_equal(client_truncate(&c, "a/f", 0, -1), EINVAL);
	assert_int_equal(client_truncate(&c, "fifo", 0, 1), EINVAL);
	h = client_must_open(&c, "a/f", O_RDONLY, 0);
	assert_int_equal(client_truncate(&c, NULL, h, 2), EINVAL);
	q.op.sync.handle = h;
	assert_int_equal(client_call(&c, &q), 0);
	q.op.sync.data_only = true;
	assert_int_equal(client_call(&c, &q), 0);
}

static void test_names(void **state)
{
	assert_int_equal(client_mkdir(&c, "a", 0755), EEXIST);
	assert_int_equal(client_mkdir(&c, "/", 0755), EEXIST);
	assert_int_equal(client_mkdir(&c, "a/.", 0755), EEXIST);
	assert_int_equal(client_mkdir(&c, "dangling", 0755), EEXIST);
	assert_int_equal(client_mkdir(&c, "none/x", 0755), ENOENT);
	assert_int_equal(client_mkdir(&c, "a/f/x", 0755), ENOTDIR);
	assert_int_equal(client_mkdir(&c, "", 0755), ENOENT);
	assert_int_equal(client_unlink(&c, "a", 0), EISDIR);
	assert_int_equal(client_unlink(&c, "a", AT_REMOVEDIR), ENOTEMPTY);
	assert_int_equal(client_unlink(&c, "/", AT_REMOVEDIR), EBUSY);
	assert_int_equal(client_unlink(&c, "a/.", AT_REMOVEDIR), EINVAL);
	assert_int_equal(client_unlink(&c, "a/..", AT_REMOVEDIR), ENOTEMPTY);
	assert_int_equal(client_unlink(&c, "a/f/", 0), ENOTDIR);
	assert_int_equal(client_unlink(&c, "d/", AT_REMOVEDIR), ENOTDIR);
	assert_int_equal(client_unlink(&c, "none", 0), ENOENT);
	assert_int_equal(client_unlink(&c, "a/f", 0x1), EINVAL);
	assert_int_equal(client_unlink(&c, "d/c", AT_REMOVEDIR), 0);
	assert_int_equal(access("a/b/c", F_OK), -1);
	assert_int_equal(client_rename(&c, "a/f", "a/g", 0), 0);
	assert_int_equal(client_rename(&c, "a/f", "a/g", 0), ENOENT);
	assert_int_equal(client_rename(&c, "a/g", "d", 1), EEXIST);
	assert_int_equal(client_rename(&c, "a/g", "d", 2), 0);
	assert_int_equal(client_rename(&c, "a/g", "d", 3), EINVAL);
	assert_int_equal(client_rename(&c, "/", "x", 0), EBUSY);
	assert_int_equal(client_rename(&c, "a", "a/b/x", 0), EINVAL);
	assert_int_equal(client_unlink(&c, "d", 0), 0);
}

static void test_readlink_access(void **state)
{
	assert_int_equal(client_readlink(&c, "a/l"), 0);
	assert_string_equal((char *)c.payload, "f");
	assert_int_equal(client_readlink(&c, "a/f"), EINVAL);
	assert_int_equal(client_readlink(&c, "a"), EINVAL);
	assert_int_equal(client_readlink(&c, "none"), ENOENT);
	assert_int_equal(client_open(&c, "a/l", O_PATH | O_NOFOLLOW, 0), 0);
	REQUEST(readlink);
	WHERE(readlink, c.handle, "");
	assert_int_equal(client_call(&c, &q), 0);
	assert_string_equal((char *)c.payload, "f");
	assert_int_equal(client_access(&c, "a/f", R_OK | W_OK, 0), 0);
	assert_int_equal(client_access(&c, "a/f", X_OK, 0), EACCES);
	assert_int_equal(client_access(&c, "a/f", 8, 0), EINVAL);
	assert_int_equal(client_access(&c, "dangling", F_OK, 0), ENOENT);
	assert_int_equal(client_access(&c, "dangling", F_OK, AT_SYMLINK_NOFOLLOW), 0);
}

static void test_stat(void **state)
{
	struct stat st;
	const rfs_Attr *a = &c.reply.op.stat.attr;

	assert_int_equal(client_stat(&c, "a/l"), 0);
	assert_int_equal(stat("a/f", &st), 0);
	assert_int_equal(a->ino, st.st_ino);
	assert_int_equal(a->mode, st.st_mode);
	assert_int_equal(a->mtime_sec, st.st_mtim.tv_sec);
	assert_int_equal(a->mtime_nsec, st.st_mtim.tv_nsec);
	assert_int_equal(client_stat_at(&c, 0, "a/l", true), 0);
	assert_true(S_ISLNK(a->mode));
	assert_int_equal(client_stat_at(&c, 0, "a/l/", true), ENOTDIR);
	assert_int_equal(client_stat_at(&c, 0, "d/", true), 0);
	assert_true(S_ISDIR(a->mode));
	assert_int_equal(client_stat(&c, "/"), 0);
	assert_int_equal(stat(".", &st), 0);
	assert_int_equal(a->ino, st.st_ino);
}

static void test_confined(void **state)
{
	static const char *const paths[] = { "../secret", "/../secret", "a/../../secret", "up", "out",
					     "a/root/../secret", "a/root/../../../secret", "a/b/../../../secret" };
	struct stat st;
	uint64_t d;
	size_t i;

	for (i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		assert_int_equal(client_open(&c, paths[i], O_RDONLY, 0), ENOENT);
	d = client_must_open(&c, "a/b", O_RDONLY | O_DIRECTORY, 0);
	assert_int_equal(client_open_at(&c, d, "../../../secret", O_RDONLY, 0, 0), ENOENT);
	assert_int_equal(client_open_at(&c, d, "../../up", O_RDONLY, 0, 0), ENOENT);
	assert_int_equal(client_open_at(&c, d, "../f", O_RDONLY, 0, 0), 0);
	for (i = 1; i < 32; i *= 2) { /* RESOLVE_NO_XDEV, _NO_MAGICLINKS, _NO_SYMLINKS, _BENEATH, _IN_ROOT */
		REQUEST(open);

		WHERE(open, d, "../f");
		q.op.open.handle = ++c.handle;
		q.op.open.resolve = i;
		assert_int_equal(client_call(&c, &q), i == 16 ? ENOENT : i == 8 ? EXDEV : 0);
	}
	assert_int_equal(client_open_at(&c, d, "/a/f", O_RDONLY, 0, 0), 0);
	assert_int_equal(client_open_at(&c, d, "../../abs", O_RDONLY, 0, 0), 0);
	assert_int_equal(client_open(&c, "abs", O_RDONLY, 0), 0);
	assert_int_equal(stat(".", &st), 0);
	assert_int_equal(client_stat(&c, "../../.."), 0);
	assert_int_equal(c.reply.op.stat.attr.ino, st.st_ino);
	assert_int_equal(client_stat_at(&c, d, "../../../..", false), 0);
	assert_int_equal(c.reply.op.stat.attr.ino, st.st_ino);
	assert_int_equal(client_mkdir(&c, "../made", 0755), 0);
	assert_int_equal(access("made", F_OK), 0);
	assert_int_equal(client_open(&c, "../created", O_CREAT | O_WRONLY, 0600), 0);
	assert_int_equal(access("created", F_OK), 0);
}

/* A link that flips between the inside and the outside, and a directory that leaves the tree. */
static void *flip(void *arg)
{
	atomic_bool *stop = arg;

	while (!*stop) {
		(void)!symlink("a", "x");
		(void)!renameat2(AT_FDCWD, "x", AT_FDCWD, "flip", 0);
		(void)!symlink(base, "x");
		(void)!renameat2(AT_FDCWD, "x", AT_FDCWD, "flip", 0);
		(void)!rename("a/b", "../b");
		(void)!rename("../b", "a/b");
	}
	return NULL;
}

static void test_confined_race(void **state)
{
	atomic_bool stop = false;
	struct stat outside;
	pthread_t t;
	int i;

	assert_int_equal(stat("../secret", &outside), 0);
	pthread_create(&t, NULL, flip, (void *)&stop);
	for (i = 0; i < 3000; i++) {
		if (!client_stat(&c, i & 1 ? "flip/secret" : "a/b/../../secret"))
			assert_int_not_equal(c.reply.op.stat.attr.ino, outside.st_ino);
		if (!client_stat(&c, "flip/b/../../../secret"))
			assert_int_not_equal(c.reply.op.stat.attr.ino, outside.st_ino);
		c.pushes = 0;
	}
	stop = true;
	pthread_join(t, NULL);
}

static void test_list(void **state)
{
	char name[32];
	uint64_t d;
	unsigned int n = 0, with_attr = 0, i;
	int64_t cookie = 0, third = 0;
	char fourth[256] = "";
	bool end = false;

	for (i = 0; i < 500; i++) {
		snprintf(name, sizeof(name), "a/b/file%u", i);
		spew(name, "x");
	}
	d = client_must_open(&c, "a/b", O_RDONLY | O_DIRECTORY, 0);
	assert_int_equal(c.reply.op.open.path.size, 4);
	assert_memory_equal(c.reply.op.open.path.bytes, "/a/b", 4);
	while (!end) {
		pb_istream_t in;

		assert_int_equal(client_list(&c, d, cookie, 3000), 0);
		assert_true(c.payload_len <= 3000);
		end = c.reply.op.list.complete;
		in = pb_istream_from_buffer(c.payload, c.payload_len);
		while (in.bytes_left) {
			rfs_Entry e;

			assert_true(pb_decode_delimited(&in, rfs_Entry_fields, &e));
			cookie = e.cookie;
			with_attr += e.has_attr;
			if (++n == 3)
				third = e.cookie;
			if (n == 4)
				memcpy(fourth, e.name.bytes, e.name.size);
		}
	}
	assert_int_equal(n, 503); /* with `.`, `..` and c */
	assert_int_equal(with_attr, 502);
	assert_int_equal(client_list(&c, d, third, 1), 0);
	assert_false(c.reply.op.list.complete);
	pb_istream_t in = pb_istream_from_buffer(c.payload, c.payload_len);
	rfs_Entry e;
	assert_true(pb_decode_delimited(&in, rfs_Entry_fields, &e));
	assert_memory_equal(e.name.bytes, fourth, e.name.size);
	client_must_open(&c, "a/b", O_RDONLY | O_DIRECTORY, 1 << 20);
	assert_true(c.reply.op.open.complete);
	d = client_must_open(&c, "a/f", O_RDONLY, 0);
	assert_int_equal(client_list(&c, d, 0, 3000), ENOTDIR);
}

static void test_path(void **state)
{
	REQUEST(path);

	q.op.path.handle = client_must_open(&c, "d", O_RDONLY, 0);
	assert_int_equal(client_call(&c, &q), 0);
	assert_string_equal((char *)c.payload, "/a/b");
	assert_int_equal(rename("a/b", "moved"), 0);
	assert_int_equal(client_call(&c, &q), 0);
	assert_string_equal((char *)c.payload, "/moved");
	assert_int_equal(rename("moved", "../gone"), 0);
	assert_int_equal(client_call(&c, &q), ENOENT);
	assert_int_equal(rename("../gone", "x (deleted)"), 0);
	assert_int_equal(client_call(&c, &q), 0);
	assert_string_equal((char *)c.payload, "/x (deleted)");
	assert_int_equal(rmdir("x (deleted)/c") | rmdir("x (deleted)"), 0);
	assert_int_equal(client_call(&c, &q), ENOENT);
}

static void test_handles(void **state)
{
	REQUEST(open);
	uint32_t id, got, replies = 0;
	uint64_t h = client_must_open(&c, "a/f", O_RDONLY, 0);

	WHERE(open, 0, "a/f");
	q.op.open.handle = h;
	assert_int_equal(client_call(&c, &q), EEXIST);
	q.op.open.handle = 0;
	assert_int_equal(client_call(&c, &q), EBADF);
	/* A request may follow its Open without waiting; if the open fails it fails, too. */
	q.op.open.handle = 1000;
	client_send(&c, &q, NULL, 0);
	rfs_Request r = { .which_op = rfs_Request_read_tag };
	r.op.read.handle = 1000;
	r.op.read.size = 5;
	id = client_send(&c, &r, NULL, 0);
	while (replies < 2) {
		got = client_frame(&c);
		replies += got != 0;
		assert_int_equal(got ? (int)c.reply.error : 0, 0);
		if (got == id)
			assert_string_equal((char *)c.payload, "hello");
	}
}

/* Hundreds at once: every one is answered exactly once, in whatever order. */
static void test_out_of_order(void **state)
{
	enum { N = 300 };
	bool seen[N + 1] = { false };
	uint32_t first, id;
	unsigned int i;
	REQUEST(stat);

	WHERE(stat, 0, "a/f");
	first = client_send(&c, &q, NULL, 0);
	for (i = 1; i < N; i++)
		client_send(&c, &q, NULL, 0);
	for (i = 0; i < N;) {
		id = client_frame(&c);
		if (!id)
			continue;
		assert_true(id >= first && id < first + N && !seen[id - first]);
		seen[id - first] = true;
		assert_int_equal(c.reply.error, 0);
		i++;
	}
}

/* Replies that nobody reads stop the reading of requests, not the agent's memory. */
static void test_backpressure(void **state)
{
	uint64_t h = client_must_open(&c, "big", O_CREAT | O_RDWR, 0);
	unsigned int i, got = 0;
	char path[64], line[256];
	long rss = 0;
	FILE *f;
	REQUEST(read);

	assert_int_equal(client_truncate(&c, NULL, h, 1 << 20), 0);
	q.op.read.handle = h;
	q.op.read.size = 1 << 20;
	for (i = 0; i < 200; i++)
		client_send(&c, &q, NULL, 0);
	usleep(200000);
	snprintf(path, sizeof(path), "/proc/%d/status", c.pid);
	f = fopen(path, "r");
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "VmRSS: %ld", &rss) == 1)
			break;
	fclose(f);
	if (!getenv("TEST_SANITIZED"))
		assert_true(rss < 48 << 10);
	while (got < 200) {
		if (!client_frame(&c))
			continue;
		assert_int_equal(c.payload_len, 1 << 20);
		got++;
	}
}

static const struct CMUnitTest both_modes[] = {
	cmocka_unit_test_setup_teardown(test_open_read, setup, teardown),
	cmocka_unit_test_setup_teardown(test_open_errors, setup, teardown),
	cmocka_unit_test_setup_teardown(test_long_names, setup, teardown),
	cmocka_unit_test_setup_teardown(test_create_umask, setup, teardown),
	cmocka_unit_test_setup_teardown(test_write, setup, teardown),
	cmocka_unit_test_setup_teardown(test_truncate_sync, setup, teardown),
	cmocka_unit_test_setup_teardown(test_names, setup, teardown),
	cmocka_unit_test_setup_teardown(test_readlink_access, setup, teardown),
	cmocka_unit_test_setup_teardown(test_stat, setup, teardown),
	cmocka_unit_test_setup_teardown(test_confined, setup, teardown),
	cmocka_unit_test_setup_teardown(test_confined_race, setup, teardown),
	cmocka_unit_test_setup_teardown(test_list, setup, teardown),
	cmocka_unit_test_setup_teardown(test_path, setup, teardown),
	cmocka_unit_test_setup_teardown(test_handles, setup, teardown),
	cmocka_unit_test_setup_teardown(test_out_of_order, setup, teardown),
	cmocka_unit_test_setup_teardown(test_backpressure, setup, teardown),
};

int main(void)
{
	int failed = cmocka_run_group_tests_name("openat2", both_modes, NULL, NULL);

	mode_option = "--no-openat2";
	failed += cmocka_run_group_tests_name("component walk", both_modes, NULL, NULL);
	return failed != 0;
}
