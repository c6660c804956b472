/* What the agent promises, and that it keeps it. */
#include <dirent.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <stdatomic.h>
#include "test_agent.h"

static char base[64];
static struct client c;

/* Not every /tmp is one that the agent trusts, nor does every kernel give out watches: then skip. */
static int setup(void **state)
{
	if (tree_make(base, "mkdir -p a/b/c && echo hello >a/b/f && ln -s b a/link && ln -s f a/b/sym && echo x >a/b/two && "
			    "ln a/b/two a/b/three"))
		return -1;
	client_start(&c, base, NULL);
	client_hello(&c, false);
	return 0;
}

static int teardown(void **state)
{
	client_stop(&c);
	return tree_remove(base);
}

static uint32_t stat_coherent(const char *path, int error)
{
	assert_int_equal(client_stat_at(&c, 0, path, true), error);
	assert_int_equal(c.reply.which_op, rfs_Reply_stat_tag);
	return c.reply.op.stat.coherent;
}

static void test_what_is_promised(void **state)
{
	assert_int_equal(stat_coherent("a/b/f", 0), rfs_Coherent_NAME);
	assert_int_equal(stat_coherent("/a//b/./f", 0), rfs_Coherent_NAME);
	assert_int_equal(stat_coherent("a/b/c", 0), rfs_Coherent_NAME);
	assert_int_equal(stat_coherent("/", 0), rfs_Coherent_NAME);
	assert_int_equal(stat_coherent("a/b/sym", 0), rfs_Coherent_NAME);
	assert_int_equal(stat_coherent("a/b/none", ENOENT), rfs_Coherent_NAME);
	assert_int_equal(stat_coherent("a/none/deep/er", ENOENT), rfs_Coherent_NAME);
	assert_int_equal(stat_coherent("a/b/two", 0), 0);
	assert_int_equal(stat_coherent("a/link/f", 0), 0);
	assert_int_equal(stat_coherent("a/b/../b/f", 0), 0);
	assert_int_equal(client_stat(&c, "a/b/sym"), 0);
	assert_int_equal(c.reply.op.stat.coherent, 0);
	client_must_open(&c, "a/b/f", O_RDONLY, 10);
	assert_int_equal(c.reply.op.open.coherent, rfs_Coherent_NAME | rfs_Coherent_HANDLE);
	client_must_open(&c, "a/link/f", O_RDONLY, 10);
	assert_int_equal(c.reply.op.open.coherent, rfs_Coherent_HANDLE);
	assert_int_equal(client_open(&c, "a/b/none", O_RDONLY, 0), ENOENT);
	assert_int_equal(c.reply.which_op, rfs_Reply_stat_tag);
	assert_int_equal(c.reply.op.stat.coherent, rfs_Coherent_NAME);
}

static void test_proc_is_not(void **state)
{
	struct client p;

	client_start(&p, "/proc", NULL);
	client_hello(&p, false);
	assert_int_equal(client_stat(&p, "version"), 0);
	assert_int_equal(p.reply.op.stat.coherent, 0);
	assert_int_equal(client_open(&p, "version", O_RDONLY, 0), 0);
	assert_int_equal(p.reply.op.open.coherent, 0);
	assert_int_equal(client_open(&p, "self/fd/0", O_RDONLY, 0), ELOOP);
	assert_int_equal(client_open(&p, "self/root/etc/passwd", O_RDONLY, 0), ELOOP);
	client_stop(&p);
}

static void test_file_changes(void **state)
{
	stat_coherent("a/b/f", 0);
	spew("a/b/f", "more\n");
	assert_true(client_invalidated(&c, "/a/b/f"));
	client_settle(&c);
	spew("a/b/f", "again\n"); /* nobody was promised anything since */
	assert_false(client_await(&c, "/a/b/f", -1, 0, CLIENT_SILENCE_MS));
	stat_coherent("a/b/f", 0);
	chmod("a/b/f", 0600);
	assert_true(client_await(&c, "/a/b/f", 0, 0, CLIENT_PATIENCE_MS));
	stat_coherent("a/b/f", 0);
	client_settle(&c);
	unlink("a/b/f");
	assert_true(client_await(&c, "/a/b/f", 1, 0, CLIENT_PATIENCE_MS));
	assert_int_equal(stat_coherent("a/b/f", ENOENT), rfs_Coherent_NAME);
	client_settle(&c);
	spew("a/b/f", "new\n");
	assert_true(client_invalidated(&c, "/a/b/f"));
}

