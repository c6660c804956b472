/*
 * Requests of every kind that the protocol has, with values picked at random (the same every time): the agent answers each,
 * stays below its root, changes nothing under a read-only root, and serves on afterwards.
 */
#include "test_agent.h"

#include <linux/fiemap.h>
#include <linux/fs.h>
#include <pb_common.h>
#include <sys/inotify.h>
#include <sys/un.h>

#define ROUNDS 4000
#define HANDLES 12
#define ANSWER_MS 20000
#define SECRET "what is outside"

static char base[64];
static struct client c;

static int begin(void **state)
{
	strcpy(base, "/tmp/test-agent-XXXXXX");
	if (!mkdtemp(base) || chdir(base))
		return -1;
	return system("mkdir -p t/a/b out && echo '" SECRET "' >out/secret && echo hello >t/a/f && ln -s f t/a/l && mkfifo t/a/fifo && "
		      "ln -s ../../out t/a/up && ln -s $PWD/out t/a/abs && ln -s /proc/self/root t/a/magic && ln -s b t/a/d && "
		      "touch -d 2001-01-01 t/a/f");
}

static int end(void **state)
{
	char cmd[512];

	snprintf(cmd, sizeof(cmd), "chmod -R u+rwx %s; rm -rf %s", base, base);
	return chdir("/") || system(cmd);
}

static uint32_t pick(uint32_t below)
{
	return (uint32_t)rand() % below;
}

/* Numbers of handles mostly; the rest are what offsets, sizes, modes and flags have at their edges. None fills a disk. */
static uint64_t pick_number(void)
{
	static const uint64_t edges[] = {
		0, 1, 2, 3, 4095, 4096, 4097, 1 << 16, 1 << 20, INT32_MAX, (uint64_t)INT32_MAX + 1, UINT32_MAX, INT64_MAX - 1, INT64_MAX,
		(uint64_t)INT64_MAX + 1, UINT64_MAX - 1, UINT64_MAX, O_CREAT | O_RDWR, O_DIRECTORY | O_CREAT, O_PATH, O_WRONLY | O_TRUNC,
		O_TMPFILE | O_RDWR, AT_EMPTY_PATH, AT_REMOVEDIR, S_IFREG | 0600, S_IFIFO | 0600, S_IFSOCK | 0600, FALLOC_FL_PUNCH_HOLE | 1,
		F_OFD_SETLK, F_OFD_GETLK, FS_IOC_GETFLAGS, FS_IOC_FSGETXATTR, FS_IOC_FIEMAP, IN_ALL_EVENTS, IN_MODIFY | IN_MASK_ADD,
	};

	return pick(2) ? pick(HANDLES + 2) : edges[pick(sizeof(edges) / sizeof(edges[0]))];
}

static void pick_bytes(pb_bytes_array_t *to, size_t room)
{
	static const char *const texts[] = {
		"", "", "a/f", "a/l", "a/b", "a/d/", "a/new", "a/b/n", ".", "..", "/", "../out/secret", "a/up/secret", "a/abs/secret",
		"a/magic/etc/passwd", "../../../../../../etc/passwd", "a/fifo", "a/sock", "a/b/../../../out", "up", "f", "user.x",
		"a/up/", "a/abs/", "security.capability", "system.posix_acl_access",
	};
	const char *text = texts[pick(sizeof(texts) / sizeof(texts[0]))];
	size_t len = strlen(text) < room ? strlen(text) : room;

	if (pick(50) == 0) {
		memset(to->bytes, 'x', room);
		len = room;
	} else {
		memcpy(to->bytes, text, len);
	}
	to->size = (pb_size_t)len;
}

static void pick_fields(const pb_msgdesc_t *fields, void *msg);

static void pick_field(const pb_field_iter_t *f)
{
	uint64_t n = pick_number();

	switch (PB_LTYPE(f->type)) {
	case PB_LTYPE_BYTES:
		pick_bytes(f->pData, f->data_size - offsetof(pb_bytes_array_t, bytes));
		break;
	case PB_LTYPE_SUBMESSAGE:
		*(bool *)f->pSize = pick(20) != 0;
		pick_fields(f->submsg_desc, f->pData);
		break;
	case PB_LTYPE_BOOL:
		*(bool *)f->pData = n & 1;
		break;
	default:
		memcpy(f->pData, &n, f->data_size);
	}
}

static void pick_fields(const pb_msgdesc_t *fields, void *msg)
{
	pb_field_iter_t f;

	if (!pb_field_iter_begin(&f, fields, msg))
		return;
	do
		pick_field(&f);
	while (pb_field_iter_next(&f));
}

/* The tags of all requests. Returns how many there are. */
static size_t every_tag(pb_size_t *tags, size_t room)
{
	rfs_Request q = { 0 };
	pb_field_iter_t f;
	size_t n = 0;

	assert_true(pb_field_iter_begin(&f, rfs_Request_fields, &q));
	do {
		assert_true(n < room);
		if (PB_HTYPE(f.type) == PB_HTYPE_ONEOF)
			tags[n++] = f.tag;
	} while (pb_field_iter_next(&f));
	return n;
}

static bool is_answered(pb_size_t tag)
{
	return tag != rfs_Request_close_tag && tag != rfs_Request_lock_release_tag;
}

