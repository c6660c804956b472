#include "buffers.h"

#include <errno.h>

#include "call.h"
#include "mem.h"

/* arch/x86: TASK_SIZE_MAX, which access_ok compares with before anything is looked at. */
#define USER_TOP ((UINT64_C(1) << 47) - 4096)

static bool is_user(uint64_t addr, uint64_t len)
{
	return len <= USER_TOP && addr <= USER_TOP - len;
}

int buffers_one(struct buffers *b, uint64_t addr, uint64_t len)
{
	b->iov[0] = (struct iovec){ (void *)addr, len < MAX_RW_COUNT ? len : MAX_RW_COUNT };
	b->count = 1;
	b->at = 0;
	b->done = 0;
	b->total = b->iov[0].iov_len;
	return is_user(addr, len) ? 0 : -EFAULT;
}

int buffers_vector(struct call *c, struct buffers *b, uint64_t addr, uint64_t count)
{
	b->count = (int)count;
	b->at = 0;
	b->done = b->total = 0;
	if (count > IOV_MAX)
		return -EINVAL;
	if (count && call_read(c, addr, b->iov, count * sizeof(*b->iov)) < 0)
		return -EFAULT;
	for (uint64_t i = 0; i < count; i++)
		if ((ssize_t)b->iov[i].iov_len < 0)
			return -EINVAL;
	for (uint64_t i = 0; i < count; i++) {
		if (!is_user((uint64_t)b->iov[i].iov_base, b->iov[i].iov_len))
			return -EFAULT;
		if (b->iov[i].iov_len > MAX_RW_COUNT - b->total)
			b->iov[i].iov_len = MAX_RW_COUNT - b->total;
		b->total += b->iov[i].iov_len;
	}
	return 0;
}

ssize_t buffers_copy(struct call *c, struct buffers *b, uint8_t *data, size_t len, bool to_task)
{
	size_t copied = 0;

	while (copied < len && b->at < b->count) {
		struct iovec *v = &b->iov[b->at];
		size_t part = v->iov_len - b->done < len - copied ? v->iov_len - b->done : len - copied;
		uint64_t addr = (uint64_t)v->iov_base + b->done;
		ssize_t n = 0;

		if (part)
			n = to_task ? mem_write(c->tid, addr, data + copied, part)
				    : mem_read(c->tid, addr, data + copied, part);
		if (n < 0)
			return copied ? (ssize_t)copied : n;
		copied += (size_t)n;
		b->done += (size_t)n;
		if ((size_t)n < part)
			break;
		if (b->done == v->iov_len) {
			b->at++;
			b->done = 0;
		}
	}
	return (ssize_t)copied;
}
