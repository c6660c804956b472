#include "log_decode.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include "log_flags.h"
#include "mem.h"
#include "util.h"

void decode_address(struct decoding *d, uint64_t value)
{
	if (value)
		text_format(d->t, "%#" PRIx64, value);
	else
		text_add(d->t, "NULL");
}

static void add_path(struct decoding *d, uint64_t addr)
{
	char path[PATH_MAX];
	ssize_t n = addr ? mem_read_string(d->c->tid, addr, path, sizeof(path)) : -EFAULT;

	if (n >= 0)
		text_quote(d->t, path, (size_t)n, "");
	else if (n == -ENAMETOOLONG)
		text_quote(d->t, path, sizeof(path) - 1, ""), text_add(d->t, "...");
	else
		decode_address(d, addr);
}

/* At most string_max bytes of a string; "..." says that there are more. */
void decode_string(struct decoding *d, uint64_t addr)
{
	size_t max = d->style->string_max;
	CLEANUP_FREE char *s = malloc(max + 1);
	ssize_t n = addr && s ? mem_read_string(d->c->tid, addr, s, max + 1) : -EFAULT;

	if (n >= 0)
		text_quote(d->t, s, (size_t)n, "");
	else if (n == -ENAMETOOLONG)
		text_quote(d->t, s, max, ""), text_add(d->t, "...");
	else
		decode_address(d, addr);
}

void decode_buffer(struct decoding *d, uint64_t addr, uint64_t len)
{
	size_t shown = len < d->style->string_max ? (size_t)len : d->style->string_max;
	CLEANUP_FREE char *s = malloc(shown + 1);

	if (!addr || !s || (shown && mem_read(d->c->tid, addr, s, shown) != (ssize_t)shown)) {
		decode_address(d, addr);
		return;
	}
	text_quote(d->t, s, shown, "");
	if (shown < len)
		text_add(d->t, "...");
}

/* "<path>" behind a descriptor, with -y. */
static void add_fd_path(struct decoding *d, int fd)
{
	char path[PATH_MAX], link[64];
	pid_t tid = d->c->tid;
	ssize_t n;

	if (!d->style->show_paths || (fd < 0 && fd != AT_FDCWD))
		return;
	if (d->style->fd_namer && d->style->fd_namer(tid, fd, path, sizeof(path))) {
		n = (ssize_t)strnlen(path, sizeof(path));
	} else {
		if (fd == AT_FDCWD)
			snprintf(link, sizeof(link), "/proc/%d/cwd", (int)tid);
		else
			snprintf(link, sizeof(link), "/proc/%d/fd/%d", (int)tid, fd);
		n = readlink(link, path, sizeof(path));
	}
	if (n < 0)
		return;
	text_add(d->t, "<");
	text_escape(d->t, path, (size_t)n, "<>");
	text_add(d->t, ">");
}

void decode_fd(struct decoding *d, int fd)
{
	text_format(d->t, "%d", fd);
	if (fd != AT_FDCWD)
		add_fd_path(d, fd);
}

static void decode_dirfd(struct decoding *d, int fd)
{
	if (fd != AT_FDCWD) {
		decode_fd(d, fd);
		return;
	}
	text_add(d->t, "AT_FDCWD");
	add_fd_path(d, fd);
}

static void decode_offset_pointer(struct decoding *d, uint64_t addr)
{
	int64_t after;

	if (!addr || mem_read(d->c->tid, addr, &after, sizeof(after)) != sizeof(after)) {
		decode_address(d, addr);
		return;
	}
	if (d->filled && d->result > 0)
		text_format(d->t, "[%" PRId64 "] => ", (int64_t)((uint64_t)after - (uint64_t)d->result));
	text_format(d->t, "[%" PRId64 "]", after);
}

static void decode_dev(struct decoding *d, uint64_t value)
{
	dev_t dev = (uint32_t)value;

	text_format(d->t, "makedev(%#x, %#x)", major(dev), minor(dev));
}

/* False for arguments that the call does not look at. */
static bool is_shown(const struct call *c, int i)
{
	uint64_t before = i ? c->arg[i - 1] : 0;

	switch (c->row->args[i]) {
	case A_SKIP:
		return false;
	case A_MODE:
		return i == 0 || c->row->args[i - 1] != A_OFLAGS || (before & OPEN_MAKES);
	case A_DEV:
		return i == 0 || c->row->args[i - 1] != A_FMODE || S_ISCHR(before) || S_ISBLK(before);
	case A_FCNTL_ARG:
		switch ((int)before) {
		case F_GETFD:
		case F_GETFL:
		case F_GETOWN:
		case F_GETSIG:
		case F_GETLEASE:
		case F_GETPIPE_SZ:
		case F_GET_SEALS:
			return false;
		}
		return true;
	case A_IOCTL_ARG:
		return before != FIOCLEX && before != FIONCLEX;
	default:
		return true;
	}
}

