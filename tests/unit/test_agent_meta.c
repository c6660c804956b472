/* What a client may say of attributes and handles, and must not get by it. */
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/xattr.h>

#include <endian.h>
#include "digest.h"
#include "test_agent.h"

static char top[64];
static struct client c;

/* The served tree is TOP/root; TOP/outside is not in it. */
static int begin(void **state)
{
	if (tree_make(top, "mkdir -p root/d && touch outside root/f"))
		return -1;
	client_start(&c, "root", NULL);
	client_hello(&c, false);
	return 0;
}

static int end(void **state)
{
	client_stop(&c);
	return tree_remove(top);
}

static int set_xattr(const void *name, size_t len, const void *value, size_t size, uint32_t flags)
{
	REQUEST(setxattr);

	WHERE(setxattr, 0, "f");
	q.op.setxattr.name.size = len;
	memcpy(q.op.setxattr.name.bytes, name, len);
	q.op.setxattr.flags = flags;
	return client_call_data(&c, &q, value, size);
}

static int get_xattr(const char *name)
{
	REQUEST(getxattr);

	WHERE(getxattr, 0, "f");
	q.op.getxattr.name.size = strlen(name);
	memcpy(q.op.getxattr.name.bytes, name, strlen(name));
	return client_call(&c, &q);
}

static void test_xattr(void **state)
{
	char big[65537] = "";

	(void)state;
	assert_int_equal(set_xattr("user.a", 6, "value", 5, 0), 0);
	assert_true(c.reply.op.stat.has_attr);
	assert_int_equal(get_xattr("user.a"), 0);
	assert_int_equal(c.payload_len, 5);
	assert_memory_equal(c.payload, "value", 5);
	assert_int_equal(get_xattr("user.none"), ENODATA);
	assert_int_equal(c.payload_len, 0);
	assert_int_equal(set_xattr("", 0, "x", 1, 0), ERANGE);
	assert_int_equal(set_xattr("user.\0b", 7, "x", 1, 0), ERANGE);
	assert_int_equal(set_xattr("user.b", 6, "x", 1, 77), EINVAL);
	assert_int_equal(set_xattr("user.b", 6, big, sizeof(big), 0), E2BIG);
	assert_int_equal(listxattr("root/f", big, sizeof(big)), 7);
}

static int do_ioctl(uint64_t handle, uint32_t request, const void *data, size_t len)
{
	REQUEST(ioctl);

	WHERE(ioctl, handle, "");
	q.op.ioctl.request = request;
	return client_call_data(&c, &q, data, len);
}

static int do_ioctl_set(uint64_t handle, uint32_t request, const void *data, size_t len)
{
	REQUEST(ioctl_set);

	WHERE(ioctl_set, handle, "");
	q.op.ioctl_set.request = request;
	return client_call_data(&c, &q, data, len);
}

static void test_ioctl(void **state)
{
	uint64_t f = client_must_open(&c, "f", O_RDWR, 0), path = client_must_open(&c, "f", O_PATH, 0);
	struct fiemap map = { .fm_length = 1, .fm_extent_count = 1 << 20 };
	uint32_t flags = 0;
	char data[64] = "";

	(void)state;
	assert_int_equal(do_ioctl(f, FIGETBSZ, NULL, 0), 0);
	assert_int_equal(c.payload_len, 4);
	/* Only what is listed, only in its direction, only with its bytes. */
	assert_int_equal(do_ioctl(f, FICLONE, NULL, 0), ENOTTY);
	assert_int_equal(do_ioctl(f, FIFREEZE, NULL, 0), ENOTTY);
	assert_int_equal(do_ioctl(f, FS_IOC_SETFLAGS, &flags, 4), ENOTTY);
	assert_int_equal(do_ioctl_set(f, FS_IOC_GETFLAGS, NULL, 0), ENOTTY);
	assert_int_equal(do_ioctl_set(f, FIFREEZE, NULL, 0), ENOTTY);
	assert_int_equal(do_ioctl(f, FIGETBSZ, data, 4), EINVAL);
	assert_int_equal(do_ioctl_set(f, FS_IOC_SETFLAGS, data, 3), EINVAL);
	assert_int_equal(do_ioctl_set(f, FS_IOC_SETFLAGS, data, sizeof(data)), EINVAL);
	assert_int_equal(do_ioctl_set(f, 0, data, sizeof(data)), EINVAL);
	assert_int_equal(do_ioctl(f, FS_IOC_FIEMAP, &map, sizeof(map)), EINVAL);
	assert_int_equal(do_ioctl(f, FS_IOC_FIEMAP, data, 7), EINVAL);
	assert_int_equal(do_ioctl(path, FIGETBSZ, NULL, 0), EBADF);
	assert_int_equal(do_ioctl(12345, FIGETBSZ, NULL, 0), EBADF);
}

