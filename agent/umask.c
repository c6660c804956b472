/* The umask of the client's task, which a default ACL must be able to override (umask(2), acl(5)). */
#include <sched.h>
#include <sys/stat.h>

#include "ops.h"

static _Thread_local bool umask_is_own;

void umask_own(void)
{
	umask_is_own = unshare(CLONE_FS) == 0;
}

mode_t umask_for(uint32_t mode, uint32_t mask)
{
	mode &= 07777;
	if (!umask_is_own)
		return mode & ~mask;
	umask(mask & 0777);
	return mode;
}
