/* Extended attributes: not emulated yet. A remote file is then one of a file system that has none. */
#include <errno.h>

#include "call.h"
#include "handlers.h"

long sys_no_xattr(struct call *c)
{
	long rc = call_default(c);

	return rc == -ENOSYS ? -EOPNOTSUPP : rc;
}
