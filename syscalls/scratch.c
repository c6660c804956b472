#include "scratch.h"

#include <errno.h>
#include <linux/kcmp.h>
#include <string.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "call.h"

#define PAGE 4096u
#define COOKIE sizeof(((struct scratch *)0)->cookie)
#define LOANS 64

/*
 * A vfork child runs in its parent's memory, and the parent goes on only when the child has exec'ed: nobody is
 * there to unmap what the child was given. So the next child gets it.
 */
static struct scratch loans[LOANS];
static unsigned next_loan;

static pid_t find_lender(const struct call *c)
{
	pid_t parent = call_parent_of(c->tid);

	return parent > 1 && syscall(SYS_kcmp, c->tid, parent, KCMP_VM, 0, 0) == 0 ? parent : 0;
}

static bool borrow(struct call *c, pid_t lender, size_t size, struct scratch *s)
{
	uint64_t cookie[2];

	for (struct scratch *l = loans; lender && l < loans + LOANS; l++) {
		if (l->lender != lender || l->size < size || call_read(c, l->addr - COOKIE, cookie, COOKIE) ||
		    memcmp(cookie, l->cookie, COOKIE))
			continue;
		*s = *l;
		l->lender = 0; /* given out */
		return true;
	}
	return false;
}

int scratch_get(struct call *c, size_t size, struct scratch *s)
{
	pid_t lender = find_lender(c);

	if (borrow(c, lender, size, s))
		return 0;
	size = (size + COOKIE + PAGE - 1) & ~(size_t)(PAGE - 1);
	long addr = call_scratch(c, size);
	if (addr < 0)
		return (int)addr;
	s->addr = (uint64_t)addr + COOKIE;
	s->size = size - COOKIE;
	s->lender = lender;
	if (lender && (getrandom(s->cookie, COOKIE, 0) != COOKIE || call_write(c, (uint64_t)addr, s->cookie, COOKIE)))
		s->lender = 0;
	return 0;
}

void scratch_done(struct call *c, const struct scratch *s, bool failed)
{
	if (s->addr && failed)
		call_inject(c, SYS_munmap, s->addr - COOKIE, s->size + COOKIE);
	else if (s->lender)
		loans[next_loan++ % LOANS] = *s;
}