static void test_dir_changes(void **state)
{
	stat_coherent("a/b", 0);
	stat_coherent("a/none/x", ENOENT);
	spew("a/b/new", "");
	assert_true(client_await(&c, "/a/b", 0, 0, CLIENT_PATIENCE_MS));
	mkdir("a/none", 0755);
	assert_true(client_await(&c, "/a/none", 1, 0, CLIENT_PATIENCE_MS));
	stat_coherent("a/b/c", 0);
	client_settle(&c);
	chmod("a", 0700);
	assert_true(client_await(&c, "/a", 1, 0, CLIENT_PATIENCE_MS));
}

static void test_ancestor_renamed(void **state)
{
	assert_int_equal(stat_coherent("a/b/f", 0), rfs_Coherent_NAME);
	rename("a", "z");
	assert_true(client_await(&c, "/a", 1, 0, CLIENT_PATIENCE_MS));
	assert_int_equal(stat_coherent("a/b/f", ENOENT), rfs_Coherent_NAME);
	assert_int_equal(stat_coherent("z/b/f", 0), rfs_Coherent_NAME);
	client_settle(&c);
	spew("z/b/f", "x");
	assert_true(client_invalidated(&c, "/z/b/f"));
	mkdir("a", 0755);
	assert_true(client_await(&c, "/a", 1, 0, CLIENT_PATIENCE_MS));
}

static void test_relative_to_moved(void **state)
{
	uint64_t d = client_must_open(&c, "a/b", O_RDONLY | O_DIRECTORY, 0);

	assert_int_equal(client_stat_at(&c, d, "f", false), 0);
	assert_int_equal(c.reply.op.stat.coherent, rfs_Coherent_NAME);
	spew("a/b/f", "x");
	assert_true(client_invalidated(&c, "/a/b/f"));
	rename("a/b", "a/moved");
	/* The client would file it under a path that it no longer has. */
	assert_int_equal(client_stat_at(&c, d, "f", false), 0);
	assert_int_equal(c.reply.op.stat.coherent, 0);
}

static void test_handle_changes(void **state)
{
	uint64_t h = client_must_open(&c, "a/b/f", O_RDONLY, 10), h2 = client_must_open(&c, "a/link/f", O_RDONLY, 10);

	spew("a/b/f", "changed\n");
	assert_true(client_changed(&c, h));
	assert_true(client_changed(&c, h2));
	client_settle(&c);
	spew("a/b/f", "once more\n"); /* told already */
	assert_false(client_await(&c, NULL, 0, h, CLIENT_SILENCE_MS));
	assert_int_equal(client_read(&c, h, 0, 100), 0);
	assert_string_equal((char *)c.payload, "once more\n");
	spew("a/b/f", "third\n");
	assert_true(client_changed(&c, h));
	assert_true(client_changed(&c, h2)); /* what was read by one handle is known of the file */
	assert_int_equal(client_stat_at(&c, h2, "", false), 0);
	assert_int_equal(c.reply.op.stat.coherent, rfs_Coherent_HANDLE);
	unlink("a/b/f"); /* its link count changes, and through the descriptor it still can be asked for */
	assert_true(client_changed(&c, h2));
	client_close(&c, h);
	client_close(&c, h2);
}

static void test_listing(void **state)
{
	client_must_open(&c, "a/b", O_RDONLY | O_DIRECTORY, 1 << 16);
	assert_true(c.payload_len > 0);
	pb_istream_t in = pb_istream_from_buffer(c.payload, c.payload_len);
	while (in.bytes_left) {
		rfs_Entry e;
		char name[256] = "";

		assert_true(pb_decode_delimited(&in, rfs_Entry_fields, &e));
		memcpy(name, e.name.bytes, e.name.size);
		assert_int_equal(e.has_attr, strcmp(name, "..") && strcmp(name, "two") && strcmp(name, "three"));
	}
	client_settle(&c);
	spew("a/b/f", "x");
	assert_true(client_invalidated(&c, "/a/b/f"));
	spew("a/b/c/in", "x"); /* the sub-directory's own attributes change */
	assert_true(client_invalidated(&c, "/a/b/c"));
	unlink("a/b/sym");
	assert_true(client_invalidated(&c, "/a/b/sym"));
	assert_true(client_invalidated(&c, "/a/b"));
}

/* A crowd of changes may be told as one, but it must be told. */
static int fetch(const char *path, uint32_t size)
{
	rfs_Request q = { .which_op = rfs_Request_fetch_tag, .op.fetch.size = size };

	where_set(&q.op.fetch.where, &q.op.fetch.has_where, 0, path);
	return client_call(&c, &q);
}

/* How many the agent has. */
static int descriptors(void)
{
	char path[32];
	int n = 0;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)c.pid);
	DIR *d = opendir(path);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