static int to_name(uint64_t handle, const struct file_handle *h)
{
	REQUEST(handle_to_name);

	q.op.handle_to_name.handle = handle;
	q.op.handle_to_name.type = h->handle_type;
	q.op.handle_to_name.bytes.size = h->handle_bytes;
	memcpy(q.op.handle_to_name.bytes.bytes, h->f_handle, h->handle_bytes);
	return client_call(&c, &q);
}

/* A handle may name any file of the file system; what is not below the root is not found. */
static void test_handles(void **state)
{
	static const char *const outside[] = { "outside", ".", "/" };
	struct { struct file_handle head; unsigned char room[MAX_HANDLE_SZ]; } h;
	uint64_t d = client_must_open(&c, "d", O_RDONLY, 0);
	int mount, r;

	(void)state;
	h.head.handle_bytes = MAX_HANDLE_SZ;
	assert_int_equal(name_to_handle_at(AT_FDCWD, "root/f", &h.head, &mount, 0), 0);
	r = to_name(d, &h.head);
	if (r == EPERM)
		skip(); /* it takes CAP_DAC_READ_SEARCH */
	assert_int_equal(r, 0);
	assert_string_equal(c.payload, "/f");
	for (size_t i = 0; i < sizeof(outside) / sizeof(outside[0]); i++) {
		h.head.handle_bytes = MAX_HANDLE_SZ;
		if (name_to_handle_at(AT_FDCWD, outside[i], &h.head, &mount, 0))
			continue;
		r = to_name(d, &h.head);
		assert_true(r == EXDEV || r == ESTALE); /* "/" may be on another file system */
		assert_int_equal(c.payload_len, 0);
	}
	h.head.handle_bytes = 0;
	assert_int_equal(to_name(d, &h.head), EINVAL);
	assert_int_equal(to_name(12345, &h.head), EBADF);
}

/* A page of data, one of zeros, a hole of 100 MiB, and the beginning of another page. */
static void test_digest(void **state)
{
	enum { TAIL = 100 << 20 };
	uint64_t h = client_must_open(&c, "digested", O_CREAT | O_RDWR, 0), got[3];
	uint8_t page[DIGEST_PAGE];
	int fd = open("root/digested", O_WRONLY | O_CLOEXEC);
	REQUEST(digest);

	memset(page, 'p', sizeof(page));
	assert_int_equal(pwrite(fd, page, sizeof(page), 0), sizeof(page));
	assert_int_equal(pwrite(fd, "tail", 4, TAIL), 4);
	close(fd);
	q.op.digest.handle = h;
	q.op.digest.pages = 2;
	assert_int_equal(client_call(&c, &q), 0);
	assert_int_equal(c.payload_len, 16);
	memcpy(got, c.payload, 16);
	assert_true(le64toh(got[0]) == digest_page(page, sizeof(page)));
	assert_true(got[1] == 0);
	assert_true(c.reply.op.digest.size == TAIL + 4);
	/* What is behind the end has none. */
	q.op.digest.offset = TAIL - DIGEST_PAGE;
	q.op.digest.pages = DIGEST_MAX;
	assert_int_equal(client_call(&c, &q), 0);
	assert_int_equal(c.payload_len, 16);
	memcpy(got, c.payload, 16);
	assert_true(got[0] == 0);
	assert_true(le64toh(got[1]) == digest_page((const uint8_t *)"tail", 4));
	q.op.digest.offset = (uint64_t)TAIL * 2;
	assert_int_equal(client_call(&c, &q), 0);
	assert_int_equal(c.payload_len, 0);
	q.op.digest.offset = 1;
	assert_int_equal(client_call(&c, &q), EINVAL);
	q.op.digest.offset = UINT64_MAX - DIGEST_PAGE + 1;
	assert_int_equal(client_call(&c, &q), EINVAL);
	q.op.digest.offset = 0;
	q.op.digest.pages = DIGEST_MAX + 1;
	assert_int_equal(client_call(&c, &q), EINVAL);
	q.op.digest.pages = 1;
	q.op.digest.handle = h + 1000;
	assert_int_equal(client_call(&c, &q), EBADF);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_digest, begin, end),
		cmocka_unit_test_setup_teardown(test_xattr, begin, end),
		cmocka_unit_test_setup_teardown(test_ioctl, begin, end),
		cmocka_unit_test_setup_teardown(test_handles, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
