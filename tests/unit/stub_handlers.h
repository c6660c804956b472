/* Handlers that do nothing, for tests of what needs the table and no call. */
#ifndef STUB_HANDLERS_H
#define STUB_HANDLERS_H

#include <stdlib.h>

#include "call.h"
#include "handlers.h"
#include "util.h"

#define STUB(name)                                                                                                     \
	long name(struct call *c)                                                                                      \
	{                                                                                                              \
		return CALL_CONTINUE;                                                                                  \
	}
SYSCALL_HANDLERS(STUB)

void die(const char *format, ...)
{
	abort();
}

#endif
