#include "intent.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <unistd.h>

#include "call.h"
#include "mem.h"
#include "table.h"

/* As mirrord has it: also O_CREAT alone. */
static bool flags_write(uint64_t flags)
{
	return !(flags & O_PATH) && flags & (O_ACCMODE | O_APPEND | O_TRUNC | O_CREAT);
}

static bool how_writes(const struct call *c, uint64_t addr)
{
	struct open_how how;

	return mem_read(c->tid, addr, &how, sizeof(how)) == sizeof(how) && flags_write(how.flags);
}

bool intent_writes(const struct call *c)
{
	for (int i = 0; i < 6; i++)
		switch (c->row->args[i]) {
		case A_CHANGED:
		case A_BOUND:
			return true;
		case A_OFLAGS:
			return flags_write(c->arg[i]);
		case A_OPEN_HOW:
			return how_writes(c, c->arg[i]);
		case A_ACCESS:
			return c->arg[i] & W_OK;
		}
	return false;
}