/* What Fetch brings, what it promises, and that it leaves nothing open. */
static void test_fetch(void **state)
{
	const rfs_OpenReply *r = &c.reply.op.open;
	struct stat before, after;

	stat("a/b/f", &before);
	assert_int_equal(fetch("a/b/f", 100), 0);
	assert_int_equal(c.reply.which_op, rfs_Reply_open_tag);
	assert_int_equal(r->coherent, rfs_Coherent_NAME);
	assert_true(r->has_attr && r->complete && r->quiet && r->attr.size == 6);
	assert_int_equal(c.payload_len, 6);
	assert_memory_equal(c.payload, "hello\n", 6);
	stat("a/b/f", &after);
	assert_memory_equal(&before.st_atim, &after.st_atim, sizeof(before.st_atim));
	assert_int_equal(fetch("a/b/f", 6), 0);
	assert_int_equal(c.payload_len, 6);
	assert_int_equal(fetch("a/b/f", 5), 0); /* larger */
	assert_true(r->has_attr && !r->complete && !c.payload_len);
	assert_int_equal(fetch("a/b", 1 << 16), 0);
	assert_true(S_ISDIR(r->attr.mode) && r->complete && r->coherent == rfs_Coherent_NAME && c.payload_len);
	assert_int_equal(fetch("a/b/two", 100), 0); /* it has two names */
	assert_true(c.payload_len == 2 && !r->coherent);
	assert_int_equal(fetch("a/b/sym", 100), ELOOP);
	assert_int_equal(fetch("a/b/none", 100), ENOENT);
	assert_int_equal(c.reply.op.stat.coherent, rfs_Coherent_NAME);
	assert_int_equal(mkfifo("a/b/fifo", 0600), 0);
	assert_int_equal(fetch("a/b/fifo", 100), ENXIO);
	assert_int_equal(fetch("a/b/f", 100), 0);
	client_settle(&c);
	spew("a/b/f", "x");
	assert_true(client_invalidated(&c, "/a/b/f"));
	assert_int_equal(fetch("a/b", 1 << 16), 0);
	client_settle(&c);
	spew("a/b/new", "x");
	assert_true(client_invalidated(&c, "/a/b"));
	int open = descriptors();
	for (int i = 0; i < 100; i++)
		assert_int_equal(fetch(i % 2 ? "a/b/f" : "a/b", 100), 0);
	assert_int_equal(descriptors(), open);
}

/* A change that the client asked for as its own: it is not told of that, but of everything else, and of what it came to. */
static int own(rfs_Request *q, rfs_Where *where, bool *present, const char *path)
{
	where_set(where, present, 0, path);
	q->own = true;
	return client_call(&c, q);
}

