#include "spare.h"

#include <sys/resource.h>

/* A connection takes four; what was being opened by others at that moment may take some as well. */
#define SPARE 16

static struct rlimit limit; /* of no use: nothing is spared */

static void spare_set(rlim_t now)
{
	struct rlimit l = { now, limit.rlim_max };

	if (limit.rlim_cur)
		setrlimit(RLIMIT_NOFILE, &l);
}

void spare_begin(void)
{
	if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur <= 2 * SPARE)
		limit.rlim_cur = 0;
	spare_set(limit.rlim_cur - SPARE);
}

/* What has a number above the limit stays open. */
void spare_use(bool used)
{
	spare_set(used ? limit.rlim_cur : limit.rlim_cur - SPARE);
}