/* What the call fills in: decoded when it has been, else the address. */
static void decode_output(struct decoding *d, int kind, uint64_t v)
{
	if (!d->filled) {
		decode_address(d, v);
		return;
	}
	switch (kind) {
	case A_BUF_OUT:
		decode_buffer(d, v, (uint64_t)d->result);
		break;
	case A_CWD_OUT:
		add_path(d, v);
		break;
	case A_STAT_OUT:
		decode_stat(d, v);
		break;
	case A_STATX_OUT:
		decode_statx(d, v);
		break;
	case A_STATFS_OUT:
		decode_statfs(d, v);
		break;
	case A_DENTS_OUT:
	case A_OLD_DENTS_OUT:
		decode_dents(d, v);
		break;
	case A_RLIMIT_OUT:
		decode_rlimit(d, v);
		break;
	}
}

/* The kinds that are nothing but names for numbers. */
static const struct named_kind {
	const struct name *names;
	const char *other;
	bool single; /* one of the names; else bits */
} named_kinds[] = {
	[A_FD_FLAGS] = {names_open, "O_???", false},
	[A_ACCESS] = {names_access, "?_OK", false},
	[A_STATX_MASK] = {names_statx, "STATX_???", false},
	[A_WHENCE] = {names_whence, "SEEK_???", true},
	[A_PROT] = {names_prot, "PROT_???", false},
	[A_FCNTL_CMD] = {names_fcntl, "F_???", true},
	[A_FLOCK_OP] = {names_flock, "LOCK_???", false},
	[A_RENAME_FLAGS] = {names_rename, "RENAME_???", false},
	[A_RWF] = {names_rwf, "RWF_???", false},
	[A_RESOURCE] = {names_resource, "RLIMIT_???", true},
	[A_XATTR_FLAGS] = {names_xattr, "XATTR_???", false},
	[A_FALLOC_MODE] = {names_falloc, "FALLOC_FL_???", false},
	[A_FADVICE] = {names_fadvise, "POSIX_FADV_???", true},
};

/* False when KIND is none of them. */
static bool decode_named(struct decoding *d, unsigned kind, uint64_t v)
{
	const struct named_kind *k = kind < sizeof(named_kinds) / sizeof(named_kinds[0]) ? &named_kinds[kind] : NULL;

	if (!k || !k->names)
		return false;
	if (kind != A_PROT)
		v = (uint32_t)v; /* they are ints: the kernel ignores the upper half */
	if (k->single)
		flags_add_value(d->t, k->names, v, k->other);
	else
		flags_add(d->t, k->names, v, k->other);
	return true;
}

/* False when KIND is no scalar. */
static bool decode_scalar(struct decoding *d, unsigned kind, uint64_t v)
{
	switch (kind) {
	case A_INT:
	case A_PID:
		text_format(d->t, "%d", (int)v);
		return true;
	case A_UINT:
	case A_SIZE:
		text_format(d->t, "%" PRIu64, v);
		return true;
	case A_OFF:
		text_format(d->t, "%" PRId64, (int64_t)v);
		return true;
	case A_MODE:
		text_format(d->t, "%#03o", (unsigned)v & 0xffff);
		return true;
	case A_FMODE:
		flags_add_file_mode(d->t, (unsigned)v & 0xffff);
		return true;
	case A_OFLAGS:
		flags_add_open(d->t, (uint32_t)v);
		return true;
	case A_ATFLAGS:
		flags_add_at(d->t, d->c->nr, (uint32_t)v);
		return true;
	case A_MAP_FLAGS:
		flags_add_map(d->t, v);
		return true;
	case A_SIGNAL:
		flags_add_signal(d->t, (int)v);
		return true;
	case A_IOCTL:
		decode_ioctl(d, (uint32_t)v);
		return true;
	case A_DEV:
		decode_dev(d, v);
		return true;
	default:
		return decode_named(d, kind, v);
	}
}

