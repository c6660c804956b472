/* Requests that are sent again because nobody knows whether they were done. */
#include "agent_tables.h"

#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "dispatch.h"
#include "doubt.h"
#include "keep.h"
#include "watch.h"

static struct agent a;
static rfs_Request q;
static rfs_Reply reply;
static struct doubt_note note, noted;

static int setup(void **state)
{
	if (tree_make(base, "mkdir d && echo -n 12345 >f && echo other >g && mkfifo p && ln f hard") || keep_begin())
		return -1;
	a = agent_new();
	a.watcher = in_reach(watch_new(&a.root));
	memset(&note, 0, sizeof(note));
	return chdir(base);
}

static int teardown(void **state)
{
	return tree_remove(base);
}

static int run(const struct doubt_note *doubt, const char *data)
{
	struct op op = { .agent = &a, .req = &q, .reply = &reply, .note = &note, .doubt = doubt, .data = (const uint8_t *)data,
			 .data_len = data ? strlen(data) : 0 };

	memset(&reply, 0, sizeof(reply));
	dispatch_prepare(&op);
	dispatch_run(&op);
	free(op.out);
	return (int)reply.error;
}

/* Does Q, and is killed having done it. */
static void killed_after(const char *data)
{
	doubt_clear(&note);
	assert_int_equal(run(NULL, data), 0);
	noted = note;
	doubt_look(&noted);
}

/* What there is for a process that finds Q noted. */
static int again(const char *data)
{
	doubt_clear(&note);
	return run(&noted, data);
}

static void must_fail_twice(const char *data, int error)
{
	doubt_clear(&note);
	assert_int_equal(run(NULL, data), error);
	assert_int_equal(run(NULL, data), error);
	noted = note;
	doubt_look(&noted);
	assert_int_equal(again(data), error);
}

#define ASK(tag) (q = (rfs_Request){ .which_op = rfs_Request_##tag##_tag })
#define AT(tag, path) where_set(&q.op.tag.where, &q.op.tag.has_where, 0, path)

