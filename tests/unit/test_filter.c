/* The seccomp filter, run as the kernel would, against what the table says of each call. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#include "filter.h"
#include "ofd.h"
#include "table.h"
#include "util.h"

void die(const char *fmt, ...)
{
	fputs(fmt, stderr);
	abort();
}

/* What P says of D, after *STEPS instructions. */
static uint32_t run(const struct sock_fprog *p, const struct seccomp_data *d, unsigned *steps)
{
	uint32_t a = 0, memory[BPF_MEMWORDS] = { 0 };
	const struct sock_filter *f = p->filter;

	for (*steps = 1;; f++, ++*steps) {
		assert_true(f >= p->filter && f < p->filter + p->len);
		switch (f->code) {
		case BPF_LD | BPF_W | BPF_ABS:
			memcpy(&a, (const char *)d + f->k, sizeof(a));
			break;
		case BPF_LD | BPF_MEM:
			a = memory[f->k];
			break;
		case BPF_ST:
			memory[f->k] = a;
			break;
		case BPF_ALU | BPF_AND | BPF_K:
			a &= f->k;
			break;
		case BPF_JMP | BPF_JA:
			f += f->k;
			break;
		case BPF_JMP | BPF_JEQ | BPF_K:
			f += a == f->k ? f->jt : f->jf;
			break;
		case BPF_JMP | BPF_JGT | BPF_K:
			f += a > f->k ? f->jt : f->jf;
			break;
		case BPF_JMP | BPF_JGE | BPF_K:
			f += a >= f->k ? f->jt : f->jf;
			break;
		case BPF_JMP | BPF_JSET | BPF_K:
			f += a & f->k ? f->jt : f->jf;
			break;
		case BPF_RET | BPF_K:
			return f->k;
		default:
			fail_msg("an instruction that is not known here: %#x", f->code);
		}
	}
}

/* Descriptors around the ends of the range of emulated ones, in one argument and all others. */
static void check_row(const struct sock_fprog *p, const struct syscall_row *row)
{
	const uint64_t some[] = { 0, 1, 5, (uint64_t)FD_BASE - 1, (uint64_t)FD_BASE, (uint64_t)FD_TOP - 1, (uint64_t)FD_TOP,
				  UINT32_MAX, UINT64_MAX, (7ull << 32) | (uint64_t)FD_BASE, (7ull << 32) | 3 };
	const size_t count = sizeof(some) / sizeof(*some);

	for (size_t i = 0; i < count * count; i++) {
		uint64_t first = some[i / count], rest = some[i % count];
		struct seccomp_data d = { .nr = row->nr, .arch = AUDIT_ARCH_X86_64, .args = { first, rest, rest, rest, rest, rest } };
		unsigned steps;
		uint32_t verdict = run(p, &d, &steps);
		bool trapped = (verdict & SECCOMP_RET_ACTION_FULL) == SECCOMP_RET_TRACE;

		if (row->class == CLASS_NOSYS || row->class == CLASS_PASSING || row->class == CLASS_SOCKET)
			continue;
		if (trapped != filter_traps(row, (const uint64_t *)d.args, false))
			fail_msg("%s(%#llx, %#llx, …): %#x", row->name, (unsigned long long)first, (unsigned long long)rest, verdict);
	}
}

static void check_all(void)
{
	struct sock_fprog p;
	size_t count;
	const struct syscall_row *rows = table_all(&count);

	assert_int_equal(filter_build(&p), 0);
	for (size_t i = 0; i < count; i++)
		check_row(&p, &rows[i]);
	free(p.filter);
}

static void test_agrees(void **state)
{
	fd_range_init(32768); /* a power of two: the filter looks at bits */
	check_all();
	fd_range_init(1024);
	check_all();
}

static uint32_t verdict_of(const struct sock_fprog *p, uint32_t arch, int nr, uint64_t fd, unsigned *steps)
{
	return run(p, &(struct seccomp_data){ .nr = nr, .arch = arch, .args = { fd } }, steps);
}

/* Each instruction counts in what a program's reads and writes of its own files and sockets cost. */
static void test_short(void **state)
{
	const int often[] = { SYS_read, SYS_write, SYS_pread64, SYS_pwrite64 };
	struct sock_fprog p;
	unsigned steps;

	fd_range_init(20000);
	assert_int_equal(filter_build(&p), 0);
	for (size_t i = 0; i < sizeof(often) / sizeof(*often); i++) {
		assert_int_equal(verdict_of(&p, AUDIT_ARCH_X86_64, often[i], 3, &steps), SECCOMP_RET_ALLOW);
		assert_true(steps <= 11);
		/* The same number is another call of i386. */
		assert_int_not_equal(verdict_of(&p, AUDIT_ARCH_I386, often[i], 3, &steps), SECCOMP_RET_ALLOW);
	}
	free(p.filter);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_agrees),
		cmocka_unit_test(test_short),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
