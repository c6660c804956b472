/* Extended attributes. */
#include <sys/xattr.h>

#include "fuzz.h"

static const char *pick_name(void)
{
	static const char *const names[] = { "user.a", "user.b", "user.cc", "user.", "trusted.a", "bad", "", "security.x", "system.nothing" };
	const char *name = names[chance(800) ? below(3) : below(COUNT(names))];

	if (chance(10)) {
		say("BAD");
		return BAD_LOW;
	}
	say("%s", name);
	return name;
}

/* The three forms of each call. */
static long by_form(unsigned form, const char *const names[3], const long numbers[3], long extra[4])
{
	struct where w = { -1, NULL };

	say("%s(", names[form]);
	if (form == 2)
		w.fd = pick_fd();
	else
		w = pick_where(true);
	say(", ");
	for (int i = 0; i < 4; i++)
		if (extra[i] == -77)
			extra[i] = (long)pick_name();
	say(")");
	return raw_syscall(numbers[form], form == 2 ? w.fd : (long)w.path, extra[0], extra[1], extra[2], extra[3], 0);
}

static void run_set(void)
{
	static const char *const names[] = { "setxattr", "lsetxattr", "fsetxattr" };
	static const long numbers[] = { SYS_setxattr, SYS_lsetxattr, SYS_fsetxattr };
	long size = PICK(0, 1, 10, 100, 1000), flags = PICK(0, 0, 0, XATTR_CREATE, XATTR_REPLACE, 3, 8);
	long extra[4] = { -77, (long)buffer, size, flags };

	memset(buffer, 'a' + (int)below(26), (size_t)size);
	say("%ld %ld ", size, flags);
	say_result(by_form(below(3), names, numbers, extra));
}

static void run_get(void)
{
	static const char *const names[] = { "getxattr", "lgetxattr", "fgetxattr" };
	static const long numbers[] = { SYS_getxattr, SYS_lgetxattr, SYS_fgetxattr };
	long size = PICK(4096, 4096, 0, 5, 10);
	long extra[4] = { -77, (long)buffer, size, 0 };

	say("%ld ", size);
	long n = say_result(by_form(below(3), names, numbers, extra));
	if (size)
		say_data(buffer, n);
}

static void run_list(void)
{
	static const char *const names[] = { "listxattr", "llistxattr", "flistxattr" };
	static const long numbers[] = { SYS_listxattr, SYS_llistxattr, SYS_flistxattr };
	long size = PICK(4096, 4096, 0, 5);
	long extra[4] = { (long)buffer, size, 0, 0 };

	say("%ld ", size);
	long n = say_result(by_form(below(3), names, numbers, extra));
	if (size)
		say_data(buffer, n);
}

static void run_remove(void)
{
	static const char *const names[] = { "removexattr", "lremovexattr", "fremovexattr" };
	static const long numbers[] = { SYS_removexattr, SYS_lremovexattr, SYS_fremovexattr };
	long extra[4] = { -77, 0, 0, 0 };

	say_result(by_form(below(3), names, numbers, extra));
}

const struct op xattr_ops[] = {
	{ "setxattr", FAM_XATTR, 15, run_set },
	{ "getxattr", FAM_XATTR, 12, run_get },
	{ "listxattr", FAM_XATTR, 8, run_list },
	{ "removexattr", FAM_XATTR, 6, run_remove },
	{ 0 },
};