static void pick_request(rfs_Request *q, pb_size_t tag)
{
	pb_field_iter_t f;

	memset(q, 0, sizeof(*q));
	q->which_op = tag;
	q->ordered = pick(2);
	assert_true(pb_field_iter_begin(&f, rfs_Request_fields, q) && pb_field_iter_find(&f, tag));
	pick_fields(f.submsg_desc, f.pData);
	if (tag == rfs_Request_syncfs_tag && !q->op.syncfs.handle)
		q->op.syncfs.handle = 1; /* the whole machine's disks would take their time */
	if (tag == rfs_Request_mknod_tag)
		q->op.mknod.mode &= ~(uint32_t)S_IFMT | S_IFREG | S_IFIFO;
	if (tag == rfs_Request_open_tag || tag == rfs_Request_bind_tag || tag == rfs_Request_mkdir_tag)
		q->op.open.umask &= 077;
}

/* The answer to ID, which must come. */
static void answered(uint32_t id, pb_size_t tag)
{
	struct pollfd p = { .fd = c.fd, .events = POLLIN };
	uint32_t got = 0;

	while (got != id) {
		if (c.pushes > PUSHES / 2)
			c.pushes = 0;
		if (poll(&p, 1, ANSWER_MS) <= 0)
			fail_msg("request %u was never answered", tag);
		got = client_frame(&c);
	}
	if (memmem(c.payload, c.payload_len, SECRET, strlen(SECRET)) || memmem(c.payload, c.payload_len, "root:x:", 7))
		fail_msg("request %u was answered with what is outside of the root", tag);
}

static void open_one(uint64_t handle, const char *path, int flags, bool wait)
{
	REQUEST(open);

	WHERE(open, 0, path);
	q.op.open.handle = handle;
	q.op.open.flags = (uint32_t)flags;
	q.op.open.mode = 0600;
	q.op.open.wait = wait;
	client_call(&c, &q);
}

/* Handles of every kind; some of what went before them has been closed or never came to be. */
static void open_some(void)
{
	rfs_Request q = { .which_op = rfs_Request_bind_tag };

	open_one(1, "a", O_RDONLY | O_DIRECTORY, false);
	open_one(2, "a/f", O_RDWR, false);
	open_one(3, "a/f", O_RDONLY, false);
	open_one(4, "a/l", O_PATH | O_NOFOLLOW, false);
	open_one(5, "a/fifo", O_RDONLY, false);
	open_one(6, "a/fifo", O_WRONLY, true);
	open_one(7, "a/b", O_PATH, false);
	open_one(8, "a/g", O_RDWR | O_CREAT, false);
	WHERE(bind, 0, "a/sock");
	q.op.bind = (rfs_Bind){ .has_where = true, .where = q.op.bind.where, .handle = 9, .type = SOCK_STREAM, .mode = 0777 };
	client_call(&c, &q);
	q = (rfs_Request){ .which_op = rfs_Request_control_tag, .op.control = { 9, rfs_Controls_LISTEN, 5 } };
	client_call(&c, &q);
	q = (rfs_Request){ .which_op = rfs_Request_connect_tag };
	WHERE(connect, 0, "a/sock");
	q.op.connect.handle = 10;
	q.op.connect.type = SOCK_STREAM;
	client_call(&c, &q);
}

static void ask_anything(void)
{
	static const char data[300] = "#!\1\2\3 data";
	pb_size_t tags[100];
	size_t n = every_tag(tags, sizeof(tags) / sizeof(tags[0]));
	rfs_Request q;

	srand(1);
	for (unsigned int i = 0; i < ROUNDS; i++) {
		pb_size_t tag = tags[i % n];
		uint32_t id;

		if (i % 200 == 0)
			open_some();
		if (tag == rfs_Request_goodbye_tag)
			continue;
		pick_request(&q, tag);
		id = client_send(&c, &q, data, pick(3) ? 0 : pick(2) ? pick(sizeof(data)) : 4);
		if (is_answered(tag))
			answered(id, tag);
	}
	assert_int_equal(client_stat_at(&c, 0, "/", false), 0);
}

static int outside_is_untouched(void)
{
	return system("test \"$(cat out/secret)\" = '" SECRET "' && test $(find out | wc -l) = 2");
}

static void test_anything(void **state)
{
	client_start(&c, "t", NULL);
	client_hello(&c, false);
	ask_anything();
	client_stop(&c);
	assert_int_equal(outside_is_untouched(), 0);
}

/* Everything that can be seen of the tree, but for the times of reading, and of a FIFO's, which bytes may pass through. */
#define SNAPSHOT "find . -printf '%p %y %m %n %U %G %s %b %l ' \\( -type p -printf '\\n' -o -printf '%T@ %C@\\n' \\) | sort >"

static void test_anything_read_only(void **state)
{
	assert_int_equal(system("echo hello >t/a/g && cd t && " SNAPSHOT "../before"), 0);
	client_start(&c, "t", NULL);
	client_hello(&c, true);
	ask_anything();
	client_stop(&c);
	assert_int_equal(outside_is_untouched(), 0);
	assert_int_equal(system("cd t && " SNAPSHOT "../after && diff ../before ../after"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_anything, begin, end),
		cmocka_unit_test_setup_teardown(test_anything_read_only, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