static bool there(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

static void test_mkdir(void **state)
{
	ASK(mkdir);
	AT(mkdir, "new/");
	q.op.mkdir.mode = 0700;
	killed_after(NULL);
	assert_int_equal(again(NULL), 0);
	assert_int_equal(again(NULL), 0); /* killed again */
	assert_int_equal(rmdir("new"), 0);
	assert_int_equal(again(NULL), 0); /* killed before it was done */
	assert_true(there("new"));
	assert_int_equal(rmdir("new"), 0);
	assert_int_equal(symlink("d", "new"), 0); /* somebody else's */
	assert_int_equal(again(NULL), EEXIST);
	AT(mkdir, "d");
	must_fail_twice(NULL, EEXIST);
}

static void test_links(void **state)
{
	struct stat st;

	ASK(link);
	where_set(&q.op.link.from, &q.op.link.has_from, 0, "g");
	where_set(&q.op.link.to, &q.op.link.has_to, 0, "g2");
	killed_after(NULL);
	assert_int_equal(again(NULL), 0);
	assert_int_equal(stat("g", &st), 0);
	assert_int_equal(st.st_nlink, 2);
	where_set(&q.op.link.to, &q.op.link.has_to, 0, "hard");
	must_fail_twice(NULL, EEXIST);

	ASK(symlink);
	AT(symlink, "s");
	killed_after("text");
	assert_int_equal(again("text"), 0);
	must_fail_twice("text", EEXIST);

	ASK(mknod);
	AT(mknod, "node");
	q.op.mknod.mode = S_IFIFO | 0600;
	killed_after(NULL);
	assert_int_equal(again(NULL), 0);
	assert_int_equal(unlink("node"), 0);
	assert_int_equal(again(NULL), 0);
	must_fail_twice(NULL, EEXIST);
}

static void test_unlink(void **state)
{
	ASK(unlink);
	AT(unlink, "f");
	killed_after(NULL);
	assert_int_equal(again(NULL), 0);
	assert_int_equal(link("hard", "f"), 0); /* not done yet, as far as anybody can see */
	assert_int_equal(again(NULL), 0);
	assert_false(there("f"));
	killed_after((close(creat("f", 0600)), NULL));
	assert_int_equal(rename("g", "f"), 0); /* ours, or whose? */
	assert_int_equal(again(NULL), EIO);
	assert_true(there("f"));
	AT(unlink, "none");
	must_fail_twice(NULL, ENOENT);
	AT(unlink, "d");
	q.op.unlink.flags = AT_REMOVEDIR;
	killed_after(NULL);
	assert_int_equal(again(NULL), 0);
}

static void rename_ask(const char *from, const char *to)
{
	ASK(rename);
	where_set(&q.op.rename.from, &q.op.rename.has_from, 0, from);
	where_set(&q.op.rename.to, &q.op.rename.has_to, 0, to);
}

static void test_rename(void **state)
{
	rename_ask("f", "g");
	killed_after(NULL);
	assert_int_equal(again(NULL), 0);
	assert_false(there("f"));
	assert_int_equal(rename("g", "f"), 0); /* not done */
	assert_int_equal(again(NULL), 0);
	assert_true(there("g") && !there("f"));
	assert_int_equal(unlink("g"), 0); /* where is it? */
	assert_int_equal(again(NULL), EIO);
	rename_ask("none", "g");
	must_fail_twice(NULL, ENOENT);
	rename_ask("hard", "d");
	must_fail_twice(NULL, EISDIR);
	rename_ask("hard", "p");
	q.op.rename.flags = 2; /* RENAME_EXCHANGE: the second time would take it back */
	killed_after(NULL);
	assert_int_equal(again(NULL), 0);
	struct stat st;
	assert_int_equal(stat("p", &st), 0);
	assert_true(S_ISREG(st.st_mode));
}

static void open_ask(const char *path, uint64_t number, uint32_t flags)
{
	ASK(open);
	AT(open, path);
	q.op.open.handle = number;
	q.op.open.flags = flags;
	q.op.open.mode = 0644;
}

static int forget(uint64_t number)
{
	struct handle *h;
	int r = handle_remove(a.handles, number, &h);

	if (r)
		return r;
	watch_forget(a.watcher, h);
	handle_put(a.handles, h);
	return 0;
}

static void test_open(void **state)
{
	struct handle *h;
	int fd;

	/* Killed when it was in the journal: it is open, and another one may have written since. */
	open_ask("f", 1, O_RDWR | O_TRUNC);
	killed_after(NULL);
	assert_int_equal(handle_get(a.handles, 1, &h), 0);
	assert_int_equal(write(h->fd, "written", 7), 7);
	assert_int_equal(again(NULL), 0);
	assert_int_equal(reply.op.open.attr.size, 7);
	assert_int_equal(run(NULL, NULL), EEXIST); /* anybody else is told that the number is taken */

	/* Killed before that: the descriptor was noted. */
	fd = dup(h->fd);
	noted.fd = fd;
	q.op.open.handle = 2;
	assert_int_equal(again(NULL), 0);
	assert_int_equal(reply.op.open.attr.size, 7);
	assert_int_equal(handle_get(a.handles, 2, &h), 0);
	assert_int_equal(h->fd, fd);
}

static void test_open_exclusive(void **state)
{
	open_ask("new", 1, O_RDWR | O_CREAT | O_EXCL);
	killed_after(NULL);
	/* As if it had been killed just before it noted the descriptor. */
	noted = (struct doubt_note){ .kind = DOUBT_CREATE, .there = false };
	assert_int_equal(forget(1), 0);
	assert_int_equal(again(NULL), 0);
	assert_int_equal(forget(1), 0);
	assert_int_equal(unlink("new"), 0);
	assert_int_equal(again(NULL), 0);
	assert_true(there("new"));
	assert_int_equal(forget(1), 0);
	noted.there = true; /* it was somebody else's then */
	assert_int_equal(again(NULL), EEXIST);
	noted.there = false;
	assert_int_equal(unlink("new"), 0);
	assert_int_equal(symlink("f", "new"), 0);
	assert_int_equal(again(NULL), ELOOP);
}

static void append_ask(uint64_t number)
{
	ASK(write);
	q.op.write.handle = number;
	q.op.write.append = true;
}

static void expect_file(const char *path, const char *text)
{
	char buf[256] = "";
	int fd = open(path, O_RDONLY);

	assert_true(read(fd, buf, sizeof(buf) - 1) >= 0);
	close(fd);
	assert_string_equal(buf, text);
}

/* As if the process had been killed in a write, of which DONE went into the file. */
static void killed_in_append(struct handle *h, const char *done)
{
	struct stat st;

	fstat(h->fd, &st);
	lseek(h->fd, 0, SEEK_SET);
	noted = (struct doubt_note){ .kind = DOUBT_APPEND, .fd = h->fd, .size = st.st_size };
	if (*done)
		assert_true(pwrite(h->fd, done, strlen(done), st.st_size) > 0 && lseek(h->fd, 0, SEEK_END) > 0);
	doubt_look(&noted);
}

static void test_append(void **state)
{
	struct handle *h = opened(&a, 1, "f", O_RDWR);

	done(&a, h);
	append_ask(1);
	killed_after("abc");
	assert_int_equal(again("abc"), 0);
	assert_int_equal(reply.op.write.written, 3);
	assert_int_equal(reply.op.write.offset, 8);
	expect_file("f", "12345abc");
	killed_in_append(h, "");
	assert_int_equal(again("def"), 0);
	assert_int_equal(reply.op.write.written, 3);
	assert_int_equal(reply.op.write.offset, 11);
	killed_in_append(h, "ghi");
	assert_int_equal(again("ghi"), 0);
	assert_int_equal(reply.op.write.written, 3);
	assert_int_equal(reply.op.write.offset, 14);
	killed_in_append(h, "j");
	assert_int_equal(again("jkl"), 0);
	assert_int_equal(reply.op.write.written, 3);
	assert_int_equal(reply.op.write.offset, 17);
	expect_file("f", "12345abcdefghijkl");
}

/* What the second one that is killed notes is what the third one needs. */
static void test_append_killed_twice(void **state)
{
	struct handle *h = opened(&a, 1, "f", O_RDWR);

	done(&a, h);
	append_ask(1);
	killed_in_append(h, "aa");
	noted.before = 1;
	noted.offset = 7;
	assert_int_equal(again("-aaaa"), 0);
	assert_int_equal(reply.op.write.written, 5);
	expect_file("f", "12345aaaa");
	killed_in_append(h, "");
	noted.before = 5;
	assert_int_equal(again("-aaaa"), 0);
	assert_int_equal(reply.op.write.written, 5);
	expect_file("f", "12345aaaa");
}

static void test_append_beside_others(void **state)
{
	struct handle *h = opened(&a, 1, "f", O_RDWR);

	done(&a, h);
	append_ask(1);
	killed_in_append(h, "other,ours");
	assert_int_equal(again("ours"), 0);
	expect_file("f", "12345other,ours");
	killed_in_append(h, "other,ou");
	assert_int_equal(again("ours"), 0);
	expect_file("f", "12345other,oursother,ours");
	killed_in_append(h, "ours");
	assert_int_equal(write(h->fd, "more", 4), 4); /* behind */
	assert_int_equal(again("ours"), 0);
	expect_file("f", "12345other,oursother,oursoursmore");
	killed_in_append(h, "ours");
	assert_int_equal(ftruncate(h->fd, 0), 0);
	assert_int_equal(again("ours"), EIO); /* nobody can tell */
}

static void test_flow(void **state)
{
	struct handle *h = opened(&a, 1, "p", O_RDWR);

	assert_int_equal(channel_make(h, false), 0);
	done(&a, h);
	ASK(send);
	q.op.send.handle = 1;
	killed_after("xyz");
	assert_int_equal(again("xyz"), EIO);
	ASK(receive);
	q.op.receive.handle = 1;
	q.op.receive.size = 100;
	noted = (struct doubt_note){ .kind = DOUBT_NONE };
	assert_int_equal(again(NULL), 0);
	assert_int_equal(reply.op.channel.result, 3);
	noted.kind = DOUBT_BEGUN;
	assert_int_equal(again(NULL), EIO);
}

static void test_attributes(void **state)
{
	ASK(setxattr);
	AT(setxattr, "f");
	q.op.setxattr.name.size = 6;
	memcpy(q.op.setxattr.name.bytes, "user.a", 6);
	q.op.setxattr.flags = XATTR_CREATE;
	doubt_clear(&note);
	if (run(NULL, "v") == EOPNOTSUPP)
		return;
	noted = note;
	assert_int_equal(again("v"), 0);
	assert_int_equal(run(NULL, "v"), EEXIST);
	ASK(removexattr);
	AT(removexattr, "f");
	q.op.removexattr.name.size = 6;
	memcpy(q.op.removexattr.name.bytes, "user.a", 6);
	killed_after(NULL);
	assert_int_equal(again(NULL), 0);
	assert_int_equal(run(NULL, NULL), ENODATA);
}

static void test_release(void **state)
{
	done(&a, opened(&a, 1, "f", O_RDWR));
	ASK(release);
	q.op.release.handle = 1;
	killed_after(NULL);
	assert_int_equal(again(NULL), 0);
	assert_int_equal(run(NULL, NULL), EBADF);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(mkdir), TEST(links), TEST(unlink), TEST(rename), TEST(open), TEST(open_exclusive), TEST(append),
		TEST(append_killed_twice), TEST(append_beside_others), TEST(flow), TEST(attributes), TEST(release),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
