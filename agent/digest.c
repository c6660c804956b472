/* Which pages of a file have changed: a client that has it compares instead of reading it again. */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "digest.h"
#include "handle.h"
#include "ops.h"

#define PIECE (64u * DIGEST_PAGE)

/* The next offset with data from OFF on, down to its page; a file system that knows no holes has it at OFF. */
static uint64_t skip_hole(struct handle *h, uint64_t off, uint64_t end)
{
	/* It moves the position, at which another request may be writing. */
	pthread_mutex_lock(&h->position);
	off_t data = lseek(h->fd, (off_t)off, SEEK_DATA);
	bool none = data < 0 && errno == ENXIO;
	pthread_mutex_unlock(&h->position);

	if (data < 0)
		return none ? end : off;
	return (uint64_t)data < end ? (uint64_t)data / DIGEST_PAGE * DIGEST_PAGE : end;
}

/* The digests of OFF to END of H's file into OUT, which is zeroed. 0 or a negative errno. */
static int digest_range(struct handle *h, uint64_t off, uint64_t end, uint64_t *out)
{
	uint8_t *buf = malloc(PIECE);
	uint64_t first = off;
	ssize_t n = buf ? 1 : -1;

	while (n > 0 && (off = skip_hole(h, off, end)) < end) {
		n = pread(h->fd, buf, end - off < PIECE ? (size_t)(end - off) : PIECE, (off_t)off);
		for (ssize_t at = 0; at < n; at += DIGEST_PAGE) {
			size_t len = n - at < DIGEST_PAGE ? (size_t)(n - at) : DIGEST_PAGE;

			out[(off + (uint64_t)at - first) / DIGEST_PAGE] = htole64(digest_page(buf + at, len));
		}
		/* A short read in the middle goes on at the page it ended in. */
		off += n < (ssize_t)DIGEST_PAGE ? (n > 0 ? DIGEST_PAGE : 0) : (uint64_t)n / DIGEST_PAGE * DIGEST_PAGE;
	}
	free(buf);
	return n < 0 ? (buf ? -errno : -ENOMEM) : 0;
}

static int digest_handle(struct op *op, struct handle *h)
{
	const rfs_Digest *req = &op->req->op.digest;
	struct stat st;

	if (fstat(h->fd, &st) < 0)
		return -errno;
	uint64_t size = (uint64_t)st.st_size, end = req->offset + (uint64_t)req->pages * DIGEST_PAGE;

	end = end < size ? end : size;
	size_t count = end > req->offset ? (size_t)((end - req->offset + DIGEST_PAGE - 1) / DIGEST_PAGE) : 0;
	op->out = calloc(count + 1, sizeof(uint64_t));
	if (!op->out)
		return -ENOMEM;
	op->out_len = count * sizeof(uint64_t);
	op->reply->which_op = rfs_Reply_digest_tag;
	op->reply->op.digest.size = size;
	return count ? digest_range(h, req->offset, end, (uint64_t *)op->out) : 0;
}

int op_digest(struct op *op)
{
	const rfs_Digest *req = &op->req->op.digest;
	struct handle *h;

	if (req->pages > DIGEST_MAX || req->offset % DIGEST_PAGE || req->offset > INT64_MAX / 2)
		return -EINVAL;
	int r = handle_get(op->agent->handles, req->handle, &h);
	if (r)
		return r;
	promise_handle(op->agent->watcher, &op->promise, h);
	r = digest_handle(op, h);
	handle_put(op->agent->handles, h);
	return r;
}