#define OWN(op_, path, ...)                                                                \
	({                                                                                 \
		rfs_Request q = { .which_op = rfs_Request_##op_##_tag, .op.op_ = { __VA_ARGS__ } }; \
		own(&q, &q.op.op_.where, &q.op.op_.has_where, path);                       \
	})

static bool told_of(const char *path)
{
	return client_await(&c, path, -1, 0, CLIENT_SILENCE_MS);
}

static void test_own_names(void **state)
{
	const rfs_OpenReply *r = &c.reply.op.open;

	assert_int_equal(fetch("a/b", 1 << 16), 0);
	client_settle(&c);
	assert_int_equal(OWN(open, "a/b/new", .handle = 77, .flags = O_CREAT | O_WRONLY, .mode = 0644), 0);
	assert_true(c.reply.which_op == rfs_Reply_open_tag && r->coherent & rfs_Coherent_NAME);
	assert_false(told_of("/a/b"));
	assert_int_equal(OWN(mkdir, "a/b/made", .mode = 0755), 0);
	assert_true(c.reply.which_op == rfs_Reply_open_tag && r->coherent == rfs_Coherent_NAME && r->complete && S_ISDIR(r->attr.mode));
	assert_true(c.payload_len);
	assert_int_equal(OWN(mknod, "a/b/fifo", .mode = S_IFIFO | 0600), 0);
	assert_false(told_of("/a/b"));
	spew("a/b/made/inside", "x"); /* that nothing is in it was promised */
	assert_true(client_invalidated(&c, "/a/b/made"));
	assert_int_equal(OWN(open, "a/b/new2", .handle = 78, .flags = O_CREAT | O_WRONLY, .mode = 0644), 0);
	client_settle(&c);
	chmod("a/b/new2", 0600);
	assert_true(client_invalidated(&c, "/a/b/new2"));
	spew("a/b/other", "x"); /* of another's name the listing's promise tells still */
	assert_true(client_invalidated(&c, "/a/b"));
}

static void test_own_attributes(void **state)
{
	const rfs_StatReply *r = &c.reply.op.stat;

	assert_int_equal(fetch("a/b", 1 << 16), 0);
	client_settle(&c);
	assert_int_equal(OWN(chmod, "a/b", .mode = 0711), 0);
	assert_true(c.reply.which_op == rfs_Reply_stat_tag && r->coherent == rfs_Coherent_NAME && (r->attr.mode & 0777) == 0711);
	assert_int_equal(OWN(utimes, "a/b", .mtime_sec = 12345), 0);
	assert_true(r->coherent == rfs_Coherent_NAME && r->attr.mtime_sec == 12345);
	assert_int_equal(OWN(chown, "a/b/f", .uid = UINT32_MAX, .gid = UINT32_MAX), 0);
	assert_int_equal(r->coherent, rfs_Coherent_NAME);
	assert_int_equal(OWN(chmod, "a/b/two", .mode = 0600), 0); /* it has two names */
	assert_true(r->has_attr && !r->coherent);
	assert_false(told_of("/a/b"));
	chmod("a/b", 0755);
	assert_true(client_invalidated(&c, "/a/b"));
	client_settle(&c);
	chmod("a/b/f", 0640);
	assert_true(client_invalidated(&c, "/a/b/f"));
}

/* What fails was somebody else's doing. */
static void test_own_that_fails(void **state)
{
	assert_int_equal(fetch("a/b", 1 << 16), 0);
	client_settle(&c);
	assert_int_equal(OWN(mkdir, "a/b/c", .mode = 0755), EEXIST);
	assert_false(told_of("/a/b"));
	for (int i = 0; i < 200; i++) {
		char name[32];
		int rc;

		snprintf(name, sizeof(name), "a/b/race%d", i);
		assert_int_equal(fetch("a/b", 1 << 16), 0);
		pid_t pid = fork();
		if (!pid) {
			mkdir(name, 0755);
			_exit(0);
		}
		rc = OWN(mkdir, name, .mode = 0755);
		waitpid(pid, NULL, 0);
		assert_true(rc == 0 || rc == EEXIST);
		if (rc)
			assert_true(client_invalidated(&c, "/a/b"));
		client_stat(&c, "a"); /* later pushes are the next round's */
		c.pushes = 0;
	}
}

/* Whoever gets a lock has heard of what was changed under it. */
static void test_lock_comes_after(void **state)
{
	uint64_t h = client_must_open(&c, "a/b/f", O_RDWR, 10);
	int fd = open("a/b/f", O_RDWR);

	for (int i = 0; i < 300; i++) {
		bool wait = i % 2;
		rfs_Request q = { .which_op = rfs_Request_lock_wait_tag, .op.lock_wait = { .ticket = 1000 + (uint64_t)i, .has_flock = true } };

		q.op.lock_wait.flock = (rfs_Flock){ .handle = h, .operation = LOCK_EX };
		assert_int_equal(client_read(&c, h, 0, 10), 0); /* from here on a change is told */
		c.pushes = 0;
		assert_int_equal(flock(fd, LOCK_EX), 0);
		pid_t pid = fork();
		if (!pid) {
			usleep(wait ? 3000 : 0);
			_exit(pwrite(fd, &i, 1, 0) != 1 || flock(fd, LOCK_UN));
		}
		if (!wait)
			waitpid(pid, NULL, 0);
		assert_int_equal(client_call(&c, &q), 0);
		bool ended = !c.reply.op.lock_wait.waits;
		for (unsigned int seen = 0; !ended; seen = c.pushes) {
			while (c.pushes == seen)
				assert_int_equal(client_frame(&c), 0);
			ended = c.push[c.pushes - 1].which_event == rfs_Push_lock_end_tag;
		}
		bool told = false;
		for (unsigned int k = 0; k < c.pushes; k++)
			told |= c.push[k].which_event == rfs_Push_changed_tag && c.push[k].event.changed.handle == h;
		assert_true(told);
		if (wait)
			waitpid(pid, NULL, 0);
		rfs_Request u = { .which_op = rfs_Request_flock_tag, .op.flock = { .handle = h, .operation = LOCK_UN } };
		assert_int_equal(client_call(&c, &u), 0);
	}
	close(fd);
}

static void test_flood(void **state)
{
	char name[64];
	uint64_t h = client_must_open(&c, "a/b/f", O_RDONLY, 0);
	int i;

	for (i = 0; i < 3000; i++) {
		snprintf(name, sizeof(name), "none%d", i);
		stat_coherent(name, ENOENT);
	}
	stat_coherent("a/b/f", 0);
	kill(c.pid, SIGSTOP);
	for (i = 0; i < 3000; i++) {
		snprintf(name, sizeof(name), "none%d", i);
		spew(name, "");
	}
	spew("a/b/f", "x");
	kill(c.pid, SIGCONT);
	assert_true(client_await(&c, "/", 1, 0, 2000));
	assert_true(client_changed(&c, h));
}

/* The main property: after the last push, what a client kept is what is there. */
static void *churn(void *arg)
{
	atomic_bool *stop = arg;
	char text[32];
	int i;

	for (i = 0; !*stop; i++) {
		snprintf(text, sizeof(text), "%d", i);
		spew("a/b/f", text);
		(void)!truncate("a/b/f", i % 1000);
		if (i % 7 == 0)
			(void)!rename("a/b/f", "a/b/g");
		if (i % 11 == 0)
			(void)!rename("a/b/g", "a/b/f");
		if (i % 13 == 0)
			(void)!rename("a/b", "a/bb");
		if (i % 13 == 0)
			(void)!rename("a/bb", "a/b");
		usleep(i % 200);
	}
	return NULL;
}

static bool invalidates(const rfs_Push *e, const char *path)
{
	const rfs_Invalidate *v = &e->event.invalidate;
	size_t n = v->path.size;

	if (e->which_event != rfs_Push_invalidate_tag)
		return false;
	if (n == strlen(path) && !memcmp(v->path.bytes, path, n))
		return true;
	return v->subtree && (n == 1 || (!strncmp((const char *)v->path.bytes, path, n) && path[n] == '/'));
}

static bool is_stale(const char *path, int error, uint64_t size)
{
	struct stat st;
	int now = stat(path, &st) ? errno : 0;

	return now != error || (!now && (uint64_t)st.st_size != size);
}

/* However busy the machine is, it is told some time: a push that has not come within 60 ms may be on its way. */
static bool is_told(const char *path)
{
	struct pollfd p = { .fd = c.fd, .events = POLLIN };
	bool told = false;

	while (!told && poll(&p, 1, CLIENT_PATIENCE_MS) > 0) {
		assert_int_equal(client_frame(&c), 0);
		told = invalidates(&c.push[c.pushes - 1], path);
	}
	c.pushes = 0;
	return told;
}

static void test_never_stale(void **state)
{
	atomic_bool stop;
	pthread_t t;
	int round, i, kept_error = 0;
	uint64_t kept_size = 0;
	bool kept;
	unsigned int seen;

	for (round = 0; round < 30; round++) {
		stop = false;
		pthread_create(&t, NULL, churn, (void *)&stop);
		kept = false;
		for (i = 0; i < 200; i++) {
			seen = c.pushes;
			kept_error = client_stat(&c, "a/b/f");
			for (; seen < c.pushes; seen++)
				if (invalidates(&c.push[seen], "/a/b/f"))
					kept = false;
			/* The reply is the last frame read: pushes before it are about older answers. */
			kept = c.reply.which_op == rfs_Reply_stat_tag && c.reply.op.stat.coherent & rfs_Coherent_NAME;
			kept_size = c.reply.op.stat.attr.size;
			if (c.pushes > PUSHES / 2)
				c.pushes = 0;
		}
		stop = true;
		c.pushes = 0;
		pthread_join(t, NULL);
		client_await(&c, NULL, 0, 0, 60);
		for (seen = 0; seen < c.pushes; seen++)
			if (invalidates(&c.push[seen], "/a/b/f"))
				kept = false;
		c.pushes = 0;
		if (kept && is_stale("a/b/f", kept_error, kept_size))
			assert_true(is_told("/a/b/f"));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_what_is_promised, setup, teardown),
		cmocka_unit_test_setup_teardown(test_proc_is_not, setup, teardown),
		cmocka_unit_test_setup_teardown(test_file_changes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_dir_changes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ancestor_renamed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_relative_to_moved, setup, teardown),
		cmocka_unit_test_setup_teardown(test_handle_changes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_listing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_fetch, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lock_comes_after, setup, teardown),
		cmocka_unit_test_setup_teardown(test_own_names, setup, teardown),
		cmocka_unit_test_setup_teardown(test_own_attributes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_own_that_fails, setup, teardown),
		cmocka_unit_test_setup_teardown(test_flood, setup, teardown),
		cmocka_unit_test_setup_teardown(test_never_stale, setup, teardown),
	};

	/* Whoever mounts something on this machine makes the agent take everything back, at any moment: not here, where we may choose. */
	if (!unshare(CLONE_NEWNS))
		mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
