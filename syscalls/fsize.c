#include "fsize.h"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>

#include "call.h"

static uint64_t fsize_limit(const struct call *c)
{
	struct rlimit limit;

	return prlimit(c->tid, RLIMIT_FSIZE, NULL, &limit) < 0 ? RLIM_INFINITY : limit.rlim_cur;
}

bool fsize_limited(const struct call *c)
{
	return fsize_limit(c) != RLIM_INFINITY;
}

static int fsize_exceeded(struct call *c)
{
	call_signal(c, SIGXFSZ);
	return -EFBIG;
}

int fsize_clip(struct call *c, uint64_t pos, size_t *count)
{
	uint64_t limit = fsize_limit(c);

	if (limit == RLIM_INFINITY)
		return 0;
	if (pos >= limit)
		return fsize_exceeded(c);
	if (*count > limit - pos)
		*count = limit - pos;
	return 0;
}

int fsize_check(struct call *c, uint64_t size)
{
	return size > fsize_limit(c) ? fsize_exceeded(c) : 0;
}
