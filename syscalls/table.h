/* The syscall table: table.def expanded to rows. See table.def for what a row says. */
#ifndef SYSCALLS_TABLE_H
#define SYSCALLS_TABLE_H

#include <stddef.h>

struct call;

/* What happens when a task makes the call. */
enum syscall_class {
	CLASS_PASS,    /* never stopped: no file's name, no remote descriptor, or right on a placeholder by the kernel's doing */
	CLASS_PATH,    /* always notified: it names files by path */
	CLASS_ANY,     /* always notified: what it works on does not show in its arguments */
	CLASS_FD,      /* notified when an A_FD argument is in the range of emulated remote descriptors */
	CLASS_ANYFD,   /* always notified: a remote file with a native placeholder at a low number must be emulated too */
	CLASS_COMMAND, /* as CLASS_FD, but commands that a file system answers (locks, flags, holes) as CLASS_ANYFD */
	CLASS_LIMIT,   /* notified when the resource is RLIMIT_NOFILE: the top numbers belong to us */
	CLASS_TRACE,   /* a ptrace stop: arguments are rewritten */
	CLASS_DUP,     /* as CLASS_FD, but a ptrace stop: the task may need FILTER_LOW from then on (filter.h) */
	CLASS_SOCKET,  /* a ptrace stop when the family is AF_UNIX: the task needs FILTER_PASSING from then on */
	CLASS_PASSING, /* a ptrace stop in tasks that have FILTER_PASSING: descriptors can be passed to other tasks */
	CLASS_NOSYS,   /* ENOSYS from the filter: programs must fall back */
};

/* What an argument is: for finding paths and descriptors, and for the log. */
enum arg_kind {
	A_NONE = 0,
#define ARG_KIND(name) A_##name,
#include "args.def"
#undef ARG_KIND
};

/*
 * Performs one call. Returns the call's result (negative errno on failure) or CALL_CONTINUE to let the
 * kernel do it natively. Called with the state lock held.
 */
typedef long syscall_handler(struct call *c);

struct syscall_row {
	int nr; /* x86-64 */
	const char *name;
	enum syscall_class class;
	syscall_handler *handler; /* NULL: not emulated; on a remote object it answers ENOSYS with a log line */
	unsigned char args[6];    /* enum arg_kind */
};

/* The row of syscall NR, or NULL for a number that the table does not have. */
const struct syscall_row *table_row(int nr);

/* The row named NAME, or NULL. */
const struct syscall_row *table_find(const char *name);

/* All rows, in ascending order of number; *COUNT is set to how many. */
const struct syscall_row *table_all(size_t *count);

/* How many arguments ROW has (0 to 6). */
int table_arg_count(const struct syscall_row *row);

#endif