/* What the call reads from memory. False when KIND is nothing of the sort. */
static bool decode_input(struct decoding *d, unsigned kind, uint64_t v, uint64_t next)
{
	switch (kind) {
	case A_PATH:
	case A_CHANGED:
	case A_LINKTEXT:
		add_path(d, v);
		return true;
	case A_STR:
		decode_string(d, v);
		return true;
	case A_BUF_IN:
		decode_buffer(d, v, next);
		return true;
	case A_IOV_IN:
	case A_IOV_OUT:
		decode_iovec(d, v, next, kind == A_IOV_OUT);
		return true;
	case A_OFFP:
		decode_offset_pointer(d, v);
		return true;
	case A_OPEN_HOW:
		decode_open_how(d, v, next);
		return true;
	case A_ARGV:
		decode_argv(d, v);
		return true;
	case A_ENVP:
		decode_envp(d, v);
		return true;
	case A_RLIMIT_IN:
		decode_rlimit(d, v);
		return true;
	case A_TIMESPECS:
		decode_timespecs(d, v);
		return true;
	case A_TIMEVALS:
		decode_timevals(d, v);
		return true;
	case A_UTIMBUF:
		decode_utimbuf(d, v);
		return true;
	default:
		return false;
	}
}

static void decode_arg(struct decoding *d, int i)
{
	const struct call *c = d->c;
	unsigned kind = c->row->args[i];
	uint64_t v = c->arg[i], next = i < 5 ? c->arg[i + 1] : 0;

	if (decode_scalar(d, kind, v) || decode_input(d, kind, v, next))
		return;
	switch (kind) {
	case A_FD:
		decode_fd(d, (int)v);
		break;
	case A_DIRFD:
		decode_dirfd(d, (int)v);
		break;
	case A_HEX:
		text_format(d->t, "%#" PRIx64, v);
		break;
	case A_FCNTL_ARG:
		decode_fcntl_arg(d, (int)c->arg[i - 1], v);
		break;
	case A_IOCTL_ARG:
		decode_ioctl_arg(d, (uint32_t)c->arg[i - 1], v);
		break;
	case A_SOCKADDR:
	case A_BOUND:
		decode_sockaddr(d, v, next);
		break;
	case A_PTR:
		decode_address(d, v);
		break;
	default:
		decode_output(d, (int)kind, v);
	}
}

void decode_call(struct decoding *d)
{
	const struct call *c = d->c;
	const char *separator = "";

	if (!c->row) {
		text_format(d->t, "syscall_%#x(", (unsigned)c->nr);
		for (int i = 0; i < 6; i++)
			text_format(d->t, "%s%#" PRIx64, i ? ", " : "", c->arg[i]);
		text_add(d->t, ")");
		return;
	}
	text_format(d->t, "%s(", c->row->name);
	for (int i = 0; i < table_arg_count(c->row); i++) {
		if (!is_shown(c, i))
			continue;
		text_add(d->t, separator);
		separator = ", ";
		decode_arg(d, i);
	}
	text_add(d->t, ")");
}

static bool returns_fd(const struct call *c)
{
	switch (c->nr) {
	case SYS_open:
	case SYS_openat:
	case SYS_openat2:
	case SYS_creat:
	case SYS_dup:
	case SYS_dup2:
	case SYS_dup3:
		return true;
	case SYS_fcntl:
		return c->arg[1] == F_DUPFD || c->arg[1] == F_DUPFD_CLOEXEC;
	default:
		return false;
	}
}

/* No result below is an errno: CALL_CONTINUE and its like. */
#define MAX_ERRNO 4095

void decode_result(struct decoding *d)
{
	long r = d->result;

	if (r < -MAX_ERRNO) {
		text_add(d->t, "?"); /* the kernel does it, and tells the program alone */
	} else if (r == -ERESTARTSYS) {
		text_add(d->t, "? ERESTARTSYS (To be restarted if SA_RESTART is set)");
	} else if (r < 0) {
		const char *name = strerrorname_np((int)-r);

		if (name)
			text_format(d->t, "-1 %s (%s)", name, strerrordesc_np((int)-r));
		else
			text_format(d->t, "-1 (errno %ld)", -r);
	} else if (d->c->nr == SYS_mmap) {
		text_format(d->t, "%#lx", r);
	} else if (d->c->nr != SYS_fcntl || !decode_fcntl_result(d)) {
		text_format(d->t, "%ld", r);
		if (returns_fd(d->c))
			add_fd_path(d, (int)r);
	}
}
